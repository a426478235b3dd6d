/*
 * trace: what each part of the program does, step by step, for somebody who has to find out why. Each line
 * belongs to a topic, and topics are switched on one by one ([service] trace = …); brickwatch-debug(7) says
 * what each shows, and a lint compares it with the table here.
 *
 * A line is a message of base/log at level debug, with its topic in brackets. Off, a trace costs one look at
 * a word, and its arguments are not evaluated. Never give it a secret: no header line, no body, no contents
 * of a file.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdbool.h>
#include "base/err.h"
#include "base/log.h"

/* name in the program, name in the configuration, what it shows */
#define TRACE_TOPICS(X)                                                                                      \
	X(INOTIFY, "inotify", "events of the kernel, as they are read")                                      \
	X(LISTING, "listing", "listings: when and why one begins, how it ends")                              \
	X(MOUNTS, "mounts", "mounts and file systems met, and when the table of mounts changes")             \
	X(SETTLE, "settle", "looks at unsettled files, and what each one still lacks")                       \
	X(TYPE, "type", "the sniffer's process, its questions and answers")                                  \
	X(LEDGER, "ledger", "transactions that changed something, and how long the commit took")             \
	X(SEND, "send", "requests for a run: when one goes out, what became of it")                          \
	X(HTTP, "http", "every exchange with a server: method, address, status, time")                       \
	X(AUTH, "auth", "signing in: when a credential is read or a token asked for")                        \
	X(JOB, "job", "looks at jobs, and what there is to note about them")                                 \
	X(EVENTS, "events", "writing and rotating the event log")                                            \
	X(CONTROL, "control", "clients of the control socket and their commands")                            \
	X(PROCESS, "process", "processes started, told, ended")

#define TRACE_ENUM(symbol, name, help) TRACE_##symbol,
enum trace_topic { TRACE_TOPICS(TRACE_ENUM) TRACE_ALL };
#undef TRACE_ENUM

/* Names of the topics and "all", in the order of the enum; ends with NULL. */
extern const char *const trace_words[];
extern unsigned trace_topics; /* bit 0 for the first; for trace() only */

/* What is to be said from now on. topics: a bit for each, 1u << TRACE_ALL for all. With level debug all are
 * on. */
void trace_set_up(enum log_level level, unsigned topics);
static inline bool trace_is_on(enum trace_topic topic)
{
	return (trace_topics & (1u << topic)) != 0;
}
void trace_write(enum trace_topic topic, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define trace(topic, ...)                                                                                    \
	do {                                                                                                 \
		if (__builtin_expect(trace_is_on(topic), 0))                                                 \
			trace_write(topic, __VA_ARGS__);                                                     \
	} while (0)

#endif
