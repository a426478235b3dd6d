/*
 * answer: what the body of a Jobs API answer says, in whatever shape it comes: a run id, a run's state, or an
 * error's code and message. Pure; it takes foreign bytes and never fails.
 *
 * Shapes of an error, all seen in the wild: {"error_code":"…","message":"…"} with a word or a number as code;
 * message alone; {"error":"…"} and {"error":"…","error_description":"…"}; {"error":{"code":…,"message":…}};
 * SCIM's "detail"; "CODE: text"; a page of HTML with the text in <pre> or <title>; nothing at all. Source:
 * the error readers of the Databricks SDKs.
 */
#ifndef DISPATCH_ANSWER_H
#define DISPATCH_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_CODE_BYTES 64
#define ANSWER_MESSAGE_BYTES 4096

struct answer {
	bool has_run_id;
	int64_t run_id;		      /* positive */
	char code[ANSWER_CODE_BYTES]; /* letters, digits, _ . - only, and * where auth_blot() was; "" unknown
				       */
	char message[ANSWER_MESSAGE_BYTES]; /* cut to this; raw: may hold control characters and bad UTF-8; ""
					       unknown */
};

#define ANSWER_WORD_BYTES 64

struct answer_state { /* of a run; "" where something is missing or no word */
	bool has_run_id;
	int64_t run_id;
	char status[ANSWER_WORD_BYTES], code[ANSWER_WORD_BYTES];
	char life_cycle[ANSWER_WORD_BYTES], result[ANSWER_WORD_BYTES];
	char message[ANSWER_MESSAGE_BYTES]; /* why it ended; raw */
};

enum answer_form {
	ANSWER_OTHER = 0, /* text, nothing */
	ANSWER_JSON,	  /* an object */
	ANSWER_HTML,
};

/* What kind of thing a body is: a workspace answers with JSON, whatever it says. */
enum answer_form answer_form(const char *body, size_t len);
/* body: the answer to runs/get with a 2xx status. */
void answer_read_state(const char *body, size_t len, struct answer_state *ret);
/* body: the answer to run-now with a 2xx status. Fills has_run_id and run_id only. */
void answer_read_run(const char *body, size_t len, struct answer *ret);
/* body: with any other status. Fills code and message only. */
void answer_read_error(const char *body, size_t len, struct answer *ret);

#endif
