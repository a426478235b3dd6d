#include "dispatch/http.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "http_client.h"
#include "openssl_files.h"

/* openssl(1) as the server. */
static struct {
	pid_t pid;
	int stdin_fd, stdout_fd;
	int port;
} tls = {.pid = -1};

static int tls_set_up(void **state)
{
	set_up(state);
	return files_begin() &&
			       files_run("umask 077; openssl req -x509 -newkey ec -pkeyopt "
					 "ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test -addext "
					 "subjectAltName=IP:127.0.0.1 -keyout good.key -out good.pem")
		       ? 0
		       : -1;
}

static int tls_tear_down(void **state)
{
	if (tls.pid > 0) {
		kill(tls.pid, SIGKILL);
		waitpid(tls.pid, NULL, 0);
		close(tls.stdin_fd);
		close(tls.stdout_fd);
		tls.pid = -1;
	}
	tear_down(state);
	files_end();
	return 0;
}

static void tls_run(const char *name, const char *const *more, int in, int out)
{
	char key[FILES_PATH_BYTES], certificate[FILES_PATH_BYTES];
	const char *argv[20] = {
		"openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-key", key, "-cert", certificate};
	int n = 9;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(key, sizeof(key), "%s/%s.key", files_folder, name);
	snprintf(certificate, sizeof(certificate), "%s/%s.pem", files_folder, name);
	for (; more != NULL && *more != NULL; more++)
		argv[n++] = *more;
	dup2(in, 0);
	dup2(out, 1);
	dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	execvp("openssl", (char *const *)(const void *)argv);
	_exit(127);
}

/* Starts the server with that certificate; more: further words, NULL at the end, or NULL. */
static void tls_serve(const char *name, const char *const *more)
{
	char line[200];
	int in[2], out[2];
	FILE *f;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	tls.pid = fork();
	if (tls.pid == 0)
		tls_run(name, more, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	tls.stdin_fd = in[1];
	tls.stdout_fd = out[0];
	f = fdopen(dup(out[0]), "r");
	assert_non_null(f);
	tls.port = 0;
	while (tls.port == 0 && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "ACCEPT 127.0.0.1:%d", &tls.port) != 1)
			tls.port = 0;
	fclose(f);
	assert_int_not_equal(tls.port, 0);
}

static void tls_get(void)
{
	get_from("https", "127.0.0.1", tls.port);
}

static void tls_client(const char *ca_file)
{
	start_client(1, S_TO_US(10), S_TO_US(10), ca_file);
}

static void check_answered(const char *part)
{
	if (got.transport != OUTCOME_TRANSPORT_OK || got.status != 200)
		fail_msg("%s", got.error);
	if (strstr(got.body, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, got.body);
}

/* ---- the server's certificate ---- */

static void certificate_of_the_ca_file_is_trusted(void **state)
{
	(void)state;
	tls_serve("good", NULL);
	tls_client(files_path("good.pem"));
	tls_get();
	check_answered("TLSv1.");
}

static void unknown_certificate_is_not_trusted(void **state)
{
	(void)state;
	tls_serve("good", NULL);
	tls_client(NULL);
	tls_get();
	check_not_sent("is signed by nobody we know: if it is the right server, put the certificate of its "
		       "authority into a file and set ca_file");
}

static void certificate_of_another_ca_is_not_trusted(void **state)
{
	(void)state;
	assert_true(files_make_certificate("other"));
	tls_serve("good", NULL);
	tls_client(files_path("other.pem"));
	tls_get();
	check_not_sent("is signed by nobody in ca_file = /tmp/");
}

static void certificate_for_another_name_is_not_trusted(void **state)
{
	(void)state;
	assert_true(files_make_certificate("other"));
	tls_serve("other", NULL);
	tls_client(files_path("other.pem"));
	tls_get();
	check_not_sent("is for another name: is host right?");
}

static void old_tls_is_not_spoken(void **state)
{
	static const char *const more[] = {"-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0", NULL};

	(void)state;
	tls_serve("good", more);
	tls_client(files_path("good.pem"));
	tls_get();
	check_not_sent("does not speak TLS 1.2 or later");
}

static void a_file_of_authorities_that_changes(void **state)
{
	(void)state;
	assert_true(files_make_certificate("other"));
	assert_true(files_run("cp other.pem ca.pem"));
	tls_serve("good", NULL);
	tls_client(files_path("ca.pem"));
	tls_get();
	check_not_sent("is signed by nobody in");
	assert_true(files_run("rm ca.pem"));
	tls_get();
	check_not_sent("ca.pem cannot be read: No such file or directory");
	files_write("ca.pem", "\xfe\xed\xfe\xed\0\0\0\2", 8);
	tls_get();
	check_not_sent("keytool -list");
	assert_true(files_run("cp good.pem ca.pem"));
	tls_get();
	check_answered("TLSv1.");
}

/* What is shown in a resumed session is what was shown before. */
static void every_connection_is_verified(void **state)
{
	(void)state;
	tls_serve("good", NULL);
	tls_client(files_path("good.pem"));
	for (int i = 0; i < 3; i++) {
		tls_get();
		check_answered("\nNew, TLSv1.");
	}
	assert_int_equal(http_connections(client), 3);
}

/* ---- versions and ciphers ---- */

static void what_is_set_takes_effect(void **state)
{
	static const struct {
		const char *min, *max, *ciphers, *ciphers13, *seen;
	} rows[] = {
		{NULL, NULL, NULL, NULL, "TLSv1.3, Cipher is"},
		{"1.2", "1.2", NULL, NULL, "TLSv1.2, Cipher is"},
		{"1.3", "1.3", NULL, NULL, "TLSv1.3, Cipher is"},
		{"1.2", "1.2", "ECDHE-ECDSA-AES128-GCM-SHA256", NULL, "ECDHE-ECDSA-AES128-GCM-SHA256"},
		{"1.2", "1.2", "ECDHE-ECDSA-CHACHA20-POLY1305", NULL, "ECDHE-ECDSA-CHACHA20-POLY1305"},
		{"1.2", NULL, NULL, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
		{"1.2", NULL, NULL, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256"},
	};

	tls_serve("good", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char seen[100];

		workspace.tls_min = (char *)rows[i].min;
		workspace.tls_max = (char *)rows[i].max;
		workspace.ciphers = (char *)rows[i].ciphers;
		workspace.tls13_ciphers = (char *)rows[i].ciphers13;
		tls_client(files_path("good.pem"));
		tls_get();
		snprintf(seen, sizeof(seen), "%s", rows[i].seen);
		check_answered(seen);
		tear_down(state);
		set_up(state);
	}
}

/* ---- our certificate ---- */

/* With TLS 1.3 the server's refusal comes when the request has been written; it has not read it. */
static void a_client_certificate_is_wanted(void **state)
{
	static const char *const versions[] = {"1.2", "1.3"};
	static const char *const more[] = {"-Verify", "1", "-verify_return_error", "-CAfile", "", NULL};
	char ca[FILES_PATH_BYTES];
	const char *words[ARRAY_SIZE(more)];

	snprintf(ca, sizeof(ca), "%s", files_path("good.pem"));
	memcpy(words, more, sizeof(more));
	words[4] = ca;
	tls_serve("good", words);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		workspace.tls_min = workspace.tls_max = (char *)versions[i];
		tls_client(files_path("good.pem"));
		tls_get();
		check_not_sent("wants a client certificate");
		tear_down(state);
		set_up(state);
	}
	workspace.client_certificate = files_path("good.pem");
	workspace.client_key = files_path("good.key");
	tls_client(ca);
	tls_get();
	check_answered("Verify return code: 0");
}

static void a_foreign_client_certificate_is_refused(void **state)
{
	static const char *const versions[] = {"1.2", "1.3"};
	static const char *const more[] = {"-Verify", "1", "-verify_return_error", NULL};
	char ca[FILES_PATH_BYTES], certificate[FILES_PATH_BYTES], key[FILES_PATH_BYTES];

	assert_true(files_make_certificate("other"));
	snprintf(ca, sizeof(ca), "%s", files_path("good.pem"));
	snprintf(certificate, sizeof(certificate), "%s", files_path("other.pem"));
	snprintf(key, sizeof(key), "%s", files_path("other.key"));
	tls_serve("good", more);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		workspace.tls_min = workspace.tls_max = (char *)versions[i];
		workspace.client_certificate = certificate;
		workspace.client_key = key;
		tls_client(ca);
		tls_get();
		check_not_sent("does not take the client certificate in /tmp/");
		tear_down(state);
		set_up(state);
	}
}

/* Another kind of file under the same name, with another password, while the client lives. */
static void a_client_certificate_that_changes(void **state)
{
	static const char *const more[] = {"-Verify", "1", NULL};
	char certificate[FILES_PATH_BYTES], password[FILES_PATH_BYTES];

	(void)state;
	assert_true(files_run("umask 077; cat good.pem good.key >client"));
	files_write("password", "one", 3);
	snprintf(certificate, sizeof(certificate), "%s", files_path("client"));
	snprintf(password, sizeof(password), "%s", files_path("password"));
	tls_serve("good", more);
	workspace.client_certificate = certificate;
	workspace.client_key_password_file = password;
	tls_client(files_path("good.pem"));
	assert_true(files_run(
		"umask 077; openssl pkcs12 -export -in good.pem -inkey good.key -out client -passout "
		"pass:two"));
	tls_get();
	check_not_sent("the client certificate cannot be used: see client_certificate");
	tls_get();
	check_not_sent("the password in client_key_password_file does not open the key in /tmp/");
	files_write("password", "two", 3);
	tls_get();
	check_answered("Client certificate");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tls_set_up, tls_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(certificate_of_the_ca_file_is_trusted),
		TEST(unknown_certificate_is_not_trusted),
		TEST(certificate_of_another_ca_is_not_trusted),
		TEST(certificate_for_another_name_is_not_trusted),
		TEST(old_tls_is_not_spoken),
		TEST(a_file_of_authorities_that_changes),
		TEST(every_connection_is_verified),
		TEST(what_is_set_takes_effect),
		TEST(a_client_certificate_is_wanted),
		TEST(a_foreign_client_certificate_is_refused),
		TEST(a_client_certificate_that_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
