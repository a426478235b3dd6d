/*
 * consumers: facts only; what of them is a degradation decides who asks.
 */
#include "dispatch/consumers.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/secret.h"
#include "core/conf_notify.h"
#include "dispatch/secretfile.h"

static void add_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	char text[CLOCK_TEXT_BYTES];

	json_add_string(w, key, wall_us > 0 ? clock_format_us(wall_us, 6, text) : NULL);
}

bool consumers_add_json(const struct couriers *c, size_t i, struct json_writer *w)
{
	int64_t now_us = clock_mono_us();
	struct courier_view v;

	if (!couriers_view(c, i, &v))
		return false;
	json_begin_object(w, NULL);
	json_add_string(w, "kind", "consumer");
	json_add_string(w, "consumer", v.name);
	json_add_string(w, "way", v.way);
	json_add_string(w, "place", v.place);
	json_add_string(w, "state", v.fails_since_us > 0 ? "failing" : "ok");
	json_add_i64(w, "waiting", v.waiting);
	add_time(w, "oldest", v.oldest_us);
	json_add_i64(w, "delivered", v.delivered);
	add_time(w, "last_delivery", v.delivered_us);
	json_add_i64(w, "dropped", v.dropped);
	json_add_i64(w, "failed_attempts", v.attempts);
	json_add_i64(w, "fails_ms", v.fails_since_us > 0 ? (now_us - v.fails_since_us) / US_PER_MS : 0);
	json_add_i64(w, "next_try_ms", v.until_us > now_us ? (v.until_us - now_us) / US_PER_MS : 0);
	json_add_string(w, "detail", v.why);
	json_end_object(w);
	return true;
}

static int look(const struct conf_notify *n, const char *key, const char *file, enum secretfile_form form,
	uid_t service, struct err *err)
{
	CLEANUP_SECRET struct secret *s = secret_new(SECRETFILE_ROOM_BYTES);
	struct err found = ERR_INIT;
	int rc = file ? secretfile_look_into(file, form, service, s, &found) : 0;

	if (rc > 0 && form == SECRETFILE_WORD)
		rc = conf_notify_check_url(secret_bytes(s), &found);
	if (found.class != ERR_NONE)
		(void)err_prefix(&found, "[notify:%s]: %s", n->name, key);
	if (rc < 0 || (found.class != ERR_NONE && err->class == ERR_NONE))
		*err = found;
	return rc < 0 ? rc : 0;
}

int consumers_look(const struct conf_notify *n, uid_t service, struct err *err)
{
	bool in_file = n->webhook && conf_notify_is_file(n->webhook);
	int rc = look(n, "webhook", in_file ? n->webhook : NULL, SECRETFILE_WORD, service, err);

	if (rc == 0)
		rc = look(n, "webhook_secret_file", n->webhook_secret_file, SECRETFILE_LINE, service, err);
	if (rc == 0)
		rc = look(n, "smtp_password_file", n->smtp_password_file, SECRETFILE_LINE, service, err);
	return rc;
}
