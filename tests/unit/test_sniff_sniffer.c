/*
 * sniff/sniffer: the whole process, started as the watcher starts it: this program executed as "bw-sniff",
 * its socket at descriptor 3.
 */
#include "sniff/sniffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/gzip.h"
#include "base/mem.h"
#include "base/sock.h"
#include "base/text.h"
#include "confine/limits.h"
#include "core/wire.h"
#include "sniff/magic.h"

#define PATIENCE_MS 60000 /* only a failing test waits that long */

static struct wire_message in; /* what was received last */

struct process {
	pid_t pid;
	int sock;
};

static _Noreturn void process_execute(int sock)
{
	static char name[] = "bw-sniff", magic[] = "MAGIC=/nonexistent", home[] = "HOME=/nonexistent";
	char *const argv[] = {name, NULL}, *const envp[] = {magic, home, NULL};
	char path[4096] = "";

	if (readlink("/proc/self/exe", path, sizeof(path) - 1) <= 0 || dup2(sock, 3) != 3)
		_exit(127);
	for (int fd = 4; fd < 256; fd++) /* what the test itself was started with */
		(void)close(fd);
	(void)execve(path, argv, envp);
	_exit(127);
}

static void receive(int sock, enum wire_type type)
{
	struct err err = ERR_INIT;

	wire_message_close(&in);
	assert_int_equal(sock_wait(sock, POLLIN, PATIENCE_MS), 0);
	if (wire_recv(sock, &in, &err) != 1)
		fail_msg("no message: %s", err.text);
	assert_string_equal(wire_type_name(in.type), wire_type_name(type));
}

static struct process process_start(void)
{
	struct err err = ERR_INIT;
	struct process p;
	int fds[2];

	assert_int_equal(sock_pair(fds, &err), 0);
	p.pid = fork();
	if (p.pid == 0)
		process_execute(fds[1]);
	close(fds[1]);
	p.sock = fds[0];
	receive(p.sock, WIRE_TYPES);
	assert_string_equal(in.as.types.error, "");
	return p;
}

/* Its exit status; -1 when a signal ended it. */
static int process_wait(struct process *p)
{
	int status;

	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	fs_close(&p->sock);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void process_end(struct process *p)
{
	fs_close(&p->sock);
	assert_int_equal(process_wait(p), 0);
}

static int64_t asked = WIRE_ASK_TYPE;

static void ask(const struct process *p, const int *fds, size_t n_fds, int64_t max_bytes)
{
	static int64_t serial = INT64_C(1) << 40;
	struct wire_ask question = {.name = "a \n name", .max_bytes = max_bytes, .question = asked};

	question.serial = ++serial;
	assert_int_equal(wire_send(p->sock, WIRE_ASK, &question, fds, n_fds), 0);
	receive(p->sock, WIRE_ANSWER);
	assert_int_equal(in.n_fds, 0);
	assert_true(in.as.answer.serial == serial);
}

static int file_with(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	return fd;
}

static void assert_type(const struct process *p, const char *text, const char *mime)
{
	int fd = file_with(text);

	ask(p, &fd, 1, 4096);
	close(fd);
	assert_string_equal(in.as.answer.error, "");
	assert_string_equal(in.as.answer.mime, mime);
}

static void assert_error(
	const struct process *p, const int *fds, size_t n_fds, int64_t max_bytes, const char *words)
{
	ask(p, fds, n_fds, max_bytes);
	assert_string_equal(in.as.answer.mime, "");
	assert_non_null(strstr(in.as.answer.error, words));
}

/* ---- questions and answers */

static void test_answers(void **state)
{
	char version[MAGIC_VERSION_BYTES];
	struct process p = process_start();

	(void)state;
	assert_string_equal(in.as.types.libmagic, magic_version_text(version));
	for (int i = 0; i < 50; i++) {
		assert_type(&p, "id,name\n1,a\n2,b\n3,c\n", "text/csv");
		assert_type(&p, "%PDF-1.4\n1 0 obj\n", "application/pdf");
		assert_type(&p, "{\"a\": 1}", "application/json");
		assert_type(&p, "", "application/x-empty");
	}
	process_end(&p);
}

static void test_errors_are_answers(void **state)
{
	struct process p = process_start();
	int fds[2], file = file_with("text\n");

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_error(&p, fds, 1, 4096, "not a regular file");
	assert_error(&p, fds, 2, 4096, "2 descriptors");
	assert_error(&p, NULL, 0, 4096, "0 descriptors");
	assert_error(&p, &file, 1, 0, "cannot read 0 bytes");
	assert_error(&p, &file, 1, INT64_MAX, "bytes of a file");
	assert_type(&p, "text\n", "text/plain");
	close(file);
	close(fds[0]);
	close(fds[1]);
	process_end(&p);
}

/* The other question. */
static void test_ends(void **state)
{
	static const char gz[] = "\x1f\x8b\x08\0\0\0\0\0\0\x03\x4b\x04\0\x43\xbe\xb7\xe8\x01\0\0\0";
	struct process p = process_start();
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(fs_write_all(fd, gz, sizeof(gz) - 1), 0);
	for (int i = 0; i < 10; i++) {
		asked = WIRE_ASK_END;
		ask(&p, &fd, 1, (int64_t)sizeof(gz) - 1);
		assert_string_equal(in.as.answer.error, "");
		assert_string_equal(in.as.answer.mime, "");
		assert_int_equal(in.as.answer.end, GZIP_END_THERE);
		ask(&p, &fd, 1, (int64_t)sizeof(gz) - 2);
		assert_int_equal(in.as.answer.end, GZIP_END_CUT);
		assert_error(&p, &fd, 1, (int64_t)sizeof(gz), "cannot unpack the file");
		assert_int_equal(in.as.answer.end, GZIP_END_UNKNOWN);
		asked = WIRE_ASK_TYPE;
		assert_type(&p, "text\n", "text/plain");
		assert_int_equal(in.as.answer.end, GZIP_END_UNKNOWN);
	}
	asked = 2;
	assert_error(&p, &fd, 1, 1, "a question 2");
	asked = WIRE_ASK_TYPE;
	close(fd);
	process_end(&p);
}

static void test_nonsense_ends_it(void **state)
{
	struct wire_empty empty = {0};
	struct process p = process_start();

	(void)state;
	assert_int_equal(wire_send(p.sock, WIRE_STOP, &empty, NULL, 0), 0);
	assert_int_equal(process_wait(&p), 1);
	p = process_start();
	assert_int_equal(sock_send(p.sock, "rubbish", 7, NULL, 0), 0);
	assert_int_equal(process_wait(&p), 1);
}

/* ---- the process */

static void test_stop_signals_are_ignored(void **state)
{
	struct process p = process_start();

	(void)state;
	kill(p.pid, SIGTERM);
	kill(p.pid, SIGINT);
	kill(p.pid, SIGHUP);
	assert_type(&p, "text\n", "text/plain");
	process_end(&p);
}

static const char *read_proc(const struct process *p, const char *name)
{
	static struct buf b;
	struct err err = ERR_INIT;
	char path[64];

	buf_done(&b);
	buf_init(&b, 65536);
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)p->pid, name);
	if (fs_read_file(path, 65536, &b, &err) < 0)
		fail_msg("%s", err.text);
	return buf_str(&b);
}

static void assert_has_line(const char *text, const char *name, const char *value)
{
	const char *at = strstr(text, name);

	assert_non_null(at);
	at += strlen(name);
	at += strspn(at, " \t");
	if (!text_starts_with(at, value))
		fail_msg("%s is not %s but %.30s", name, value, at);
}

static int count_descriptors(const struct process *p)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;
	int n = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)p->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void test_confinement(void **state)
{
	struct process p = process_start();
	const char *text;

	(void)state;
	assert_type(&p, "text\n", "text/plain");
	assert_string_equal(read_proc(&p, "comm"), "bw-sniff\n");
	text = read_proc(&p, "status");
	assert_has_line(text, "NoNewPrivs:", "1");
	assert_has_line(text, "CapPrm:", "0000000000000000");
	assert_has_line(text, "CapEff:", "0000000000000000");
	assert_has_line(text, "CapAmb:", "0000000000000000");
	text = read_proc(&p, "limits");
	assert_has_line(text, "Max core file size", "0 ");
	assert_has_line(text, "Max open files", "16 ");
	if (!strstr(text, "Max address space         unlimited")) { /* no checking tool is at work */
		assert_has_line(text, "Max address space", "536870912 ");
		assert_has_line(text, "Max file size", "0 ");
	}
	if (geteuid() == 0)
		assert_int_equal(count_descriptors(&p), 4);
	process_end(&p);
}

/* Nobody is left over when the watcher is killed, not even in the middle of a file. */
static void test_dies_with_parent(void **state)
{
	struct err err = ERR_INIT;
	struct process p;
	int socks[2], gate[2];
	char byte;

	(void)state;
	assert_int_equal(sock_pair(socks, &err), 0);
	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	p.pid = fork();
	if (p.pid == 0) {
		close(gate[1]);
		if (fork() == 0)
			process_execute(socks[1]);
		(void)!read(gate[0], &byte, 1);
		_exit(0);
	}
	close(socks[1]);
	p.sock = socks[0];
	receive(p.sock, WIRE_TYPES);
	close(gate[0]);
	close(gate[1]); /* the parent ends; our end of the socket stays open */
	assert_int_equal(sock_wait(p.sock, POLLIN, PATIENCE_MS), 0);
	assert_int_equal(wire_recv(p.sock, &in, &err), 0);
	assert_int_equal(process_wait(&p), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_errors_are_answers),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_nonsense_ends_it),
		cmocka_unit_test(test_stop_signals_are_ignored),
		cmocka_unit_test(test_confinement),
		cmocka_unit_test(test_dies_with_parent),
	};

	if (argc > 0 && strcmp(argv[0], "bw-sniff") == 0)
		return sniffer_main(3, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
