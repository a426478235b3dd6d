/*
 * The credential is in a header line of each request, so nothing may turn one line into two, nor make another
 * host of the one that was configured ("https://good@evil", a backslash). What libcurl would mend by itself
 * is refused.
 */
#include "dispatch/outgoing.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

static bool is_visible(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] < 0x21 || (unsigned char)s[i] > 0x7e || s[i] == '\\')
			return false;
	return true;
}

/* Name, colon, anything without control characters: nothing that could begin another line. */
static bool is_header_line(const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);

	if (colon == NULL || colon == line || !is_visible(line, (size_t)(colon - line)))
		return false;
	for (size_t i = 0; i < len; i++)
		if (((unsigned char)line[i] < 0x20 && line[i] != '\t') || line[i] == 0x7f)
			return false;
	return true;
}

/* host[:port] of this machine only; authority is everything up to the path, without user and password. */
static bool is_loopback(const char *authority, size_t len)
{
	char host[64];
	struct in_addr v4;
	const char *colon = memchr(authority, ':', len);
	size_t host_len = colon != NULL ? (size_t)(colon - authority) : len;

	if (len >= 5 && memcmp(authority, "[::1]", 5) == 0)
		return len == 5 || authority[5] == ':';
	if (host_len >= sizeof(host))
		return false;
	memcpy(host, authority, host_len);
	host[host_len] = '\0';
	return strcasecmp(host, "localhost") == 0 ||
	       (inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET);
}

/* The metadata service of Azure: an address that no router passes on, and it speaks nothing else. */
static bool is_metadata_service(const char *authority, size_t len)
{
	static const char address[] = "169.254.169.254";

	return len == sizeof(address) - 1 && memcmp(authority, address, len) == 0;
}

bool outgoing_is_encrypted(const char *url)
{
	return strncmp(url, "https://", 8) == 0;
}

static int check_url(const char *url, struct err *err)
{
	size_t len = strlen(url);
	const char *authority = url + strcspn(url, "/");

	if (len > HTTP_URL_BYTES || !is_visible(url, len))
		return err_set(
			err, ERR_INPUT, EINVAL, "the URL is too long or has bytes that a URL cannot have");
	authority += strspn(authority, "/");
	len = strcspn(authority, "/?#");
	if (memchr(authority, '@', len) != NULL)
		return err_set(err, ERR_INPUT, EINVAL, "the URL must not hold a user or password");
	if (outgoing_is_encrypted(url))
		return 0;
	if (strncmp(url, "http://", 7) != 0)
		return err_set(err, ERR_INPUT, EINVAL, "the URL must begin with https://");
	if (authority != url + 7 || (!is_loopback(authority, len) && !is_metadata_service(authority, len)))
		return err_set(err, ERR_INPUT, EINVAL, "http:// is for this machine only; use https://");
	return 0;
}

int outgoing_check(const struct http_request *q, struct err *err)
{
	size_t n = 0;
	int r = check_url(q->url, err);

	if (r < 0)
		return r;
	for (; q->headers != NULL && q->headers[n] != NULL; n++)
		if (!is_header_line(q->headers[n], strlen(q->headers[n])))
			return err_set(err, ERR_INPUT, EINVAL, "header line %zu cannot be sent", n + 1);
	if (n > HTTP_HEADERS_MAX)
		return err_set(err, ERR_INPUT, EINVAL, "%zu header lines are too many", n);
	if (q->authorization != NULL &&
		!is_header_line(secret_bytes(q->authorization), secret_len(q->authorization)))
		return err_set(err, ERR_INPUT, EINVAL, "the credential cannot be sent in a header line");
	return 0;
}

const char *outgoing_authority(const char *url, size_t *ret_len)
{
	const char *p = strstr(url, "://") + 3;

	*ret_len = strcspn(p, "/?#");
	return p;
}

bool outgoing_is_here(const char *url)
{
	size_t len;
	const char *authority = outgoing_authority(url, &len);

	return is_loopback(authority, len);
}
