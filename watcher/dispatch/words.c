/*
 * A body that explains itself wins over the head, and a redirect over both: where it leads is what helps. The
 * message may have been cut, so the beginning of a credential at its end counts as the credential.
 */
#include "dispatch/words.h"

#include <stdio.h>
#include <string.h>

#define LOCATION_SHOWN_BYTES 300
#define BLOT_FROM_BYTES 8
#define BLOT_COMPARED_BYTES 16
#define PRIVATE_LINK "private-link-validation-error"

static void set_message(struct answer *a, const char *text, size_t len)
{
	if (len >= sizeof(a->message))
		len = sizeof(a->message) - 1;
	memcpy(a->message, text, len);
	a->message[len] = '\0';
}

/* The words for an answer that has none of its own. */
static void explain_by_head(const struct http_response *r, struct answer *a)
{
	size_t len;
	const char *text = http_header_get(r, "X-Databricks-Reason-Phrase", &len);

	if (text == NULL || len == 0)
		text = http_reason_get(r, &len);
	set_message(a, text, len);
}

static void explain_redirect(const struct http_response *r, struct answer *a)
{
	size_t len = 0;
	const char *to = http_header_get(r, "Location", &len);
	bool private_link = to != NULL && memmem(to, len, PRIVATE_LINK, strlen(PRIVATE_LINK)) != NULL;
	const char *why = private_link ? "the workspace takes requests from its private network only "
					 "(private link), and this host is not in it"
				       : "redirects are not followed";

	if (len > LOCATION_SHOWN_BYTES)
		len = LOCATION_SHOWN_BYTES;
	snprintf(a->message, sizeof(a->message), "%s (HTTP %d to %.*s)", why, r->status, (int)len,
		to != NULL ? to : "");
	if (private_link)
		snprintf(a->code, sizeof(a->code), PRIVATE_LINK);
}

void words_read(const struct http_response *r, struct answer *ret)
{
	*ret = (struct answer){.has_run_id = false};
	if (r->status >= 300 && r->status <= 399) {
		explain_redirect(r, ret);
		return;
	}
	answer_read_error(r->body, r->body_len, ret);
	if (ret->message[0] == '\0')
		explain_by_head(r, ret);
	if (ret->message[0] == '\0')
		snprintf(ret->message, sizeof(ret->message), "HTTP %d", r->status);
}

/* What stands at p is overwritten: all of it that is the credential, and the rest of the word. */
static char *blot_word(char *p, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len && *p == bytes[i]; i++)
		*p++ = '*';
	while ((unsigned char)*p > ' ' && *p != '"' && *p != '<')
		*p++ = '*';
	return p;
}

void words_blot(char *message, const char *bytes, size_t len)
{
	size_t compared = len < BLOT_COMPARED_BYTES ? len : BLOT_COMPARED_BYTES;

	if (len < BLOT_FROM_BYTES)
		return;
	for (char *p = message; (p = memmem(p, strlen(p), bytes, compared)) != NULL;)
		p = blot_word(p, bytes, len);
}

void words_blot_header(char *message, const struct secret *line)
{
	const char *word = line != NULL ? strrchr(secret_bytes(line), ' ') : NULL;

	if (word != NULL)
		words_blot(message, word + 1, strlen(word + 1));
}
