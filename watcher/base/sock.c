/*
 * sock: thin over socketpair(2), sendmsg(2), recvmsg(2), unix(7). SEQPACKET keeps message borders and order
 * and tells the end of the peer, so no framing of our own is needed.
 */
#include "base/sock.h"

#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int sock_pair(int ret_fds[2], struct err *err)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return err_errno(err, errno, "cannot make a socket pair");
	ret_fds[0] = fds[0];
	ret_fds[1] = fds[1];
	return 0;
}

int sock_send(int fd, const void *p, size_t n, const int *fds, size_t n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
	} control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	BUG_ON(n_fds > SOCK_FDS_MAX);
	if (n_fds > 0) {
		struct cmsghdr *c;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
	}
	do
		sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static void sock_close_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

/* Takes the descriptors out of a received message; returns how many. */
static size_t sock_take_fds(struct msghdr *msg, int fds[SOCK_FDS_MAX])
{
	size_t n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t here;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		here = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (n < SOCK_FDS_MAX)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

ssize_t sock_recv(int fd, void *p, size_t room, int fds[SOCK_FDS_MAX], size_t *ret_n_fds)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * SOCK_FDS_MAX)];
	} control;
	struct iovec iov = {.iov_base = p, .iov_len = room};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control)};
	int got[SOCK_FDS_MAX];
	size_t n_got;
	ssize_t n;

	do
		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	n_got = sock_take_fds(&msg, got);
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		sock_close_all(got, n_got);
		/* what was sent along is cut off where this process may not have so many */
		return msg.msg_flags & MSG_TRUNC || n_got == SOCK_FDS_MAX ? -EMSGSIZE : -EMFILE;
	}
	if (fds)
		memcpy(fds, got, n_got * sizeof(int));
	else
		sock_close_all(got, n_got);
	if (ret_n_fds)
		*ret_n_fds = fds ? n_got : 0;
	return n;
}

int sock_wait(int fd, short poll_events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = poll_events};
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n == 0 ? -ETIMEDOUT : 0;
}
