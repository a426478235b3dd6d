/*
 * A fixed time is counted in, not a bucket that fills: what people want to know is "how many mails can this
 * make in an hour?", and the answer is read off the key.
 */
#include "core/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "base/text.h"
#include "core/glob.h"

#define NEVER_TOLD "notify." /* else an event about a consumer that fails would be one more for it */

bool notice_wants(const struct conf_notify *n, const char *type, const char *watch)
{
	if (text_starts_with(type, NEVER_TOLD))
		return false;
	if (n->watch && (!watch || strcmp(n->watch, watch) != 0))
		return false;
	for (size_t i = 0; i < n->on.n; i++)
		if (glob_match(n->on.items[i], type, false))
			return true;
	return false;
}

bool notice_is_pattern_of_use(const char *pattern, const char **ret_near)
{
	size_t n;
	const char *const *names = event_type_names(&n);

	for (size_t i = 0; i < n; i++)
		if (!text_starts_with(names[i], NEVER_TOLD) && glob_match(pattern, names[i], false))
			return true;
	if (ret_near)
		*ret_near = text_nearest(pattern, names, n);
	return false;
}

/* ---- how many at once ---- */

static bool is_over(const struct notice_pace *p, const struct conf_rate *digest, int64_t now_us)
{
	return p->from_us == 0 || now_us - p->from_us >= digest->per_us;
}

enum notice_step notice_next(const struct notice_pace *p, const struct conf_rate *digest, int64_t waiting,
	int64_t now_us, int64_t *ret_until_us)
{
	bool anew = is_over(p, digest, now_us);
	int64_t left = anew ? digest->count : digest->count - p->sent;

	if (digest->count == 0) /* off */
		return NOTICE_ONE;
	if (anew || (left > 0 && !p->gathering))
		return waiting <= left ? NOTICE_ONE : NOTICE_MANY;
	*ret_until_us = p->from_us + digest->per_us;
	return NOTICE_WAIT;
}

void notice_note(struct notice_pace *p, const struct conf_rate *digest, enum notice_step step,
	int64_t waiting, int64_t now_us)
{
	if (is_over(p, digest, now_us))
		*p = (struct notice_pace){.from_us = now_us};
	/* one that is as large as can be has left some behind, which are not to wait */
	if (step == NOTICE_MANY && waiting > NOTICE_DIGEST_MAX)
		return;
	p->sent++;
	p->gathering |= step == NOTICE_MANY;
}

/* ---- when it is given up ---- */

bool notice_late_before(int64_t retry_for_us, int64_t fails_us, int64_t now_wall_us, int64_t *ret_made_us)
{
	int64_t grace_us = retry_for_us < NOTICE_GRACE_US ? retry_for_us : NOTICE_GRACE_US;

	if (fails_us < grace_us)
		return false;
	*ret_made_us = now_wall_us - retry_for_us;
	return true;
}

/* ---- digests ---- */

void notice_digest_id(const char *first_id, const char *last_id, char out[EVENT_ID_BYTES])
{
	CLEANUP_FREE char *text = mem_printf("digest %s %s", first_id, last_id);
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256(text, strlen(text), digest);
	sha256_hex(digest, hex);
	memcpy(out, hex, EVENT_ID_BYTES - 1);
	out[EVENT_ID_BYTES - 1] = '\0';
}

const char *notice_digest_watch(const struct notice_digest *d)
{
	if (d->groups_n == 0 || d->others > 0)
		return NULL;
	for (size_t i = 1; i < d->groups_n; i++)
		if (strcmp(d->groups[i].watch, d->groups[0].watch) != 0)
			return NULL;
	return d->groups[0].watch[0] ? d->groups[0].watch : NULL;
}

/* "10000 events: 9990 start.failed of orders, 10 watch.lost of billing" */
static void add_summary(const struct notice_digest *d, struct buf *b)
{
	(void)buf_addf(b, "%" PRId64 " event%s", d->events, d->events == 1 ? "" : "s");
	for (size_t i = 0; i < d->groups_n; i++)
		(void)buf_addf(b, "%s%" PRId64 " %s%s%s", i == 0 ? ": " : ", ", d->groups[i].events,
			d->groups[i].type, d->groups[i].watch[0] ? " of " : "", d->groups[i].watch);
	if (d->others > 0)
		(void)buf_addf(b, ", %" PRId64 " others", d->others);
}

static void write_groups(struct json_writer *w, const struct notice_digest *d)
{
	json_begin_array(w, "counts");
	for (size_t i = 0; i < d->groups_n; i++) {
		json_begin_object(w, NULL);
		json_add_string(w, "type", d->groups[i].type);
		json_add_string(w, "watch", d->groups[i].watch[0] ? d->groups[i].watch : NULL);
		json_add_i64(w, "events", d->groups[i].events);
		json_end_object(w);
	}
	json_end_array(w);
}

int notice_digest_line(const struct notice_digest *d, struct buf *b, struct err *err)
{
	struct json_writer w = JSON_WRITER(b);
	CLEANUP_BUF struct buf summary = BUF_INIT(NOTICE_TEXT_BYTES);
	char time[CLOCK_TEXT_BYTES], id[EVENT_ID_BYTES];

	buf_reset(b);
	add_summary(d, &summary);
	notice_digest_id(d->first_id, d->last_id, id);
	json_begin_object(&w, NULL);
	json_add_string(&w, "time", clock_format_us(d->last_us, 6, time));
	json_add_string(&w, "type", NOTICE_DIGEST);
	json_add_string(&w, "id", id);
	json_add_string(&w, "host", d->host);
	json_add_string(&w, "watch", notice_digest_watch(d));
	json_add_string(&w, "consumer", d->consumer);
	json_add_string(&w, "detail", buf_str(&summary));
	json_add_i64(&w, "events", d->events);
	json_add_string(&w, "first_time", clock_format_us(d->first_us, 6, time));
	json_add_string(&w, "last_time", clock_format_us(d->last_us, 6, time));
	json_add_string(&w, "first_id", d->first_id);
	json_add_string(&w, "last_id", d->last_id);
	write_groups(&w, d);
	json_add_i64(&w, "others", d->others);
	json_begin_array(&w, "paths");
	for (size_t i = 0; i < d->paths_n; i++)
		json_add_string(&w, NULL, d->paths[i]);
	json_end_array(&w);
	json_end_object(&w);
	return b->failed ? err_set(err, ERR_LIMIT, ENOBUFS, "a digest does not fit") : 0;
}

int notice_digest_text(const struct notice_digest *d, struct buf *b, struct err *err)
{
	char first[CLOCK_TEXT_BYTES], last[CLOCK_TEXT_BYTES];

	buf_reset(b);
	(void)buf_addf(b, "%" PRId64 " events of %s from %s to %s:\n\n", d->events, d->host,
		clock_format_us(d->first_us, 0, first), clock_format_us(d->last_us, 0, last));
	for (size_t i = 0; i < d->groups_n; i++)
		(void)buf_addf(b, "%8" PRId64 "  %s%s%s\n", d->groups[i].events, d->groups[i].type,
			d->groups[i].watch[0] ? " of watch " : "", d->groups[i].watch);
	if (d->others > 0)
		(void)buf_addf(b, "%8" PRId64 "  others\n", d->others);
	if (d->paths_n > 0)
		(void)buf_adds(b, "\nThe first files:\n");
	for (size_t i = 0; i < d->paths_n; i++) {
		(void)buf_adds(b, "  ");
		(void)text_add_printable(b, d->paths[i], strlen(d->paths[i]));
		(void)buf_addc(b, '\n');
	}
	(void)buf_addf(
		b, "\nAll of them are in the event log, from id %s to id %s.\n", d->first_id, d->last_id);
	return b->failed ? err_set(err, ERR_LIMIT, ENOBUFS, "a digest does not fit") : 0;
}
