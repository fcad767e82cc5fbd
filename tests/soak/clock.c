/* LD_PRELOAD: moves CLOCK_REALTIME, and nothing else, by the nanoseconds in the file SOAK_CLOCK_FILE (int64, this machine's
 * byte order); read at each call, so that the clock can jump in a running process.
 *
 * Waits until a time of that clock are moved, too: with a real clock their end would jump together with it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)

static _Atomic(const volatile int64_t *) shared;

static int64_t moved_ns(void) {
    const volatile int64_t *offset = atomic_load(&shared);
    if (!offset) {
        const char *path = getenv("SOAK_CLOCK_FILE");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0) return 0;
        void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
        if (mapped == MAP_FAILED) return 0;
        offset = mapped;
        atomic_store(&shared, offset);
    }
    return *offset;
}

static void move(struct timespec *time, int64_t by_ns) {
    int64_t ns = time->tv_sec * SECOND_NS + time->tv_nsec + by_ns;
    if (ns < 0) ns = 0;
    time->tv_sec = ns / SECOND_NS;
    time->tv_nsec = ns % SECOND_NS;
}

static void kernel_time(clockid_t clock, struct timespec *time) {
    ((int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime"))(clock, time);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int said = real(clock, time);
    if (said == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) move(time, moved_ns());
    return said;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &time);
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}

/* A deadline in the kernel's own time. */
static struct timespec kernels(const struct timespec *deadline) {
    struct timespec moved = *deadline;
    move(&moved, -moved_ns());
    return moved;
}

/* Whether a deadline was meant in CLOCK_REALTIME: it is nearer to that clock, as it is shown, than to the monotonic one. */
static int in_real_time(const struct timespec *deadline) {
    struct timespec real, steady;
    clock_gettime(CLOCK_REALTIME, &real);
    kernel_time(CLOCK_MONOTONIC, &steady);
    return llabs(deadline->tv_sec - real.tv_sec) <= llabs(deadline->tv_sec - steady.tv_sec);
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex, const struct timespec *restrict until) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) *(void **)&real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
    struct timespec moved = in_real_time(until) ? kernels(until) : *until;
    return real(cond, mutex, &moved);
}

int sem_timedwait(sem_t *restrict sem, const struct timespec *restrict until) {
    struct timespec moved = kernels(until);
    return ((int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait"))(sem, &moved);
}

long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    va_list list;
    va_start(list, number);
    long a = va_arg(list, long), b = va_arg(list, long), c = va_arg(list, long), d = va_arg(list, long),
         e = va_arg(list, long), f = va_arg(list, long);
    va_end(list);
    if (number == SYS_futex && (b & FUTEX_CLOCK_REALTIME) && d) {
        struct timespec moved = kernels((const struct timespec *)d);
        return real(number, a, b, c, (long)&moved, e, f);
    }
    return real(number, a, b, c, d, e, f);
}
