/*
 * preload: a shared object put in front of the C library (LD_PRELOAD), with which a test lets the n-th call
 * of one kind fail, moves the wall clock, or writes down which calls were made in which order.
 *
 * The processes of a service get hardly any environment, so everything lies beside this object (a link to it
 * in a folder of the test's is enough): OBJECT.state, which all processes map when they start, before they
 * confine themselves, and OBJECT.trace, which is written when it is there. Layout of the state, all of it
 * native: see struct state and faults.py. What fails fails once, in whichever process of that name comes
 * first to the n-th call (each process counts from its own start).
 *
 * Calls that the C library makes of itself (within fopen, opendir, getaddrinfo) are not seen.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum kind {
	KIND_OPEN,
	KIND_READ,
	KIND_WRITE,
	KIND_SYNC,
	KIND_RENAME,
	KIND_WATCH,
	KIND_SEND,
	KIND_RECEIVE,
	KIND_SOCKET,
	KIND_CONNECT,
	KINDS
};

#define PROCESSES 4

static const char *const process_names[PROCESSES] = {"brickwatch", "bw-dispatch", "bw-watch", "bw-sniff"};

#define SHORT (-1) /* instead of an errno: a write or read of half as many bytes */

struct state {
	int64_t clock_offset_s;
	int64_t grace_us;   /* above 0: the dispatcher sleeps no longer than that, see sleep_fast() */
	int64_t skipped_us; /* how far its clocks are ahead by that */
	char process[32];   /* argv[0] without its folder: bw-dispatch, bw-watch, bw-sniff, brickwatch */
	int32_t kind;
	int32_t code; /* errno, or SHORT */
	int64_t nth;  /* 0: nothing fails */
	int64_t fired;
	int64_t calls[PROCESSES][KINDS]; /* of processes of a name, of the one that made the most */
};

static struct state *state;
static int trace_fd = -1;
static bool is_meant;
static char process_name[32];
static int process_number = -1;
static int64_t calls[KINDS];

/* The next function of that name: the sanitizer's or the C library's. */
#define NEXT(name) ((__typeof__(&name))next_of(#name))

static void *next_of(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

/* ---- set-up ---- */

static void read_process_name(void)
{
	char line[PATH_MAX] = "";
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	const char *slash;

	if (fd >= 0 && syscall(SYS_read, fd, line, sizeof(line) - 1) <= 0)
		line[0] = '\0';
	if (fd >= 0)
		(void)syscall(SYS_close, fd);
	slash = strrchr(line, '/');
	(void)snprintf(process_name, sizeof(process_name), "%.31s", slash ? slash + 1 : line);
	for (int i = 0; i < PROCESSES; i++)
		if (strcmp(process_name, process_names[i]) == 0)
			process_number = i;
}

/* High, and out of the way of descriptors that are passed on by number. */
static int open_beside(const char *object, const char *suffix, int flags)
{
	char path[PATH_MAX];
	int fd, high;

	(void)snprintf(path, sizeof(path), "%s%s", object, suffix);
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
	if (fd < 0)
		return -1;
	high = fcntl(fd, F_DUPFD_CLOEXEC, 700);
	(void)syscall(SYS_close, fd);
	return high;
}

__attribute__((constructor)) static void set_up(void)
{
	Dl_info info;
	int fd;
	void *p;

	read_process_name();
	if (!dladdr((const void *)(uintptr_t)set_up, &info) || !info.dli_fname)
		return;
	trace_fd = open_beside(info.dli_fname, ".trace", O_WRONLY | O_APPEND);
	fd = open_beside(info.dli_fname, ".state", O_RDWR);
	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)syscall(SYS_close, fd);
	if (p == MAP_FAILED)
		return;
	state = p;
	is_meant = strcmp(process_name, state->process) == 0;
}

/* ---- what every call asks ---- */

static int failure_of(enum kind kind)
{
	int64_t n;

	if (!state || process_number < 0)
		return 0;
	n = ++calls[kind];
	if (n > state->calls[process_number][kind])
		state->calls[process_number][kind] = n;
	if (!is_meant || state->nth == 0 || state->kind != (int32_t)kind || n != state->nth ||
		__atomic_exchange_n(&state->fired, 1, __ATOMIC_SEQ_CST) != 0)
		return 0;
	return state->code;
}

/* One line a call: PROCESS CALL WHAT. WHAT is a path, or "socket FAMILY". */
static void trace(const char *call, int fd, const char *path)
{
	char what[PATH_MAX], link[64], line[PATH_MAX + 128];
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	int code = errno;
	ssize_t n;

	if (trace_fd < 0)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (path) {
		(void)snprintf(what, sizeof(what), "%s", path);
	} else if (getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
		(void)snprintf(what, sizeof(what), "socket %d", (int)address.ss_family);
	} else {
		n = readlink(link, what, sizeof(what) - 1);
		what[n > 0 ? n : 0] = '\0';
	}
	n = snprintf(line, sizeof(line), "%s %s %s\n", process_name, call, what);
	if (n > 0)
		(void)!syscall(SYS_write, trace_fd, line, (size_t)n);
	errno = code;
}

#define FAIL(kind, value)                                                                                    \
	do {                                                                                                 \
		int code_ = failure_of(kind);                                                                \
		if (code_ > 0) {                                                                             \
			errno = code_;                                                                       \
			return value;                                                                        \
		}                                                                                            \
	} while (0)

/* As FAIL; for SHORT only half of len is passed on. */
#define FAIL_OR_CUT(kind, len)                                                                               \
	do {                                                                                                 \
		int code_ = failure_of(kind);                                                                \
		if (code_ > 0) {                                                                             \
			errno = code_;                                                                       \
			return -1;                                                                           \
		}                                                                                            \
		if (code_ == SHORT && (len) > 1)                                                             \
			(len) /= 2;                                                                          \
	} while (0)

/* ---- open ---- */

#define OPEN(name, prototype, arguments, path)                                                               \
	int name prototype                                                                                   \
	{                                                                                                    \
		mode_t mode = 0;                                                                             \
		va_list ap;                                                                                  \
		int fd;                                                                                      \
                                                                                                             \
		if (flags & (O_CREAT | O_TMPFILE)) {                                                         \
			va_start(ap, flags);                                                                 \
			mode = va_arg(ap, mode_t);                                                           \
			va_end(ap);                                                                          \
		}                                                                                            \
		FAIL(KIND_OPEN, -1);                                                                         \
		fd = NEXT(name) arguments;                                                                   \
		trace("open", fd, path);                                                                     \
		return fd;                                                                                   \
	}

OPEN(open, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), path)
OPEN(openat, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), path)
OPEN(openat64, (int dir, const char *path, int flags, ...), (dir, path, flags, mode), path)

/* What the compiler makes of calls when it may check them. */
int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	FAIL(KIND_OPEN, -1);
	return NEXT(__open_2)(path, flags);
}

int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{
	FAIL(KIND_OPEN, -1);
	return NEXT(__open64_2)(path, flags);
}

int __openat_2(int dir, const char *path, int flags);
int __openat_2(int dir, const char *path, int flags)
{
	FAIL(KIND_OPEN, -1);
	return NEXT(__openat_2)(dir, path, flags);
}

int __openat64_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags)
{
	FAIL(KIND_OPEN, -1);
	return NEXT(__openat64_2)(dir, path, flags);
}

/* ---- sleeping ---- */

static int64_t us_of(const struct timespec *ts)
{
	return ts->tv_sec * 1000000 + ts->tv_nsec / 1000;
}

/* The dispatcher wants to wait for events so long at most. When none comes within a short time, all its
 * clocks go on by the rest, so that it lives through a day of waiting in seconds. */
static long sleep_fast(long fd, long events, long max, const struct timespec *limit)
{
	int64_t limit_us = us_of(limit), grace_us = state->grace_us;
	struct timespec ts = {.tv_sec = grace_us / 1000000, .tv_nsec = grace_us % 1000000 * 1000};
	long n = syscall(
		SYS_epoll_pwait2, fd, events, max, limit_us < grace_us ? limit : &ts, NULL, (size_t)0);

	if (n == 0 && limit_us > grace_us)
		state->skipped_us += limit_us - grace_us;
	return n;
}

static bool sleeps_fast(const struct timespec *limit)
{
	return state && state->grace_us > 0 && limit && us_of(limit) > state->grace_us &&
	       strcmp(process_name, "bw-dispatch") == 0;
}

/* openat2 and renameat2 have no function of their own in every C library. */
long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (number == SYS_epoll_pwait2 && sleeps_fast((const struct timespec *)(uintptr_t)a[3]))
		return sleep_fast(a[0], a[1], a[2], (const struct timespec *)(uintptr_t)a[3]);
	if (state && number == SYS_openat2)
		FAIL(KIND_OPEN, -1);
	if (state && number == SYS_renameat2)
		FAIL(KIND_RENAME, -1);
	if (number == SYS_renameat2)
		trace("rename", -1, (const char *)(uintptr_t)a[3]);
	return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- read ---- */

ssize_t read(int fd, void *p, size_t n)
{
	FAIL_OR_CUT(KIND_READ, n);
	return NEXT(read)(fd, p, n);
}

ssize_t __read_chk(int fd, void *p, size_t n, size_t room);
ssize_t __read_chk(int fd, void *p, size_t n, size_t room)
{
	FAIL_OR_CUT(KIND_READ, n);
	return NEXT(__read_chk)(fd, p, n, room);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	FAIL_OR_CUT(KIND_READ, n);
	return NEXT(pread)(fd, p, n, at);
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
	FAIL_OR_CUT(KIND_READ, n);
	return NEXT(pread64)(fd, p, n, at);
}

ssize_t __pread_chk(int fd, void *p, size_t n, off_t at, size_t room);
ssize_t __pread_chk(int fd, void *p, size_t n, off_t at, size_t room)
{
	FAIL_OR_CUT(KIND_READ, n);
	return NEXT(__pread_chk)(fd, p, n, at, room);
}

ssize_t __pread64_chk(int fd, void *p, size_t n, off64_t at, size_t room);
ssize_t __pread64_chk(int fd, void *p, size_t n, off64_t at, size_t room)
{
	FAIL_OR_CUT(KIND_READ, n);
	return NEXT(__pread64_chk)(fd, p, n, at, room);
}

/* ---- write and sync ---- */

ssize_t write(int fd, const void *p, size_t n)
{
	if (fd == STDERR_FILENO) /* messages are no part of what is tested */
		return NEXT(write)(fd, p, n);
	FAIL_OR_CUT(KIND_WRITE, n);
	trace("write", fd, NULL);
	return NEXT(write)(fd, p, n);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	FAIL_OR_CUT(KIND_WRITE, n);
	trace("write", fd, NULL);
	return NEXT(pwrite)(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	FAIL_OR_CUT(KIND_WRITE, n);
	trace("write", fd, NULL);
	return NEXT(pwrite64)(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
	if (fd != STDERR_FILENO)
		FAIL(KIND_WRITE, -1);
	return NEXT(writev)(fd, iov, n);
}

int fsync(int fd)
{
	FAIL(KIND_SYNC, -1);
	trace("sync", fd, NULL);
	return NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
	FAIL(KIND_SYNC, -1);
	trace("sync", fd, NULL);
	return NEXT(fdatasync)(fd);
}

/* ---- names ---- */

int rename(const char *from, const char *to)
{
	FAIL(KIND_RENAME, -1);
	trace("rename", -1, to);
	return NEXT(rename)(from, to);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	FAIL(KIND_RENAME, -1);
	trace("rename", -1, to);
	return NEXT(renameat)(from_dir, from, to_dir, to);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	FAIL(KIND_WATCH, -1);
	return NEXT(inotify_add_watch)(fd, path, mask);
}

/* ---- sockets: short only where the receiver can stand it, which a stream can ---- */

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	FAIL(KIND_SEND, -1);
	trace("send", fd, NULL);
	return NEXT(send)(fd, p, n, flags);
}

ssize_t sendto(int fd, const void *p, size_t n, int flags, const struct sockaddr *to, socklen_t to_len)
{
	FAIL(KIND_SEND, -1);
	trace("send", fd, NULL);
	return NEXT(sendto)(fd, p, n, flags, to, to_len);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	FAIL(KIND_SEND, -1);
	trace("send", fd, NULL);
	return NEXT(sendmsg)(fd, m, flags);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	FAIL(KIND_RECEIVE, -1);
	return NEXT(recv)(fd, p, n, flags);
}

ssize_t __recv_chk(int fd, void *p, size_t n, size_t room, int flags);
ssize_t __recv_chk(int fd, void *p, size_t n, size_t room, int flags)
{
	FAIL(KIND_RECEIVE, -1);
	return NEXT(__recv_chk)(fd, p, n, room, flags);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	FAIL(KIND_RECEIVE, -1);
	return NEXT(recvmsg)(fd, m, flags);
}

int socket(int domain, int type, int protocol)
{
	FAIL(KIND_SOCKET, -1);
	return NEXT(socket)(domain, type, protocol);
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	FAIL(KIND_CONNECT, -1);
	return NEXT(connect)(fd, to, len);
}

/* ---- the wall clock ---- */

static int64_t offset_s(void)
{
	return state ? __atomic_load_n(&state->clock_offset_s, __ATOMIC_SEQ_CST) : 0;
}

static void skip_ahead(struct timespec *ts)
{
	int64_t us = state && strcmp(process_name, "bw-dispatch") == 0 ? state->skipped_us : 0;

	ts->tv_sec += us / 1000000;
	ts->tv_nsec += us % 1000000 * 1000;
	if (ts->tv_nsec >= 1000000000) {
		ts->tv_sec++;
		ts->tv_nsec -= 1000000000;
	}
}

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static __typeof__(&clock_gettime) next;
	int rc;

	if (!next)
		next = NEXT(clock_gettime);
	rc = next(clock, ts);
	if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		ts->tv_sec += offset_s();
	if (rc == 0 && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID)
		skip_ahead(ts);
	return rc;
}

int gettimeofday(struct timeval *tv, void *zone)
{
	int rc = NEXT(gettimeofday)(tv, zone);

	if (rc == 0)
		tv->tv_sec += offset_s();
	return rc;
}

time_t time(time_t *ret)
{
	time_t now = NEXT(time)(NULL) + offset_s();

	if (ret)
		*ret = now;
	return now;
}
