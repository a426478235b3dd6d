/*
 * mailbox: what is taken is less than RFC 5322 allows (no comments, no quoted local part, no groups): the
 * rest is only ever written by mistake, and every character more is one that a server may take for something
 * else.
 */
#include "core/mailbox.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/text.h"

#define LOCAL_MAX 64
#define DOMAIN_MAX 253
#define LABEL_MAX 63
#define SHOWN_BYTES 160

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_ascii(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s > 0x7e || (unsigned char)*s < 0x20)
			return false;
	return true;
}

/* Atoms with dots between them. */
static bool is_local_part(const char *s, size_t len)
{
	if (len == 0 || len > LOCAL_MAX || s[0] == '.' || s[len - 1] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (s[i] == '.' && s[i - 1] == '.')
			return false;
		if (!is_letter_or_digit(s[i]) && !strchr("!#$%&'*+-/=?^_`{|}~.", s[i]))
			return false;
	}
	return true;
}

static bool is_literal(const char *s)
{
	char host[64];
	struct in6_addr address;
	size_t len = strlen(s);

	if (len < 3 || s[0] != '[' || s[len - 1] != ']' || len - 2 >= sizeof(host))
		return false;
	memcpy(host, s + 1, len - 2);
	host[len - 2] = '\0';
	return inet_pton(AF_INET, host, &address) == 1 ||
	       (strncasecmp(host, "IPv6:", 5) == 0 && inet_pton(AF_INET6, host + 5, &address) == 1);
}

static bool is_label(const char *s, size_t len)
{
	if (len == 0 || len > LABEL_MAX || s[0] == '-' || s[len - 1] == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_letter_or_digit(s[i]) && s[i] != '-')
			return false;
	return true;
}

static bool is_domain(const char *s)
{
	if (is_literal(s))
		return true;
	if (strlen(s) > DOMAIN_MAX)
		return false;
	for (;;) {
		size_t len = strcspn(s, ".");

		if (!is_label(s, len))
			return false;
		if (s[len] == '\0')
			return true;
		s += len + 1;
	}
}

static int wrong(const char *text, const char *why, struct err *err)
{
	char shown[SHOWN_BYTES];

	text_printable(text, strlen(text), shown, sizeof(shown));
	return err_set(err, ERR_CONF, EINVAL, "\"%s\" %s", shown, why);
}

static int check_address(const char *text, const char *address, struct err *err)
{
	const char *at = strrchr(address, '@');

	if (!is_ascii(address))
		return wrong(text,
			"is an address with characters that are not ASCII, which few mail servers take: "
			"write its domain as xn--…, or use another address",
			err);
	if (at == NULL || strlen(address) >= MAILBOX_ADDRESS_BYTES ||
		!is_local_part(address, (size_t)(at - address)) || !is_domain(at + 1))
		return wrong(
			text, "is not an address like ops@example.com or Night shift <ops@example.com>", err);
	return 0;
}

/* Without the quotation marks around it, and the backslashes in it. */
static int take_name(const char *text, const char *s, size_t len, char *out, struct err *err)
{
	bool quoted = len >= 2 && s[0] == '"' && s[len - 1] == '"';
	size_t n = 0;

	if (!text_is_utf8(s, len))
		return wrong(text, "has a name that is not UTF-8", err);
	for (size_t i = quoted; i < len - quoted; i++) {
		if (quoted && s[i] == '\\' && i + 1 < len - 1)
			i++;
		else if (s[i] == '"' || (!quoted && (s[i] == '<' || s[i] == '>')))
			return wrong(text,
				"has a name with \", < or > in it: put the name into \"…\", and \\ before a "
				"\"",
				err);
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			return wrong(text, "has a control character in its name", err);
		if (n + 1 >= MAILBOX_NAME_BYTES)
			return wrong(text, "has a name that is too long", err);
		out[n++] = s[i];
	}
	out[n] = '\0';
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int mailbox_parse(const char *text, struct mailbox *ret, struct err *err)
{
	struct mailbox m = {.name = ""};
	size_t len = strlen(text), name_len;
	const char *open = strrchr(text, '<');
	CLEANUP_FREE char *address = NULL;
	int r;

	if (len == 0 || text[len - 1] != '>' || open == NULL) {
		address = mem_strdup(text);
		name_len = 0;
	} else {
		address = mem_strndup(open + 1, len - (size_t)(open - text) - 2);
		name_len = (size_t)(open - text);
	}
	r = check_address(text, address, err);
	while (name_len > 0 && is_blank(text[name_len - 1]))
		name_len--;
	if (r == 0 && name_len > 0)
		r = take_name(text, text, name_len, m.name, err);
	if (r < 0)
		return r;
	memcpy(m.address, address, strlen(address) + 1);
	*ret = m;
	return 0;
}
