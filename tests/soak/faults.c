/* LD_PRELOAD: one fault, at the K-th call that writes below a folder. The count is the whole process's, over all of its
 * threads; strace counts for each thread, so that its K-th call would be several.
 *
 * SOAK_FAULT_FOLDER  files below it count
 * SOAK_FAULT_LOG     a line for each such call: number, name, file, "!" at the one that met the fault
 * SOAK_FAULT_AT      which one fails, from 1; 0 or nothing: none
 * SOAK_FAULT_KIND    EIO, ENOSPC, or SHORT: half of what was to be written is
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int calls;
static atomic_int log_fd = -1;

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static int below(const char *path) {
    const char *folder = setting("SOAK_FAULT_FOLDER");
    return *folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int place(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
    return below(path);
}

static void note(int number, const char *call, const char *path, int here) {
    char line[PATH_MAX + 64];
    if (atomic_load(&log_fd) < 0) {
        int opened = syscall(SYS_openat, AT_FDCWD, setting("SOAK_FAULT_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        int none = -1;
        if (!atomic_compare_exchange_strong(&log_fd, &none, opened)) syscall(SYS_close, opened);
    }
    int length = snprintf(line, sizeof line, "%d %s %s%s\n", number, call, path + strlen(setting("SOAK_FAULT_FOLDER")),
                          here ? " !" : "");
    syscall(SYS_write, atomic_load(&log_fd), line, (size_t)length); /* not through ourselves */
}

/* 0: go on; -1: fail with errno; 1: write half. */
static int fate(const char *call, const char *path) {
    int number = atomic_fetch_add(&calls, 1) + 1;
    int here = number == atoi(setting("SOAK_FAULT_AT"));
    note(number, call, path, here);
    if (!here) return 0;
    const char *kind = setting("SOAK_FAULT_KIND");
    if (strcmp(kind, "SHORT") == 0) return 1;
    errno = strcmp(kind, "ENOSPC") == 0 ? ENOSPC : EIO;
    return -1;
}

static int fate_of(int fd, const char *call) {
    char path[PATH_MAX];
    int before = errno, counted = place(fd, path);
    errno = before;
    return counted ? fate(call, path) : 0;
}

static size_t part(size_t size) { return size > 1 ? size / 2 : size; }

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    int said = fate_of(fd, "write");
    return said < 0 ? -1 : REAL(write)(fd, data, said ? part(size) : size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    int said = fate_of(fd, "pwrite64");
    return said < 0 ? -1 : REAL(pwrite64)(fd, data, said ? part(size) : size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    int said = fate_of(fd, "writev");
    return said < 0 ? -1 : REAL(writev)(fd, parts, said && count > 1 ? count / 2 : count);
}

int fsync(int fd) { return fate_of(fd, "fsync") < 0 ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) { return fate_of(fd, "fdatasync") < 0 ? -1 : REAL(fdatasync)(fd); }

int ftruncate64(int fd, off64_t size) { return fate_of(fd, "ftruncate64") < 0 ? -1 : REAL(ftruncate64)(fd, size); }

int rename(const char *from, const char *to) {
    return below(to) && fate("rename", to) < 0 ? -1 : REAL(rename)(from, to);
}

int renameat(int from_at, const char *from, int to_at, const char *to) {
    return below(to) && fate("renameat", to) < 0 ? -1 : REAL(renameat)(from_at, from, to_at, to);
}
