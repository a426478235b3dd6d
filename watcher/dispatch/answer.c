/*
 * The keys for code and message are two lists in order of trust; the first that is there wins. What is no
 * JSON object is taken as text. The message is copied raw, since it is compared with patterns before somebody
 * makes it fit to be shown; it is cut, since nobody needs more of it.
 */
#include "dispatch/answer.h"

#include <string.h>
#include <strings.h>
#include "base/json.h"
#include "base/mem.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_code_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '.' || c == '-';
}

static void set_code(struct answer *a, const char *text, size_t len)
{
	if (len == 0 || len >= sizeof(a->code))
		return;
	for (size_t i = 0; i < len; i++)
		if (!is_code_char(text[i]))
			return;
	memcpy(a->code, text, len);
	a->code[len] = '\0';
}

/* Runs of blanks and line ends become one blank; NULs too. */
static void set_message(struct answer *a, const char *text, size_t len)
{
	size_t n = 0;
	bool gap = false;

	for (size_t i = 0; i < len && n + 2 < sizeof(a->message); i++) {
		if (is_blank(text[i]) || text[i] == '\0') {
			gap = n > 0;
			continue;
		}
		if (gap)
			a->message[n++] = ' ';
		gap = false;
		a->message[n++] = text[i];
	}
	a->message[n] = '\0';
}

static const char *first_text(const struct json *o, const char *const *keys, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = json_get_text(o, keys[i]);

		if (text != NULL && text[0] != '\0')
			return text;
	}
	return NULL;
}

/* "details":[{"@type":"…ErrorInfo","reason":"…"},…]: only where there is no code beside it. */
static const char *reason_of_details(const struct json *details)
{
	const char *reason = NULL;

	for (const struct json *it = json_is_array(details) ? json_first(details) : NULL; it && !reason;
		it = json_next(it))
		reason = json_get_text(it, "reason");
	return reason;
}

static void read_object(const struct json *o, struct answer *a)
{
	static const char *const codes[] = {"error_code", "errorCode", "scimType", "code"};
	static const char *const messages[] = {
		"message", "error_description", "errorSummary", "detail", "error"};
	const struct json *inner = json_get(o, "error");

	if (json_is_object(inner))
		o = inner; /* as gateways write it */

	const char *code = first_text(o, codes, ARRAY_SIZE(codes));
	const char *message = first_text(o, messages, ARRAY_SIZE(messages));

	/* OAuth: "error" is the code when there is a description */
	if (code == NULL && json_get_text(o, "error_description") != NULL)
		code = json_get_text(o, "error");
	if (code == NULL)
		code = reason_of_details(json_get(o, "details"));
	if (code != NULL)
		set_code(a, code, strlen(code));
	if (message != NULL)
		set_message(a, message, strlen(message));
}

/* What stands between <name …> and the next "</", or NULL. */
static const char *find_element(const char *body, size_t len, const char *name, size_t *ret_len)
{
	const char *end = body + len;
	size_t name_len = strlen(name);

	for (const char *p = body; (p = memchr(p, '<', (size_t)(end - p))) != NULL; p++) {
		if ((size_t)(end - p) <= name_len + 1 || strncasecmp(p + 1, name, name_len) != 0 ||
			(p[name_len + 1] != '>' && !is_blank(p[name_len + 1])))
			continue;

		const char *from = memchr(p, '>', (size_t)(end - p));

		if (from == NULL)
			return NULL;
		from++;

		const char *to = memmem(from, (size_t)(end - from), "</", 2);

		*ret_len = (size_t)((to != NULL ? to : end) - from);
		return from;
	}
	return NULL;
}

static bool read_html(const char *body, size_t len, struct answer *a)
{
	static const char *const elements[] = {"pre", "title", "body"};

	if (len == 0 || body[0] != '<')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(elements) && a->message[0] == '\0'; i++) {
		size_t text_len;
		const char *text = find_element(body, len, elements[i], &text_len);

		if (text != NULL)
			set_message(a, text, text_len);
	}
	return a->message[0] != '\0';
}

/* "CODE: text" */
static bool read_plain_code(const char *body, size_t len, struct answer *a)
{
	size_t n = 0;

	while (n < len &&
		((body[n] >= 'A' && body[n] <= 'Z') || (body[n] >= '0' && body[n] <= '9') || body[n] == '_'))
		n++;
	if (n < 2 || n + 1 >= len || body[n] != ':' || !is_blank(body[n + 1]))
		return false;
	set_code(a, body, n);
	set_message(a, body + n + 1, len - n - 1);
	return true;
}

enum answer_form answer_form(const char *body, size_t len)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, NULL);

	if (root != NULL)
		return json_is_object(root) ? ANSWER_JSON : ANSWER_OTHER;
	while (len > 0 && is_blank(*body)) {
		body++;
		len--;
	}
	return len > 0 && *body == '<' ? ANSWER_HTML : ANSWER_OTHER;
}

void answer_read_run(const char *body, size_t len, struct answer *ret)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, NULL);
	int64_t id;

	*ret = (struct answer){.has_run_id = false};
	if (root == NULL || json_get_i64(root, "run_id", &id) < 0 || id <= 0)
		return;
	ret->has_run_id = true;
	ret->run_id = id;
}

void answer_read_error(const char *body, size_t len, struct answer *ret)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, NULL);

	*ret = (struct answer){.has_run_id = false};
	if (json_is_object(root)) {
		read_object(root, ret);
		return;
	}
	while (len > 0 && is_blank(*body)) {
		body++;
		len--;
	}
	if (!read_html(body, len, ret) && !read_plain_code(body, len, ret))
		set_message(ret, body, len);
}

/* A word in capitals, as states and codes are; anything else is left out. */
static void read_word(const struct json *o, const char *key, char out[ANSWER_WORD_BYTES])
{
	const char *text = json_get_text(o, key);

	if (text == NULL || strlen(text) >= ANSWER_WORD_BYTES ||
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != strlen(text))
		text = "";
	memcpy(out, text, strlen(text) + 1);
}

static void read_why(const struct json *o, const char *key, struct answer_state *ret)
{
	struct answer why = {.has_run_id = false};
	const char *text = json_get_text(o, key);

	if (text == NULL || text[0] == '\0' || ret->message[0] != '\0')
		return;
	set_message(&why, text, strlen(text));
	memcpy(ret->message, why.message, sizeof(ret->message));
}

void answer_read_state(const char *body, size_t len, struct answer_state *ret)
{
	CLEANUP_JSON struct json *root = json_parse(body, len, NULL);
	const struct json *status, *end, *state;
	int64_t id;

	*ret = (struct answer_state){.has_run_id = false};
	if (root == NULL || json_get_i64(root, "run_id", &id) < 0 || id <= 0)
		return;
	ret->has_run_id = true;
	ret->run_id = id;
	status = json_get(root, "status");
	state = json_get(root, "state");
	if (json_is_object(status)) {
		read_word(status, "state", ret->status);
		end = json_get(status, "termination_details");
		if (json_is_object(end)) {
			read_word(end, "code", ret->code);
			read_why(end, "message", ret);
		}
	}
	if (json_is_object(state)) {
		read_word(state, "life_cycle_state", ret->life_cycle);
		read_word(state, "result_state", ret->result);
		read_why(state, "state_message", ret);
	}
}
