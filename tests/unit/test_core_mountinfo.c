/* core/mountinfo: where a directory lies, and whether mounts changed. */
#include "core/mountinfo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define ROOT "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"

static const char text[] = ROOT "31 22 8:2 / /mnt/data rw - ext4 /dev/sdb1 rw\n"
				"32 22 8:2 /in /mnt/data/in rw - ext4 /dev/sdb1 rw\n"
				"33 22 8:1 /srv/drop /srv/drop rw - ext4 /dev/sda1 rw\n"
				"34 22 0:45 / /mnt/with\\040space rw - fuse.x /low rw\n"
				"torn 35";

static void the_place_of(int64_t id, const char *path, char ret[MOUNTINFO_PLACE_BYTES])
{
	if (!mountinfo_place(text, id, path, ret))
		fail_msg("no place for %s", path);
}

static void a_missing_mount_is_elsewhere(void **state)
{
	char mounted[MOUNTINFO_PLACE_BYTES], missing[MOUNTINFO_PLACE_BYTES];

	(void)state;
	the_place_of(31, "/mnt/data/in", mounted);
	the_place_of(22, "/mnt/data/in", missing);
	assert_string_equal(mountinfo_point(mounted), "/mnt/data");
	assert_string_equal(mountinfo_point(missing), "/");
	assert_true(mountinfo_is_elsewhere(mounted, missing));
	assert_true(mountinfo_is_elsewhere(missing, mounted));
	assert_false(mountinfo_is_elsewhere(mounted, mounted));
	the_place_of(31, "/mnt/data", mounted);
	the_place_of(22, "/mnt/data", missing);
	assert_true(mountinfo_is_elsewhere(mounted, missing));
}

static void a_bind_mount_is_not(void **state)
{
	char plain[MOUNTINFO_PLACE_BYTES], bound[MOUNTINFO_PLACE_BYTES];

	(void)state;
	the_place_of(31, "/mnt/data/in/x", plain);
	the_place_of(32, "/mnt/data/in/x", bound);
	assert_string_not_equal(plain, bound);
	assert_false(mountinfo_is_elsewhere(plain, bound));
	the_place_of(22, "/srv/drop", plain); /* what a unit's ReadOnlyPaths= makes of it */
	the_place_of(33, "/srv/drop", bound);
	assert_false(mountinfo_is_elsewhere(plain, bound));
	/* another directory of the same file system (a symbolic link that was turned) */
	the_place_of(22, "/srv/other", bound);
	assert_false(mountinfo_is_elsewhere(plain, bound));
}

static void what_cannot_be_told(void **state)
{
	char place[MOUNTINFO_PLACE_BYTES] = "untouched";
	static const char *const odd[] = {"", "x", "0123456789abcdef", "0123456789abcdef ",
		"0123456789abcdef mnt", "0123456789abcdeg /mnt", "0123456789abcdef0 /mnt"};

	(void)state;
	assert_false(mountinfo_place(text, 99, "/mnt", place));
	assert_false(mountinfo_place(text, 35, "/mnt", place));
	assert_false(mountinfo_place(text, 31, "/mnt/database", place));
	assert_false(mountinfo_place("", 31, "/mnt/data", place));
	assert_string_equal(place, "untouched");
	the_place_of(31, "/mnt/data", place);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_string_equal(mountinfo_point(odd[i]), "");
		assert_false(mountinfo_is_elsewhere(odd[i], place));
		assert_false(mountinfo_is_elsewhere(place, odd[i]));
	}
}

static void names_with_spaces(void **state)
{
	char place[MOUNTINFO_PLACE_BYTES];

	(void)state;
	the_place_of(34, "/mnt/with space/in", place);
	assert_string_equal(mountinfo_point(place), "/mnt/with\\040space");
}

static void a_long_mount_point_is_cut(void **state)
{
	char line[1024], path[512] = "/", place[MOUNTINFO_PLACE_BYTES];

	(void)state;
	memset(path + 1, 'x', 400);
	(void)snprintf(line, sizeof(line), "7 1 0:9 / %s rw - tmpfs none rw\n", path);
	assert_true(mountinfo_place(line, 7, path, place));
	assert_int_equal(strlen(place), MOUNTINFO_PLACE_BYTES - 1);
}

static void mounts_below(void **state)
{
	uint64_t before = mountinfo_below(text, "/mnt");
	static const char other[] = ROOT "31 22 8:2 / /mnt/data rw - ext4 /dev/sdb1 rw\n";
	static const char again[] = ROOT "39 22 8:2 / /mnt/data rw - ext4 /dev/sdb1 rw\n";
	static const char exchanged[] = ROOT "31 22 8:3 / /mnt/data rw - ext4 /dev/sdc1 rw\n";
	static const char busy[] = "31 22 8:2 / /mnt/data rw - ext4 /dev/sdb1 rw\n" ROOT
				   "40 22 0:9 / /mnt2 rw - tmpfs none rw\n";

	(void)state;
	assert_true(before != mountinfo_below(other, "/mnt"));
	assert_true(mountinfo_below(other, "/mnt") != mountinfo_below(again, "/mnt"));
	assert_true(mountinfo_below(other, "/mnt") != mountinfo_below(exchanged, "/mnt"));
	assert_true(mountinfo_below(other, "/mnt/data") != mountinfo_below(again, "/mnt/data"));
	assert_true(mountinfo_below(other, "/mnt") == mountinfo_below(busy, "/mnt"));
	assert_true(mountinfo_below(other, "/mnt/data/in") == mountinfo_below(again, "/mnt/data/in"));
	assert_true(mountinfo_below(text, "/mnt/with space") != 0);
	assert_true(mountinfo_below(text, "/home") == 0);
}

static void hdfs_gateway(void **state)
{
#define NFS3 "rw,vers=3,rsize=131072,namlen=255,nolock,proto=tcp"
	static const struct {
		const char *line;
		bool is_one;
	} cases[] = {
		{"40 22 0:50 / /hdfs rw shared:7 - nfs gw:/ " NFS3 "\n", true},
		{"40 22 0:50 / /hdfs rw shared:7 master:3 - nfs gw:/ " NFS3 "\n", true},
		{"40 22 0:50 / /hdfs rw - nfs gw:/ " NFS3 "\n", true},
		{"40 22 0:50 / /hdfs rw - nfs gw:/ " NFS3, true},
		{"40 22 0:50 / / rw - nfs gw:/ " NFS3 "\n", true},
		{"40 22 0:50 / /hdfs rw - nfs gw:/ rw,vers=3,proto=tcp\n", false},
		{"40 22 0:50 / /hdfs rw - nfs4 gw:/ rw,vers=4.2,nolock\n", false},
		{"40 22 0:50 / /hdfs rw - nfs gw:/ rw,vers=30,nolockx\n", false},
		{"40 22 0:50 / /hdf rw - nfs gw:/ " NFS3 "\n", false},
		{"40 22 0:50 / /hdfs rw - nfs gw:/ " NFS3 "\n41 40 0:51 / /hdfs/in rw - ext4 /dev/sda rw\n",
			false},
		{"40 22 0:50 / /hdfs rw - nfs gw:/ " NFS3 "\n41 40 0:51 / /hdfs rw - ext4 /dev/sda rw\n",
			false},
		{"41 40 0:51 / /hdfs rw - ext4 /dev/sda rw\n40 22 0:50 / /hdfs rw - nfs gw:/ " NFS3 "\n",
			true},
		{"40 22 0:50 / /hdfs rw -\n", false},
		{"40 22 0:50 / /hdfs rw - nfs\n", false},
		{"40 22 0:50 / /hdfs rw - nfs gw:/\n", false},
		{"40 22 0:50\n", false},
		{"", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (mountinfo_is_nfs3_nolock(cases[i].line, "/hdfs/in/orders") != cases[i].is_one)
			fail_msg("%s", cases[i].line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_mount_is_elsewhere),
		cmocka_unit_test(a_bind_mount_is_not),
		cmocka_unit_test(what_cannot_be_told),
		cmocka_unit_test(names_with_spaces),
		cmocka_unit_test(a_long_mount_point_is_cut),
		cmocka_unit_test(mounts_below),
		cmocka_unit_test(hdfs_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
