/*
 * process: starting one of our own processes by exec, with sockets passed on, and what is known of it.
 *
 * The child is this same binary under another name ("bw-watch orders"), so nothing of the parent's memory is
 * in it. Its descriptors are 0-2 and what is passed, from 3 on; its environment holds only the names on a
 * short list.
 */
#ifndef KEEP_PROCESS_H
#define KEEP_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "base/err.h"

#define PROCESS_FDS_MAX 3
#define PROCESS_FIRST_FD 3

/* Can this program be executed again? 0 or -errno. Source: proc(5). */
int process_check(struct err *err) MUST_CHECK;
/* argv: NULL-terminated, argv[0] is the process' name. fds: become 3, 4, … (-1: that number stays closed);
 * they stay the caller's too. with_credentials: may read systemd's credentials. Returns the pid, or -errno
 * with *err. Source: fork(2), execv(3), close_range(2). */
pid_t process_start(
	const char *const *argv, const int *fds, size_t n_fds, bool with_credentials, struct err *err);
/* "exited with status 3", "killed by signal 9 (Killed)". */
const char *process_describe_end(int wait_status, char text[64]);

#endif
