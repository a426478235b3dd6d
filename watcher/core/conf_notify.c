/*
 * Each check is about one key, and quotes nothing of a value that may be secret.
 */
#include "core/conf_notify.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/text.h"
#include "core/conf_host.h"
#include "core/event_text.h"
#include "core/glob.h"
#include "core/mailbox.h"
#include "core/notice.h"

#define SHOWN_BYTES 120

struct telling {
	const struct conf *c;
	const struct conf_notify *n;
	conf_notify_tell_fn fn;
	void *arg;
};

static void tell(const struct telling *t, bool warning, const char *key, char *text)
{
	t->fn(warning, key, text, t->arg);
	free(text);
}

/* ---- which events ---- */

static void check_pattern(const struct telling *t, const char *pattern)
{
	struct err err = ERR_INIT;
	const char *near = NULL;
	char shown[SHOWN_BYTES];

	text_printable(pattern, strlen(pattern), shown, sizeof(shown));
	if (glob_check(pattern, &err) < 0)
		tell(t, false, "on", mem_printf("on: %s", err.text));
	else if (text_starts_with(pattern, "notify."))
		tell(t, false, "on",
			mem_printf("on: \"%s\": what is told about notifications is never a notification "
				   "itself",
				shown));
	else if (!notice_is_pattern_of_use(pattern, &near))
		tell(t, false, "on",
			near ? mem_printf("on: there is no event \"%s\"; did you mean %s?", shown, near)
			     : mem_printf("on: there is no event \"%s\"; brickwatch-events(5) lists them",
				       shown));
}

static void check_watch(const struct telling *t)
{
	const char *names[CONF_WATCHES_MAX], *near;
	size_t n = 0;

	if (!t->n->watch || t->c->partial || conf_watch_find(t->c, t->n->watch))
		return;
	for (; n < t->c->watches_n && n < ARRAY_SIZE(names); n++)
		names[n] = t->c->watches[n]->name;
	near = text_nearest(t->n->watch, names, n);
	tell(t, false, "watch",
		mem_printf("there is no [watch:%s]%s%s%s", t->n->watch, near ? "; did you mean " : "",
			near ? near : "", near ? "?" : ""));
}

/* ---- webhooks ---- */

bool conf_notify_is_file(const char *webhook)
{
	return webhook[0] == '/' || text_starts_with(webhook, "credential:");
}

int conf_notify_check_url(const char *url, struct err *err)
{
	const char *scheme = strstr(url, "://");
	size_t len = strlen(url), origin;
	CLEANUP_FREE char *address = NULL, *host = NULL, *token = NULL;
	int rc;

	if (!scheme)
		return err_set(err, ERR_CONF, EINVAL,
			"is https://HOST/…, or the absolute path of a file that holds such an address");
	if (!text_starts_with(url, "https://") && !text_starts_with(url, "http://"))
		return err_set(err, ERR_CONF, EINVAL, "begins with https://, in small letters");
	if (len > CONF_NOTIFY_URL_BYTES)
		return err_set(
			err, ERR_CONF, EINVAL, "an address has at most %d bytes", CONF_NOTIFY_URL_BYTES);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)url[i] < 0x21 || (unsigned char)url[i] > 0x7e || strchr("\\\"<>`", url[i]))
			return err_set(err, ERR_CONF, EINVAL,
				"holds a character that an address cannot have (as it stands); write it as "
				"%%XX");
	if (strchr(url, '#'))
		return err_set(err, ERR_CONF, EINVAL, "holds a #, which no server gets to see");
	origin = (size_t)(scheme + 3 - url) + strcspn(scheme + 3, "/?");
	if (memchr(url, '@', origin)) /* what is before it is not to be quoted */
		return err_set(err, ERR_CONF, EINVAL,
			"holds a user or password; give webhook_header = Authorization: …");
	address = mem_strndup(url, origin);
	rc = conf_host_parse(address, &host, &token, err);
	return rc < 0 ? -EINVAL : 0;
}

void conf_notify_add_place(const char *webhook, struct buf *b)
{
	const char *scheme = strstr(webhook, "://");
	const char *host = scheme ? scheme + 3 : webhook;
	size_t len = strcspn(host, "/?#");
	const char *user_end = memchr(host, '@', len);

	if (conf_notify_is_file(webhook)) {
		(void)buf_adds(b, webhook);
		return;
	}
	if (!scheme) /* what that is nobody knows */
		return;
	if (user_end) {
		len -= (size_t)(user_end + 1 - host);
		host = user_end + 1;
	}
	(void)buf_add(b, host, len);
}

/* These are made here, or make another request of this one. */
static bool is_own_header(const char *line, size_t len)
{
	static const char *const names[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection",
		"Expect", "X-Brickwatch-Event", "X-Brickwatch-Id", "X-Brickwatch-Signature"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], line, len) == 0)
			return true;
	return false;
}

/* A token of RFC 9110, colon, text. */
static void check_header(const struct telling *t, const char *line)
{
	size_t len =
		strspn(line, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~");
	bool good = len > 0 && line[len] == ':' && line[len + 1 + strspn(line + len + 1, " \t")] != '\0';

	for (const char *p = line; *p; p++)
		good &= ((unsigned char)*p >= 0x20 && *p != 0x7f) || *p == '\t';
	if (!good)
		tell(t, false, "webhook_header",
			mem_strdup("webhook_header: a line is NAME: VALUE, without control characters"));
	else if (is_own_header(line, len))
		tell(t, false, "webhook_header",
			mem_printf("webhook_header: %.*s is set by brickwatch itself", (int)len, line));
}

static void check_webhook(const struct telling *t)
{
	const struct conf_notify *n = t->n;
	struct err err = ERR_INIT;

	if (!conf_notify_is_file(n->webhook) && conf_notify_check_url(n->webhook, &err) < 0)
		tell(t, false, "webhook", mem_printf("webhook: %s", err.text));
	if (n->webhook_header.n > CONF_NOTIFY_HEADERS_MAX)
		tell(t, false, "webhook_header",
			mem_printf("there are more than %d of webhook_header", CONF_NOTIFY_HEADERS_MAX));
	for (size_t i = 0; i < n->webhook_header.n; i++)
		check_header(t, n->webhook_header.items[i]);
}

/* ---- mail ---- */

/* NAME@DOMAIN as it goes into an SMTP command: without display names, quotes and comments. */
static void check_mail_address(const struct telling *t, const char *key, const char *text)
{
	struct mailbox mailbox;
	struct err err = ERR_INIT;

	if (mailbox_parse(text, &mailbox, &err) < 0)
		tell(t, false, key, mem_printf("%s: %s", key, err.text));
}

static void check_smtp(const struct telling *t)
{
	const char *smtp = t->n->smtp;
	const char *host = text_starts_with(smtp, "smtp://")	? smtp + strlen("smtp://")
			   : text_starts_with(smtp, "smtps://") ? smtp + strlen("smtps://")
								: NULL;
	CLEANUP_FREE char *address = host ? mem_printf("https://%s", host) : NULL;
	CLEANUP_FREE char *parsed = NULL, *token = NULL;
	struct err err = ERR_INIT;

	if (!host)
		tell(t, false, "smtp", mem_strdup("smtp is smtp://HOST[:PORT] or smtps://HOST[:PORT]"));
	else if (strchr(host, '@'))
		tell(t, false, "smtp",
			mem_strdup("smtp holds a user or password; give smtp_username and "
				   "smtp_password_file"));
	else if (conf_host_parse(address, &parsed, &token, &err) < 0)
		tell(t, false, "smtp",
			mem_strdup("smtp is smtp://HOST[:PORT] or smtps://HOST[:PORT], with nothing behind "
				   "it"));
}

static void check_mail(const struct telling *t)
{
	const struct conf_notify *n = t->n;

	for (size_t i = 0; i < n->mail_to.n; i++)
		check_mail_address(t, "mail_to", n->mail_to.items[i]);
	if (n->mail_from)
		check_mail_address(t, "mail_from", n->mail_from);
	if (n->smtp)
		check_smtp(t);
}

/* ---- templates ---- */

static void check_template(
	const struct telling *t, const char *key, const char *text, enum event_text_form form)
{
	struct err err = ERR_INIT;

	if (text && event_text_check(text, form, &err) < 0)
		tell(t, false, key, mem_printf("%s: %s", key, err.text));
}

/* ---- all ---- */

void conf_notify_check(const struct conf *c, const struct conf_notify *n, conf_notify_tell_fn fn, void *arg)
{
	const struct telling t = {.c = c, .n = n, .fn = fn, .arg = arg};

	for (size_t i = 0; i < n->on.n; i++)
		check_pattern(&t, n->on.items[i]);
	check_watch(&t);
	if (n->webhook && n->mail_to.n > 0)
		tell(&t, false, "webhook",
			mem_strdup("webhook and mail_to are both given; each takes a [notify:NAME] of its "
				   "own"));
	if (n->webhook)
		check_webhook(&t);
	check_mail(&t);
	check_template(&t, "subject", n->subject, EVENT_TEXT_PLAIN);
	for (size_t i = 0; i < n->body.n; i++)
		check_template(&t, "body", n->body.items[i], EVENT_TEXT_PLAIN);
	check_template(&t, "webhook_body", n->webhook_body, EVENT_TEXT_JSON);
}

struct conf_rate conf_notify_default_digest(const struct conf_notify *n)
{
	/* A program that gets the events as they are wants each of them. */
	if (n->webhook && !n->webhook_body)
		return (struct conf_rate){.count = 0};
	return (struct conf_rate){.count = 20, .per_us = INT64_C(600) * 1000000};
}

int64_t conf_notify_default_timeout_us(const struct conf_notify *n)
{
	/* A mail server may take its time (RFC 5321, 4.5.3.2), and one that was left while it did has the
	 * mail. */
	return INT64_C(1000000) * (n->webhook ? 30 : 300);
}
