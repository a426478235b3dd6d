#include "keep/reload.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/fs.h"
#include "base/mem.h"
#include "keep/conffile.h"

#define GOOD                                                                                                 \
	"[workspace]\nhost = https://h.example\ntoken_file = /t\n"                                           \
	"[watch:a]\ndirectory = /a\njob_id = 1\npath_map = none\n"

struct place {
	char directory[64];
	char *path;
	struct conf *running;
	struct conf *next;
	struct buf text;
};

static void write_file(const struct place *p, const char *text)
{
	assert_int_equal(fs_replace_file(p->path, text, strlen(text), 0600, NULL), 0);
}

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));
	struct conf_mistakes m = {0};

	snprintf(p->directory, sizeof(p->directory), "/tmp/test-reload-XXXXXX");
	assert_non_null(mkdtemp(p->directory));
	p->path = fs_join(p->directory, "brickwatch.ini");
	p->running = conf_new();
	buf_init(&p->text, 4096);
	conffile_parse("f", GOOD, strlen(GOOD), p->running, &m);
	conf_resolve(p->running);
	assert_int_equal(m.errors, 0);
	conf_mistakes_done(&m);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;

	conf_free(p->running);
	conf_free(p->next);
	buf_done(&p->text);
	(void)unlink(p->path);
	assert_int_equal(rmdir(p->directory), 0);
	free(p->path);
	free(p);
	return 0;
}

static void test_good(void **state)
{
	struct place *p = *state;

	write_file(p, GOOD "[watch:b]\ndirectory = /b\njob_id = 2\npath_map = none\n");
	assert_int_equal(reload_read(p->path, p->running, &p->next, &p->text), 0);
	assert_non_null(p->next);
	assert_int_equal(p->next->watches_n, 2);
	assert_non_null(p->next->watches[1]->workspace);
}

/* All mistakes at once, of one entry as of the whole, and nothing is given. */
static void test_mistakes(void **state)
{
	struct place *p = *state;

	write_file(p, GOOD "settle = soon\nnonsense = 1\n");
	assert_int_equal(reload_read(p->path, p->running, &p->next, &p->text), 78);
	assert_null(p->next);
	assert_non_null(strstr(buf_str(&p->text), "brickwatch.ini:8:"));
	assert_non_null(strstr(buf_str(&p->text), "brickwatch.ini:9:"));
	buf_reset(&p->text);
	write_file(p, "[watch:a]\ndirectory = /a\njob_id = 1\n");
	assert_int_equal(reload_read(p->path, p->running, &p->next, &p->text), 78);
	assert_true(p->text.len > 0);
	buf_reset(&p->text);
	assert_int_equal(unlink(p->path), 0);
	assert_int_equal(reload_read(p->path, p->running, &p->next, &p->text), 78);
	assert_non_null(strstr(buf_str(&p->text), "No such file"));
}

static void test_what_needs_a_restart(void **state)
{
	static const char *const lines[] = {
		"state_directory = /elsewhere", "runtime_directory = /elsewhere", "durability = process"};
	struct place *p = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		CLEANUP_FREE char *text = mem_printf("[service]\n%s\n%s", lines[i], GOOD);

		write_file(p, text);
		buf_reset(&p->text);
		assert_int_equal(reload_read(p->path, p->running, &p->next, &p->text), 78);
		assert_non_null(strstr(buf_str(&p->text), "brickwatch.ini:2: "));
		assert_non_null(strstr(buf_str(&p->text), "needs a restart"));
	}
}

/* As many whole lines as there is room for. */
static void test_more_than_fits(void **state)
{
	struct place *p = *state;
	struct buf text = BUF_INIT(100000);

	(void)buf_adds(&text, GOOD);
	for (int i = 0; i < 500; i++)
		(void)buf_addf(&text, "nonsense%d = 1\n", i);
	write_file(p, buf_str(&text));
	buf_done(&text);
	assert_int_equal(reload_read(p->path, p->running, &p->next, &p->text), 78);
	assert_false(p->text.failed);
	assert_true(p->text.len > 3000);
	assert_int_equal(p->text.data[p->text.len - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_needs_a_restart, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_more_than_fits, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
