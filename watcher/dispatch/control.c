/*
 * control: a client is in one of four phases: its command comes in; it is applied (a verb that changes
 * something); it is answered; and its `done` waits for room. In the first it is read from, in the others only
 * its end is listened for.
 *
 * Jobs are asked for records in a deferred call, so that a long answer is made a page a round and others have
 * their turn in between.
 */
#include "dispatch/control.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/trace.h"
#include "core/wire.h"

#define MESSAGES_PER_ROUND 64
#define BACKLOG 16
#define NEW_SOCKET ".control"	 /* no longer than CONTROL_SOCKET, which fits */
#define ACCEPT_PAUSE_US US_PER_S /* no descriptors are left */
#define OPERAND_COST 64		 /* what one takes beside its bytes */

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum phase { PHASE_COMMAND, PHASE_APPLY, PHASE_ANSWER, PHASE_DONE };

struct client {
	struct list in;
	struct control *control;
	int fd;
	struct loop_io *io;
	enum phase phase;
	bool has_command;
	bool refused; /* what still comes of this command is passed over */
	bool gone;    /* nobody listens any more; only a change is brought to its end */
	bool has_job, applied, more;
	struct control_request request;
	size_t operands_bytes, operands_room;
	const struct control_verb *verb;
	struct control_job job;
	struct buf owed; /* a message that waits for room */
	int64_t deadline_us;
};

struct control {
	struct loop *loop;
	const struct control_verb *const *verbs;
	size_t verbs_n;
	void *host;
	char *path;
	int fd;
	struct loop_io *io;
	bool leaving; /* the next dispatcher listens there soon */
	struct list clients;
	size_t clients_n, operands_bytes;
	struct loop_timer *timer;
	int64_t accept_at_us; /* 0: now */
	int64_t idle_us;
	struct buf json;
	struct wire_message message;
};

static void on_turn(void *arg);

/* ---- requests ---- */

static void request_clear(struct client *k)
{
	struct control_request *r = &k->request;

	free(r->verb);
	free(r->watch);
	free(r->state);
	free(r->glob);
	free(r->reason);
	for (size_t i = 0; i < r->operands_n; i++)
		free(r->operands[i].bytes);
	free(r->operands);
	k->control->operands_bytes -= k->operands_bytes;
	k->operands_bytes = k->operands_room = 0;
	r->verb = r->watch = r->state = r->glob = r->reason = NULL;
	r->operands = NULL;
	r->operands_n = 0;
	k->has_command = k->refused = false;
}

#define PASSWD_LINE_BYTES 4096

/* The name of a user as /etc/passwd has it; name services may ask a network. */
static void describe_user(uid_t uid, char *out, size_t room)
{
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry = NULL, storage = {.pw_name = NULL};
	char text[PASSWD_LINE_BYTES];

	(void)snprintf(out, room, "%" PRIu64, (uint64_t)uid);
	while (file && fgetpwent_r(file, &storage, text, sizeof(text), &entry) == 0) {
		if (entry->pw_uid != uid || !entry->pw_name[0])
			continue;
		(void)snprintf(out, room, "%s", entry->pw_name);
		break;
	}
	if (file)
		(void)fclose(file);
}

/* ---- clients ---- */

static void client_close_job(struct client *k)
{
	if (k->has_job && k->verb->close)
		k->verb->close(&k->job);
	free(k->job.state);
	k->job.state = NULL;
	k->has_job = k->applied = k->more = false;
	request_clear(k);
}

static void client_hang_up(struct client *k)
{
	loop_io_remove(k->io);
	k->io = NULL;
	fs_close(&k->fd);
	k->gone = true;
}

static void client_free(struct client *k)
{
	struct control *c = k->control;

	client_close_job(k);
	client_hang_up(k);
	buf_done(&k->owed);
	list_remove(&k->in);
	c->clients_n--;
	free(k);
}

/* Its end: what it asked to be changed is changed all the same. */
static void client_lost(struct client *k)
{
	if (k->phase != PHASE_APPLY) {
		client_free(k);
		return;
	}
	client_hang_up(k);
	k->deadline_us = INT64_MAX;
}

static void client_listen(struct client *k)
{
	if (k->io)
		(void)loop_io_set(k->io, k->phase == PHASE_COMMAND ? LOOP_IN
					 : k->owed.len > 0	   ? LOOP_ERR | LOOP_OUT
								   : LOOP_ERR);
}

/* Has its job asked to be asked again at a time? */
static bool may_wake(const struct client *k)
{
	return k->phase == PHASE_ANSWER && k->owed.len == 0 && k->job.wake_at_us > 0;
}

static void set_timer(struct control *c)
{
	int64_t at_us = c->accept_at_us > 0 ? c->accept_at_us : INT64_MAX;

	LIST_FOREACH (it, &c->clients) {
		const struct client *k = LIST_OF(it, struct client, in);

		if (k->deadline_us < at_us)
			at_us = k->deadline_us;
		if (may_wake(k) && k->job.wake_at_us < at_us)
			at_us = k->job.wake_at_us;
	}
	if (at_us == INT64_MAX)
		loop_timer_clear(c->timer);
	else
		loop_timer_set(c->timer, at_us);
}

/* Sends what is owed. 0, -EAGAIN, or another error: it is gone. */
static int client_send_owed(struct client *k)
{
	int rc = k->owed.len > 0 ? sock_send(k->fd, k->owed.data, k->owed.len, NULL, 0) : 0;

	if (rc == 0) {
		buf_reset(&k->owed);
		k->deadline_us = INT64_MAX;
	} else if (rc == -EAGAIN && k->deadline_us == INT64_MAX) {
		k->deadline_us = clock_mono_us() + k->control->idle_us;
	}
	return rc;
}

static void client_owe_done(struct client *k)
{
	const struct wire_done m = {.status = k->job.status, .text = k->job.text};

	trace(TRACE_CONTROL, "%s is answered with %" PRId64 ": %s", k->request.user, m.status, m.text);
	BUG_ON(wire_encode(WIRE_DONE, &m, &k->owed) < 0); /* the text is short */
	k->phase = PHASE_DONE;
}

/* The answer comes when the command has come to its end: who is let go in the middle of sending sees only
 * that, not the answer (unix(7): unread messages reset the connection). */
static void client_refuse(struct client *k, int64_t status, const char *why)
{
	k->job = (struct control_job){.status = status};
	(void)snprintf(k->job.text, sizeof(k->job.text), "%s", why);
	request_clear(k);
	k->has_command = k->refused = true;
}

/* ---- answering ---- */

/* The next message for a client whose job is answered. 0: there is one; -EAGAIN, -EINPROGRESS */
static int client_make(struct client *k)
{
	struct control *c = k->control;
	struct wire_record m;
	struct err err = ERR_INIT;
	int rc;

	buf_reset(&c->json);
	k->job.wake_at_us = 0;
	rc = k->verb->next ? k->verb->next(&k->job, &c->json, &err) : 0;
	if (rc == -EAGAIN || rc == -EINPROGRESS)
		return rc;
	if (rc > 0 && c->json.failed)
		rc = err_set(&err, ERR_LIMIT, EMSGSIZE, "one record of the answer is too long");
	if (rc < 0) {
		k->job.status = EXIT_FAILED;
		(void)snprintf(k->job.text, sizeof(k->job.text), "%s", err.text);
	}
	if (rc <= 0) {
		client_owe_done(k);
		return 0;
	}
	m = (struct wire_record){.json = buf_str(&c->json), .json_len = c->json.len};
	BUG_ON(wire_encode(WIRE_RECORD, &m, &k->owed) < 0);
	return 0;
}

/* Sends as much as there is and the socket takes, up to a page. True: there is more for the next round. */
static bool client_answer(struct client *k)
{
	for (int i = 0; i < MESSAGES_PER_ROUND; i++) {
		int rc;

		if (k->phase == PHASE_ANSWER && k->owed.len == 0) {
			rc = client_make(k);
			if (rc < 0)
				return rc == -EINPROGRESS;
		}
		rc = client_send_owed(k);
		if (rc == -EAGAIN)
			return false;
		if (rc < 0) {
			client_free(k);
			return false;
		}
		if (k->phase == PHASE_DONE) {
			client_close_job(k);
			k->phase = PHASE_COMMAND;
			k->deadline_us = clock_mono_us() + k->control->idle_us;
			client_listen(k);
			return false;
		}
	}
	return true;
}

static void on_turn(void *arg)
{
	struct control *c = arg;
	bool more = false;

	LIST_FOREACH_SAFE (it, &c->clients) {
		struct client *k = LIST_OF(it, struct client, in);

		if (k->phase != PHASE_ANSWER && k->phase != PHASE_DONE)
			continue;
		if (k->gone)
			client_free(k);
		else
			more |= client_answer(k);
	}
	LIST_FOREACH (it, &c->clients)
		client_listen(LIST_OF(it, struct client, in));
	if (more)
		loop_defer(c->loop, on_turn, c);
	set_timer(c);
}

/* ---- commands ---- */

static const struct control_verb *find_verb(const struct control *c, const char *name)
{
	for (size_t i = 0; i < c->verbs_n; i++)
		if (strcmp(c->verbs[i]->name, name) == 0)
			return c->verbs[i];
	return NULL;
}

static bool is_short(const char *text)
{
	return strlen(text) < CONTROL_WORD_BYTES;
}

static void take_command(struct client *k, const struct wire_command *m)
{
	struct control_request *r = &k->request;

	if (m->protocol != WIRE_CONTROL_VERSION) {
		client_refuse(k, EXIT_FAILED,
			"the service is of another version than this command; restart the service");
		return;
	}
	k->verb = find_verb(k->control, m->verb);
	if (!k->verb || !is_short(m->watch) || !is_short(m->state) || !is_short(m->glob) ||
		!is_short(m->reason) || m->since_us < 0 || m->until_us < 0) {
		client_refuse(k, EXIT_USAGE,
			k->verb ? "one of the values is too long, or not a time"
				: "the service does not know this verb");
		return;
	}
	k->has_command = true;
	r->verb = mem_strdup(m->verb);
	r->watch = mem_strdup(m->watch);
	r->state = mem_strdup(m->state);
	r->glob = mem_strdup(m->glob);
	r->reason = mem_strdup(m->reason);
	r->since_us = m->since_us;
	r->until_us = m->until_us;
	r->yes = m->yes != 0;
}

static void take_operand(struct client *k, const struct wire_operand *m)
{
	struct control *c = k->control;
	struct control_request *r = &k->request;
	size_t cost = m->bytes_len + OPERAND_COST;

	if (k->refused)
		return;
	if (r->operands_n == CONTROL_OPERANDS_MAX || k->operands_bytes + cost > CONTROL_OPERANDS_BYTES) {
		client_refuse(k, EXIT_USAGE,
			"too much for one command: at most 10,000 paths, and 1 MiB of them; ask in parts");
		return;
	}
	if (c->operands_bytes + cost > CONTROL_ALL_BYTES) {
		client_refuse(k, EXIT_FAILED, "the service has too many commands at once; try again");
		return;
	}
	if (m->bytes_len == 0 || memchr(m->bytes, '\0', m->bytes_len)) {
		client_refuse(k, EXIT_USAGE, "one of the operands is empty or holds a zero byte");
		return;
	}
	if (r->operands_n == k->operands_room) {
		k->operands_room = k->operands_room == 0 ? 16 : 2 * k->operands_room;
		r->operands = mem_resize(r->operands, k->operands_room, sizeof(r->operands[0]));
	}
	r->operands[r->operands_n++] =
		(struct control_operand){.bytes = mem_strndup(m->bytes, m->bytes_len), .len = m->bytes_len};
	k->operands_bytes += cost;
	c->operands_bytes += cost;
}

static void trace_command(const struct control_request *r, const char *refused)
{
	trace(TRACE_CONTROL, "%s asks: %s, watch \"%s\", state \"%s\", pattern \"%s\", %zu operands%s%s",
		r->user, r->verb, r->watch, r->state, r->glob, r->operands_n, refused ? "; refused: " : "",
		refused ? refused : "");
}

static void take_go(struct client *k)
{
	struct err err = ERR_INIT;

	if (!k->refused) {
		k->job = (struct control_job){.request = &k->request, .host = k->control->host};
		k->job.state = mem_alloc(k->verb->state_bytes + 1);
		k->has_job = !k->verb->open || k->verb->open(&k->job, &err) == 0;
		if (!k->has_job) {
			free(k->job.state);
			client_refuse(k, err.class == ERR_USAGE ? EXIT_USAGE : EXIT_FAILED, err.text);
		}
	}
	trace_command(&k->request, k->refused ? k->job.text : NULL);
	if (k->refused)
		client_owe_done(k);
	else
		k->phase = k->verb->apply ? PHASE_APPLY : PHASE_ANSWER;
	k->deadline_us = INT64_MAX;
	loop_defer(k->control->loop, on_turn, k->control);
}

/* False: it does not keep to the order, and is to be let go. */
static bool take_message(struct client *k, const struct wire_message *m)
{
	k->deadline_us = clock_mono_us() + k->control->idle_us;
	if (m->type == WIRE_COMMAND && !k->has_command)
		take_command(k, &m->as.command);
	else if (m->type == WIRE_OPERAND && k->has_command)
		take_operand(k, &m->as.operand);
	else if (m->type == WIRE_GO && k->has_command)
		take_go(k);
	else
		return false;
	return true;
}

static void client_read(struct client *k)
{
	struct wire_message *m = &k->control->message;

	for (int i = 0; i < MESSAGES_PER_ROUND && k->phase == PHASE_COMMAND; i++) {
		struct err err = ERR_INIT;
		int rc = wire_recv(k->fd, m, &err);
		bool good;

		if (rc == -EAGAIN)
			break;
		if (rc <= 0) {
			if (rc < 0)
				trace(TRACE_CONTROL, "a client of the control socket (%s): %s",
					k->request.user, err.text);
			client_free(k);
			return;
		}
		good = take_message(k, m);
		wire_message_close(m);
		if (!good) {
			trace(TRACE_CONTROL,
				"a client of the control socket (%s) does not keep to the order of messages",
				k->request.user);
			client_free(k);
			return;
		}
	}
	client_listen(k);
}

static void on_client(struct loop_io *io, uint32_t events, void *arg)
{
	struct client *k = arg;
	struct control *c = k->control;

	(void)io;
	if (k->phase == PHASE_COMMAND) {
		client_read(k);
	} else if (events & (LOOP_HUP | LOOP_ERR)) {
		client_lost(k);
	} else if (events & LOOP_OUT) {
		/* it has room again, and that counts as a sign of life */
		k->deadline_us = INT64_MAX;
		loop_defer(c->loop, on_turn, c);
	}
	set_timer(c);
}

/* ---- accepting ---- */

static void client_new(struct control *c, int fd)
{
	struct client *k = mem_alloc(sizeof(*k));
	struct err err = ERR_INIT;
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t len = sizeof(peer);

	k->control = c;
	k->fd = fd;
	k->deadline_us = clock_mono_us() + k->control->idle_us;
	buf_init(&k->owed, WIRE_MESSAGE_BYTES);
	list_add_tail(&c->clients, &k->in);
	c->clients_n++;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0)
		describe_user(peer.uid, k->request.user, sizeof(k->request.user));
	k->io = loop_io_add(c->loop, fd, LOOP_IN, on_client, k, &err);
	if (k->io)
		return;
	log_warning("a client of the control socket cannot be served: %s", err.text);
	client_free(k);
}

/* Too many: it is told so if it can be told at once. */
static void turn_away(int fd)
{
	const struct wire_done m = {
		.status = EXIT_FAILED, .text = "the service has too many clients at once; try again"};

	if (wire_send(fd, WIRE_DONE, &m, NULL, 0) < 0)
		trace(TRACE_CONTROL, "a client of the control socket is turned away, there are too many");
	close(fd);
}

static void on_listen(struct loop_io *io, uint32_t events, void *arg)
{
	struct control *c = arg;

	(void)events;
	for (int i = 0; i < BACKLOG; i++) {
		struct sockaddr_un from;
		socklen_t len = sizeof(from);
		int fd = accept4(c->fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0 && c->clients_n < CONTROL_CLIENTS_MAX) {
			client_new(c, fd);
			continue;
		}
		if (fd >= 0) {
			turn_away(fd);
			continue;
		}
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			log_warning("control socket: %s; trying again in a second", strerror(errno));
			c->accept_at_us = clock_mono_us() + ACCEPT_PAUSE_US;
			(void)loop_io_set(io, 0);
		}
		break;
	}
	set_timer(c);
}

static void on_timer(struct loop_timer *t, void *arg)
{
	struct control *c = arg;
	int64_t now_us = clock_mono_us();

	(void)t;
	if (c->accept_at_us > 0 && now_us >= c->accept_at_us) {
		c->accept_at_us = 0;
		(void)loop_io_set(c->io, LOOP_IN);
	}
	LIST_FOREACH_SAFE (it, &c->clients) {
		struct client *k = LIST_OF(it, struct client, in);

		if (now_us >= k->deadline_us) {
			trace(TRACE_CONTROL, "a client of the control socket (%s) is silent; dropped",
				k->request.user);
			client_free(k);
		} else if (may_wake(k) && now_us >= k->job.wake_at_us) {
			loop_defer(c->loop, on_turn, c);
		}
	}
	set_timer(c);
}

/* ---- changes ---- */

bool control_has_work(const struct control *c)
{
	LIST_FOREACH (it, &c->clients)
		if (LIST_OF(it, struct client, in)->phase == PHASE_APPLY)
			return true;
	return false;
}

int control_apply(struct control *c, struct err *err)
{
	LIST_FOREACH (it, &c->clients) {
		struct client *k = LIST_OF(it, struct client, in);
		int rc;

		if (k->phase != PHASE_APPLY)
			continue;
		rc = k->verb->apply(&k->job, err);
		if (rc < 0)
			return rc;
		k->applied = true;
		k->more = rc == CONTROL_AGAIN;
	}
	return 0;
}

void control_committed(struct control *c)
{
	LIST_FOREACH (it, &c->clients) {
		struct client *k = LIST_OF(it, struct client, in);

		if (!k->applied)
			continue;
		CRASH_POINT("control-committed");
		k->applied = false;
		if (k->verb->committed)
			k->verb->committed(&k->job);
		if (!k->more)
			k->phase = PHASE_ANSWER;
		loop_defer(c->loop, on_turn, c); /* and the next piece in the next round */
	}
}

void control_undo(struct control *c)
{
	LIST_FOREACH (it, &c->clients)
		LIST_OF(it, struct client, in)->applied = false;
}

void control_say(struct control_job *j, int64_t status, const char *fmt, ...)
{
	va_list ap;

	j->status = status;
	va_start(ap, fmt);
	(void)vsnprintf(j->text, sizeof(j->text), fmt, ap);
	va_end(ap);
}

void control_wake(struct control *c)
{
	loop_defer(c->loop, on_turn, c);
}

bool control_owes(const struct control *c)
{
	LIST_FOREACH (it, &c->clients) {
		const struct client *k = LIST_OF(it, struct client, in);

		if (k->phase != PHASE_COMMAND)
			return true;
	}
	return false;
}

/* ---- life ---- */

/* Does another service, with another state directory, listen there? What a killed one has left refuses. */
static bool is_in_use(const struct sockaddr_un *address)
{
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 &&
	       (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN);
}

static int make_socket(struct control *c, const char *directory, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_FREE char *made = NULL;

	if (strlen(c->path) >= sizeof(address.sun_path))
		return err_set(err, ERR_CONF, ENAMETOOLONG, "the path %s is too long for a socket", c->path);
	memcpy(address.sun_path, c->path, strlen(c->path) + 1);
	if (mkdir(directory, 0750) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the runtime directory %s", directory);
	if (is_in_use(&address))
		return err_set(err, ERR_CONF, EADDRINUSE,
			"another service listens on %s (give this one a runtime_directory of its own)",
			c->path);
	/* made under another name, so that at no moment there is none: what an ended process has left refuses
	 */
	made = fs_join(directory, NEW_SOCKET);
	if (unlink(made) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove the old socket %s", made);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", made);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (c->fd < 0)
		return err_errno(err, errno, "cannot make the control socket");
	/* the mode before bind(2) counts, less the umask: never open to all, not even for a moment */
	if (fchmod(c->fd, 0660) < 0 || bind(c->fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(made, 0660) < 0 || listen(c->fd, BACKLOG) < 0 || rename(made, c->path) < 0)
		return err_errno(err, errno, "cannot listen on the control socket %s", c->path);
	return 0;
}

struct control *control_new(const struct control_options *o, struct err *err)
{
	struct control *c = mem_alloc(sizeof(*c));

	c->loop = o->loop;
	c->verbs = o->verbs;
	c->verbs_n = o->verbs_n;
	c->host = o->host;
	c->idle_us = o->idle_us > 0 ? o->idle_us : CONTROL_IDLE_US;
	c->path = fs_join(o->directory, CONTROL_SOCKET);
	c->fd = -1;
	list_init(&c->clients);
	buf_init(&c->json, CONTROL_RECORD_BYTES);
	c->timer = loop_timer_add(o->loop, on_timer, c);
	if (make_socket(c, o->directory, err) == 0)
		c->io = loop_io_add(o->loop, c->fd, LOOP_IN, on_listen, c, err);
	if (c->io)
		return c;
	control_free(c);
	return NULL;
}

void control_leave(struct control *c)
{
	c->leaving = true;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	loop_defer_cancel(c->loop, on_turn, c);
	LIST_FOREACH_SAFE (it, &c->clients)
		client_free(LIST_OF(it, struct client, in));
	loop_io_remove(c->io);
	loop_timer_remove(c->timer);
	if (c->io && !c->leaving && unlink(c->path) < 0 && errno != ENOENT)
		log_warning("cannot remove the control socket %s: %s", c->path, strerror(errno));
	fs_close(&c->fd);
	buf_done(&c->json);
	free(c->path);
	free(c);
}
