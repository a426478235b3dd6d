/*
 * Idle -> dialling (libcurl's: name, connection, TLS, greeting, signing in) -> talking (ours) -> idle. One
 * timer bounds both. When the server's word on the mail is there QUIT is written, and its answer not waited
 * for.
 *
 * A line that is lost after the mail was sent and before the server's word on it leaves open whether it was
 * taken: it is sent again, with the same Message-ID.
 */
#include "dispatch/smtp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/trace.h"
#include "dispatch/exchange.h"
#include "dispatch/outgoing.h"

#define READ_BYTES 4096
#define ROUNDS_MAX 64 /* of reading in one turn of the loop */

struct smtp {
	struct loop *loop;
	struct exchanges *exchanges;
	struct loop_timer *timer;
	struct loop_io *io; /* while talking */
	char *url, *host;
	const char *username;
	int64_t timeout_us;
	struct secret *password; /* of the mail under way, or NULL */
	struct exchange *line;
	struct smtp_talk *talk;
	smtp_answer_fn fn;
	void *arg;
	bool busy, calling;
};

/* ---- the end ---- */

static void hang_up(struct smtp *s)
{
	loop_timer_clear(s->timer);
	loop_io_remove(s->io);
	s->io = NULL;
	if (s->line != NULL)
		exchange_end(s->line);
	s->line = NULL;
	s->busy = false;
}

/* As AUTH PLAIN and AUTH LOGIN send it. */
static bool repeats_what_was_sent(const struct smtp *s, const char *words)
{
	size_t name_len = s->username != NULL ? strlen(s->username) : 0, len = secret_len(s->password);
	CLEANUP_SECRET struct secret *plain = secret_new(name_len + len + 2);
	CLEANUP_SECRET struct secret *as_plain = secret_new(2 * (name_len + len) + 8);
	CLEANUP_SECRET struct secret *as_login = secret_new(2 * len + 8);
	int r = secret_add(plain, "", 1);

	if (r == 0 && name_len > 0)
		r = secret_add(plain, s->username, name_len);
	if (r == 0)
		r = secret_add(plain, "", 1);
	if (r == 0)
		r = secret_add(plain, secret_bytes(s->password), len);
	if (r == 0)
		r = secret_add_base64(as_plain, secret_bytes(plain), secret_len(plain));
	if (r == 0)
		r = secret_add_base64(as_login, secret_bytes(s->password), len);
	return r < 0 || strstr(words, secret_bytes(as_plain)) != NULL ||
	       strstr(words, secret_bytes(as_login)) != NULL;
}

bool smtp_is_telling(const struct smtp *s, const char *words)
{
	if (s->password == NULL || secret_len(s->password) == 0 || words == NULL)
		return false;
	return strstr(words, secret_bytes(s->password)) != NULL || repeats_what_was_sent(s, words);
}

static void answer(struct smtp *s, const struct smtp_answer *a)
{
	CLEANUP_FREE char *instead =
		smtp_is_telling(s, a->words)
			? mem_printf("%s answers with the password in its words", s->host)
			: NULL;
	struct smtp_answer told = *a;
	struct smtp_talk *talk = s->talk;

	if (instead != NULL)
		told.words = instead;
	hang_up(s);
	s->talk = NULL;
	trace(TRACE_HTTP, "%s: %s", s->url, told.fate == SMTP_DELIVERED ? "delivered" : told.words);
	s->calling = true;
	s->fn(&told, s->arg);
	s->calling = false;
	smtp_talk_free(talk);
}

static void give_up(struct smtp *s, const char *why)
{
	CLEANUP_FREE char *words = mem_printf("%s %s", s->host, why);
	struct smtp_answer a = {.fate = SMTP_AGAIN, .words = words, .talk = s->talk};

	answer(s, &a);
}

static void tell_fate(struct smtp *s)
{
	enum smtp_fate fate = smtp_talk_fate(s->talk);
	CLEANUP_FREE char *words = mem_printf("%s %s: %s", s->host,
		fate == SMTP_REFUSED ? "refuses this mail" : "does not take the mail",
		smtp_talk_reply(s->talk)->words);
	struct smtp_answer a = {.fate = fate, .words = words, .talk = s->talk};

	answer(s, &a);
}

/* ---- talking ---- */

/* 1: something was written, 0: nothing can be now, or is to be, -EIO. */
static int write_some(struct smtp *s)
{
	size_t len;
	const char *out = smtp_talk_out(s->talk, &len);
	ssize_t n = len > 0 ? exchange_write(s->line, out, len) : -EAGAIN;

	if (n > 0)
		smtp_talk_sent(s->talk, (size_t)n);
	return n > 0 ? 1 : n == -EAGAIN ? 0 : -EIO;
}

/* 1: something was read, 0: nothing is there, -errno with *err. */
static int read_some(struct smtp *s, struct err *err)
{
	char bytes[READ_BYTES];
	ssize_t n = exchange_read(s->line, bytes, sizeof(bytes));

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return err_set(err, ERR_REMOTE, EPIPE, "closed the line before its answer to %s",
			smtp_talk_stage(s->talk));

	int r = smtp_talk_take(s->talk, bytes, (size_t)n, err);

	return r < 0 ? r : 1;
}

/* As long as something moves. 0, or -errno with *err: the line is of no more use. */
static int pump(struct smtp *s, struct err *err)
{
	bool moves = true;

	for (int i = 0; moves && i < ROUNDS_MAX && !smtp_talk_is_over(s->talk); i++) {
		int written = write_some(s);
		int read = read_some(s, err); /* also when it cannot be written: there may be a last word */

		if (smtp_talk_is_over(s->talk))
			break;
		if (read < 0)
			return read;
		if (written < 0)
			return err_set(err, ERR_REMOTE, EPIPE, "closed the line");
		moves = written > 0 || read > 0;
	}
	if (smtp_talk_is_over(s->talk))
		(void)write_some(s); /* QUIT */
	return 0;
}

static void on_io(struct loop_io *io, uint32_t events, void *arg)
{
	struct smtp *s = arg;
	struct err err = ERR_INIT;
	size_t len;

	(void)events;
	if (pump(s, &err) < 0) {
		give_up(s, err.text);
		return;
	}
	if (smtp_talk_is_over(s->talk)) {
		tell_fate(s);
		return;
	}
	(void)smtp_talk_out(s->talk, &len);
	if (loop_io_set(io, len > 0 ? LOOP_IN | LOOP_OUT : LOOP_IN) < 0)
		give_up(s, "cannot be waited for");
}

static void on_timer(struct loop_timer *timer, void *arg)
{
	struct smtp *s = arg;
	char why[128];

	(void)timer;
	snprintf(why, sizeof(why), "gives no answer in time to %s", smtp_talk_stage(s->talk));
	give_up(s, s->line != NULL && s->io != NULL ? why : "does not answer in time");
}

/* ---- dialling ---- */

/* The last line that the server said, fit for a log, if it says no; else "". */
static const char *last_no(const char *head, char *out, size_t size)
{
	size_t len = strlen(head), start;

	while (len > 0 && (head[len - 1] == '\n' || head[len - 1] == '\r'))
		len--;
	for (start = len; start > 0 && head[start - 1] != '\n';)
		start--;
	text_printable(head + start, len - start, out, size);
	if (out[0] != '4' && out[0] != '5')
		out[0] = '\0';
	return out;
}

static char *explain(const struct smtp *s, const struct exchange_result *r)
{
	char line[SMTP_WORDS_BYTES];
	const char *no = last_no(r->head, line, sizeof(line));

	if (r->no_starttls)
		return mem_printf(
			"%s does not offer STARTTLS, and the password is not sent in clear: is smtp "
			"right, with smtps:// or the port where it does?",
			s->host);
	if (r->denied)
		return mem_printf("%s does not take user name and password: see smtp_username and "
				  "smtp_password_file%s%s%s",
			s->host, no[0] ? " (" : "", no, no[0] ? ")" : "");
	if (no[0])
		return mem_printf("%s does not let us in: %s", s->host, no);
	return mem_strdup(r->error);
}

static void on_dialled(struct exchange *e, const struct exchange_result *r, void *arg)
{
	struct smtp *s = arg;
	struct err err = ERR_INIT;
	struct smtp_answer a = {.fate = SMTP_AGAIN, .denied = r->denied};
	CLEANUP_FREE char *words = NULL;

	if (r->ok) {
		s->io = loop_io_add(s->loop, exchange_fd(e), LOOP_IN | LOOP_OUT, on_io, s, &err);
		if (s->io == NULL)
			give_up(s, err.text);
		return;
	}
	s->line = NULL; /* ends by itself */
	words = explain(s, r);
	a.words = words;
	answer(s, &a);
}

/* ---- a client ---- */

struct smtp *smtp_new(struct loop *loop, const struct smtp_options *o, struct err *err)
{
	const struct exchanges_options x = {
		.kind = EXCHANGE_SMTP,
		.transport = o->transport,
		.key = "smtp",
		.connect_timeout_us = o->timeout_us,
		.timeout_us = o->timeout_us,
		.places = 1,
	};
	struct smtp *s = mem_alloc(sizeof(*s));
	size_t len;
	const char *host = outgoing_authority(o->url, &len);

	s->loop = loop;
	s->username = o->username;
	s->timeout_us = o->timeout_us;
	s->url = mem_strdup(o->url);
	s->host = mem_strndup(host, len);
	s->timer = loop_timer_add(loop, on_timer, s);
	s->exchanges = exchanges_new(loop, &x, err);
	if (s->exchanges == NULL) {
		smtp_free(s);
		return NULL;
	}
	return s;
}

void smtp_free(struct smtp *s)
{
	if (s == NULL)
		return;
	BUG_ON(s->calling);
	hang_up(s);
	smtp_talk_free(s->talk);
	secret_free(s->password);
	exchanges_free(s->exchanges);
	loop_timer_remove(s->timer);
	free(s->url);
	free(s->host);
	free(s);
}

static enum exchange_tls tls_for(const struct smtp *s)
{
	bool is_here = outgoing_is_here(s->url);

	if (s->username != NULL)
		return is_here ? EXCHANGE_TLS_MAY : EXCHANGE_TLS_MUST;
	return is_here ? EXCHANGE_TLS_NEVER : EXCHANGE_TLS_MAY;
}

int smtp_send(struct smtp *s, const struct smtp_mail *mail, smtp_answer_fn fn, void *arg, struct err *err)
{
	const struct exchange_line q = {
		.url = s->url, .tls = tls_for(s), .username = s->username, .password = mail->password};
	int r;

	BUG_ON(s->busy);
	r = exchanges_dial(s->exchanges, &q, on_dialled, s, &s->line, err);
	if (r < 0)
		return r;
	s->busy = true;
	secret_free(s->password);
	s->password = mail->password != NULL ? secret_ref(mail->password) : NULL;
	s->talk = smtp_talk_new(mail->from, mail->to, mail->to_n, mail->bytes, mail->len);
	s->fn = fn;
	s->arg = arg;
	loop_timer_set(s->timer, clock_mono_us() + s->timeout_us);
	return 0;
}
