#include "core/findings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"

static void the_worst_come_first_and_stay(void **state)
{
	struct findings f = {.n = 0};

	(void)state;
	assert_null(findings_error(&f));
	for (int i = 0; i < 2 * FINDINGS_MAX; i++)
		findings_add(&f, FINDING_NOTE, "n", "note %d", i);
	findings_add(&f, FINDING_WARNING, "w", "the warning");
	assert_null(findings_error(&f));
	findings_add(&f, FINDING_ERROR, "e", "%s", "the error");
	findings_add(&f, FINDING_ERROR, "e", "another");
	assert_int_equal(f.n, FINDINGS_MAX);
	assert_int_equal(f.more, FINDINGS_MAX + 3);
	assert_string_equal(f.items[0].text, "the error");
	assert_string_equal(f.items[1].text, "another");
	assert_string_equal(f.items[2].text, "the warning");
	assert_string_equal(f.items[3].text, "note 0");
	assert_ptr_equal(findings_error(&f), &f.items[0]);
	findings_done(&f);
	assert_int_equal(f.n + f.more, 0);
}

static void texts_are_fit_to_be_shown(void **state)
{
	CLEANUP_BUF struct buf json = BUF_INIT(1 << 20);
	struct json_writer w = JSON_WRITER(&json);
	struct findings f = {.n = 0};
	char *longest = mem_alloc(3 * FINDINGS_TEXT_BYTES);

	(void)state;
	memset(longest, 'x', 3 * FINDINGS_TEXT_BYTES - 1);
	findings_add(&f, FINDING_WARNING, "code", "a\x1b[2J\"\xff");
	findings_add(&f, FINDING_NOTE, "long", "%s", longest);
	assert_string_equal(f.items[0].text, "a\\x1b[2J\"\\xff");
	assert_int_equal(strlen(f.items[1].text), FINDINGS_TEXT_BYTES - 1);
	free(f.items[1].text);
	f.items[1].text = mem_strdup("b");
	json_begin_object(&w, NULL);
	findings_add_json(&w, &f);
	json_end_object(&w);
	assert_string_equal(buf_str(&json), "{\"findings\":[{\"level\":\"warning\",\"code\":\"code\","
					    "\"text\":\"a\\\\x1b[2J\\\"\\\\xff\"},"
					    "{\"level\":\"note\",\"code\":\"long\",\"text\":\"b\"}]}");
	findings_done(&f);
	free(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_worst_come_first_and_stay),
		cmocka_unit_test(texts_are_fit_to_be_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
