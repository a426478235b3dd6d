/*
 * A reader of its own, since the file is not ours: inih, which reads ours, cuts long lines, and a value here
 * may be a credential of thousands of bytes. The text is in a secret and stays there; values are places in
 * it.
 *
 * Sections of other profiles are stepped over: their lines may be anything.
 */
#include "dispatch/databrickscfg.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include "base/buf.h"
#include "base/mem.h"
#include "core/conf.h"

static const char *const names[DATABRICKSCFG_KEYS] = {
	[DATABRICKSCFG_HOST] = "host",
	[DATABRICKSCFG_AUTH_TYPE] = "auth_type",
	[DATABRICKSCFG_TOKEN] = "token",
	[DATABRICKSCFG_CLIENT_ID] = "client_id",
	[DATABRICKSCFG_CLIENT_SECRET] = "client_secret",
	[DATABRICKSCFG_USERNAME] = "username",
	[DATABRICKSCFG_PASSWORD] = "password",
	[DATABRICKSCFG_AZURE_TENANT_ID] = "azure_tenant_id",
	[DATABRICKSCFG_AZURE_CLIENT_ID] = "azure_client_id",
	[DATABRICKSCFG_AZURE_CLIENT_SECRET] = "azure_client_secret",
	[DATABRICKSCFG_AZURE_USE_MSI] = "azure_use_msi",
};

struct span {
	const char *s;
	size_t len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span t)
{
	while (t.len > 0 && is_blank(t.s[0]))
		t = (struct span){t.s + 1, t.len - 1};
	while (t.len > 0 && is_blank(t.s[t.len - 1]))
		t.len--;
	return t;
}

static bool is_comment(struct span t)
{
	return t.len == 0 || t.s[0] == '#' || t.s[0] == ';';
}

static bool is_word(struct span t, const char *word)
{
	return t.len == strlen(word) && strncasecmp(t.s, word, t.len) == 0;
}

/* The line that *rest begins with; *rest is what comes after it. */
static struct span take_line(struct span *rest)
{
	const char *end = memchr(rest->s, '\n', rest->len);
	struct span line = {rest->s, end != NULL ? (size_t)(end - rest->s) : rest->len};
	size_t used = line.len + (end != NULL ? 1 : 0);

	*rest = (struct span){rest->s + used, rest->len - used};
	return line;
}

/* What stands in the brackets of a section's line. */
static bool is_section(struct span t, struct span *ret_name)
{
	const char *end;

	if (t.len < 2 || t.s[0] != '[')
		return false;
	end = memchr(t.s, ']', t.len);
	if (end == NULL || !is_comment(trim((struct span){end + 1, (size_t)(t.s + t.len - end - 1)})))
		return false;
	*ret_name = trim((struct span){t.s + 1, (size_t)(end - t.s - 1)});
	return true;
}

/* ---- a value ---- */

/* In quotes to the end, or to a comment. */
static bool is_quoted(struct span t, struct span *ret)
{
	const char *end;

	if (t.len < 2 || (t.s[0] != '"' && t.s[0] != '\''))
		return false;
	end = memchr(t.s + 1, t.s[0], t.len - 1);
	if (end == NULL || !is_comment(trim((struct span){end + 1, (size_t)(t.s + t.len - end - 1)})))
		return false;
	*ret = (struct span){t.s + 1, (size_t)(end - t.s - 1)};
	return true;
}

static struct span cut_comment(struct span t)
{
	for (size_t i = 1; i < t.len; i++)
		if ((t.s[i] == '#' || t.s[i] == ';') && is_blank(t.s[i - 1]))
			return trim((struct span){t.s, i});
	return t;
}

static int line_error(struct err *err, int line, const char *what)
{
	return err_set(err, ERR_CONF, EINVAL, "line %d %s", line, what);
}

static int read_value(struct span t, int line, struct databrickscfg_value *ret, struct err *err)
{
	struct span value = {NULL, 0};

	if (ret->line != 0)
		return line_error(err, line, "gives a key a second time");
	if (!is_quoted(t, &value))
		value = cut_comment(t);
	if (value.len > 0 && value.s[value.len - 1] == '\\')
		return line_error(err, line, "ends in a backslash; a value stands in one line");
	for (size_t i = 0; i < value.len; i++)
		if ((unsigned char)value.s[i] < 0x20 || value.s[i] == 0x7f)
			return line_error(err, line, "holds a control character");
	*ret = (struct databrickscfg_value){value.len > 0 ? value.s : NULL, value.len, line};
	return 0;
}

static int read_entry(struct span line, int number, struct databrickscfg *p, struct err *err)
{
	struct span t = trim(line), key;
	size_t n = 0;

	while (n < t.len && t.s[n] != '=' && t.s[n] != ':')
		n++;
	if (is_blank(line.s[0]))
		return line_error(
			err, number, "is indented, which some tools take for a part of the line above");
	if (n == 0 || n == t.len)
		return line_error(err, number, "is neither [PROFILE] nor KEY = VALUE");
	key = trim((struct span){t.s, n});
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (is_word(key, names[i]))
			return read_value(
				trim((struct span){t.s + n + 1, t.len - n - 1}), number, &p->values[i], err);
	return 0;
}

int databrickscfg_read(
	const char *text, size_t len, const char *profile, struct databrickscfg *ret, struct err *err)
{
	struct databrickscfg p = {0};
	struct span rest = {text, len}, name;
	bool inside = false, found = false;
	int r = 0;

	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		rest = (struct span){text + 3, len - 3};
	for (int number = 1; r == 0 && rest.len > 0; number++) {
		struct span line = take_line(&rest), t = trim(line);

		if (is_comment(t))
			continue;
		if (is_section(t, &name)) {
			inside = name.len == strlen(profile) && memcmp(name.s, profile, name.len) == 0;
			if (inside && found)
				r = line_error(err, number, "begins the profile a second time");
			found = found || inside;
		} else if (inside) {
			r = read_entry(line, number, &p, err);
		}
	}
	if (r < 0)
		return r;
	if (!found)
		return err_set(err, ERR_CONF, ENOENT, "there is no profile [%s]", profile);
	*ret = p;
	return 0;
}

/* ---- what it is ---- */

static bool has(const struct databrickscfg *p, enum databrickscfg_key key)
{
	return p->values[key].s != NULL;
}

static bool is_true(const struct databrickscfg_value *v)
{
	struct span t = {v->s, v->len};

	return v->s != NULL && (is_word(t, "true") || is_word(t, "t") || is_word(t, "1"));
}

#define NO_KEY DATABRICKSCFG_KEYS

static const struct {
	int kind;
	const char *auth_type;
	int sign;     /* the key that shows this kind */
	int needs[3]; /* NO_KEY at the end */
} kinds[] = {
	{CONF_AUTH_TOKEN, "pat", DATABRICKSCFG_TOKEN, {DATABRICKSCFG_TOKEN, NO_KEY}},
	{CONF_AUTH_BASIC, "basic", DATABRICKSCFG_PASSWORD,
		{DATABRICKSCFG_USERNAME, DATABRICKSCFG_PASSWORD, NO_KEY}},
	{CONF_AUTH_OAUTH_M2M, "oauth-m2m", DATABRICKSCFG_CLIENT_SECRET,
		{DATABRICKSCFG_CLIENT_ID, DATABRICKSCFG_CLIENT_SECRET, NO_KEY}},
	{CONF_AUTH_AZURE_CLIENT_SECRET, "azure-client-secret", DATABRICKSCFG_AZURE_CLIENT_SECRET,
		{DATABRICKSCFG_AZURE_TENANT_ID, DATABRICKSCFG_AZURE_CLIENT_ID,
			DATABRICKSCFG_AZURE_CLIENT_SECRET}},
	{CONF_AUTH_AZURE_MANAGED_IDENTITY, "azure-msi", DATABRICKSCFG_AZURE_USE_MSI, {NO_KEY}},
};

static bool shows(const struct databrickscfg *p, size_t i)
{
	const struct databrickscfg_value *v = &p->values[kinds[i].sign];

	return kinds[i].sign == DATABRICKSCFG_AZURE_USE_MSI ? is_true(v) : v->s != NULL;
}

static int check_needs(const struct databrickscfg *p, size_t i, struct err *err)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds[i].needs) && kinds[i].needs[k] != NO_KEY; k++)
		if (!has(p, kinds[i].needs[k]))
			return err_set(err, ERR_CONF, EINVAL, "%s is missing in the profile",
				names[kinds[i].needs[k]]);
	return 0;
}

static int find_by_type(const struct databrickscfg *p, size_t *ret, struct err *err)
{
	const struct databrickscfg_value *type = &p->values[DATABRICKSCFG_AUTH_TYPE];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (is_word((struct span){type->s, type->len}, kinds[i].auth_type)) {
			*ret = i;
			return 0;
		}
	return line_error(err, type->line,
		"has an auth_type that is not for a service; pat, oauth-m2m, azure-client-secret, azure-msi "
		"and "
		"basic are");
}

static int find_by_keys(const struct databrickscfg *p, size_t *ret, struct err *err)
{
	CLEANUP_BUF struct buf found = BUF_INIT(512);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (shows(p, i)) {
			(void)buf_addf(&found, "%s%s", n > 0 ? " and " : "", kinds[i].auth_type);
			*ret = i;
			n++;
		}
	if (n == 0)
		return err_set(err, ERR_CONF, EINVAL,
			"the profile has no credential for a service: token, client_secret, "
			"azure_client_secret, "
			"azure_use_msi or password");
	if (n > 1)
		return err_set(err, ERR_CONF, EINVAL,
			"the profile has more than one kind of credential: %s; auth_type can say which",
			buf_str(&found));
	return 0;
}

int databrickscfg_kind(const struct databrickscfg *p, int *ret_kind, struct err *err)
{
	size_t i = 0;
	int r = has(p, DATABRICKSCFG_AUTH_TYPE) ? find_by_type(p, &i, err) : find_by_keys(p, &i, err);

	if (r == 0)
		r = check_needs(p, i, err);
	if (r == 0)
		*ret_kind = kinds[i].kind;
	return r;
}

const char *databrickscfg_key_name(enum databrickscfg_key key)
{
	return names[key];
}
