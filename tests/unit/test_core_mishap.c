#include "core/mishap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"

#define HTTP_PROXY "http://proxy.example:3128"
#define TLS_PROXY "https://proxy.example:443"

struct row {
	struct mishap m;
	const char *text; /* what is said, up to libcurl's words */
};

static void check(const struct row *row)
{
	struct mishap m = row->m;
	char out[MISHAP_TEXT_BYTES];
	CLEANUP_FREE char *with_words = NULL;

	if (m.host == NULL)
		m.host = "adb.example";
	if (m.words == NULL)
		m.words = "";
	with_words = m.words[0] != '\0' ? mem_printf("%s (%s)", row->text, m.words) : mem_strdup(row->text);
	mishap_explain(&m, out, sizeof(out));
	if (strcmp(out, with_words) != 0)
		fail_msg("\n%s\nwas expected, not\n%s", with_words, out);
}

#define CHECK(rows)                                                                                          \
	do {                                                                                                 \
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)                                                \
			check(&(rows)[i]);                                                                   \
	} while (0)

static void the_way(void **state)
{
	static const struct row rows[] = {
		{{.kind = MISHAP_NO_ADDRESS, .words = "Could not resolve host: adb.example"},
			"no name server knows adb.example: is host right?"},
		{{.kind = MISHAP_NO_PROXY_ADDRESS, .proxy = HTTP_PROXY},
			"no name server knows the proxy http://proxy.example:3128: is proxy right?"},
		{{.kind = MISHAP_NO_CONNECTION, .words = "Connection refused"},
			"adb.example cannot be reached"},
		{{.kind = MISHAP_NO_CONNECTION, .proxy = HTTP_PROXY},
			"the proxy http://proxy.example:3128 cannot be reached"},
		{{.kind = MISHAP_TIMEOUT, .words = "Resolving timed out after 10000 milliseconds"},
			"the name servers do not answer in time for adb.example"},
		{{.kind = MISHAP_TIMEOUT,
			 .words = "Resolving timed out after 1 milliseconds",
			 .proxy = HTTP_PROXY},
			"the name servers do not answer in time for the proxy http://proxy.example:3128"},
		{{.kind = MISHAP_TIMEOUT, .words = "Connection timed out after 10000 milliseconds"},
			"adb.example does not answer in time"},
		{{.kind = MISHAP_TIMEOUT,
			 .words = "Proxy CONNECT aborted due to timeout",
			 .proxy = HTTP_PROXY},
			"the proxy http://proxy.example:3128 makes no connection to adb.example in time"},
		{{.kind = MISHAP_TIMEOUT,
			 .words = "Operation timed out after 60000 milliseconds with 0 bytes received",
			 .proxy = HTTP_PROXY},
			"adb.example gives no complete answer in time"},
	};

	(void)state;
	CHECK(rows);
}

static void the_proxy_refuses(void **state)
{
	static const struct row rows[] = {
		{{.proxy = HTTP_PROXY, .connect_status = 407, .words = "CONNECT tunnel failed, response 407"},
			"the proxy http://proxy.example:3128 wants a user name and password: set "
			"proxy_username "
			"and proxy_password_file"},
		{{.proxy = HTTP_PROXY, .connect_status = 407, .proxy_username = "me"},
			"the proxy http://proxy.example:3128 does not take the password of me: see "
			"proxy_username "
			"and proxy_password_file"},
		{{.proxy = HTTP_PROXY, .connect_status = 403}, "the proxy http://proxy.example:3128 does not "
							       "let us through to adb.example (HTTP 403): it "
							       "has to be allowed there"},
		{{.proxy = HTTP_PROXY, .connect_status = 500},
			"the proxy http://proxy.example:3128 cannot reach adb.example (HTTP 500)"},
		{{.proxy = HTTP_PROXY, .connect_status = 503},
			"the proxy http://proxy.example:3128 cannot reach adb.example (HTTP 503)"},
	};

	(void)state;
	CHECK(rows);
}

static void certificates(void **state)
{
	static const struct row rows[] = {
		{{.kind = MISHAP_CERTIFICATE, .verify = 20},
			"the certificate of adb.example is signed by nobody we know: if it is the right "
			"server, "
			"put the certificate of its authority into a file and set ca_file"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 18, .ca_file = "/ca.pem"},
			"the certificate of adb.example is signed by nobody in ca_file = /ca.pem: if it is "
			"the "
			"right server, add the certificate of its authority there"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 19, .ca_file = "/ca.pem", .proxy = TLS_PROXY},
			"the certificate of the proxy https://proxy.example:443 is signed by nobody we know: "
			"if it "
			"is the right server, put the certificate of its authority into a file and set "
			"proxy_ca_file"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 20, .proxy_ca_file = "/p.pem", .proxy = TLS_PROXY},
			"the certificate of the proxy https://proxy.example:443 is signed by nobody in "
			"proxy_ca_file = /p.pem: if it is the right server, add the certificate of its "
			"authority "
			"there"},
		/* the proxy has done its part */
		{{.kind = MISHAP_CERTIFICATE, .verify = 20, .proxy = TLS_PROXY, .connect_status = 200},
			"the certificate of adb.example is signed by nobody we know: if it is the right "
			"server, "
			"put the certificate of its authority into a file and set ca_file"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 10}, "the certificate of adb.example has expired, or "
							     "the clock of this machine is wrong: its "
							     "operator has to renew it"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 9}, "the certificate of adb.example is not valid "
							    "yet, or the clock of this machine is wrong"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 23}, "the certificate of adb.example is revoked"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 66},
			"the certificate of adb.example is too weak for the security level of this system"},
		{{.kind = MISHAP_CERTIFICATE,
			 .words = "SSL: no alternative certificate subject name matches"},
			"the certificate of adb.example is for another name: is host right?"},
		{{.kind = MISHAP_CERTIFICATE,
			 .words = "SSL: no alternative certificate subject name matches",
			 .proxy = TLS_PROXY},
			"the certificate of the proxy https://proxy.example:443 is for another name: is "
			"proxy "
			"right?"},
		{{.kind = MISHAP_CERTIFICATE, .verify = 26, .words = "unsuitable certificate purpose"},
			"the certificate of adb.example is not good"},
	};

	(void)state;
	CHECK(rows);
}

static void our_files(void **state)
{
	static const struct row rows[] = {
		{{.kind = MISHAP_CA_FILE, .ca_file = "/ca.pem"}, "ca_file = /ca.pem cannot be used"},
		{{.kind = MISHAP_CA_FILE}, "the system's certificates to trust cannot be read; set ca_file"},
		{{.kind = MISHAP_CLIENT_FILE},
			"the client certificate cannot be used: see client_certificate, client_key and "
			"client_key_password_file"},
		{{.kind = MISHAP_CIPHERS}, "OpenSSL does not take ciphers or tls13_ciphers as they are"},
	};

	(void)state;
	CHECK(rows);
}

static void handshakes(void **state)
{
	static const struct row rows[] = {
		{{.kind = MISHAP_TLS, .words = "error:0A00010B:SSL routines::wrong version number"},
			"adb.example does not speak TLS at this port: is host right?"},
		{{.kind = MISHAP_TLS, .words = "error:0A000102:SSL routines::unsupported protocol"},
			"adb.example does not speak TLS 1.2 or later: it needs a newer TLS, or see tls_min "
			"and "
			"tls_max"},
		{{.kind = MISHAP_TLS,
			 .words = "tlsv1 alert protocol version",
			 .tls_min = "1.2",
			 .tls_max = "1.2"},
			"adb.example does not speak TLS 1.2: it needs a newer TLS, or see tls_min and "
			"tls_max"},
		{{.kind = MISHAP_TLS,
			 .words = "tlsv1 alert protocol version",
			 .tls_min = "1.2",
			 .tls_max = "1.3"},
			"adb.example does not speak TLS 1.2 to 1.3: it needs a newer TLS, or see tls_min and "
			"tls_max"},
		{{.kind = MISHAP_TLS, .words = "tlsv13 alert certificate required"},
			"adb.example wants a client certificate: set client_certificate"},
		{{.kind = MISHAP_TLS, .words = "sslv3 alert bad certificate", .client_certificate = "/c.pem"},
			"adb.example does not take the client certificate in /c.pem"},
		{{.kind = MISHAP_TLS, .words = "ssl/tls alert handshake failure"},
			"adb.example takes none of our ciphers, or wants a client certificate "
			"(client_certificate)"},
		{{.kind = MISHAP_TLS,
			 .words = "sslv3 alert handshake failure",
			 .client_certificate = "/c.pem"},
			"adb.example takes none of our ciphers, or not the client certificate in /c.pem"},
		{{.kind = MISHAP_TLS,
			 .words = "sslv3 alert handshake failure",
			 .client_certificate = "/c.pem",
			 .ciphers = "x"},
			"adb.example takes none of the ciphers in ciphers and tls13_ciphers"},
		/* our ciphers and certificate are not for the proxy */
		{{.kind = MISHAP_TLS,
			 .words = "sslv3 alert handshake failure",
			 .client_certificate = "/c.pem",
			 .ciphers = "x",
			 .proxy = TLS_PROXY},
			"the proxy https://proxy.example:443 takes none of our ciphers, or wants a client "
			"certificate (client_certificate)"},
		{{.kind = MISHAP_TLS, .words = "error:0A00018A:SSL routines::dh key too small"},
			"adb.example does TLS in a way that is too weak for the security level of this "
			"system"},
		{{.kind = MISHAP_TLS, .words = "error:0A000126:SSL routines::unexpected eof while reading"},
			"adb.example hung up while TLS was being made"},
		{{.kind = MISHAP_TLS, .words = "something new"}, "TLS with adb.example failed"},
	};

	(void)state;
	CHECK(rows);
}

static void what_fits_nowhere_is_said_as_it_came(void **state)
{
	struct mishap m = {.words = "Empty reply from server", .host = "adb.example:8443"};
	char out[MISHAP_TEXT_BYTES], small[12];

	(void)state;
	assert_string_equal(
		mishap_explain(&m, out, sizeof(out)), "adb.example:8443: Empty reply from server");
	m.proxy = HTTP_PROXY;
	m.words = "";
	assert_string_equal(mishap_explain(&m, out, sizeof(out)),
		"adb.example:8443 through the proxy http://proxy.example:3128: no answer");
	assert_string_equal(mishap_explain(&m, small, sizeof(small)), "adb.example");
}

static void late_alerts(void **state)
{
	static const char *const refused[] = {
		"OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required, errno 0",
		"OpenSSL SSL_read: error:0A000418:SSL routines::tlsv1 alert unknown ca, errno 0",
		"error:0A000412:SSL routines::ssl/tls alert bad certificate",
		"sslv3 alert certificate expired"};
	static const char *const others[] = {"", "Recv failure: Connection reset by peer",
		"OpenSSL SSL_read: error:0A000438:SSL routines::tlsv1 alert internal error",
		"certificate required"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_true(mishap_is_refused_handshake(refused[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(mishap_is_refused_handshake(others[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_way),
		cmocka_unit_test(the_proxy_refuses),
		cmocka_unit_test(certificates),
		cmocka_unit_test(our_files),
		cmocka_unit_test(handshakes),
		cmocka_unit_test(what_fits_nowhere_is_said_as_it_came),
		cmocka_unit_test(late_alerts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
