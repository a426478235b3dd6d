/*
 * mime: one form for everything. A subject or name that is plain, short ASCII stands as it is; else it
 * becomes encoded words in base64 (RFC 2047), each with whole characters. The text is always quoted-printable
 * (RFC 2045 6.7): mostly readable, no line too long, nothing that a server would change on its way (a point
 * or "From " at the beginning of a line, blanks at its end).
 */
#include "core/mime.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"

#define LINE_BYTES 76
#define WORD_START "=?UTF-8?B?"
#define WORD_END "?="
#define WORD_FRAME (sizeof(WORD_START WORD_END) - 1)
#define ID_BYTES 64 /* of what is taken from an id */
#define HOST_BYTES 200
#define LAST_TIME_US INT64_C(253402300799000000) /* year 9999 */

/* ---- text that may be sent ---- */

/* Is this character one that moves a cursor, or ends a line? */
static bool is_control(const char *s, size_t len)
{
	unsigned char c = (unsigned char)s[0];

	return len == 1 ? c < 0x20 || c == 0x7f : len == 2 && c == 0xc2 && (unsigned char)s[1] < 0xa0;
}

/* Valid UTF-8 without control characters, but for the one that is `kept` (or 0). */
static void add_clean(struct buf *b, const char *text, const char *kept, const char *instead)
{
	size_t left = strlen(text);

	for (size_t len; left > 0; text += len, left -= len) {
		size_t valid = text_utf8_next(text, left);

		len = valid > 0 ? valid : 1;
		if (valid == 0)
			(void)buf_adds(b, "\xef\xbf\xbd");
		else if (is_control(text, len) && (len > 1 || !strchr(kept, text[0])))
			(void)buf_adds(b, instead);
		else
			(void)buf_add(b, text, len);
	}
}

/* ---- header lines ---- */

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || (unsigned char)*s > 0x7e)
			return false;
	return true;
}

/* How many of these bytes, whole characters, fit into an encoded word with room bytes. */
static size_t fitting(const char *s, size_t left, size_t room)
{
	size_t max = room > WORD_FRAME ? (room - WORD_FRAME) / 4 * 3 : 0, n = 0;

	while (n < left) {
		size_t len = text_utf8_next(s + n, left - n);

		if (n + len > max)
			break;
		n += len;
	}
	return n;
}

/* column: where on its line the first one begins; *column: where the last one ends. s is valid UTF-8. */
static void add_words(struct buf *b, const char *s, size_t *column)
{
	size_t left = strlen(s);

	while (left > 0) {
		size_t n = fitting(s, left, LINE_BYTES - *column), before = b->len;

		if (n == 0) { /* there is always room on a new line */
			(void)buf_adds(b, "\r\n ");
			*column = 1;
			continue;
		}
		(void)buf_adds(b, WORD_START);
		(void)text_add_base64(b, s, n);
		(void)buf_adds(b, WORD_END);
		if (b->failed)
			return;
		*column += b->len - before;
		s += n;
		left -= n;
	}
}

static void add_subject(struct buf *b, const char *subject)
{
	CLEANUP_BUF struct buf clean = BUF_INIT(MIME_MAIL_BYTES);
	size_t column = strlen("Subject: "), len;
	const char *s;

	add_clean(&clean, subject, "", " ");
	if (clean.len > MIME_SUBJECT_BYTES) {
		len = MIME_SUBJECT_BYTES;
		while (((unsigned char)clean.data[len] & 0xc0) == 0x80)
			len--;
		buf_truncate(&clean, len);
		(void)buf_adds(&clean, "\xe2\x80\xa6");
	}
	s = buf_str(&clean);
	len = clean.len;
	(void)buf_adds(b, "Subject: ");
	if (is_ascii(s) && column + len <= LINE_BYTES && !strstr(s, "=?") && s[0] != ' ' &&
		(len == 0 || s[len - 1] != ' '))
		(void)buf_adds(b, s);
	else
		add_words(b, s, &column);
	(void)buf_adds(b, "\r\n");
}

/* The name of a mailbox: a quoted string, or encoded words. */
static void add_name(struct buf *b, const char *name, size_t *column)
{
	size_t before = b->len;

	if (!is_ascii(name) || strlen(name) > LINE_BYTES / 2 || strstr(name, "=?")) {
		CLEANUP_BUF struct buf clean = BUF_INIT(MIME_MAIL_BYTES);

		add_clean(&clean, name, "", " ");
		add_words(b, buf_str(&clean), column);
		return;
	}
	(void)buf_addc(b, '"');
	for (; *name; name++) {
		if (*name == '"' || *name == '\\')
			(void)buf_addc(b, '\\');
		(void)buf_addc(b, *name);
	}
	(void)buf_addc(b, '"');
	*column += b->len - before;
}

static void add_mailbox(struct buf *b, const struct mailbox *m, size_t *column)
{
	size_t before;

	if (m->name[0]) {
		add_name(b, m->name, column);
		(void)buf_adds(b, "\r\n ");
		*column = 1;
	}
	before = b->len;
	(void)buf_addf(b, m->name[0] ? "<%s>" : "%s", m->address);
	*column += b->len - before;
}

static void add_mailboxes(struct buf *b, const char *key, const struct mailbox *m, size_t n)
{
	size_t column = strlen(key) + 2;

	(void)buf_addf(b, "%s: ", key);
	for (size_t i = 0; i < n; i++) {
		if (i > 0) {
			(void)buf_adds(b, ",\r\n ");
			column = 1;
		}
		add_mailbox(b, &m[i], &column);
	}
	(void)buf_adds(b, "\r\n");
}

/* Of s what an id can have. */
static const char *id_part(const char *s, const char *others, char *out, size_t size)
{
	size_t n = 0;

	for (; *s && n + 1 < size; s++) {
		bool is_good = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
			       (*s >= '0' && *s <= '9') || strchr(others, *s);

		if (is_good)
			out[n++] = *s;
	}
	out[n] = '\0';
	return out;
}

static void add_ids(struct buf *b, const struct mime_mail *m)
{
	char id[ID_BYTES], host[HOST_BYTES], type[ID_BYTES];

	id_part(m->id, "", id, sizeof(id));
	id_part(m->host, "-.", host, sizeof(host));
	(void)buf_addf(b, "Message-ID: <%s.brickwatch@%s>\r\n", id,
		host[0] && host[0] != '.' && !strstr(host, "..") && !text_ends_with(host, ".") ? host
											       : "localhost");
	(void)buf_addf(b, "X-Brickwatch-Event: %s\r\n", id_part(m->type, "._-", type, sizeof(type)));
}

static void add_date(struct buf *b, int64_t time_us)
{
	static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[][4] = {
		"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	int64_t us = time_us < 0 ? 0 : time_us > LAST_TIME_US ? LAST_TIME_US : time_us;
	time_t s = (time_t)(us / US_PER_S);
	struct tm t;

	gmtime_r(&s, &t);
	(void)buf_addf(b, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[t.tm_wday], t.tm_mday,
		months[t.tm_mon], t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

/* ---- the text ---- */

/* May this byte of a line stand as it is? */
static bool is_plain(const char *line, size_t i, size_t len, bool is_first)
{
	unsigned char c = (unsigned char)line[i];

	if (c == ' ' || c == '\t')
		return i + 1 < len;
	if (is_first && (c == '.' || (len - i >= 5 && memcmp(line + i, "From ", 5) == 0)))
		return false;
	return c > 0x20 && c < 0x7f && c != '=';
}

static void add_line(struct buf *b, const char *line, size_t len)
{
	size_t column = 0;

	for (size_t i = 0; i < len; i++) {
		size_t room = i + 1 < len ? LINE_BYTES - 1 : LINE_BYTES; /* "=" takes one */
		bool plain = is_plain(line, i, len, column == 0);

		if (column + (plain ? 1 : 3) > room) {
			(void)buf_adds(b, "=\r\n");
			column = 0;
			plain = is_plain(line, i, len, true);
		}
		if (plain)
			(void)buf_addc(b, line[i]);
		else
			(void)buf_addf(b, "=%02X", (unsigned)(unsigned char)line[i]);
		column += plain ? 1 : 3;
	}
	(void)buf_adds(b, "\r\n");
}

static void add_text(struct buf *b, const char *text)
{
	CLEANUP_BUF struct buf clean = BUF_INIT(MIME_MAIL_BYTES);
	const char *line;

	add_clean(&clean, text, "\n\t", "\xef\xbf\xbd");
	if (clean.failed)
		b->failed = true;
	for (line = buf_str(&clean); *line;) {
		size_t len = strcspn(line, "\n");

		add_line(b, line, len);
		line += len;
		line += *line == '\n';
	}
}

int mime_compose(struct buf *b, const struct mime_mail *m, struct err *err)
{
	buf_reset(b);
	add_date(b, m->time_us);
	add_mailboxes(b, "From", &m->from, 1);
	add_mailboxes(b, "To", m->to, m->to_n);
	add_ids(b, m);
	add_subject(b, m->subject);
	(void)buf_adds(b, "MIME-Version: 1.0\r\n"
			  "Content-Type: text/plain; charset=utf-8\r\n"
			  "Content-Transfer-Encoding: quoted-printable\r\n"
			  "Auto-Submitted: auto-generated\r\n"
			  "X-Auto-Response-Suppress: All\r\n\r\n");
	add_text(b, m->text);
	if (!b->failed)
		return 0;
	return err_set(err, ERR_LIMIT, ENOBUFS, "a mail does not fit into %zu bytes", b->max);
}
