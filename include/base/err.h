/*
 * err: the one way a function says what went wrong.
 *
 * The record belongs to the caller, has a fixed size and is never allocated. A function that can fail returns
 * 0 or a negative errno, fills the record where the failure happens, and callers on the way up put their
 * context in front (err_prefix). The place that decides what happens next logs it, once.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <errno.h>
#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* What kind of trouble this is; it decides exit status and whether trying again makes sense. */
enum err_class {
	ERR_NONE = 0,
	ERR_USAGE,  /* the command line */
	ERR_CONF,   /* the configuration */
	ERR_SYSTEM, /* a system call or the disk */
	ERR_REMOTE, /* the network, a server's answer */
	ERR_INPUT,  /* foreign bytes that are not what they must be */
	ERR_LIMIT,  /* one of our bounds */
};

#define ERR_TEXT_BYTES 1024

struct err {
	enum err_class class;
	int code;		   /* positive errno */
	char text[ERR_TEXT_BYTES]; /* one sentence without a full stop */
};

#define ERR_INIT ((struct err){.class = ERR_NONE})

/* Fills e (may be NULL) with a sentence. Returns -code (code > 0, else EINVAL is taken), so that `return
 * err_set(…)` works. */
int err_set(struct err *e, enum err_class class, int code, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The same for a failed system call: the sentence is followed by ": strerror". Class ERR_SYSTEM. code is a
 * positive errno. */
int err_errno(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " in front of what is there. Returns -e->code (or -EINVAL when e is NULL). */
int err_prefix(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Ends the program with file, line and the condition. For our own bugs only, never for input. */
_Noreturn void err_bug(const char *file, int line, const char *what);

#define BUG_ON(cond)                                                                                         \
	do {                                                                                                 \
		if (__builtin_expect(!!(cond), 0))                                                           \
			err_bug(__FILE__, __LINE__, #cond);                                                  \
	} while (0)

/*
 * What err_set, err_errno and err_prefix return is negative, always. Said here so that compilers and
 * analyzers, which see one file at a time, do not take `return err_set(...)` for a success that left its
 * results unset.
 */
static inline int err_negative(int rc)
{
	BUG_ON(rc >= 0);
	return rc;
}

#define err_set(...) err_negative(err_set(__VA_ARGS__))
#define err_errno(...) err_negative(err_errno(__VA_ARGS__))
#define err_prefix(...) err_negative(err_prefix(__VA_ARGS__))

#endif
