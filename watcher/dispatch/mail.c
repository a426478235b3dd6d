/*
 * Each delivery is one mail to all recipients. When a server takes it for some and puts others off (450), it
 * goes out again to these only; those that it refuses for good (550) are given up with a warning, as long as
 * somebody gets the mail. That is remembered while the service runs: after a crash somebody may get the mail
 * twice, with the same Message-ID.
 *
 * The password is read at the start, and again after a delivery that failed, so a mended file needs no
 * reload.
 */
#include "dispatch/mail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/event_text.h"
#include "core/letter.h"
#include "core/mailbox.h"
#include "core/mime.h"
#include "dispatch/outgoing.h"
#include "dispatch/secretfile.h"
#include "dispatch/smtp.h"
#include "dispatch/transport.h"

#define SUBJECT_BYTES (16u * 1024)
/* So long the others' next mails wait for one who is put off (who asks unknown senders to come again takes
 * them in five minutes); when that was in vain, they do not wait for him until he takes one again. */
#define PUT_OFF_MOST_US (10 * 60 * US_PER_S)
#define TEXT_BYTES (256u * 1024) /* fits into MIME_MAIL_BYTES however it is encoded */

struct recipient {
	struct mailbox mailbox;
	bool done;	    /* has the mail with this id, or never gets it */
	bool taken;	    /* … it has it */
	int64_t put_off_us; /* monotonic: since then it is put off, one mail like another; 0: it is not */
};

struct mail {
	const struct conf_notify *conf;
	const char *credentials;
	struct conf_workspace certificates; /* nothing but ca_file, borrowed */
	struct transport *transport;
	struct smtp *smtp;
	struct secret *password; /* or NULL */
	bool doubt;		 /* the last delivery failed: the file may be another now */
	char *place;
	struct mailbox from;
	struct recipient *to;
	size_t to_n;
	char id[64]; /* of the mail that the recipients' marks are about */
	/* under way */
	struct buf bytes;
	const char **addresses;
	struct recipient **asked;
	size_t asked_n;
	courier_answer_fn fn;
	void *arg;
};

/* ---- life ---- */

static int read_password(struct mail *m, struct err *err)
{
	CLEANUP_SECRET struct secret *s = NULL;
	int r;

	if (m->conf->smtp_password_file == NULL)
		return 0;
	s = secret_new(SECRETFILE_ROOM_BYTES);
	r = secretfile_add(m->conf->smtp_password_file, m->credentials, SECRETFILE_LINE, s, err);
	if (r < 0)
		return err_prefix(err, "smtp_password_file");
	secret_free(m->password);
	m->password = secret_ref(s);
	m->doubt = false;
	return 0;
}

static int read_addresses(struct mail *m, struct err *err)
{
	const struct conf_list *to = &m->conf->mail_to;
	int r = mailbox_parse(m->conf->mail_from, &m->from, err);

	m->to = mem_array(to->n, sizeof(*m->to));
	m->addresses = mem_array(to->n, sizeof(*m->addresses));
	m->asked = mem_array(to->n, sizeof(struct recipient *));
	for (; r == 0 && m->to_n < to->n; m->to_n++)
		r = mailbox_parse(to->items[m->to_n], &m->to[m->to_n].mailbox, err);
	return r;
}

static int begin(struct mail *m, struct loop *loop, struct err *err)
{
	struct smtp_options o = {
		.url = m->conf->smtp,
		.username = m->conf->smtp_username,
		.timeout_us = m->conf->request_timeout_us,
	};
	int r = read_addresses(m, err);

	if (r == 0)
		r = read_password(m, err);
	if (r < 0)
		return r;
	if (m->conf->ca_file != NULL) {
		m->certificates.ca_file = m->conf->ca_file;
		m->transport = transport_new(&m->certificates, m->credentials, err);
		if (m->transport == NULL)
			return -err->code;
	}
	o.transport = m->transport;
	m->smtp = smtp_new(loop, &o, err);
	return m->smtp != NULL ? 0 : -err->code;
}

static void mail_free(void *way)
{
	struct mail *m = way;

	if (m == NULL)
		return;
	smtp_free(m->smtp);
	transport_free(m->transport);
	secret_free(m->password);
	buf_done(&m->bytes);
	free(m->place);
	free(m->to);
	free(m->addresses);
	free(m->asked);
	free(m);
}

static void *mail_make(const struct courier_way_options *o, struct err *err)
{
	struct mail *m = mem_alloc(sizeof(*m));
	size_t len;
	const char *place = outgoing_authority(o->conf->smtp, &len);

	m->conf = o->conf;
	m->credentials = o->credentials_directory;
	m->place = mem_strndup(place, len);
	buf_init(&m->bytes, MIME_MAIL_BYTES);
	if (begin(m, o->loop, err) == 0)
		return m;
	(void)err_prefix(err, "[notify:%s]", o->conf->name);
	mail_free(m);
	return NULL;
}

static const char *mail_place(const void *way)
{
	return ((const struct mail *)way)->place;
}

/* ---- what goes out ---- */

/* The configured template; the usual words where there is none, for a digest, or when it gets too long. */
static int add_subject(const struct mail *m, const struct courier_parcel *p, struct buf *b, struct err *err)
{
	if (m->conf->subject != NULL && p->text == NULL) {
		if (event_text_expand(m->conf->subject, EVENT_TEXT_PLAIN, p->line, p->line_len, b, err) == 0)
			return 0;
		buf_reset(b);
	}
	return letter_add_subject(p->line, p->line_len, b, err);
}

static int add_own_text(const struct mail *m, const struct courier_parcel *p, struct buf *b, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->conf->body.n; i++) {
		r = event_text_expand(m->conf->body.items[i], EVENT_TEXT_PLAIN, p->line, p->line_len, b, err);
		if (r == 0)
			r = buf_addc(b, '\n');
	}
	return r;
}

static int add_text(const struct mail *m, const struct courier_parcel *p, struct buf *b, struct err *err)
{
	int r;

	if (p->text != NULL)
		return buf_adds(b, p->text);
	if (m->conf->body.n > 0) {
		if (add_own_text(m, p, b, err) == 0)
			return 0;
		buf_reset(b);
	}
	r = letter_add_text(p->line, p->line_len, b, err);
	if (r == 0)
		(void)buf_addf(b, "\n-- \nfrom [notify:%s] of brickwatch\n", m->conf->name);
	return r;
}

static int compose(struct mail *m, const struct courier_parcel *p, struct err *err)
{
	CLEANUP_BUF struct buf subject = BUF_INIT(SUBJECT_BYTES), text = BUF_INIT(TEXT_BYTES);
	CLEANUP_JSON struct json *event = json_parse(p->line, p->line_len, err);
	CLEANUP_FREE struct mailbox *to = mem_array(m->to_n, sizeof(*to));
	const char *host = json_get_text(event, "host");
	struct mime_mail mime = {.from = m->from,
		.to = to,
		.to_n = m->to_n,
		.id = p->id,
		.type = p->type,
		.host = host != NULL ? host : "",
		.time_us = clock_wall_us()};
	int r = event != NULL ? add_subject(m, p, &subject, err) : -EBADMSG;

	if (r == 0)
		r = add_text(m, p, &text, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < m->to_n; i++)
		to[i] = m->to[i].mailbox;
	mime.subject = buf_str(&subject);
	mime.text = buf_str(&text);
	return mime_compose(&m->bytes, &mime, err);
}

static void ask_for(struct mail *m, const char *id)
{
	bool is_new = strcmp(m->id, id) != 0;

	m->asked_n = 0;
	for (size_t i = 0; i < m->to_n; i++) {
		struct recipient *r = &m->to[i];

		if (is_new)
			r->done = r->taken = false;
		if (r->done)
			continue;
		m->addresses[m->asked_n] = r->mailbox.address;
		m->asked[m->asked_n++] = r;
	}
	buf_reset(&m->bytes);
	(void)snprintf(m->id, sizeof(m->id), "%s", id);
}

/* ---- the answer ---- */

static const char *words_of(const struct mail *m, const struct smtp_reply *said)
{
	return smtp_is_telling(m->smtp, said->words) ? "(its words repeat the password)" : said->words;
}

/* The server has the mail for those that it takes. Words of one that it puts off, or NULL. */
static char *note_recipients(struct mail *m, const struct smtp_talk *talk)
{
	char *words = NULL;

	for (size_t i = 0; i < m->asked_n; i++) {
		const struct smtp_reply *said = smtp_talk_recipient(talk, i);
		struct recipient *r = m->asked[i];

		r->taken = said->code < 400;
		if (r->taken || r->put_off_us == 0)
			r->put_off_us = r->taken ? 0 : clock_mono_us();
		r->done = r->taken || said->code >= 500 || clock_mono_us() - r->put_off_us >= PUT_OFF_MOST_US;
		if (r->done && !r->taken)
			log_warning("consumer %s (%s): %s does not get a mail that others get: %s",
				m->conf->name, m->place, r->mailbox.address, words_of(m, said));
		else if (!r->done && words == NULL)
			words = mem_printf("%s is put off: %s", r->mailbox.address, words_of(m, said));
	}
	return words;
}

/* All that are left are refused or put off, and others have the mail. */
static bool is_enough(const struct mail *m, const struct smtp_answer *a)
{
	bool somebody = false;

	if (a->talk == NULL || a->fate == SMTP_REFUSED)
		return false;
	for (size_t i = 0; i < m->to_n; i++)
		somebody = somebody || m->to[i].taken;
	for (size_t i = 0; i < m->asked_n; i++)
		if (smtp_talk_recipient(a->talk, i)->code < 400)
			return false;
	return somebody;
}

static void on_answer(const struct smtp_answer *a, void *arg)
{
	struct mail *m = arg;
	struct courier_answer out = {.verdict = COURIER_AGAIN, .words = a->words};
	CLEANUP_FREE char *put_off = NULL;

	if (a->fate == SMTP_DELIVERED || is_enough(m, a)) {
		put_off = note_recipients(m, a->talk);
		out.words = put_off;
		if (put_off == NULL)
			out.verdict = COURIER_DELIVERED;
	} else if (a->fate == SMTP_REFUSED) {
		out.verdict = COURIER_REFUSED;
	}
	m->doubt = out.verdict != COURIER_DELIVERED;
	m->fn(&out, m->arg);
}

static int mail_send(
	void *way, const struct courier_parcel *p, courier_answer_fn fn, void *arg, struct err *err)
{
	struct mail *m = way;
	struct smtp_mail mail = {.from = m->from.address, .to = m->addresses};
	int r = m->doubt ? read_password(m, err) : 0;

	if (r < 0)
		return r;
	ask_for(m, p->id);
	r = compose(m, p, err);
	if (r < 0)
		return r;
	mail.to_n = m->asked_n;
	mail.bytes = m->bytes.data;
	mail.len = m->bytes.len;
	mail.password = m->password;
	m->fn = fn;
	m->arg = arg;
	return smtp_send(m->smtp, &mail, on_answer, m, err);
}

const struct courier_way mail_way = {
	.name = "mail",
	.make = mail_make,
	.free = mail_free,
	.send = mail_send,
	.place = mail_place,
};
