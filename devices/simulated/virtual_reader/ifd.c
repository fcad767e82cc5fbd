/* A card reader for pcscd (IFD handler 3.0) whose slot is a UNIX socket.
 *
 * DEVICENAME is "unix:PATH"; pcscd dials, one connection per reader. Request: 1 byte command, 2 bytes length
 * (big-endian), data. Answer: 1 byte status, 2 bytes length, data. Commands: P present? E the same, asked by pcscd's
 * event thread, which has then seen it; U power up or reset (gives the ATR), D power down, T transmit; I, once at the
 * beginning, gives the reader's serial, which clients get as SCARD_ATTR_VENDOR_IFD_SERIAL_NO.
 * Status: 0 done, 1 no card, 2 mute. A lost connection is a reader that was unplugged.
 * A reader that hangs is one whose other side does not answer.
 */
#include <ifdhandler.h>
#include <reader.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READERS_MAX 16
#define MESSAGE_MAX 4096
#define SERIAL_MAX 64
#define POLL_US 20000
#define SCHEME "unix:"
#define DONE 0
#define UNPLUGGED 3

static struct {
	DWORD lun;
	int fd;
	UCHAR atr[MAX_ATR_SIZE];
	DWORD atr_length;
	UCHAR serial[SERIAL_MAX];
	DWORD serial_length;
} readers[READERS_MAX];
static pthread_mutex_t table = PTHREAD_MUTEX_INITIALIZER;
static __thread int is_event_thread;

static int find(DWORD lun, int wanted)
{
	int found = -1;
	pthread_mutex_lock(&table);
	for (int i = 0; i < READERS_MAX && found < 0; i++)
		if (wanted ? readers[i].fd > 0 && readers[i].lun == lun : readers[i].fd <= 0)
			found = i;
	pthread_mutex_unlock(&table);
	return found;
}

static int all(int fd, UCHAR *data, size_t length, int sending)
{
	while (length > 0) {
		ssize_t n = sending ? send(fd, data, length, MSG_NOSIGNAL) : recv(fd, data, length, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		data += n;
		length -= (size_t)n;
	}
	return 0;
}

/* One request. On return *length is the length of the answer. */
static int ask(int i, char command, const UCHAR *data, size_t size, UCHAR *answer, DWORD *length)
{
	UCHAR head[3] = { (UCHAR)command, (UCHAR)(size >> 8), (UCHAR)size }, message[MESSAGE_MAX];
	DWORD room = *length;
	*length = 0;
	if (size > MESSAGE_MAX || all(readers[i].fd, head, 3, 1) < 0)
		return UNPLUGGED;
	if (size > 0)
		memcpy(message, data, size);
	if (all(readers[i].fd, message, size, 1) < 0 || all(readers[i].fd, head, 3, 0) < 0)
		return UNPLUGGED;
	size_t got = (size_t)head[1] << 8 | head[2];
	if (got > MESSAGE_MAX || all(readers[i].fd, message, got, 0) < 0 || got > room)
		return UNPLUGGED;
	memcpy(answer, message, got);
	*length = got;
	return head[0];
}

RESPONSECODE IFDHCreateChannelByName(DWORD lun, LPSTR name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int i = find(lun, 0);
	if (i < 0 || strncmp(name, SCHEME, strlen(SCHEME)) != 0)
		return IFD_NO_SUCH_DEVICE;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", name + strlen(SCHEME));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return IFD_COMMUNICATION_ERROR;
	if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		close(fd);
		return IFD_NO_SUCH_DEVICE;
	}
	readers[i].lun = lun;
	readers[i].atr_length = 0;
	readers[i].serial_length = SERIAL_MAX;
	readers[i].fd = fd;
	if (ask(i, 'I', NULL, 0, readers[i].serial, &readers[i].serial_length) != DONE)
		readers[i].serial_length = 0;
	return IFD_SUCCESS;
}

RESPONSECODE IFDHCreateChannel(DWORD lun, DWORD channel)
{
	(void)lun;
	(void)channel;
	return IFD_NO_SUCH_DEVICE; /* only by name */
}

RESPONSECODE IFDHCloseChannel(DWORD lun)
{
	int i = find(lun, 1);
	if (i >= 0) {
		close(readers[i].fd);
		readers[i].fd = 0;
	}
	return IFD_SUCCESS;
}

static RESPONSECODE pause_between_looks(DWORD lun, int limit_ms)
{
	(void)lun;
	(void)limit_ms;
	is_event_thread = 1;
	usleep(POLL_US);
	return IFD_SUCCESS;
}

RESPONSECODE IFDHGetCapabilities(DWORD lun, DWORD tag, PDWORD length, PUCHAR value)
{
	int i = find(lun, 1);
	RESPONSECODE(*pause)(DWORD, int) = pause_between_looks;
	if (tag == TAG_IFD_ATR && i >= 0 && *length >= readers[i].atr_length) {
		*length = readers[i].atr_length;
		memcpy(value, readers[i].atr, *length);
		return IFD_SUCCESS;
	}
	if (tag == SCARD_ATTR_VENDOR_IFD_SERIAL_NO && i >= 0 && readers[i].serial_length > 0
		&& *length >= readers[i].serial_length) {
		*length = readers[i].serial_length;
		memcpy(value, readers[i].serial, *length);
		return IFD_SUCCESS;
	}
	if (tag == TAG_IFD_POLLING_THREAD_WITH_TIMEOUT && *length >= sizeof pause) {
		*length = sizeof pause;
		memcpy(value, &pause, sizeof pause);
		return IFD_SUCCESS;
	}
	if (*length < 1)
		return IFD_ERROR_INSUFFICIENT_BUFFER;
	*length = 1;
	*value = tag == TAG_IFD_SIMULTANEOUS_ACCESS ? READERS_MAX : 1;
	return tag == TAG_IFD_SIMULTANEOUS_ACCESS || tag == TAG_IFD_THREAD_SAFE || tag == TAG_IFD_SLOTS_NUMBER
		? IFD_SUCCESS : IFD_ERROR_TAG;
}

RESPONSECODE IFDHSetCapabilities(DWORD lun, DWORD tag, DWORD length, PUCHAR value)
{
	(void)lun, (void)tag, (void)length, (void)value;
	return IFD_ERROR_TAG;
}

RESPONSECODE IFDHSetProtocolParameters(DWORD lun, DWORD protocol, UCHAR flags, UCHAR p1, UCHAR p2, UCHAR p3)
{
	(void)lun, (void)protocol, (void)flags, (void)p1, (void)p2, (void)p3;
	return IFD_SUCCESS;
}

RESPONSECODE IFDHPowerICC(DWORD lun, DWORD action, PUCHAR atr, PDWORD length)
{
	int i = find(lun, 1);
	DWORD room = MAX_ATR_SIZE;
	if (length != NULL)
		*length = 0;
	if (i < 0)
		return IFD_NO_SUCH_DEVICE;
	int status = ask(i, action == IFD_POWER_DOWN ? 'D' : 'U', NULL, 0, readers[i].atr, &room);
	readers[i].atr_length = status == DONE ? room : 0;
	if (action == IFD_POWER_DOWN)
		return status == UNPLUGGED ? IFD_NO_SUCH_DEVICE : IFD_SUCCESS;
	*length = readers[i].atr_length;
	memcpy(atr, readers[i].atr, *length);
	return status == DONE ? IFD_SUCCESS : status == UNPLUGGED ? IFD_NO_SUCH_DEVICE : IFD_ERROR_POWER_ACTION;
}

RESPONSECODE IFDHTransmitToICC(DWORD lun, SCARD_IO_HEADER send_header, PUCHAR command, DWORD size,
	PUCHAR answer, PDWORD length, PSCARD_IO_HEADER receive_header)
{
	int i = find(lun, 1);
	(void)send_header, (void)receive_header;
	int status = i < 0 ? UNPLUGGED : ask(i, 'T', command, size, answer, length);
	if (status != DONE)
		*length = 0;
	return status == DONE ? IFD_SUCCESS : status == UNPLUGGED ? IFD_NO_SUCH_DEVICE : IFD_COMMUNICATION_ERROR;
}

RESPONSECODE IFDHControl(DWORD lun, DWORD code, PUCHAR in, DWORD in_size, PUCHAR out, DWORD out_size, LPDWORD length)
{
	(void)lun, (void)code, (void)in, (void)in_size, (void)out, (void)out_size;
	*length = 0;
	return IFD_NOT_SUPPORTED;
}

RESPONSECODE IFDHICCPresence(DWORD lun)
{
	int i = find(lun, 1);
	UCHAR nothing[1];
	DWORD length = 0;
	int status = i < 0 ? UNPLUGGED : ask(i, is_event_thread ? 'E' : 'P', NULL, 0, nothing, &length);
	return status == DONE ? IFD_ICC_PRESENT : status == UNPLUGGED ? IFD_NO_SUCH_DEVICE : IFD_ICC_NOT_PRESENT;
}
