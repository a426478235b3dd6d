/*
 * client: the service answers at once or says why not, so a long silence means that it hangs. What changes
 * something is waited for longer: it may be done although nobody waits any more.
 */
#include "cli/client.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/text.h"
#include "cli/cli.h"
#include "dispatch/control.h"

#define CLIENT_SILENCE_MS 60000
#define CLIENT_LOOK_MS 10000 /* watchers have up to 5 s for their part of the answer */
#define CLIENT_CONNECT_S 10
#define CLIENT_HANDOVER_US (5 * US_PER_S) /* a dispatcher takes over within a second */
#define CLIENT_HANDOVER_STEP_MS 50

struct client {
	int fd;
	bool recorded; /* a record has come */
	struct wire_message in;
};

static int client_connect(int fd, const char *path, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const struct timeval patience = {.tv_sec = CLIENT_CONNECT_S};

	if (strlen(path) >= sizeof(address.sun_path))
		return err_set(err, ERR_CONF, ENAMETOOLONG, "the path %s is too long for a socket", path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
		connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	if (errno == ENOENT || errno == ENOTDIR)
		return err_set(err, ERR_SYSTEM, ENOENT, "the service is not running (no socket at %s)", path);
	if (errno == EACCES)
		return err_set(err, ERR_SYSTEM, EACCES,
			"not permitted to ask the service (%s): be root, its user, or in its group", path);
	if (errno == EAGAIN)
		return err_set(err, ERR_SYSTEM, ETIMEDOUT, "the service does not answer (%s)", path);
	return err_errno(err, errno, "cannot ask the service (%s)", path);
}

/* A socket that nobody listens on is what a killed service has left, or one whose dispatcher is just being
 * replaced. */
static int client_connect_patiently(int fd, const char *path, struct err *err)
{
	int64_t until_us = clock_mono_us() + CLIENT_HANDOVER_US;

	for (;;) {
		int rc = client_connect(fd, path, err);

		if (rc != -ECONNREFUSED)
			return rc;
		if (clock_mono_us() >= until_us)
			return err_set(err, ERR_SYSTEM, ENOENT,
				"the service is not running (nobody listens on %s)", path);
		*err = (struct err)ERR_INIT;
		(void)poll(NULL, 0, CLIENT_HANDOVER_STEP_MS);
	}
}

int client_open(const struct conf *conf, struct client **ret, struct err *err)
{
	CLEANUP_FREE char *path = fs_join(conf->service.runtime_directory, CONTROL_SOCKET);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int rc = fd < 0 ? err_errno(err, errno, "cannot make a socket")
			: client_connect_patiently(fd, path, err);

	if (rc < 0) {
		fs_close(&fd);
		return rc;
	}
	*ret = mem_alloc(sizeof(**ret));
	(*ret)->fd = fd;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	fs_close(&c->fd);
	free(c);
}

static const char *client_text(const char *text)
{
	return text ? text : "";
}

static int client_send(struct client *c, struct client_command *q, struct err *err)
{
	const struct wire_empty go = {0};
	struct wire_command *m = &q->command;
	int rc;

	m->protocol = WIRE_CONTROL_VERSION;
	m->watch = client_text(m->watch);
	m->state = client_text(m->state);
	m->glob = client_text(m->glob);
	m->reason = client_text(m->reason);
	rc = wire_send_wait(c->fd, WIRE_COMMAND, m, NULL, 0);
	for (size_t i = 0; i < q->operands_n && rc == 0; i++) {
		const struct wire_operand o = {.bytes = q->operands[i], .bytes_len = strlen(q->operands[i])};

		rc = wire_send_wait(c->fd, WIRE_OPERAND, &o, NULL, 0);
	}
	if (rc == 0)
		rc = wire_send_wait(c->fd, WIRE_GO, &go, NULL, 0);
	return rc < 0 && rc != -EPIPE ? err_errno(err, -rc, "cannot ask the service") : 0;
}

static int client_take_record(struct client_command *q, const struct wire_record *m, struct err *err)
{
	CLEANUP_JSON struct json *j = json_parse(m->json, m->json_len, err);

	if (!j)
		return err_prefix(err, "the service's answer");
	if (q->record)
		q->record(m, j, q->arg);
	return 0;
}

/* How long the next message is waited for. The first one of who only looks is a sign of life. */
static int client_patience_ms(const struct client *c, const struct client_command *q)
{
	return q->looks && !c->recorded ? CLIENT_LOOK_MS : CLIENT_SILENCE_MS;
}

static int client_receive(struct client *c, struct client_command *q, char **ret_text, struct err *err)
{
	for (;;) {
		int ms = client_patience_ms(c, q), rc = sock_wait(c->fd, POLLIN, ms);

		if (rc == -ETIMEDOUT)
			return err_set(err, ERR_SYSTEM, ETIMEDOUT,
				"the service does not answer: it has said nothing for %d s, so it hangs",
				ms / 1000);
		if (rc == 0)
			rc = wire_recv(c->fd, &c->in, err);
		if (rc == 0)
			return err_set(err, ERR_SYSTEM, ECONNRESET,
				"the service ended before it had answered, or has too many clients");
		if (rc < 0)
			return rc;
		if (c->in.type == WIRE_DONE) {
			*ret_text = mem_strdup(c->in.as.done.text);
			return c->in.as.done.status >= 0 && c->in.as.done.status < 256
				       ? (int)c->in.as.done.status
				       : CLI_FAILED;
		}
		c->recorded |= c->in.type == WIRE_RECORD;
		rc = c->in.type == WIRE_RECORD ? client_take_record(q, &c->in.as.record, err) : 0;
		wire_message_close(&c->in);
		if (rc < 0)
			return rc;
	}
}

int client_ask(struct client *c, struct client_command *q, char **ret_text, struct err *err)
{
	int rc = client_send(c, q, err);

	return rc < 0 ? rc : client_receive(c, q, ret_text, err);
}

static void client_print_json(const char *text)
{
	CLEANUP_BUF struct buf b = BUF_INIT(WIRE_MESSAGE_BYTES);
	struct json_writer w = JSON_WRITER(&b);

	json_begin_object(&w, NULL);
	json_add_string(&w, "done", text);
	json_end_object(&w);
	(void)printf("%s\n", buf_str(&b));
}

/* Opens and asks; once more when the process that was asked has made room for the next one. */
static int client_talk(const struct conf *conf, struct client_command *q, struct client **ret,
	char **ret_text, struct err *err)
{
	int rc = client_open(conf, ret, err);

	if (rc < 0)
		return rc;
	rc = client_ask(*ret, q, ret_text, err);
	if (rc != -ECONNRESET || !q->repeatable || (*ret)->recorded)
		return rc;
	client_close(*ret);
	*ret = NULL;
	*err = (struct err)ERR_INIT;
	rc = client_open(conf, ret, err);
	return rc < 0 ? rc : client_ask(*ret, q, ret_text, err);
}

int client_run(const struct conf *conf, struct client_command *q, bool json)
{
	struct client *c = NULL;
	bool recorded;
	CLEANUP_FREE char *text = NULL;
	struct err err = ERR_INIT;
	int rc = client_talk(conf, q, &c, &text, &err);

	if (!c && rc == -ENOENT) {
		log_error("%s", err.text);
		return CLI_NOT_RUNNING;
	}
	recorded = c && c->recorded;
	client_close(c);
	if (rc < 0)
		return cli_fail(&err);
	if (text && text[0] && rc != CLI_DONE)
		log_error("%s", text);
	else if (text && text[0] && !json)
		(void)printf("%s\n", text);
	else if (text && text[0] && !recorded)
		client_print_json(text);
	return rc;
}

char *client_path(const char *operand, struct err *err)
{
	CLEANUP_FREE char *here = operand[0] == '/' ? NULL : getcwd(NULL, 0);
	CLEANUP_FREE char *joined = here ? fs_join(here, operand) : mem_strdup(operand);
	char *path;

	if (operand[0] == '\0') {
		(void)err_set(err, ERR_USAGE, EINVAL, "an empty path names no file");
		return NULL;
	}
	return fs_normalise(joined, &path, err) == 0 ? path : NULL;
}
