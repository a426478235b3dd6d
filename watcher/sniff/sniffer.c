/*
 * Order at the start: load the magic file, confine, prove on samples that types are told, and only then read
 * anything foreign. The proof runs confined, so limits that are too tight show at once and not with the first
 * file. Then the watcher starts another one without the system call filter (sense/ask); Landlock stays, since
 * nothing that libmagic does to a descriptor is in its way.
 *
 * The socket is read blocking: one question, one answer, nothing else to wait for. It sits beside terminals
 * and service managers that signal a whole group of processes: signals that mean "stop" are ignored here, the
 * watcher's end of the socket is what counts, and the watcher's death ends it anyway (confine/limits).
 *
 * Nothing is logged from here: what goes wrong is told in an answer, and who asked decides.
 */
#include "sniff/sniffer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include "base/crash.h"
#include "base/err.h"
#include "base/gzip.h"
#include "base/mem.h"
#include "confine/limits.h"
#include "confine/walls.h"
#include "core/filetype.h"
#include "core/wire.h"
#include "sniff/magic.h"

static int sniffer_settle_process(int fd, struct err *err)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGPIPE};
	int flags = fcntl(fd, F_GETFL);

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			return err_errno(err, errno, "cannot ignore signal %d", ignored[i]);
	if (clearenv() != 0)
		return err_set(err, ERR_SYSTEM, ENOMEM, "cannot clear the environment");
	/* Executed as /proc/self/exe, it would be called "exe". */
	(void)prctl(PR_SET_NAME, "bw-sniff", 0, 0, 0);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return err_errno(err, errno, "cannot use the socket");
	return 0;
}

/* A wall that fails is a reason to try with less, and then none not to work. */
static int sniffer_confine(bool without_seccomp, struct err *err)
{
	struct walls *walls = walls_new(LIMITS_SNIFFER);
	int limited = limits_apply(LIMITS_SNIFFER, err), rc = limited;

	if (rc == 0)
		rc = walls_raise(walls, without_seccomp, err);
	walls_free(walls);
	return without_seccomp ? limited : rc;
}

static struct magic_reader *sniffer_prepare(int fd, bool without_seccomp, struct err *err)
{
	struct magic_reader *reader;

	if (sniffer_settle_process(fd, err) < 0)
		return NULL;
	reader = magic_reader_open(NULL, err);
	if (reader && sniffer_confine(without_seccomp, err) == 0 && magic_reader_prove(reader, err) == 0)
		return reader;
	magic_reader_close(reader);
	return NULL;
}

static int sniffer_present(int fd, const char *error)
{
	char version[MAGIC_VERSION_BYTES];
	struct wire_types types = {.libmagic = magic_version_text(version), .error = error};

	return wire_send(fd, WIRE_TYPES, &types, NULL, 0);
}

static void sniffer_look(struct magic_reader *reader, const struct wire_ask *ask, int fd,
	char mime[FILETYPE_MIME_BYTES], struct wire_answer *answer, struct err *err)
{
	enum gzip_end end = GZIP_END_UNKNOWN;

	if (ask->question == WIRE_ASK_TYPE)
		(void)!magic_reader_classify(reader, fd, ask->max_bytes, mime, err);
	else if (ask->question == WIRE_ASK_END)
		(void)!gzip_find_end(fd, ask->max_bytes, &end, err);
	else
		(void)err_set(err, ERR_INPUT, EINVAL, "a question %lld", (long long)ask->question);
	answer->end = end;
}

/* The descriptor is closed before the answer: whoever has the answer need not reckon with us any more. */
static int sniffer_answer(int fd, struct magic_reader *reader, struct wire_message *m)
{
	char mime[FILETYPE_MIME_BYTES] = "";
	struct err err = ERR_INIT;
	struct wire_answer answer = {.serial = m->as.ask.serial, .mime = mime, .error = err.text};

	if (m->n_fds != 1)
		(void)err_set(&err, ERR_INPUT, EINVAL, "a question came with %zu descriptors", m->n_fds);
	else
		sniffer_look(reader, &m->as.ask, m->fds[0], mime, &answer, &err);
	wire_message_close(m);
	CRASH_POINT("sniffer-before-answer");
	return wire_send(fd, WIRE_ANSWER, &answer, NULL, 0);
}

/* 0 at the end of the socket. */
static int sniffer_serve(int fd, struct magic_reader *reader)
{
	static struct wire_message m;
	struct err err = ERR_INIT;
	int rc;

	while ((rc = wire_recv(fd, &m, &err)) > 0) {
		if (m.type != WIRE_ASK)
			rc = -EBADMSG;
		else
			rc = sniffer_answer(fd, reader, &m);
		if (rc < 0)
			break;
	}
	wire_message_close(&m);
	return rc == -EPIPE || rc == -ECONNRESET ? 0 : rc;
}

int sniffer_main(int fd, bool without_seccomp)
{
	struct err err = ERR_INIT;
	struct magic_reader *reader = sniffer_prepare(fd, without_seccomp, &err);
	int rc = sniffer_present(fd, err.text);

	if (reader && rc == 0)
		rc = sniffer_serve(fd, reader);
	magic_reader_close(reader);
	return reader && rc == 0 ? 0 : 1;
}
