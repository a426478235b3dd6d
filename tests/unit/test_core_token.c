/*
 * token: the vectors of doc/token.md. The text is digested here too, so that a row cannot be wrong on its
 * own.
 */
#include "core/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "base/sha256.h"

static const struct vector {
	const char *host;
	int64_t job_id, size, mtime_ns, generation;
	const char *uri;
	enum conf_version mode;
	const char *text, *token;
} vectors[] = {
	{"adb-1234567890123456.7.azuredatabricks.net", INT64_C(620), 2048, INT64_C(1767323045123456789), 1,
		"/Volumes/main/landing/orders/2026-01-02.csv", CONF_VERSION_SIZE_MTIME,
		"brickwatch "
		"1\nadb-1234567890123456.7.azuredatabricks.net\n620\n2048\n1767323045123\n1\n/Volumes/main/"
		"landing/orders/2026-01-02.csv",
		"a22401002a571f660b8359b2be8a2ede3bd87c8f1188f0bc935b4b3da0654793"},
	{"adb-1234567890123456.7.azuredatabricks.net", INT64_C(620), 2048, INT64_C(1767323045123456789), 2,
		"/Volumes/main/landing/orders/2026-01-02.csv", CONF_VERSION_SIZE_MTIME,
		"brickwatch "
		"1\nadb-1234567890123456.7.azuredatabricks.net\n620\n2048\n1767323045123\n2\n/Volumes/main/"
		"landing/orders/2026-01-02.csv",
		"47f27585de36bd0faade311cd8357d83073cc553a55acd63ebae26d5f5f2bfa3"},
	{"adb-1234567890123456.7.azuredatabricks.net", INT64_C(620), 2048, INT64_C(1767323045123456789), 1,
		"/Volumes/main/landing/orders/2026-01-02.csv", CONF_VERSION_SIZE,
		"brickwatch "
		"1\nadb-1234567890123456.7.azuredatabricks.net\n620\n2048\n-\n1\n/Volumes/main/landing/"
		"orders/2026-01-02.csv",
		"5c426fcc4c27dbc76603013f79fd308e61ccbffa43dcbe24dd25e4b88817f79d"},
	{"adb-1234567890123456.7.azuredatabricks.net", INT64_C(620), 2048, INT64_C(1767323045123456789), 1,
		"/Volumes/main/landing/orders/2026-01-02.csv", CONF_VERSION_NAME,
		"brickwatch "
		"1\nadb-1234567890123456.7.azuredatabricks.net\n620\n-\n-\n1\n/Volumes/main/landing/orders/"
		"2026-01-02.csv",
		"92de79957d8a1e1551bb1d55f4fa00b50f5b7eeeb1c94a56bf37298ee7f1fef6"},
	{"127.0.0.1:8443", INT64_C(9223372036854775807), 0, INT64_C(0), 1, "dbfs:/mnt/in/_SUCCESS",
		CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\n127.0.0.1:8443\n9223372036854775807\n0\n0\n1\ndbfs:/mnt/in/_SUCCESS",
		"52ea5548ebe0d36fb4ace4662d0d07bce2ca9100b9a2fb327b3d841401f8808b"},
	{"127.0.0.1:8443", INT64_C(1), 9223372036854775807, INT64_C(-1), 1, "/in/before-1970",
		CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\n127.0.0.1:8443\n1\n9223372036854775807\n-1\n1\n/in/before-1970",
		"cdd8d022620bc257b65365a504ef9202e8ae0f620a7000602fe41b4eef9e3761"},
	{"127.0.0.1:8443", INT64_C(1), 1, INT64_C(-1000000), 1, "/in/before-1970", CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\n127.0.0.1:8443\n1\n1\n-1\n1\n/in/before-1970",
		"0912867bfe37a51d6c706f8310a034e351ee27fb7a92856b9ee5e06b87bdf9f9"},
	{"127.0.0.1:8443", INT64_C(1), 1, INT64_C(-1000001), 1, "/in/before-1970", CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\n127.0.0.1:8443\n1\n1\n-2\n1\n/in/before-1970",
		"e3642858680c01979310bbe0f63880e5727dcce32bb1b0a3e3bc4a746e5041a2"},
	{"example.cloud.databricks.com", INT64_C(7), 10, INT64_C(999999), 1, "/in/two\nlines.csv",
		CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\nexample.cloud.databricks.com\n7\n10\n0\n1\n/in/two\nlines.csv",
		"a09120af5de37a391658c850ad86fc3b529644401db2c644cc793eebdb758af6"},
	{"example.cloud.databricks.com", INT64_C(7), 10, INT64_C(1000000), 1, "/in/\377\376.csv",
		CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\nexample.cloud.databricks.com\n7\n10\n1\n1\n/in/\377\376.csv",
		"86eff89092e861d7c19e95d2eecd9766fb3729cc3328f4a4f20c96bdf1fc86e1"},
	{"example.cloud.databricks.com", INT64_C(7), 10, INT64_C(1000000), 1,
		"/in/Gr\303\274\303\237e \342\202\254.csv", CONF_VERSION_SIZE_MTIME,
		"brickwatch 1\nexample.cloud.databricks.com\n7\n10\n1\n1\n/in/Gr\303\274\303\237e "
		"\342\202\254.csv",
		"0911cf846e006f19f02c54e11611f2329b083b14d943f6ddcd3072428cff3a6e"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		uint8_t digest[SHA256_BYTES];
		char of_text[SHA256_HEX_BYTES], token[TOKEN_BYTES];

		sha256(v->text, strlen(v->text), digest);
		sha256_hex(digest, of_text);
		assert_string_equal(of_text, v->token);
		token_make(v->host, v->job_id, v->size, v->mtime_ns, v->generation, v->uri, v->mode, token);
		assert_string_equal(token, v->token);
	}
}

static void make(int64_t size, int64_t mtime_ns, enum conf_version mode, char out[TOKEN_BYTES])
{
	token_make("h", 1, size, mtime_ns, 1, "/in/a", mode, out);
}

/* What a mode leaves out has no say; what it keeps has. */
static void test_modes(void **state)
{
	static const struct {
		enum conf_version mode;
		bool size_counts, mtime_counts;
	} rows[] = {
		{CONF_VERSION_SIZE_MTIME, true, true},
		{CONF_VERSION_SIZE, true, false},
		{CONF_VERSION_NAME, false, false},
	};
	char base[TOKEN_BYTES], other[TOKEN_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make(10, 1000000, rows[i].mode, base);
		make(11, 1000000, rows[i].mode, other);
		assert_int_equal(strcmp(base, other) != 0, rows[i].size_counts);
		make(10, 2000000, rows[i].mode, other);
		assert_int_equal(strcmp(base, other) != 0, rows[i].mtime_counts);
		make(10, 1999999, rows[i].mode, other);
		assert_string_equal(base, other);
	}
}

static void test_extremes(void **state)
{
	char low[TOKEN_BYTES], high[TOKEN_BYTES];

	(void)state;
	make(INT64_MAX, INT64_MIN, CONF_VERSION_SIZE_MTIME, low);
	make(INT64_MAX, INT64_MAX, CONF_VERSION_SIZE_MTIME, high);
	assert_int_equal(strlen(low), 64);
	assert_string_not_equal(low, high);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
