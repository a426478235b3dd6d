/*
 * smtp_talk: one command at a time, since not every server takes several at once.
 *
 * The fate: once the mail itself was sent, only the server's last word counts; a 5xx there is about this
 * mail. So is one about its size (552) where the sender is named. All others that are final (sender, every
 * recipient, "authentication required") may be mended by somebody, without the mail being another one: they
 * are tried again until there is no time left.
 */
#include "core/smtp_talk.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"

#define OUT_BYTES (8u * 1024 * 1024)
#define TOO_LARGE 552 /* RFC 1870, 6.1 */

enum stage { MAIL = 0, RCPT, DATA, TEXT, OVER };

struct smtp_talk {
	const char *from;
	const char *const *to;
	size_t to_n;
	const char *mail;
	size_t mail_len;
	enum stage stage;
	size_t at;	    /* RCPT: whose turn it is */
	size_t taken;	    /* recipients that the server takes */
	struct buf out, in; /* in: a line that has not ended yet */
	size_t out_at;
	size_t lines; /* of the answer that has begun */
	enum smtp_fate fate;
	struct smtp_reply reply; /* the last one */
	struct smtp_reply decided;
	struct smtp_reply *recipients;
};

static void say(struct smtp_talk *t, enum stage stage, const char *command, const char *address)
{
	t->stage = stage;
	if (address != NULL)
		(void)buf_addf(&t->out, "%s:<%s>\r\n", command, address);
	else
		(void)buf_addf(&t->out, "%s\r\n", command);
}

/* With a point before each line that begins with one, and the point that ends it (RFC 5321, 4.5.2). */
static void say_mail(struct smtp_talk *t)
{
	const char *line = t->mail, *end = t->mail + t->mail_len;

	t->stage = TEXT;
	while (line < end) {
		const char *lf = memchr(line, '\n', (size_t)(end - line));
		size_t len = lf != NULL ? (size_t)(lf - line) + 1 : (size_t)(end - line);

		if (line[0] == '.')
			(void)buf_addc(&t->out, '.');
		(void)buf_add(&t->out, line, len);
		line += len;
	}
	(void)buf_adds(&t->out, ".\r\n");
}

static void end(struct smtp_talk *t, enum smtp_fate fate)
{
	bool is_in_mail = t->out.len > 0; /* a server that does not wait for its end is left without a word */

	t->fate = fate;
	t->decided = t->reply;
	t->out_at = 0;
	buf_reset(&t->out);
	t->stage = OVER;
	if (!is_in_mail)
		say(t, OVER, "QUIT", NULL);
}

static bool is_good(const struct smtp_reply *r)
{
	return r->code >= 200 && r->code < 300;
}

/* Which of the refusals is told: one that may pass, else the first. */
static void end_without_recipients(struct smtp_talk *t)
{
	t->reply = t->recipients[0];
	for (size_t i = 0; i < t->to_n; i++)
		if (t->recipients[i].code < 500) {
			t->reply = t->recipients[i];
			break;
		}
	end(t, SMTP_AGAIN);
}

static void next_recipient(struct smtp_talk *t)
{
	if (t->at < t->to_n)
		say(t, RCPT, "RCPT TO", t->to[t->at]);
	else if (t->taken > 0)
		say(t, DATA, "DATA", NULL);
	else
		end_without_recipients(t);
}

/* The server closes the line after this one. */
static bool is_farewell(const struct smtp_reply *r)
{
	return r->code == 421;
}

static void answered(struct smtp_talk *t)
{
	const struct smtp_reply *r = &t->reply;

	if (is_farewell(r) && t->stage != OVER) {
		end(t, SMTP_AGAIN);
		return;
	}
	switch (t->stage) {
	case MAIL:
		if (is_good(r))
			next_recipient(t);
		else
			end(t, r->code == TOO_LARGE ? SMTP_REFUSED : SMTP_AGAIN);
		return;
	case RCPT:
		t->taken += is_good(r);
		t->recipients[t->at++] = *r;
		next_recipient(t);
		return;
	case DATA:
		if (r->code == 354)
			say_mail(t);
		else
			end(t, r->code >= 500 ? SMTP_REFUSED : SMTP_AGAIN);
		return;
	case TEXT:
		end(t, is_good(r) ? SMTP_DELIVERED : r->code >= 500 ? SMTP_REFUSED : SMTP_AGAIN);
		return;
	case OVER:
		return;
	}
}

/* CODE-words or CODE words, without its line end. */
static int take_line(struct smtp_talk *t, struct err *err)
{
	const char *s = buf_str(&t->in);
	size_t len = t->in.len;
	int code = 0;

	while (len > 0 && (s[len - 1] == '\r' || s[len - 1] == ' '))
		len--;
	for (size_t i = 0; i < 3; i++)
		code = len >= 3 && s[i] >= '0' && s[i] <= '9' ? code * 10 + s[i] - '0' : -1000000;
	if (code < 200 || code > 599 || (len > 3 && s[3] != ' ' && s[3] != '-') ||
		++t->lines > SMTP_TALK_LINES_MAX) {
		char shown[80];

		return err_set(err, ERR_REMOTE, EBADMSG, "its answer to %s is no SMTP: \"%s\"",
			smtp_talk_stage(t), text_printable(s, len, shown, sizeof(shown)));
	}
	t->reply.code = code;
	text_printable(s, len, t->reply.words, sizeof(t->reply.words));
	if (len > 3 && s[3] == '-')
		return 0;
	t->lines = 0;
	answered(t);
	return 0;
}

int smtp_talk_take(struct smtp_talk *t, const char *p, size_t n, struct err *err)
{
	for (size_t i = 0; i < n && t->stage != OVER; i++) {
		int r = 0;

		if (p[i] == '\n') {
			r = take_line(t, err);
			buf_reset(&t->in);
		} else if (buf_addc(&t->in, p[i]) < 0) {
			r = err_set(err, ERR_REMOTE, EBADMSG, "a line of its answer to %s is too long",
				smtp_talk_stage(t));
		}
		if (r < 0)
			return r;
	}
	return 0;
}

struct smtp_talk *smtp_talk_new(
	const char *from, const char *const *to, size_t to_n, const char *mail, size_t mail_len)
{
	struct smtp_talk *t = mem_alloc(sizeof(*t));

	t->from = from;
	t->to = to;
	t->to_n = to_n;
	t->mail = mail;
	t->mail_len = mail_len;
	t->recipients = mem_array(to_n > 0 ? to_n : 1, sizeof(*t->recipients));
	buf_init(&t->out, OUT_BYTES);
	buf_init(&t->in, SMTP_TALK_LINE_BYTES);
	say(t, MAIL, "MAIL FROM", from);
	return t;
}

void smtp_talk_free(struct smtp_talk *t)
{
	if (t == NULL)
		return;
	buf_done(&t->out);
	buf_done(&t->in);
	free(t->recipients);
	free(t);
}

const char *smtp_talk_out(const struct smtp_talk *t, size_t *ret_len)
{
	*ret_len = t->out.len - t->out_at;
	return buf_str(&t->out) + t->out_at;
}

void smtp_talk_sent(struct smtp_talk *t, size_t n)
{
	t->out_at += n;
	if (t->out_at < t->out.len)
		return;
	t->out_at = 0;
	buf_reset(&t->out);
}

bool smtp_talk_is_over(const struct smtp_talk *t)
{
	return t->stage == OVER;
}

const char *smtp_talk_stage(const struct smtp_talk *t)
{
	static const char *const stages[] = {"MAIL FROM", "RCPT TO", "DATA", "the mail", "QUIT"};

	return stages[t->stage];
}

enum smtp_fate smtp_talk_fate(const struct smtp_talk *t)
{
	return t->fate;
}

const struct smtp_reply *smtp_talk_reply(const struct smtp_talk *t)
{
	return &t->decided;
}

const struct smtp_reply *smtp_talk_recipient(const struct smtp_talk *t, size_t i)
{
	return &t->recipients[i];
}
