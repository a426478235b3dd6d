/*
 * Written by hand and strict: the text becomes part of the idempotency token, so two spellings of one host
 * must not make two tokens, and http:// must not slip through for anything but the machine itself
 * ("127.evil.example", "localhost.example", "127.1" are not loopback).
 */
#include "core/conf_host.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

#define NAME_MAX_BYTES 253 /* of a host name, RFC 1035 section 2.3.4 without the last dot */
#define LABEL_MAX_BYTES 63
#define PORT_HTTP 80
#define PORT_HTTPS 443

struct address {
	bool tls;
	char name[NAME_MAX_BYTES + 1]; /* lower case; IPv6 in brackets */
	bool loopback;
	int port;
};

static int fail(struct err *err, const char *why)
{
	return err_set(err, ERR_CONF, EINVAL, "%s", why);
}

static int check_rest(const char *rest, bool proxy, struct err *err)
{
	if (strchr(rest, '@'))
		return fail(err, proxy ? "no user name or password belongs here; see proxy_username and "
					 "proxy_password_file"
				       : "no user name or password belongs here; credentials stand in files");
	if (rest[strspn(rest, "/")] == '\0') /* slashes at the end mean nothing */
		return 0;
	return fail(err, "only scheme, name and port belong here; cut off what comes behind");
}

static int parse_scheme(const char **text, bool proxy, bool *ret_tls, struct err *err)
{
	char shown[200];

	if (strncasecmp(*text, "https://", 8) == 0) {
		*text += 8;
		*ret_tls = true;
		return 0;
	}
	if (strncasecmp(*text, "http://", 7) == 0) {
		*text += 7;
		*ret_tls = false;
		return 0;
	}
	if (strstr(*text, "://"))
		return fail(err, proxy ? "a proxy begins with http:// or https://; others are not supported"
				       : "only https:// is spoken here");
	if (strchr(*text, '@')) /* may be a password: not shown */
		return check_rest(*text, proxy, err);
	return err_set(err, ERR_CONF, EINVAL, "there is no scheme; write %s%s",
		proxy ? "http://" : "https://", text_printable(*text, strlen(*text), shown, sizeof(shown)));
}

static int check_label(const char *s, size_t len)
{
	if (len == 0 || len > LABEL_MAX_BYTES || s[0] == '-' || s[len - 1] == '-')
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!(c < 0x80 && isalnum(c)) && c != '-' && c != '_')
			return -EINVAL;
	}
	return 0;
}

static int parse_ip6(const char *s, size_t len, struct address *a, struct err *err)
{
	char text[INET6_ADDRSTRLEN] = "";
	struct in6_addr ip;

	if (len < sizeof(text))
		memcpy(text, s, len);
	if (len >= sizeof(text) || inet_pton(AF_INET6, text, &ip) != 1)
		return fail(err, "what stands in brackets is not an IPv6 address");
	if (!inet_ntop(AF_INET6, &ip, text, sizeof(text)))
		return fail(err, "what stands in brackets is not an IPv6 address");
	a->name[0] = '[';
	memcpy(a->name + 1, text, strlen(text));
	memcpy(a->name + 1 + strlen(text), "]", 2);
	a->loopback = IN6_IS_ADDR_LOOPBACK(&ip);
	return 0;
}

/* A name whose last label is all digits is an IPv4 address to every resolver, in one of many spellings: only
 * one is taken. */
static int parse_ip4(struct address *a, struct err *err)
{
	struct in_addr ip;

	if (inet_pton(AF_INET, a->name, &ip) != 1)
		return fail(err, "this is neither a host name nor an IPv4 address of four numbers");
	if (!inet_ntop(AF_INET, &ip, a->name, sizeof(a->name)))
		return fail(err, "this is not an IPv4 address");
	a->loopback = ntohl(ip.s_addr) >> 24 == 127;
	return 0;
}

static int parse_name(const char *s, size_t len, struct address *a, struct err *err)
{
	size_t start = 0, last = 0;

	if (len == 0)
		return fail(err, "the name of the host is missing");
	if (len > NAME_MAX_BYTES)
		return fail(err, "the name of the host is longer than 253 bytes");
	for (size_t i = 0; i <= len; i++) {
		if (i < len && s[i] != '.')
			continue;
		if (check_label(s + start, i - start) < 0)
			return fail(err, "this is not the name of a host");
		last = start;
		start = i + 1;
	}
	for (size_t i = 0; i < len; i++)
		a->name[i] = (char)tolower((unsigned char)s[i]);
	a->name[len] = '\0';
	if (a->name[last + strspn(a->name + last, "0123456789")] == '\0' ||
		text_starts_with(a->name + last, "0x"))
		return parse_ip4(a, err);
	a->loopback = strcmp(a->name, "localhost") == 0;
	return 0;
}

/* s begins with ':' or is the rest behind the name. */
static int parse_port(const char *s, size_t len, struct address *a, struct err *err)
{
	char digits[8] = "";
	int64_t port;

	a->port = a->tls ? PORT_HTTPS : PORT_HTTP;
	if (len == 0)
		return 0;
	if (s[0] != ':' || len - 1 >= sizeof(digits))
		return fail(err, "the port is a number from 1 to 65535");
	memcpy(digits, s + 1, len - 1);
	if (strspn(digits, "0123456789") != strlen(digits) || num_parse_i64(digits, &port) < 0 || port < 1 ||
		port > 65535)
		return fail(err, "the port is a number from 1 to 65535");
	a->port = (int)port;
	return 0;
}

static int parse_address(const char *text, bool proxy, struct address *a, struct err *err)
{
	int r = parse_scheme(&text, proxy, &a->tls, err);

	if (r < 0)
		return r;
	size_t len = strcspn(text, "/?#@\\");
	r = check_rest(text + len, proxy, err);
	if (r < 0)
		return r;

	size_t name_len = text[0] == '[' ? strcspn(text, "]") : strcspn(text, ":");

	if (name_len > len)
		name_len = len;
	if (text[0] == '[') {
		if (name_len == len || text[name_len] != ']')
			return fail(err, "the bracket is not closed");
		r = parse_ip6(text + 1, name_len - 1, a, err);
		name_len++;
	} else {
		r = parse_name(text, name_len, a, err);
	}
	if (r < 0)
		return r;
	if (proxy && name_len == len)
		return fail(err, "the port of the proxy is missing (often 3128 or 8080)");
	r = parse_port(text + name_len, len - name_len, a, err);
	if (r < 0)
		return r;
	if (!proxy && !a->tls && !a->loopback)
		return fail(err,
			"http:// would send the credential in clear; it is for loopback addresses only, "
			"write https://");
	return 0;
}

int conf_host_parse(const char *text, char **ret_host, char **ret_token, struct err *err)
{
	struct address a = {.port = 0};
	int r = parse_address(text, false, &a, err);

	if (r < 0)
		return r;
	const char *scheme = a.tls ? "https://" : "http://";

	*ret_host = a.port == (a.tls ? PORT_HTTPS : PORT_HTTP)
			    ? mem_printf("%s%s", scheme, a.name)
			    : mem_printf("%s%s:%d", scheme, a.name, a.port);
	*ret_token = a.port == PORT_HTTPS ? mem_strdup(a.name) : mem_printf("%s:%d", a.name, a.port);
	return 0;
}

int conf_host_parse_proxy(const char *text, char **ret, struct err *err)
{
	struct address a = {.port = 0};
	int r = parse_address(text, true, &a, err);

	if (r < 0)
		return r;
	*ret = mem_printf("%s%s:%d", a.tls ? "https://" : "http://", a.name, a.port);
	return 0;
}

bool conf_host_is_loopback(const char *host)
{
	struct address a = {.port = 0};

	return parse_address(host, false, &a, NULL) == 0 && a.loopback;
}

const char *conf_host_azure_authority(const char *host)
{
	/* Entra's endpoints of the national clouds: Microsoft's page "National clouds" */
	static const struct {
		const char *suffix, *authority;
	} clouds[] = {
		{".azuredatabricks.net", "https://login.microsoftonline.com"},
		{".databricks.azure.us", "https://login.microsoftonline.us"},
		{".databricks.azure.cn", "https://login.partner.microsoftonline.cn"},
	};
	struct address a = {.port = 0};

	if (parse_address(host, false, &a, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(clouds); i++)
		if (text_ends_with(a.name, clouds[i].suffix))
			return clouds[i].authority;
	return NULL;
}
