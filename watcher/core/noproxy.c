/*
 * Done here and not by libcurl, whose answer depends on its version: networks came with 7.86, and IPv6
 * addresses were matched as texts before.
 */
#include "core/noproxy.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "base/num.h"
#include "base/text.h"

#define NAME_BYTES 256
#define SHOWN_BYTES 160

struct address {
	int family; /* AF_INET, AF_INET6 */
	unsigned char bytes[16];
};

/* Takes brackets off. false: neither kind of address. */
static bool parse_address(const char *s, size_t len, struct address *ret)
{
	char text[INET6_ADDRSTRLEN];

	if (len >= 2 && s[0] == '[' && s[len - 1] == ']') {
		s++;
		len -= 2;
	}
	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	ret->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	return inet_pton(ret->family, text, ret->bytes) == 1;
}

/* ADDRESS or ADDRESS/BITS. */
static bool parse_network(const char *s, struct address *ret, int64_t *ret_bits)
{
	size_t len = strcspn(s, "/");

	if (!parse_address(s, len, ret))
		return false;

	int64_t most = ret->family == AF_INET ? 32 : 128;

	*ret_bits = most;
	if (s[len] == '\0')
		return true;
	return isdigit((unsigned char)s[len + 1]) && num_parse_i64(s + len + 1, ret_bits) == 0 &&
	       *ret_bits <= most;
}

static bool is_within(const struct address *a, const struct address *network, int64_t bits)
{
	size_t whole = (size_t)bits / 8;
	unsigned rest = (unsigned)bits % 8;

	if (a->family != network->family || memcmp(a->bytes, network->bytes, whole) != 0)
		return false;
	return rest == 0 || ((a->bytes[whole] ^ network->bytes[whole]) >> (8 - rest)) == 0;
}

static bool is_name(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len >= NAME_BYTES || s[0] == '.' || strstr(s, "..") != NULL)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!((unsigned char)s[i] < 0x80 && isalnum((unsigned char)s[i])) && s[i] != '-' &&
			s[i] != '_' && s[i] != '.')
			return false;
	return true;
}

int noproxy_check(const char *entry, struct err *err)
{
	struct address a;
	int64_t bits;
	char shown[SHOWN_BYTES];

	if (strcmp(entry, "*") == 0 || parse_network(entry, &a, &bits) ||
		is_name(entry + (entry[0] == '.' ? 1 : 0)))
		return 0;
	text_printable(entry, strlen(entry), shown, sizeof(shown));
	if (text_starts_with(entry, "*."))
		return err_set(
			err, ERR_CONF, EINVAL, "\"%s\": write %s for all hosts beneath it", shown, shown + 1);
	if (strstr(entry, "://") != NULL)
		return err_set(
			err, ERR_CONF, EINVAL, "\"%s\": only the name of the host belongs here", shown);
	return err_set(err, ERR_CONF, EINVAL,
		"\"%s\" is no host: give a name, .NAME, an address, ADDRESS/BITS or * (without a port)",
		shown);
}

/* The host itself, or one beneath it. */
static bool is_beneath(const char *host, size_t len, const char *name)
{
	size_t n = strlen(name);

	if (n > 0 && name[n - 1] == '.')
		n--;
	if (len > 0 && host[len - 1] == '.')
		len--;
	return n > 0 && len >= n && strncasecmp(host + len - n, name, n) == 0 &&
	       (len == n || host[len - n - 1] == '.');
}

static bool entry_matches(const char *entry, const char *host, size_t len)
{
	struct address a, network;
	int64_t bits;

	if (strcmp(entry, "*") == 0)
		return true;
	if (parse_address(host, len, &a))
		return parse_network(entry, &network, &bits) && is_within(&a, &network, bits);
	return is_beneath(host, len, entry + (entry[0] == '.' ? 1 : 0));
}

bool noproxy_matches(const char *const *entries, size_t n, const char *authority, size_t len)
{
	const char *end = authority[0] == '[' ? memchr(authority, ']', len) : memchr(authority, ':', len);
	size_t host_len = end == NULL ? len : (size_t)(end - authority) + (*end == ']' ? 1 : 0);

	for (size_t i = 0; i < n; i++)
		if (entry_matches(entries[i], authority, host_len))
			return true;
	return false;
}
