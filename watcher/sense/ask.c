/*
 * States of the sniffer:
 *
 *   none ──spawn──▶ starting ──types──▶ idle ◀──ask / answer──▶ asked
 *    ▲                 │                  │                       │
 *    └──── reaped ── ending ◀─────────────┴── end, deadline, … ───┘
 *
 * Every way out goes through ask_end (SIGKILL, socket closed) and ask_gone (reaped); only there is decided
 * what the death means for the question. Nothing new is started before the old one is reaped: one that sits
 * in an uninterruptible call on a dead mount is therefore never replaced, and the page shows the stall.
 *
 * The deadline is measured on the sniffer's own processor clock (clock_getcpuclockid). A timer of the loop
 * looks at it when it could be over at the earliest: with the processor time still left, which cannot pass
 * faster than real time.
 *
 * A death shows as the end of the socket, after everything that was sent before it. What is left then is
 * reaping, and a killed process is there to reap within a millisecond or two, so a timer tries, ever more
 * slowly. No SIGCHLD (one handler for a whole process) and no pidfd (ready before the process can be reaped
 * where a debugger or a leak checker traces it) is worth its trouble for something this rare.
 *
 * Callbacks run as deferred calls, one each, after everything here has been put in order: they may free the
 * ask.
 *
 * Rejected: a fresh sniffer for every file (0.5 ms each); magic_buffer here (in-process: newlines stop the
 * whole loop for half a second); SIGALRM or RLIMIT_CPU inside the sniffer (a wedged parser must not be
 * trusted to time itself).
 */
#include "sense/ask.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/crash.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/sock.h"
#include "base/text.h"
#include "base/trace.h"
#include "core/filetype.h"

#define ASK_SOCKET 3 /* where the sniffer finds its socket */
#define ASK_VERSION_BYTES 64
#define ASK_LOOK_MIN_US (1 * US_PER_MS) /* between two looks at the processor clock */
#define ASK_LOOK_MAX_US US_PER_S	/* a stall is shown this soon */
#define ASK_REAP_MIN_US (1 * US_PER_MS) /* between two tries: 1, 2, 4 … */
#define ASK_REAP_MAX_US (500 * US_PER_MS)
#define ASK_FREE_WAIT_MS 1000
#define ASK_UNPACK_MIB_MAX INT64_C(1000000000) /* nothing is larger; keeps the numbers in range */

enum ask_state { ASK_NONE, ASK_STARTING, ASK_IDLE, ASK_ASKED, ASK_ENDING };

/* The file in question. */
struct ask_question {
	bool open;     /* asked for and not called back */
	bool handed;   /* the present sniffer has it */
	bool resolved; /* the result is known, the callback is deferred */
	int fd;
	char *name;
	uint64_t tag;
	enum wire_question question;
	int64_t max_bytes, deadline_us;
	int attempts;	  /* how often a sniffer died of it */
	int64_t since_us; /* monotonic: it waits, or the sniffer has it */
	enum ask_reason reason;
	char mime[FILETYPE_MIME_BYTES];
	enum gzip_end end;
	char text[ERR_TEXT_BYTES];
};

struct ask {
	struct loop *loop;
	struct wire_page *page;
	int64_t type_bytes, type_deadline_us, files_max, start_cpu_us;
	ask_fn fn;
	ask_ready_fn ready_fn;
	void *arg;
	const char *program; /* NULL: this one */

	enum ask_state state;
	pid_t pid;
	int sock;
	struct loop_io *sock_io;
	struct loop_timer *look;  /* at the processor clock and at stalls */
	struct loop_timer *retry; /* next start, or next try to reap */
	bool was_ready;		  /* this sniffer said what it is */
	bool unfiltered;	  /* this sniffer is started without its system call filter … */
	struct err filter_why;	  /* … since this happened with it */
	bool filter_excused;	  /* that did not help: it is not the filter */
	int64_t files;		  /* questions that ended with this sniffer */
	int64_t serial;
	int64_t reap_us;
	int64_t mark_us, mark_cpu_us; /* when it was started, or got the question */
	int failed_starts;
	struct err why; /* of an end that we decided on; else ERR_NONE */

	bool shown;	/* the page shows "type" */
	bool opened;	/* ask_open was called and the first sniffer is not ready yet */
	bool ready_due; /* the next ready sniffer is news */
	struct err ready_err;
	char libmagic[ASK_VERSION_BYTES];

	struct ask_question q;
	struct wire_message in;
};

static void ask_pump(struct ask *a);

/* ---- the child, between fork and exec */

/* Everything is CLOEXEC from birth; this is for what a library may have left open. */
static void ask_close_from(int first)
{
	struct dirent *entry;
	int64_t fd;
	DIR *dir;

#ifdef SYS_close_range
	if (syscall(SYS_close_range, (unsigned)first, ~0u, 0u) == 0)
		return;
#endif
	dir = opendir("/proc/self/fd");
	while (dir && (entry = readdir(dir)))
		if (num_parse_i64(entry->d_name, &fd) == 0 && fd >= first && fd != dirfd(dir))
			(void)close((int)fd);
	if (dir)
		closedir(dir);
}

static bool ask_child_arrange_fds(int sock)
{
	int null;

	if (sock == ASK_SOCKET ? fcntl(sock, F_SETFD, 0) < 0 : dup2(sock, ASK_SOCKET) < 0)
		return false;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return false;
	if (fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null, STDERR_FILENO) < 0)
		return false;
	ask_close_from(ASK_SOCKET + 1);
	return true;
}

/*
 * By its path, because /proc/self/exe is valgrind itself under valgrind (which answers readlink rightly), and
 * "exe" is no name for a process. A program that was replaced while it runs has no path any more; then the
 * link is what starts the same one again.
 */
static const char *ask_own_program(char *path, size_t room)
{
	ssize_t n = readlink("/proc/self/exe", path, room - 1);

	if (n <= 0)
		return "/proc/self/exe";
	path[n] = '\0';
	return path[0] != '/' || text_ends_with(path, " (deleted)") ? "/proc/self/exe" : path;
}

/* What the loader and the sanitizers need, and nothing that libmagic would listen to. */
static const char *const ask_environment[] = {
	"LD_LIBRARY_PATH=", "ASAN_OPTIONS=", "LSAN_OPTIONS=", "UBSAN_OPTIONS=", CRASH_ENVIRONMENT};
#define ASK_ENVIRONMENT_MAX ARRAY_SIZE(ask_environment)

static void ask_child_trim_environment(char *envp[ASK_ENVIRONMENT_MAX + 1])
{
	size_t n = 0;

	for (size_t i = 0; environ && environ[i]; i++)
		for (size_t k = 0; k < ASK_ENVIRONMENT_MAX && n < ASK_ENVIRONMENT_MAX; k++)
			if (text_starts_with(environ[i], ask_environment[k]))
				envp[n++] = environ[i];
	envp[n] = NULL;
}

static _Noreturn void ask_child(const char *program, bool unfiltered, int sock)
{
	static char name[] = "bw-sniff";
	static char bare[] = "--without-seccomp";
	char *const argv[] = {name, unfiltered ? bare : NULL, NULL};
	char *envp[ASK_ENVIRONMENT_MAX + 1];
	char text[256], path[4096];
	struct wire_types types = {.libmagic = "", .error = text};
	sigset_t none;

	if (!program)
		program = ask_own_program(path, sizeof(path));
	ask_child_trim_environment(envp);
	sigemptyset(&none);
	if (ask_child_arrange_fds(sock) && sigprocmask(SIG_SETMASK, &none, NULL) == 0)
		(void)execve(program, argv, envp);
	(void)snprintf(text, sizeof(text), "cannot execute %.160s: %s", program, strerror(errno));
	(void)!wire_send(ASK_SOCKET, WIRE_TYPES, &types, NULL, 0);
	_exit(127);
}

/* ---- time and the state page */

/* Processor time of the sniffer so far, -1 where the kernel has no such clock. */
static int64_t ask_cpu_us(const struct ask *a)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(a->pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
		return -1;
	return clock_timespec_ns(&ts) / 1000;
}

static void ask_mark(struct ask *a)
{
	a->mark_us = clock_mono_us();
	a->mark_cpu_us = ask_cpu_us(a);
}

/* Processor time since the mark; real time is all there is to go by without that clock. */
static int64_t ask_used_us(const struct ask *a)
{
	int64_t cpu_us = ask_cpu_us(a);

	return cpu_us < 0 || a->mark_cpu_us < 0 ? clock_mono_us() - a->mark_us : cpu_us - a->mark_cpu_us;
}

/* Other calls of the watcher write over the page: so it is shown anew at every look. */
static void ask_page_show(struct ask *a)
{
	if (!a->page || !a->q.open)
		return;
	wire_page_enter(a->page, "type", a->q.name);
	__atomic_store_n(&a->page->since_us, a->q.since_us, __ATOMIC_RELEASE);
	a->shown = true;
}

static void ask_page_hide(struct ask *a)
{
	if (a->shown)
		wire_page_leave(a->page);
	a->shown = false;
}

static void ask_look_in(struct ask *a, int64_t span_us)
{
	if (span_us < ASK_LOOK_MIN_US)
		span_us = ASK_LOOK_MIN_US;
	if (span_us > ASK_LOOK_MAX_US)
		span_us = ASK_LOOK_MAX_US;
	loop_timer_set(a->look, clock_mono_us() + span_us);
}

/* ---- telling the caller */

static void ask_deliver_result(void *arg)
{
	struct ask *a = arg;
	struct ask_question q = a->q;
	struct ask_result result = {
		.tag = q.tag,
		.reason = q.reason,
		.mime = q.reason == ASK_OK && q.mime[0] ? q.mime : NULL,
		.end = q.reason == ASK_OK ? q.end : GZIP_END_UNKNOWN,
		.text = q.text,
	};

	free(a->q.name);
	memset(&a->q, 0, sizeof(a->q));
	a->fn(a, &result, a->arg);
}

/* text may be foreign and may lie in a->in. */
static void ask_resolve(struct ask *a, enum ask_reason reason, const char *text)
{
	trace(TRACE_TYPE, "%s: %s (%s)", a->q.name, reason == ASK_OK ? a->q.mime : "not told", text);
	a->files++;
	a->q.reason = reason;
	a->q.resolved = true;
	(void)text_printable(text, strnlen(text, sizeof(a->q.text)), a->q.text, sizeof(a->q.text));
	ask_page_hide(a);
	loop_defer(a->loop, ask_deliver_result, a);
}

static void ask_deliver_ready(void *arg)
{
	struct ask *a = arg;
	struct err err = a->ready_err;

	a->ready_fn(a, err.class == ERR_NONE ? NULL : &err, a->arg);
}

static void ask_announce(struct ask *a, const struct err *err)
{
	if (!a->ready_fn)
		return;
	a->ready_err = err ? *err : ERR_INIT;
	loop_defer_cancel(a->loop, ask_deliver_ready, a);
	loop_defer(a->loop, ask_deliver_ready, a);
}

/* ---- the end of a sniffer */

static void ask_describe_status(int status, struct err *err)
{
	if (WIFSIGNALED(status))
		(void)err_set(err, ERR_SYSTEM, EPIPE, "the sniffer was ended by signal %d (%s)",
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)err_set(
			err, ERR_SYSTEM, EPIPE, "the sniffer exited with status %d", WEXITSTATUS(status));
}

static int64_t ask_backoff_us(int failed_starts)
{
	int64_t span = ASK_BACKOFF_MIN_US;

	for (int i = 1; i < failed_starts && span < ASK_BACKOFF_MAX_US; i++)
		span *= 2;
	return span < ASK_BACKOFF_MAX_US ? span : ASK_BACKOFF_MAX_US;
}

static void ask_start_failed(struct ask *a, struct err *why)
{
	char span[CLOCK_TEXT_BYTES];
	int64_t wait_us;
	struct err err;

	if (a->failed_starts < 100)
		a->failed_starts++;
	wait_us = ask_backoff_us(a->failed_starts);
	(void)err_set(&err, why->class, why->code, "cannot tell file types: %s, trying again in %s",
		why->text, clock_format_span(wait_us, span));
	a->ready_due = true;
	loop_timer_clear(a->look);
	ask_page_hide(a);
	loop_timer_set(a->retry, clock_mono_us() + wait_us);
	ask_announce(a, &err);
}

/*
 * It ended before it was ready, killed for a system call or because its samples were told wrong. A libmagic
 * that makes other calls than were measured would not work at all: so at once another is started without the
 * filter. Only that one: the next has the filter again. If it does not get ready either, the filter is not to
 * blame, and is left alone until one works. A sniffer that dies of a file never gets here: that may be the
 * very attack the filter is for.
 */
static bool ask_takes_filter_off(struct ask *a, int status, const struct err *why)
{
	bool was_off = a->unfiltered;

	a->unfiltered = false;
	if (a->was_ready)
		return false;
	a->filter_excused |= was_off;
	if (a->filter_excused ||
		(a->why.class == ERR_NONE && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)))
		return false;
	a->unfiltered = true;
	a->filter_why = *why;
	return true;
}

/* It died while it had the question. */
static void ask_count_crash(struct ask *a, const struct err *why)
{
	char text[ERR_TEXT_BYTES + 32];

	a->q.attempts++;
	if (a->q.attempts < ASK_ATTEMPTS)
		return;
	(void)snprintf(text, sizeof(text), "%s, %d times", why->text, a->q.attempts);
	ask_resolve(a, ASK_CRASH, text);
}

/* No process is left. */
static void ask_gone(struct ask *a, int status)
{
	bool asked = a->q.open && a->q.handed && !a->q.resolved;
	struct err why = a->why;
	bool without_filter;

	if (why.class == ERR_NONE)
		ask_describe_status(status, &why);
	without_filter = ask_takes_filter_off(a, status, &why);
	loop_timer_clear(a->look);
	loop_timer_clear(a->retry);
	a->pid = 0;
	a->state = ASK_NONE;
	a->q.handed = false;
	if (asked)
		ask_count_crash(a, &why);
	else if (!without_filter && (!a->was_ready || a->files == 0)) /* it has never been of any use */
		ask_start_failed(a, &why);
	ask_pump(a);
}

static void ask_reap(struct ask *a)
{
	int status = 0;
	pid_t pid;

	do
		pid = waitpid(a->pid, &status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid != 0) {
		ask_gone(a, status);
		return;
	}
	loop_timer_set(a->retry, clock_mono_us() + a->reap_us);
	if (a->reap_us < ASK_REAP_MAX_US)
		a->reap_us *= 2;
}

/* For good, whatever the state. why: NULL when the wait status will tell. */
static void ask_end(struct ask *a, const struct err *why)
{
	if (why)
		a->why = *why;
	(void)kill(a->pid, SIGKILL);
	loop_io_remove(a->sock_io);
	a->sock_io = NULL;
	fs_close(&a->sock);
	a->state = ASK_ENDING;
	a->reap_us = ASK_REAP_MIN_US;
	ask_look_in(a, ASK_LOOK_MAX_US);
	ask_reap(a);
}

/* ---- messages of the sniffer */

static void ask_take_types(struct ask *a, const struct wire_types *types)
{
	struct err err = ERR_INIT;
	bool news;

	if (types->error[0] || !types->libmagic[0] || strlen(types->libmagic) >= sizeof(a->libmagic)) {
		(void)err_set(&err, ERR_SYSTEM, ENOEXEC, "%s",
			types->error[0] ? types->error : "the sniffer does not say what its libmagic is");
		ask_end(a, &err);
		return;
	}
	news = a->ready_due || strcmp(a->libmagic, types->libmagic) != 0;
	memcpy(a->libmagic, types->libmagic, strlen(types->libmagic) + 1);
	a->state = ASK_IDLE;
	a->was_ready = true;
	a->filter_excused = false;
	a->ready_due = false;
	a->opened = false;
	loop_timer_clear(a->look);
	if (news)
		ask_announce(a, NULL);
	ask_pump(a);
}

/* The sniffer parses foreign bytes: what it says is foreign, too. */
static bool ask_is_answer(const struct ask *a, const struct wire_answer *answer)
{
	const char *mime = answer->mime;
	size_t n = strlen(mime);
	bool ends = a->q.question == WIRE_ASK_END && !answer->error[0];

	if (answer->end < (ends ? GZIP_END_THERE : GZIP_END_UNKNOWN) ||
		answer->end > (ends ? GZIP_END_DAMAGED : GZIP_END_UNKNOWN))
		return false;

	for (size_t i = 0; i < n; i++)
		if (mime[i] <= ' ' || mime[i] > '~')
			return false;
	return n < FILETYPE_MIME_BYTES;
}

static void ask_take_answer(struct ask *a, const struct wire_answer *answer)
{
	a->state = ASK_IDLE;
	a->failed_starts = 0;
	loop_timer_clear(a->look);
	memcpy(a->q.mime, answer->mime, strlen(answer->mime) + 1);
	a->q.end = (enum gzip_end)answer->end;
	ask_resolve(a, answer->error[0] ? ASK_ERROR : ASK_OK, answer->error);
	if (a->files >= a->files_max)
		ask_end(a, NULL);
}

static void ask_take_message(struct ask *a)
{
	const struct wire_message *m = &a->in;
	struct err err = ERR_INIT;

	if (m->type == WIRE_TYPES && a->state == ASK_STARTING) {
		ask_take_types(a, &m->as.types);
	} else if (m->type == WIRE_ANSWER && a->state == ASK_ASKED && m->as.answer.serial == a->serial &&
		   ask_is_answer(a, &m->as.answer)) {
		ask_take_answer(a, &m->as.answer);
	} else {
		(void)err_set(&err, ERR_INPUT, EBADMSG,
			"the sniffer sent a message \"%s\" that makes no sense", wire_type_name(m->type));
		ask_end(a, &err);
	}
}

static void ask_on_socket(struct loop_io *io, uint32_t events, void *arg)
{
	struct ask *a = arg;
	struct err err = ERR_INIT;
	int rc = wire_recv(a->sock, &a->in, &err);

	(void)io;
	(void)events;
	if (rc == -EAGAIN)
		return;
	if (rc <= 0) {
		ask_end(a, rc < 0 ? &err : NULL);
		return;
	}
	ask_take_message(a);
	wire_message_close(&a->in);
}

/* ---- forward: start a sniffer, hand over the question */

static int ask_spawn(struct ask *a, struct err *err)
{
	int fds[2], rc = sock_pair(fds, err);
	pid_t pid;

	if (rc < 0)
		return rc;
	pid = fork();
	if (pid == 0)
		ask_child(a->program, a->unfiltered, fds[1]);
	rc = errno;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return err_errno(err, rc, "cannot start a process");
	}
	trace(TRACE_TYPE, "sniffer %d is started", (int)pid);
	a->pid = pid;
	a->sock = fds[0];
	a->state = ASK_STARTING;
	a->was_ready = false;
	a->files = 0;
	a->why = ERR_INIT;
	return 0;
}

static void ask_start_sniffer(struct ask *a)
{
	struct err err = ERR_INIT;

	if (ask_spawn(a, &err) < 0) {
		ask_start_failed(a, &err);
		return;
	}
	ask_mark(a);
	ask_look_in(a, ASK_LOOK_MAX_US);
	a->sock_io = loop_io_add(a->loop, a->sock, LOOP_IN, ask_on_socket, a, &err);
	if (!a->sock_io)
		ask_end(a, &err);
}

static void ask_hand_over(struct ask *a)
{
	struct wire_ask ask = {.name = a->q.name,
		.max_bytes = a->q.max_bytes,
		.serial = ++a->serial,
		.question = a->q.question};
	char text[256];
	int rc;

	ask_mark(a);
	rc = wire_send(a->sock, WIRE_ASK, &ask, &a->q.fd, 1);
	if (rc == 0) {
		a->q.handed = true;
		a->q.since_us = a->mark_us;
		a->state = ASK_ASKED;
		ask_page_show(a);
		ask_look_in(a, a->q.deadline_us);
	} else if (rc == -EPIPE || rc == -ECONNRESET) {
		ask_end(a, NULL); /* it died while it had nothing to do: not because of this file */
	} else {
		(void)snprintf(text, sizeof(text), "cannot hand the file to the sniffer: %s", strerror(-rc));
		ask_resolve(a, ASK_ERROR, text);
	}
}

static void ask_pump(struct ask *a)
{
	bool waiting = a->q.open && !a->q.resolved;

	if (a->state == ASK_NONE && (waiting || a->opened) && !loop_timer_is_set(a->retry))
		ask_start_sniffer(a);
	else if (a->state == ASK_IDLE && waiting)
		ask_hand_over(a);
}

/* ---- timers */

static void ask_look_at_question(struct ask *a)
{
	int64_t left_us = a->q.deadline_us - ask_used_us(a);
	char span[CLOCK_TEXT_BYTES], text[128];

	if (left_us > 0) {
		ask_page_show(a);
		ask_look_in(a, left_us);
		return;
	}
	(void)snprintf(text, sizeof(text), "%s needed more than %s of processor time",
		a->q.question == WIRE_ASK_END ? "unpacking it" : "libmagic",
		clock_format_span(a->q.deadline_us, span));
	ask_resolve(a, ASK_DEADLINE, text);
	ask_end(a, NULL);
}

static void ask_look_at_start(struct ask *a)
{
	struct err err = ERR_INIT;

	if (ask_used_us(a) < a->start_cpu_us) {
		ask_page_show(a);
		ask_look_in(a, ASK_LOOK_MAX_US);
		return;
	}
	(void)err_set(&err, ERR_LIMIT, ETIME, "the sniffer does not get ready");
	ask_end(a, &err);
}

static void ask_on_look(struct loop_timer *timer, void *arg)
{
	struct ask *a = arg;

	(void)timer;
	if (a->state == ASK_ASKED) {
		ask_look_at_question(a);
	} else if (a->state == ASK_STARTING) {
		ask_look_at_start(a);
	} else if (a->state == ASK_ENDING) {
		ask_page_show(a);
		ask_look_in(a, ASK_LOOK_MAX_US);
	}
}

static void ask_on_retry(struct loop_timer *timer, void *arg)
{
	struct ask *a = arg;

	(void)timer;
	if (a->state == ASK_ENDING)
		ask_reap(a);
	else
		ask_pump(a);
}

/* ---- public */

struct ask *ask_new(struct loop *loop, struct wire_page *page, int64_t type_bytes, int64_t type_deadline_us,
	ask_fn fn, void *arg, struct err *err)
{
	struct ask *a;

	if (type_bytes < 1 || type_deadline_us < 1) {
		(void)err_set(err, ERR_CONF, EINVAL, "type_bytes and type_deadline must be larger than 0");
		return NULL;
	}
	a = mem_alloc(sizeof(*a));
	a->loop = loop;
	a->page = page;
	a->type_bytes = type_bytes;
	a->type_deadline_us = type_deadline_us;
	a->files_max = ASK_FILES_MAX;
	a->start_cpu_us = ASK_START_CPU_US;
	a->fn = fn;
	a->arg = arg;
	a->sock = -1;
	a->ready_due = true;
	a->look = loop_timer_add(loop, ask_on_look, a);
	a->retry = loop_timer_add(loop, ask_on_retry, a);
	return a;
}

/* Waits a little: a killed process is gone at once, unless it hangs on a dead mount. */
static void ask_kill_and_wait(const struct ask *a)
{
	(void)kill(a->pid, SIGKILL);
	for (int left_ms = ASK_FREE_WAIT_MS; left_ms > 0 && waitpid(a->pid, NULL, WNOHANG) == 0; left_ms--)
		(void)poll(NULL, 0, 1);
}

void ask_free(struct ask *a)
{
	if (!a)
		return;
	loop_defer_cancel(a->loop, ask_deliver_ready, a);
	loop_defer_cancel(a->loop, ask_deliver_result, a);
	if (a->pid > 0)
		ask_kill_and_wait(a);
	loop_io_remove(a->sock_io);
	fs_close(&a->sock);
	loop_timer_remove(a->look);
	loop_timer_remove(a->retry);
	ask_page_hide(a);
	free(a->q.name);
	free(a);
}

void ask_open(struct ask *a, ask_ready_fn fn)
{
	a->ready_fn = fn;
	a->opened = true;
	ask_pump(a);
}

static int ask_begin(struct ask *a, const struct ask_question *q, const char *name, struct err *err)
{
	if (a->q.open)
		return err_set(err, ERR_LIMIT, EBUSY, "the sniffer is busy with another file");
	a->q = *q;
	a->q.open = true;
	a->q.name = mem_strndup(name, WIRE_PATH_BYTES - 1);
	a->q.since_us = clock_mono_us();
	ask_pump(a);
	return 0;
}

int ask_start(struct ask *a, int fd, const char *name, uint64_t tag, struct err *err)
{
	const struct ask_question q = {.fd = fd,
		.tag = tag,
		.question = WIRE_ASK_TYPE,
		.max_bytes = a->type_bytes,
		.deadline_us = a->type_deadline_us};

	return ask_begin(a, &q, name, err);
}

/* No time-out for large files: a guard against one that never ends. */
static int64_t ask_unpack_us(int64_t size)
{
	int64_t mib = (size >> 20) + 1;

	return (mib < ASK_UNPACK_MIB_MAX ? mib : ASK_UNPACK_MIB_MAX) * ASK_UNPACK_US_PER_MIB;
}

int ask_start_end(struct ask *a, int fd, int64_t size, const char *name, uint64_t tag, struct err *err)
{
	const struct ask_question q = {.fd = fd,
		.tag = tag,
		.question = WIRE_ASK_END,
		.max_bytes = size,
		.deadline_us = ask_unpack_us(size)};

	return ask_begin(a, &q, name, err);
}

bool ask_is_busy(const struct ask *a)
{
	return a->q.open;
}

const char *ask_libmagic_version(const struct ask *a)
{
	return a->libmagic;
}

const char *ask_unfiltered_why(const struct ask *a)
{
	return a->unfiltered && a->was_ready ? a->filter_why.text : NULL;
}

pid_t ask_sniffer_pid(const struct ask *a)
{
	return a->pid;
}

void ask_set_program(struct ask *a, const char *path)
{
	a->program = path;
}

void ask_set_limits(struct ask *a, int64_t files, int64_t start_cpu_us)
{
	a->files_max = files;
	a->start_cpu_us = start_cpu_us;
}
