/*
 * Fields are reached by offset, so that the table alone says where a value goes; a row's type says what lies
 * there. Everything is read into new memory first and put in its place only when the whole text was good.
 */
#include "core/conf_value.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"
#include "core/conf_host.h"
#include "core/conf_notify.h"
#include "core/noproxy.h"
#include "core/pathmap.h"

#define SHOWN_BYTES 160 /* of a value in an error message */
#define PATTERN_BYTES 1024
#define SETTLE_CLOSED_US INT64_C(1000000)
#define SETTLE_QUIET_US INT64_C(30000000)

static void *field(const struct conf_key *k, void *object)
{
	return (char *)object + k->offset;
}

static const void *const_field(const struct conf_key *k, const void *object)
{
	return (const char *)object + k->offset;
}

static bool is_string(enum conf_type type)
{
	switch (type) {
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_SECRET:
	case CONF_TYPE_PROXY:
	case CONF_TYPE_NOPROXY:
	case CONF_TYPE_NAME:
	case CONF_TYPE_CHOICE:
	case CONF_TYPE_ORIGIN:
	case CONF_TYPE_PATTERN:
	case CONF_TYPE_MIME:
	case CONF_TYPE_TEMPLATE:
		return true;
	case CONF_TYPE_HOST:
	case CONF_TYPE_WORD:
	case CONF_TYPE_FLAG:
	case CONF_TYPE_BOOL:
	case CONF_TYPE_COUNT:
	case CONF_TYPE_ID:
	case CONF_TYPE_BYTES:
	case CONF_TYPE_DURATION:
	case CONF_TYPE_RATE:
	case CONF_TYPE_SETTLE:
	case CONF_TYPE_PARAM:
	case CONF_TYPE_MAP:
		break;
	}
	return false;
}

/* ---- words ---- */

static int word_error(const struct conf_key *k, const char *text, struct err *err)
{
	struct buf b = BUF_INIT(512);
	char shown[SHOWN_BYTES];
	size_t n = 0;

	for (const char *const *w = k->words; *w; w++, n++) {
		if (**w)
			(void)buf_addf(&b, "%s%s", b.len ? ", " : "", *w);
	}
	text_printable(text, strlen(text), shown, sizeof(shown));
	const char *near = text_nearest(text, k->words, n);
	int r = near && *near ? err_set(err, ERR_CONF, EINVAL, "\"%s\" is none of %s; did you mean %s?",
					shown, buf_str(&b), near)
			      : err_set(err, ERR_CONF, EINVAL, "\"%s\" is none of %s", shown, buf_str(&b));
	buf_done(&b);
	return r;
}

static int parse_word(const struct conf_key *k, const char *text, int *ret, struct err *err)
{
	for (int i = 0; k->words[i]; i++) {
		if (*text && strcmp(k->words[i], text) == 0) {
			*ret = i;
			return 0;
		}
	}
	return word_error(k, text, err);
}

static int parse_flags(
	const struct conf_key *k, const struct conf_list *values, unsigned *ret, struct err *err)
{
	unsigned bits = 0;
	int bit = 0;

	for (size_t i = 0; i < values->n; i++) {
		int r = parse_word(k, values->items[i], &bit, err);

		if (r < 0)
			return r;
		bits |= 1u << bit;
	}
	*ret = bits;
	return 0;
}

/* ---- texts ---- */

static int parse_path(const char *text, char **ret, struct err *err)
{
	char *path;
	int r = fs_normalise(text, &path, err);

	if (r < 0)
		return r;
	if (strlen(path) > CONF_PATH_BYTES) {
		free(path);
		return err_set(err, ERR_CONF, EINVAL, "a path has at most %d bytes, this one has more",
			CONF_PATH_BYTES);
	}
	*ret = path;
	return 0;
}

/* Names of credentials as systemd.exec(5), LoadCredential=, has them: file names. */
static int parse_secret(const char *text, char **ret, struct err *err)
{
	const char *name = text + strlen("credential:");

	if (text[0] != '/' &&
		!text_starts_with(text, "credential:")) /* never quoted: it may be the secret itself */
		return err_set(err, ERR_CONF, EINVAL,
			"must be the absolute path of the file that holds the secret, or credential:NAME "
			"(the value is not shown "
			"here, in case it is the secret itself)");
	if (text[0] == '/')
		return parse_path(text, ret, err);
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		strlen(name) > 255 || !text_is_utf8(name, strlen(name)))
		return err_set(
			err, ERR_CONF, EINVAL, "credential:NAME needs the name of a systemd credential");
	*ret = mem_strdup(text);
	return 0;
}

static int parse_origin(const char *text, char **ret, struct err *err)
{
	char *token;
	int r = conf_host_parse(text, ret, &token, err);

	if (r == 0)
		free(token);
	return r;
}

/* Of a relay to the metadata service https:// is no way out: it is on this machine, whatever it speaks. */
static int parse_relay(const char *text, char **ret, struct err *err)
{
	CLEANUP_FREE char *secure =
		text_starts_with(text, "http://") ? mem_printf("https://%s", text + strlen("http://")) : NULL;
	CLEANUP_FREE char *address = NULL;
	int r = parse_origin(text, ret, err);

	if (r < 0 && secure && parse_origin(secure, &address, NULL) == 0)
		return err_set(err, ERR_CONF, EINVAL,
			"must be an address of this machine, such as http://127.0.0.1:40342; without the key "
			"the metadata service itself is asked");
	return r;
}

static int parse_string(const struct conf_key *k, const char *text, char **ret, struct err *err)
{
	char shown[SHOWN_BYTES];
	int word;

	if (k->type == CONF_TYPE_ORIGIN && strcmp(k->name, "azure_metadata_host") == 0)
		return parse_relay(text, ret, err);
	if (k->type == CONF_TYPE_ORIGIN)
		return parse_origin(text, ret, err);
	if (k->type == CONF_TYPE_PATH)
		return parse_path(text, ret, err);
	if (k->type == CONF_TYPE_SECRET)
		return parse_secret(text, ret, err);
	if (k->type == CONF_TYPE_PROXY)
		return conf_host_parse_proxy(text, ret, err);
	if (k->type == CONF_TYPE_NOPROXY && noproxy_check(text, err) < 0)
		return -EINVAL;
	if (k->type == CONF_TYPE_CHOICE && parse_word(k, text, &word, err) < 0)
		return -EINVAL;
	if (k->type == CONF_TYPE_NAME && !conf_schema_is_name(text))
		return err_set(err, ERR_CONF, EINVAL, "\"%s\" cannot be a name",
			text_printable(text, strlen(text), shown, sizeof(shown)));
	if (k->type == CONF_TYPE_PATTERN && strlen(text) > PATTERN_BYTES)
		return err_set(err, ERR_CONF, EINVAL, "a pattern has at most %d bytes", PATTERN_BYTES);
	if (k->type != CONF_TYPE_PATTERN && !text_is_utf8(text, strlen(text)))
		return err_set(err, ERR_CONF, EINVAL,
			"\"%s\" is not UTF-8; only paths and patterns may hold other bytes",
			k->flags & CONF_HIDDEN ? "..."
					       : text_printable(text, strlen(text), shown, sizeof(shown)));
	*ret = mem_strdup(text);
	return 0;
}

static int set_string(const struct conf_key *k, const char *text, char **field_text, struct err *err)
{
	char *made = NULL;
	int r = parse_string(k, text, &made, err);

	if (r < 0)
		return r;
	free(*field_text);
	*field_text = made;
	return 0;
}

static int add_strings(
	const struct conf_key *k, const struct conf_list *values, struct conf_list *l, struct err *err)
{
	struct conf_list made = {.n = 0};

	if (l->n + values->n > CONF_LIST_MAX)
		return err_set(err, ERR_CONF, EINVAL, "there are more than %d values", CONF_LIST_MAX);
	for (size_t i = 0; i < values->n; i++) {
		char *text = NULL;
		int r = parse_string(k, values->items[i], &text, err);

		if (r < 0 || !text) {
			conf_list_done(&made);
			return r;
		}
		conf_list_add(&made, text, strlen(text));
		free(text);
	}
	for (size_t i = 0; i < made.n; i++)
		conf_list_add(l, made.items[i], strlen(made.items[i]));
	conf_list_done(&made);
	return 0;
}

/* ---- quantities ---- */

static const char *unit_hint(enum conf_type type)
{
	if (type == CONF_TYPE_BYTES)
		return "a size, for instance 512, 64KiB, 5MB or 1GiB";
	if (type == CONF_TYPE_DURATION || type == CONF_TYPE_SETTLE)
		return "a duration, for instance 250ms, 10s, 5m, 24h or 7d";
	if (type == CONF_TYPE_RATE)
		return "a count per time, for instance 5/s or 10000/1h";
	return "a whole number";
}

static int parse_raw_number(enum conf_type type, const char *text, int64_t *ret)
{
	if (type == CONF_TYPE_BYTES)
		return num_parse_bytes(text, ret);
	if (type == CONF_TYPE_DURATION || type == CONF_TYPE_SETTLE)
		return num_parse_duration(text, ret);
	return num_parse_i64(text, ret);
}

static int range_error(const struct conf_key *k, const char *text, struct err *err)
{
	char shown[SHOWN_BYTES];

	return err_set(err, ERR_CONF, EINVAL, "\"%s\" is out of range; %s to %s is allowed%s",
		text_printable(text, strlen(text), shown, sizeof(shown)), k->min, k->max,
		k->flags & CONF_OFF ? ", or off" : "");
}

static int unit_error(const struct conf_key *k, const char *text, struct err *err)
{
	char shown[SHOWN_BYTES];

	return err_set(err, ERR_CONF, EINVAL, "\"%s\" is not %s%s",
		text_printable(text, strlen(text), shown, sizeof(shown)), unit_hint(k->type),
		k->flags & CONF_OFF ? ", and not off" : "");
}

static int parse_number(const struct conf_key *k, const char *text, int64_t *ret, struct err *err)
{
	int64_t value, min, max;

	if ((k->flags & CONF_OFF) && strcmp(text, "off") == 0) {
		*ret = 0;
		return 0;
	}
	int r = parse_raw_number(k->type, text, &value);
	if (r == -ERANGE)
		return range_error(k, text, err);
	if (r < 0)
		return unit_error(k, text, err);
	BUG_ON(parse_raw_number(k->type, k->min, &min) < 0 || parse_raw_number(k->type, k->max, &max) < 0);
	if (value < min || value > max)
		return range_error(k, text, err);
	*ret = value;
	return 0;
}

/* a <= b, as rates, without loss. */
static bool rate_le(const struct conf_rate *a, const struct conf_rate *b)
{
	return (__int128)a->count * b->per_us <= (__int128)b->count * a->per_us;
}

static int parse_rate(const struct conf_key *k, const char *text, struct conf_rate *ret, struct err *err)
{
	struct conf_rate rate, min, max;

	if ((k->flags & CONF_OFF) && strcmp(text, "off") == 0) {
		*ret = (struct conf_rate){.count = 0};
		return 0;
	}
	int r = num_parse_rate(text, &rate.count, &rate.per_us);
	if (r == -ERANGE)
		return range_error(k, text, err);
	if (r < 0)
		return unit_error(k, text, err);
	BUG_ON(num_parse_rate(k->min, &min.count, &min.per_us) < 0);
	BUG_ON(num_parse_rate(k->max, &max.count, &max.per_us) < 0);
	if (rate.count <= 0 || rate.per_us <= 0 || !rate_le(&min, &rate) || !rate_le(&rate, &max))
		return range_error(k, text, err);
	*ret = rate;
	return 0;
}

/* ---- values of one section only ---- */

static int set_host(const char *text, struct conf_workspace *ws, struct err *err)
{
	char *host, *token;
	int r = conf_host_parse(text, &host, &token, err);

	if (r < 0)
		return r;
	free(ws->host);
	free(ws->host_token);
	ws->host = host;
	ws->host_token = token;
	return 0;
}

static int set_settle(const struct conf_key *k, const char *text, struct conf_watch *w, struct err *err)
{
	int64_t us = 0;
	int r = parse_number(k, text, &us, err);

	if (r < 0)
		return r;
	w->settle_given = true;
	w->settle_closed_us = us;
	w->settle_quiet_us = us;
	return 0;
}

static int add_param(const char *key, const char *text, struct conf_watch *w, struct err *err)
{
	if (!text_is_utf8(text, strlen(text)))
		return err_set(err, ERR_CONF, EINVAL, "the value is not UTF-8");
	if (w->param.n >= CONF_LIST_MAX)
		return err_set(err, ERR_CONF, EINVAL, "there are more than %d parameters", CONF_LIST_MAX);
	w->param.items = mem_resize(w->param.items, w->param.n + 1, sizeof(*w->param.items));
	w->param.items[w->param.n].key = mem_strdup(key + strlen("param."));
	w->param.items[w->param.n].value = mem_strdup(text);
	w->param.n++;
	return 0;
}

static int add_map_rule(const char *text, struct conf_watch *w, struct err *err)
{
	struct conf_map_rule rule;

	if (w->path_map_none || (strcmp(text, "none") == 0 && w->path_map_n > 0))
		return err_set(err, ERR_CONF, EINVAL,
			"none says that there is no rule, and cannot stand beside one");
	if (strcmp(text, "none") == 0) {
		w->path_map_none = true;
		return 0;
	}
	if (w->path_map_n >= CONF_LIST_MAX)
		return err_set(err, ERR_CONF, EINVAL, "there are more than %d rules", CONF_LIST_MAX);
	int r = pathmap_parse(text, &rule.local, &rule.remote, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->path_map_n; i++) {
		if (strcmp(w->path_map[i].local, rule.local) == 0)
			r = err_set(err, ERR_CONF, EINVAL, "there is a rule for %s already", rule.local);
	}
	if (r < 0) {
		free(rule.local);
		free(rule.remote);
		return r;
	}
	w->path_map = mem_resize(w->path_map, w->path_map_n + 1, sizeof(*w->path_map));
	w->path_map[w->path_map_n++] = rule;
	return 0;
}

static void free_watch_lists(const struct conf_key *k, struct conf_watch *w)
{
	if (k->type == CONF_TYPE_MAP) {
		for (size_t i = 0; i < w->path_map_n; i++) {
			free(w->path_map[i].local);
			free(w->path_map[i].remote);
		}
		free(w->path_map);
		w->path_map = NULL;
		w->path_map_n = 0;
		return;
	}
	for (size_t i = 0; i < w->param.n; i++) {
		free(w->param.items[i].key);
		free(w->param.items[i].value);
	}
	free(w->param.items);
	w->param = (struct conf_pairs){.n = 0};
}

static int set_values(const struct conf_key *k, const char *key, const struct conf_list *values, void *object,
	struct err *err)
{
	const char *first = values->items[0];

	if (is_string(k->type))
		return k->flags & CONF_MULTI ? add_strings(k, values, field(k, object), err)
					     : set_string(k, first, field(k, object), err);
	switch (k->type) {
	case CONF_TYPE_HOST:
		return set_host(first, object, err);
	case CONF_TYPE_WORD:
		return parse_word(k, first, field(k, object), err);
	case CONF_TYPE_FLAG: {
		unsigned bits, *all = field(k, object);
		int r = parse_flags(k, values, &bits, err);

		if (r == 0)
			*all |= bits;
		return r;
	}
	case CONF_TYPE_BOOL:
		if (num_parse_bool(first, field(k, object)) < 0)
			return err_set(err, ERR_CONF, EINVAL, "yes or no is wanted here");
		return 0;
	case CONF_TYPE_COUNT:
	case CONF_TYPE_ID:
	case CONF_TYPE_BYTES:
	case CONF_TYPE_DURATION:
		return parse_number(k, first, field(k, object), err);
	case CONF_TYPE_RATE:
		return parse_rate(k, first, field(k, object), err);
	case CONF_TYPE_SETTLE:
		return set_settle(k, first, object, err);
	case CONF_TYPE_PARAM:
		return add_param(key, first, object, err);
	case CONF_TYPE_MAP:
		return add_map_rule(first, object, err);
	case CONF_TYPE_TEXT:
	case CONF_TYPE_PATH:
	case CONF_TYPE_SECRET:
	case CONF_TYPE_PROXY:
	case CONF_TYPE_NOPROXY:
	case CONF_TYPE_NAME:
	case CONF_TYPE_CHOICE:
	case CONF_TYPE_ORIGIN:
	case CONF_TYPE_PATTERN:
	case CONF_TYPE_MIME:
	case CONF_TYPE_TEMPLATE:
		break;
	}
	BUG_ON("a type without a reader");
	return -EINVAL;
}

/* ---- quotes and commas ---- */

/* Is this the inside of "a", "b"? A double quote elsewhere is a character like any other. */
static bool is_several(const char *s, size_t len)
{
	char last = '\0'; /* the last character but blanks */

	for (size_t i = 0; i < len; i++) {
		if ((last == '"' && s[i] == ',') || (last == ',' && s[i] == '"'))
			return true;
		if (s[i] != ' ' && s[i] != '\t')
			last = s[i];
	}
	return false;
}

static int split_quoted(const struct conf_key *k, const char *raw, struct conf_list *ret, struct err *err)
{
	size_t len = strlen(raw);

	if (len < 2 || raw[len - 1] != '"')
		return err_set(err, ERR_CONF, EINVAL,
			"the value begins with a double quote but does not end with one");
	/* of a text of several values one is a line of it */
	if (len == 2 && k->type != CONF_TYPE_TEMPLATE && k->type != CONF_TYPE_PARAM &&
		!(k->type == CONF_TYPE_TEXT && k->flags == CONF_MULTI))
		return err_set(err, ERR_CONF, EINVAL, "the value is empty");
	if ((k->flags & CONF_COMMA) && is_several(raw + 1, len - 2))
		return err_set(err, ERR_CONF, EINVAL, "a value in double quotes needs a line of its own");
	conf_list_add(ret, raw + 1, len - 2);
	return 0;
}

static int split_commas(const char *raw, struct conf_list *ret, struct err *err)
{
	for (const char *p = raw;; p++) {
		p += strspn(p, " \t");
		size_t len = strcspn(p, ",");
		const char *end = p + len;

		while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t'))
			len--;
		if (len == 0)
			return err_set(err, ERR_CONF, EINVAL, "there is a comma with nothing beside it");
		if (*p == '"')
			return err_set(
				err, ERR_CONF, EINVAL, "a value in double quotes needs a line of its own");
		if (ret->n >= CONF_LIST_MAX)
			return err_set(err, ERR_CONF, EINVAL, "there are more than %d values", CONF_LIST_MAX);
		conf_list_add(ret, p, len);
		if (!*end)
			return 0;
		p = end;
	}
}

void conf_err_name_key(struct err *err, const char *key)
{
	if (!text_starts_with(err->text, key))
		err_prefix(err, "%s", key);
}

void conf_list_add(struct conf_list *l, const char *text, size_t len)
{
	l->items = mem_resize(l->items, l->n + 1, sizeof(*l->items));
	l->items[l->n++] = mem_strndup(text, len);
}

void conf_list_done(struct conf_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i]);
	free(l->items);
	*l = (struct conf_list){.n = 0};
}

int conf_value_split(const struct conf_key *k, const char *raw, struct conf_list *ret, struct err *err)
{
	struct conf_list values = {.n = 0};
	int r = 0;

	if (raw[0] == '\0')
		r = err_set(err, ERR_CONF, EINVAL, "the value is empty");
	else if (raw[0] == '"')
		r = split_quoted(k, raw, &values, err);
	else if (k->flags & CONF_COMMA)
		r = split_commas(raw, &values, err);
	else
		conf_list_add(&values, raw, strlen(raw));
	if (r < 0) {
		conf_list_done(&values);
		return r;
	}
	*ret = values;
	return 0;
}

int conf_value_set(const struct conf_key *k, const char *key, const char *raw, void *object, struct err *err)
{
	struct conf_list values;
	int r = conf_value_split(k, raw, &values, err);

	if (r < 0)
		return r;
	r = set_values(k, key, &values, object, err);
	conf_list_done(&values);
	return r;
}

void conf_value_set_default(const struct conf_key *k, void *object)
{
	struct conf_watch *w = object;

	if (k->type == CONF_TYPE_SETTLE) {
		w->settle_closed_us = SETTLE_CLOSED_US;
		w->settle_quiet_us = SETTLE_QUIET_US;
	}
	if (k->def)
		BUG_ON(conf_value_set(k, k->name, k->def, object, NULL) < 0);
}

static bool format_number(const struct conf_key *k, int64_t value, struct buf *b)
{
	char text[NUM_TEXT_BYTES];

	if (value == 0 && (k->flags & CONF_OFF)) {
		(void)buf_adds(b, "off");
		return true;
	}
	if (value == 0 && !k->def && k->type != CONF_TYPE_SETTLE)
		return false;
	if (k->type == CONF_TYPE_BYTES)
		(void)buf_adds(b, num_format_bytes(value, text));
	else if (k->type == CONF_TYPE_DURATION || k->type == CONF_TYPE_SETTLE)
		(void)buf_adds(b, num_format_duration(value, text));
	else
		(void)buf_addf(b, "%lld", (long long)value);
	return true;
}

static bool format_rate(const struct conf_key *k, const struct conf_rate *rate, struct buf *b)
{
	char text[NUM_TEXT_BYTES * 2];

	if (rate->count == 0 && !(k->flags & CONF_OFF))
		return false;
	(void)buf_adds(b, rate->count == 0 ? "off" : num_format_rate(rate->count, rate->per_us, text));
	return true;
}

static bool format_text(const char *text, struct buf *b)
{
	if (text)
		(void)buf_adds(b, text);
	return text != NULL;
}

bool conf_value_format(const struct conf_key *k, const void *object, struct buf *b)
{
	const struct conf_watch *w = object;

	BUG_ON((k->flags & CONF_MULTI) || k->type == CONF_TYPE_PARAM);
	if (is_string(k->type) || k->type == CONF_TYPE_HOST)
		return format_text(*(char *const *)const_field(k, object), b);
	if (k->type == CONF_TYPE_WORD) {
		const char *word = k->words[*(const int *)const_field(k, object)];

		return format_text(*word ? word : NULL, b);
	}
	if (k->type == CONF_TYPE_BOOL)
		return format_text(*(const bool *)const_field(k, object) ? "yes" : "no", b);
	if (k->type == CONF_TYPE_RATE)
		return format_rate(k, const_field(k, object), b);
	if (k->type == CONF_TYPE_SETTLE)
		return w->settle_given && format_number(k, w->settle_closed_us, b);
	return format_number(k, *(const int64_t *)const_field(k, object), b);
}

void conf_value_add_canonical(const struct conf_key *k, const char *value, struct buf *b)
{
	char *text = NULL, *remote = NULL;

	if (k->type == CONF_TYPE_MAP && pathmap_parse(value, &text, &remote, NULL) == 0)
		(void)buf_addf(b, "%s => %s", text, remote);
	else if ((k->type == CONF_TYPE_PATH || k->type == CONF_TYPE_SECRET || k->type == CONF_TYPE_PROXY) &&
		 parse_string(k, value, &text, NULL) == 0)
		(void)buf_adds(b, text);
	else
		(void)buf_adds(b, value);
	free(text);
	free(remote);
}

bool conf_value_add_shown(const struct conf_key *k, const char *value, struct buf *b)
{
	const char *colon = strchr(value, ':');

	if (!(k->flags & CONF_HIDDEN)) {
		(void)buf_adds(b, value);
		return true;
	}
	if (k->flags & CONF_MULTI) { /* webhook_header */
		(void)buf_addf(b, "%.*s: ...", colon ? (int)(colon - value) : 0, value);
		return false;
	}
	if (strcmp(k->name, "webhook") != 0) {
		(void)buf_adds(b, "...");
		return false;
	}
	if (!conf_notify_is_file(value))
		(void)buf_adds(b, text_starts_with(value, "http://") ? "http://" : "https://");
	conf_notify_add_place(value, b);
	if (!conf_notify_is_file(value))
		(void)buf_adds(b, "/...");
	return conf_notify_is_file(value);
}

void conf_value_done(const struct conf_key *k, void *object)
{
	if (k->type == CONF_TYPE_PARAM || k->type == CONF_TYPE_MAP) {
		free_watch_lists(k, object);
		return;
	}
	if (k->type == CONF_TYPE_HOST) {
		struct conf_workspace *ws = object;

		free(ws->host_token);
		ws->host_token = NULL;
	}
	if (is_string(k->type) && (k->flags & CONF_MULTI)) {
		conf_list_done(field(k, object));
	} else if (is_string(k->type) || k->type == CONF_TYPE_HOST) {
		char **text = field(k, object);

		free(*text);
		*text = NULL;
	}
}
