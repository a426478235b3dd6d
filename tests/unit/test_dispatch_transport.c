#include "dispatch/transport.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "dispatch/secretfile.h"
#include "openssl_files.h"

static struct conf_workspace conf;

static int set_up(void **state)
{
	(void)state;
	conf = (struct conf_workspace){.tls_min = (char *)"1.2"};
	if (!files_begin() || !files_make_certificate("one"))
		return -1;
	return files_run(
		       "umask 077; openssl pkcs8 -topk8 -in one.key -out encrypted.key -passout pass:'p w'; "
		       "openssl pkcs12 -export -in one.pem -inkey one.key -out one.p12 -passout pass:'p w'; "
		       "echo 'p w' >password; chmod 644 one.pem")
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	files_end();
	return 0;
}

static struct transport *must_make(void)
{
	struct err err = ERR_INIT;
	struct transport *t = transport_new(&conf, NULL, &err);

	if (t == NULL)
		fail_msg("%s", err.text);
	return t;
}

static void check_refused(const char *part)
{
	struct err err = ERR_INIT;

	assert_null(transport_new(&conf, NULL, &err));
	assert_int_equal(err.class, ERR_CONF);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
}

static void nothing_is_configured(void **state)
{
	struct transport *t = must_make();
	const struct transport_values *v = transport_values(t);

	(void)state;
	assert_null(v->ca_file);
	assert_null(v->client_certificate);
	assert_null(v->proxy);
	assert_null(v->proxy_line);
	assert_string_equal(v->tls_min, "1.2");
	transport_free(t);
	transport_free(NULL);
}

static void a_client_certificate(void **state)
{
	CLEANUP_FREE char *pem = mem_strdup(files_path("one.pem")),
			  *key = mem_strdup(files_path("encrypted.key"));
	CLEANUP_FREE char *p12 = mem_strdup(files_path("one.p12")),
			  *password = mem_strdup(files_path("password"));
	struct transport *t;

	(void)state;
	conf.client_certificate = pem;
	conf.client_key = key;
	check_refused("set client_key_password_file");
	conf.client_key_password_file = password;
	t = must_make();
	assert_string_equal(transport_values(t)->client_certificate, pem);
	assert_string_equal(transport_values(t)->client_key, key);
	assert_string_equal(secret_bytes(transport_values(t)->key_password), "p w");
	assert_false(transport_values(t)->pkcs12);
	transport_free(t);

	conf.client_key = NULL;
	conf.client_certificate = p12;
	t = must_make();
	assert_true(transport_values(t)->pkcs12);
	transport_free(t);
}

static void a_private_key_must_keep_others_out(void **state)
{
	CLEANUP_FREE char *pem = mem_strdup(files_path("one.pem")), *key = mem_strdup(files_path("one.key"));

	(void)state;
	conf.client_certificate = pem; /* this one anybody may read */
	conf.client_key = key;
	assert_int_equal(chmod(key, 0640), 0);
	check_refused("one.key is open to others (mode 0640); run: chmod 600 ");
	assert_int_equal(chmod(key, 0600), 0);
	transport_free(must_make());

	/* a file that holds both */
	assert_true(files_run("cat one.key >>one.pem"));
	conf.client_key = NULL;
	check_refused("one.pem is open to others (mode 0644)");
}

static void the_line_for_the_proxy(void **state)
{
	static const struct {
		const char *user, *password, *line;
	} rows[] = {
		{"me", "p w", "Proxy-Authorization: Basic bWU6cCB3"},
		{"me", NULL, "Proxy-Authorization: Basic bWU6"},
		{"m\xc3\xa9", "a:b\xc3\xb6", "Proxy-Authorization: Basic bcOpOmE6YsO2"},
	};
	CLEANUP_FREE char *password = mem_strdup(files_path("password"));

	(void)state;
	conf.proxy = (char *)"http://proxy.example:3128";
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		conf.proxy_username = (char *)rows[i].user;
		conf.proxy_password_file = rows[i].password != NULL ? password : NULL;
		if (rows[i].password != NULL)
			files_write("password", rows[i].password, strlen(rows[i].password));

		struct transport *t = must_make();

		assert_string_equal(secret_bytes(transport_values(t)->proxy_line), rows[i].line);
		transport_free(t);
	}
	assert_int_equal(chmod(password, 0644), 0);
	conf.proxy_password_file = password;
	check_refused("password is open to others");
}

static void the_longest_name_and_password_fit(void **state)
{
	CLEANUP_FREE char *user = mem_alloc(1025 + 1), *password = mem_strdup(files_path("long"));
	CLEANUP_FREE char *bytes = mem_alloc(16384);
	struct transport *t;

	(void)state;
	memset(user, 'u', 1025);
	memset(bytes, 'p', 16384);
	files_write("long", bytes, 16384);
	conf.proxy = (char *)"http://proxy.example:3128";
	conf.proxy_username = user;
	conf.proxy_password_file = password;
	check_refused("proxy_username is longer than 1024 bytes");
	user[1024] = '\0';
	t = must_make();
	assert_int_equal(secret_len(transport_values(t)->proxy_line), 27 + (1024 + 1 + 16384 + 2) / 3 * 4);
	transport_free(t);
}

static void a_refresh_takes_all_or_nothing(void **state)
{
	CLEANUP_FREE char *p12 = mem_strdup(files_path("one.p12")),
			  *password = mem_strdup(files_path("password"));
	struct err err = ERR_INIT;
	struct transport *t;
	unsigned generation;

	(void)state;
	conf.client_certificate = p12;
	conf.client_key_password_file = password;
	conf.proxy = (char *)"http://proxy.example:3128";
	conf.proxy_username = (char *)"me";
	conf.proxy_password_file = password;
	t = must_make();
	generation = transport_values(t)->generation;

	files_write("password", "another", 7);
	assert_int_equal(transport_refresh(t, &err), -EINVAL);
	assert_non_null(strstr(err.text, "does not open the key"));
	assert_null(strstr(err.text, "another"));
	assert_int_equal(transport_values(t)->generation, generation);
	assert_string_equal(
		secret_bytes(transport_values(t)->proxy_line), "Proxy-Authorization: Basic bWU6cCB3");

	assert_true(files_run(
		"umask 077; openssl pkcs12 -export -in one.pem -inkey one.key -out one.p12 -passout "
		"pass:another"));
	assert_int_equal(transport_refresh(t, &err), 0);
	assert_int_not_equal(transport_values(t)->generation, generation);
	assert_string_equal(
		secret_bytes(transport_values(t)->proxy_line), "Proxy-Authorization: Basic bWU6YW5vdGhlcg==");
	transport_free(t);
}

static void credentials_of_systemd(void **state)
{
	struct err err = ERR_INIT;
	struct transport *t;

	(void)state;
	conf.ca_file = (char *)"credential:one.pem";
	conf.client_certificate = (char *)"credential:one.p12";
	conf.client_key_password_file = (char *)"credential:password";
	t = transport_new(&conf, files_folder, &err);
	assert_non_null(t);
	assert_string_equal(transport_values(t)->ca_file, files_path("one.pem"));
	assert_string_equal(transport_values(t)->client_certificate, files_path("one.p12"));
	transport_free(t);
	check_refused("LoadCredential=");
}

static void ciphers_are_checked(void **state)
{
	(void)state;
	conf.ciphers = (char *)"NONSENSE";
	check_refused("ciphers: OpenSSL knows no cipher called \"NONSENSE\"");
	conf.ciphers = NULL;
	conf.tls13_ciphers = (char *)"NONSENSE";
	check_refused("tls13_ciphers: OpenSSL knows no cipher");
}

/* ---- a look ---- */

static struct {
	int n[TRANSPORT_UNSURE + 1];
	char text[4096];
} told;

static void on_told(enum transport_sight sight, const char *sentence, void *arg)
{
	size_t len = strlen(told.text);

	(void)arg;
	told.n[sight]++;
	snprintf(told.text + len, sizeof(told.text) - len, "%s\n", sentence);
}

static void check_look_of(uid_t service, int mistakes, int refused, int unsure, const char *part)
{
	memset(&told, 0, sizeof(told));
	transport_look(&conf, service, on_told, NULL);
	if (told.n[TRANSPORT_MISTAKE] != mistakes || told.n[TRANSPORT_REFUSED] != refused ||
		told.n[TRANSPORT_UNSURE] != unsure || strstr(told.text, part) == NULL)
		fail_msg("%d mistakes, %d refused, %d unsure, without \"%s\":\n%s", told.n[TRANSPORT_MISTAKE],
			told.n[TRANSPORT_REFUSED], told.n[TRANSPORT_UNSURE], part, told.text);
}

static void check_look(int mistakes, int refused, const char *part)
{
	check_look_of(SECRETFILE_ANYBODY, mistakes, refused, 0, part);
}

static void a_look_tells_everything_at_once(void **state)
{
	CLEANUP_FREE char *jks = mem_strdup(files_path("s.jks")),
			  *missing = mem_strdup(files_path("missing"));
	CLEANUP_FREE char *pem = mem_strdup(files_path("one.pem")),
			  *key = mem_strdup(files_path("encrypted.key"));
	CLEANUP_FREE char *password = mem_strdup(files_path("password"));

	(void)state;
	check_look(0, 0, "");
	files_write("s.jks", "\xfe\xed\xfe\xed\0\0\0\2", 8);
	conf.ca_file = jks;
	conf.ciphers = (char *)"NONSENSE";
	check_look(2, 0, "keytool -list");
	conf.proxy_ca_file = missing;
	conf.proxy_password_file = missing;
	check_look(2, 2, "proxy_ca_file = ");

	conf = (struct conf_workspace){.client_certificate = pem, .client_key = key};
	check_look(1, 0, "set client_key_password_file");
	conf.client_key_password_file = password;
	check_look(0, 0, "");
	files_write("password", "wrong-one", 9);
	check_look(1, 0, "does not open the key");
	assert_null(strstr(told.text, "wrong-one"));
	assert_int_equal(chmod(key, 0644), 0);
	check_look(1, 1, "encrypted.key is open to others");
	conf.client_key = missing;
	check_look(0, 1, "missing: No such file");
	conf.client_certificate = (char *)"credential:one";
	check_look(0, 1, "missing: No such file"); /* what can be seen is said */
	conf.client_key = (char *)"credential:key";
	check_look(0, 0, "");
}

static void a_look_at_passwords(void **state)
{
	CLEANUP_FREE char *pem = mem_strdup(files_path("one.pem"));
	CLEANUP_FREE char *key = mem_strdup(files_path("encrypted.key"));
	CLEANUP_FREE char *two = mem_strdup(files_path("two-lines"));

	(void)state;
	files_write("two-lines", "s3cret\nand more\n", 16);
	conf.proxy_password_file = two;
	check_look(0, 1, "must hold one line and nothing else: byte 7");
	files_write("two-lines", "", 0);
	check_look(0, 1, "is empty");
	conf.proxy_password_file = NULL;
	conf.client_certificate = pem;
	conf.client_key = key;
	conf.client_key_password_file = two;
	check_look(0, 1, "is empty");
}

static void a_look_by_somebody_who_may_not(void **state)
{
	CLEANUP_FREE char *pem = mem_strdup(files_path("one.pem"));
	CLEANUP_FREE char *password = mem_strdup(files_path("password"));

	(void)state;
	if (geteuid() != 0)
		skip();
	conf.ca_file = pem;
	conf.proxy_password_file = password;
	check_look_of(0, 0, 0, 0, "");
	assert_int_equal(chmod(pem, 0600), 0);
	assert_int_equal(chmod(files_folder, 0755), 0);
	assert_int_equal(seteuid(65534), 0);
	check_look_of(SECRETFILE_ANYBODY, 0, 0, 2, "cannot be read by this user, not checked");
	check_look_of(65534, 0, 2, 0, "Permission denied");
	assert_int_equal(seteuid(0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_configured),
		TEST(a_client_certificate),
		TEST(a_private_key_must_keep_others_out),
		TEST(the_line_for_the_proxy),
		TEST(the_longest_name_and_password_fit),
		TEST(a_refresh_takes_all_or_nothing),
		TEST(credentials_of_systemd),
		TEST(ciphers_are_checked),
		TEST(a_look_tells_everything_at_once),
		TEST(a_look_at_passwords),
		TEST(a_look_by_somebody_who_may_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
