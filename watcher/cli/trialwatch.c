/*
 * trialwatch: started and configured as the keeper does it, with nobody else to talk to.
 */
#include "cli/trialwatch.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/num.h"
#include "base/sock.h"
#include "keep/keeper.h"
#include "keep/process.h"

static int trialwatch_receive(int fd, const char *name, int wait_ms,
	void (*step)(const struct wire_explained *m, void *arg), void *arg, struct wire_message *in,
	struct err *err)
{
	for (;;) {
		int rc = sock_wait(fd, POLLIN, wait_ms);

		if (rc == -ETIMEDOUT)
			return err_set(err, ERR_SYSTEM, ETIMEDOUT,
				"the watcher of \"%s\" does not answer: does the mount hang?", name);
		if (rc == 0)
			rc = wire_recv(fd, in, err);
		if (rc == -EAGAIN)
			continue;
		if (rc <= 0)
			return err_set(err, ERR_SYSTEM, EPIPE,
				"the watcher of \"%s\" ended without an answer", name);
		if (in->type == WIRE_EXPLAINED)
			step(&in->as.explained, arg);
		else if (in->type == WIRE_EXPLAINED_FILE)
			return 0;
	}
}

int trialwatch_ask(const struct conf *conf, const struct conf_watch *watch, const char *path, int wait_ms,
	void (*step)(const struct wire_explained *m, void *arg), void *arg, struct wire_message *in,
	struct err *err)
{
	const char *const argv[] = {"bw-watch", "--plain", watch->name, NULL};
	const struct wire_configured last = {.mode = WIRE_MODE_EXPLAIN, .only_watch = "", .hash = ""};
	const struct wire_explain question = {.path = path};
	int pair[2], rc = sock_pair(pair, err);
	pid_t pid;

	if (rc < 0)
		return rc;
	pid = process_start(argv, (const int[]){pair[1]}, 1, false, err);
	close(pair[1]);
	rc = pid < 0 ? (int)pid : keeper_send_configuration(pair[0], conf, watch->name, &last, err);
	if (rc == 0) {
		rc = wire_send_wait(pair[0], WIRE_EXPLAIN, &question, NULL, 0);
		if (rc < 0)
			(void)err_errno(err, -rc, "cannot ask the watcher of \"%s\"", watch->name);
	}
	if (rc == 0)
		rc = trialwatch_receive(pair[0], watch->name, wait_ms, step, arg, in, err);
	close(pair[0]);
	if (pid > 0) {
		(void)kill(pid, SIGKILL); /* it has said all, or hangs */
		(void)waitpid(pid, NULL, rc == -ETIMEDOUT ? WNOHANG : 0);
	}
	return rc;
}

const char *trialwatch_group(const struct wire_explained *m, char out[TRIALWATCH_GROUP_BYTES])
{
	const struct group *group;
	int64_t number;

	if (strcmp(m->step, "group") != 0 || num_parse_i64(m->text, &number) < 0)
		return m->text;
	group = getgrgid((gid_t)number);
	(void)snprintf(out, TRIALWATCH_GROUP_BYTES, "%s", group ? group->gr_name : m->text);
	return out;
}
