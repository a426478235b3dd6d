/*
 * fuzz_answer: any bytes as the body of a Jobs API answer, read by each reader, and what follows from it for
 * each status that has a rule. What comes out must be within what the header promises: codes of code
 * characters, words in capitals, texts that end, run ids above zero, a reason for everything that failed, and
 * never a run where the answer names none.
 */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "core/fate.h"
#include "core/outcome.h"
#include "dispatch/answer.h"

#define CODE_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"
#define WORD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"
#define SHOWN_BYTES 501

static void fuzz_claim(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_text(const char *text, size_t room, const char *chars)
{
	size_t len = strnlen(text, room);

	fuzz_claim(len < room);
	fuzz_claim(chars == NULL || strspn(text, chars) == len);
}

static void fuzz_outcome(const struct answer *a)
{
	static const int statuses[] = {0, 200, 201, 204, 301, 302, 400, 401, 403, 404, 405, 407, 408, 409,
		413, 429, 500, 501, 503, 504, 999};

	for (int transport = OUTCOME_TRANSPORT_OK; transport <= OUTCOME_TRANSPORT_LOST; transport++) {
		for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
			const struct outcome_answer in = {.transport = (enum outcome_transport)transport,
				.http_status = transport == OUTCOME_TRANSPORT_OK ? statuses[i] : 0,
				.has_run_id = a->has_run_id,
				.error_code = a->code,
				.message = a->message};
			struct outcome o = outcome_decide(&in);

			fuzz_claim(o.kind <= OUTCOME_UNREACHABLE);
			fuzz_claim(o.kind == OUTCOME_STARTED || (o.reason != NULL && o.reason[0] != '\0'));
			fuzz_claim(o.kind != OUTCOME_STARTED ||
				   (a->has_run_id && in.http_status >= 200 && in.http_status < 300));
			fuzz_claim(transport != OUTCOME_TRANSPORT_LOST || !o.sure_not_started);
		}
	}
}

static void fuzz_error(const char *body, size_t len)
{
	struct answer a;
	char shown[SHOWN_BYTES];

	answer_read_error(body, len, &a);
	fuzz_text(a.code, sizeof(a.code), CODE_CHARS);
	fuzz_text(a.message, sizeof(a.message), NULL);
	fuzz_claim(!a.has_run_id);
	text_printable(a.message, strlen(a.message), shown, sizeof(shown));
	fuzz_text(shown, sizeof(shown), NULL);
	fuzz_claim(text_is_utf8(shown, strlen(shown)));
	for (const char *p = shown; *p; p++)
		fuzz_claim((unsigned char)*p >= 0x20 && *p != 0x7f);
	fuzz_outcome(&a);
}

static void fuzz_run(const char *body, size_t len)
{
	struct answer a;

	answer_read_run(body, len, &a);
	fuzz_claim(a.has_run_id ? a.run_id > 0 : a.run_id == 0);
	fuzz_claim(a.code[0] == '\0' && a.message[0] == '\0');
	fuzz_outcome(&a);
}

static void fuzz_state(const char *body, size_t len)
{
	struct answer_state s;

	answer_read_state(body, len, &s);
	fuzz_claim(s.has_run_id ? s.run_id > 0 : s.run_id == 0);
	fuzz_text(s.status, sizeof(s.status), WORD_CHARS);
	fuzz_text(s.code, sizeof(s.code), WORD_CHARS);
	fuzz_text(s.life_cycle, sizeof(s.life_cycle), WORD_CHARS);
	fuzz_text(s.result, sizeof(s.result), WORD_CHARS);
	fuzz_text(s.message, sizeof(s.message), NULL);

	const struct fate_words words = {
		.status = s.status, .code = s.code, .life_cycle = s.life_cycle, .result = s.result};

	fuzz_claim(fate_decide(&words) <= FATE_SKIPPED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *body = (const char *)data;

	fuzz_run(body, size);
	fuzz_error(body, size);
	fuzz_state(body, size);
	return 0;
}
