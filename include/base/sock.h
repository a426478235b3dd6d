/*
 * sock: SOCK_SEQPACKET pairs between our processes: one datagram a message, descriptors passed along.
 * Mechanism only.
 */
#ifndef BASE_SOCK_H
#define BASE_SOCK_H

#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"

#define SOCK_FDS_MAX 4

/* Both ends CLOEXEC and non-blocking. */
int sock_pair(int ret_fds[2], struct err *err) MUST_CHECK;
/* Sends one datagram with n_fds descriptors (they stay the caller's). 0, -EAGAIN (full: nothing was sent),
 * -EPIPE/-ECONNRESET (peer gone), -errno. */
int sock_send(int fd, const void *p, size_t n, const int *fds, size_t n_fds) MUST_CHECK;
/* Receives one datagram into p. Returns its length, 0 at the end, -EAGAIN, -EMSGSIZE (larger than room, or
 * more than SOCK_FDS_MAX descriptors; it is gone and its descriptors are closed), -EMFILE (the same, since
 * this process may not have so many), -errno. Descriptors (CLOEXEC) go to fds/ret_n_fds and are the caller's;
 * with fds NULL they are closed. */
ssize_t sock_recv(int fd, void *p, size_t room, int fds[SOCK_FDS_MAX], size_t *ret_n_fds) MUST_CHECK;
/* Waits until fd is readable (or writable). 0, -ETIMEDOUT, -errno. For the short start-up handshakes outside
 * the loop. */
int sock_wait(int fd, short poll_events, int timeout_ms) MUST_CHECK;

#endif
