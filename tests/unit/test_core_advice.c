#include "core/advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "core/outcome.h"

static void every_end_has_advice(void **state)
{
	static const char *const of_sign_in[] = {
		"credential_unreadable", "no_sign_in", "sign_in_unavailable", "redirected", "unreachable"};
	struct outcome_rule rule;

	(void)state;
	for (size_t i = 0; outcome_rule_at(i, &rule); i++) {
		if (rule.outcome.kind == OUTCOME_RETRY || rule.outcome.kind == OUTCOME_STARTED)
			continue;
		if (advice_for(rule.outcome.reason)[0] == '\0')
			fail_msg("no advice for %s", rule.outcome.reason);
	}
	for (size_t i = 0; i < ARRAY_SIZE(of_sign_in); i++)
		assert_string_not_equal(advice_for(of_sign_in[i]), "");
	assert_string_equal(advice_for("server_error"), "");
	assert_string_equal(advice_for(""), "");
}

/* It is read in a log line behind a semicolon, and in the manual. */
static void the_page_has_the_same_words(void **state)
{
	const char *top = getenv("BW_TOP");
	CLEANUP_BUF struct buf page = BUF_INIT(1024 * 1024);
	const char *reason;

	(void)state;
	if (top == NULL)
		skip();

	CLEANUP_FREE char *path = fs_join(top, "doc/outcomes.md");

	assert_int_equal(fs_read_file(path, 1024 * 1024, &page, NULL), 0);
	for (size_t i = 0; (reason = advice_reason(i)); i++) {
		CLEANUP_FREE char *row = mem_printf("| `%s` | %s |", reason, advice_for(reason));

		if (!strstr(buf_str(&page), row))
			fail_msg("doc/outcomes.md lacks: %s", row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_has_advice),
		cmocka_unit_test(the_page_has_the_same_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
