#include "dispatch/tlscheck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/mem.h"
#include "openssl_files.h"

/* Made once: keys cost time. */
static int set_up(void **state)
{
	(void)state;
	if (!files_begin() || !files_make_certificate("one") || !files_make_certificate("other"))
		return -1;
	return files_run("umask 077;"
			 "cat one.pem one.key >both.pem; cat one.pem other.pem >two.pem;"
			 "openssl pkcs8 -topk8 -in one.key -out encrypted.key -passout pass:right;"
			 "cat one.pem encrypted.key >encrypted.pem;"
			 "openssl pkcs12 -export -in one.pem -inkey one.key -out one.p12 -passout pass:right;"
			 "openssl pkcs12 -export -in one.pem -inkey one.key -out open.p12 -passout pass:;"
			 "openssl pkcs12 -export -in one.pem -nokeys -out nokey.p12 -passout pass:right;"
			 "openssl pkcs12 -export -legacy -in one.pem -inkey one.key -out old.p12 -passout "
			 "pass:right;"
			 "openssl x509 -in one.pem -outform DER -out one.der;"
			 "openssl pkey -in one.key -outform DER -out key.der;"
			 "(echo comment; cat one.pem) >comment.pem;"
			 "sed 's/^M/!/' one.pem >damaged.pem; head -c 200 one.p12 >cut.p12;"
			 "sed 's/^M/!/' one.key >damaged.key; : >empty")
		       ? 0
		       : -1;
}

static int tear_down(void **state)
{
	(void)state;
	files_end();
	return 0;
}

static void expect(int r, int expected, const struct err *err, const char *part)
{
	if (r != expected)
		fail_msg("%d instead of %d, %s", r, expected, err->text);
	if (expected == 0)
		return;
	assert_int_equal(err->class, ERR_CONF);
	if (strstr(err->text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err->text);
}

static void authorities(void **state)
{
	static const struct {
		const char *name;
		int r;
		const char *part;
	} rows[] = {
		{"one.pem", 0, NULL},
		{"two.pem", 0, NULL},
		{"both.pem", 0, NULL},
		{"comment.pem", 0, NULL},
		{"one.key", -EINVAL, "holds no certificate in PEM form"},
		{"damaged.pem", -EINVAL, "a certificate in it is damaged"},
		{"empty", -EINVAL, "is empty"},
		{"one.p12", -EINVAL, "openssl pkcs12 -in "},
		{"one.der", -EINVAL, "openssl x509 -inform DER -in "},
		{"key.der", -EINVAL, "holds no certificate in PEM form"},
		{"missing", -ENOENT, "cannot be read: No such file"},
		{".", -EINVAL, "is not a regular file"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = ERR_INIT;
		int r = tlscheck_authorities("proxy_ca_file", files_path(rows[i].name), &err);

		expect(r, rows[i].r, &err, rows[i].part);
		if (r < 0)
			expect(r, rows[i].r, &err, "proxy_ca_file = /tmp/");
	}
}

/* What keytool writes begins so. Source: JavaKeyStore.java and JceKeyStore.java of OpenJDK. */
static void java_keystores(void **state)
{
	struct tlscheck_client c = {.certificate = NULL};
	struct err err = ERR_INIT;
	bool pkcs12;

	(void)state;
	files_write("s.jks", "\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1", 12);
	files_write("s.jceks", "\xce\xce\xce\xce\0\0\0\2\0\0\0\1", 12);
	expect(tlscheck_authorities("ca_file", files_path("s.jks"), &err), -EINVAL, &err,
		"keytool -list -rfc -storetype JKS -keystore /tmp/");
	expect(tlscheck_authorities("ca_file", files_path("s.jceks"), &err), -EINVAL, &err,
		"keytool -list -rfc -storetype JCEKS -keystore /tmp/");
	c.certificate = files_path("s.jks");

	CLEANUP_FREE char *line = mem_printf("keytool -importkeystore -srckeystore %s -srcstoretype JKS "
					     "-destkeystore %s.p12 -deststoretype PKCS12",
		c.certificate, c.certificate);

	expect(tlscheck_client(&c, &pkcs12, &err), -EINVAL, &err, line);
	c.certificate = files_path("s.jceks");
	expect(tlscheck_client(&c, &pkcs12, &err), -EINVAL, &err, "-srcstoretype JCEKS");
	c.certificate = files_path("one.pem");
	c.key = files_path("s.jks");
	expect(tlscheck_client(&c, &pkcs12, &err), -EINVAL, &err, "client_key = ");
	expect(tlscheck_client(&c, &pkcs12, &err), -EINVAL, &err, "keytool -importkeystore");
}

struct client_row {
	const char *certificate, *key, *password;
	int r; /* 1: good, and PKCS#12 */
	const char *part;
};

static void check_client(const struct client_row *row)
{
	CLEANUP_SECRET struct secret *password = row->password != NULL ? secret_new(100) : NULL;
	struct tlscheck_client c = {.certificate = files_path(row->certificate),
		.key = row->key != NULL ? files_path(row->key) : NULL,
		.password = password};
	struct err err = ERR_INIT;
	bool pkcs12 = row->r != 1;
	int r;

	if (password != NULL)
		assert_int_equal(secret_add(password, row->password, strlen(row->password)), 0);
	r = tlscheck_client(&c, &pkcs12, &err);
	expect(r, row->r > 0 ? 0 : row->r, &err, row->part);
	if (r == 0)
		assert_int_equal(pkcs12, row->r == 1);
	else
		assert_null(strstr(err.text, "wrong-one"));
}

static void clients(void **state)
{
	static const struct client_row rows[] = {
		{"both.pem", NULL, NULL, 0, NULL},
		{"both.pem", NULL, "not needed", 0, NULL},
		{"one.pem", "one.key", NULL, 0, NULL},
		{"two.pem", "one.key", NULL, 0, NULL},
		{"one.pem", "encrypted.key", "right", 0, NULL},
		{"encrypted.pem", NULL, "right", 0, NULL},
		{"one.p12", NULL, "right", 1, NULL},
		{"open.p12", NULL, NULL, 1, NULL},
		{"one.pem", NULL, NULL, -EINVAL, "holds no private key; set client_key"},
		{"one.pem", "other.key", NULL, -EINVAL, "does not belong to the first certificate"},
		{"one.pem", "one.pem", NULL, -EINVAL, "client_key = "},
		{"one.pem", "encrypted.key", NULL, -EINVAL, "set client_key_password_file"},
		{"one.pem", "encrypted.key", "wrong-one", -EINVAL,
			"the password in client_key_password_file does not open the key in"},
		{"one.p12", NULL, NULL, -EINVAL, "set client_key_password_file"},
		{"one.p12", NULL, "wrong-one", -EINVAL,
			"the password in client_key_password_file does not open the key in"},
		{"one.p12", "one.key", "right", -EINVAL, "take client_key out"},
		{"nokey.p12", NULL, "right", -EINVAL, "holds no "},
		{"old.p12", NULL, "right", -EINVAL, "openssl pkcs12 -legacy -in "},
		{"cut.p12", NULL, "right", -EINVAL, "is neither PEM nor PKCS#12"},
		{"one.key", NULL, NULL, -EINVAL, "holds no certificate"},
		{"damaged.pem", "one.key", NULL, -EINVAL, "holds no certificate, or a damaged one"},
		{"one.pem", "damaged.key", NULL, -EINVAL, "the key in it is damaged"},
		{"one.der", "one.key", NULL, -EINVAL, "openssl x509 -inform DER"},
		{"one.pem", "key.der", NULL, -EINVAL, "openssl pkey -inform DER"},
		{"empty", NULL, NULL, -EINVAL, "is empty"},
		{"missing", "one.key", NULL, -ENOENT, "client_certificate = "},
		{"one.pem", "missing", NULL, -ENOENT, "client_key = "},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_client(&rows[i]);
}

static void cipher_lists(void **state)
{
	static const char *const good[] = {"ECDHE-RSA-AES128-GCM-SHA256", "ECDHE+AESGCM",
		"HIGH:!aNULL:!eNULL", "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-RSA-AES128-GCM-SHA256,ECDHE-RSA-AES256-GCM-SHA384 AES128-SHA", "DEFAULT:@SECLEVEL=1",
		"DEFAULT:-AES128-SHA:+AES256-SHA"};
	static const struct {
		const char *list, *part;
	} bad[] = {
		{"ECDHE-RSA-AES128-GCM-SHA265", "knows no cipher called \"ECDHE-RSA-AES128-GCM-SHA265\""},
		{"ECDHE-RSA-AES128-GCM-SHA256:NONSENSE", "\"NONSENSE\""},
		{"DEFAULT:!NONSENSE", "\"!NONSENSE\""},
		{"TLS_AES_128_GCM_SHA256", "belongs to tls13_ciphers"},
		{"NULL-SHA256:@SECLEVEL=0", "does not encrypt"},
		{"HIGH:aNULL:@SECLEVEL=0", "does not show who the server is"},
		{"HIGH:!HIGH", "leaves no cipher"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct err err = ERR_INIT;

		expect(tlscheck_ciphers(good[i], &err), 0, &err, NULL);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = ERR_INIT;

		expect(tlscheck_ciphers(bad[i].list, &err), -EINVAL, &err, bad[i].part);
	}
}

static void suites_of_tls13(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	expect(tlscheck_ciphers13("TLS_AES_128_GCM_SHA256", &err), 0, &err, NULL);
	expect(tlscheck_ciphers13("TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256", &err), 0, &err,
		NULL);
	expect(tlscheck_ciphers13("TLS_AES_128_GCM_SHA265", &err), -EINVAL, &err,
		"tls13_ciphers: OpenSSL knows no cipher called \"TLS_AES_128_GCM_SHA265\"");
	expect(tlscheck_ciphers13("TLS_AES_128_GCM_SHA256:AES128-SHA", &err), -EINVAL, &err,
		"\"AES128-SHA\"");
	expect(tlscheck_ciphers13("TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384", &err), -EINVAL, &err,
		"\"TLS_");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authorities),
		cmocka_unit_test(java_keystores),
		cmocka_unit_test(clients),
		cmocka_unit_test(cipher_lists),
		cmocka_unit_test(suites_of_tls13),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
