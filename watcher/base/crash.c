/*
 * crash: the count lies in a file that all processes have mapped, since the process that dies is not the one
 * that has to go on. It is mapped at the start, when the process may still open files.
 */
#include "base/crash.h"

#ifdef BW_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/text.h"

static char *crash_name;  /* NULL: nobody is to be killed */
static char *crash_first; /* NULL: nothing must be passed before */
static int64_t crash_nth; /* from 1 */
static char *crash_path;
static int64_t *crash_hits; /* shared by all processes */

static _Noreturn void crash_refuse(const char *setting)
{
	(void)fprintf(stderr, "BW_CRASH must be NAME:N:FILE, found \"%s\"\n", setting);
	_exit(2);
}

static int64_t *crash_map(const char *path)
{
	struct stat st;
	void *p = MAP_FAILED;
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == CRASH_FILE_BYTES)
		p = mmap(NULL, CRASH_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

void crash_init(void)
{
	const char *setting = getenv("BW_CRASH");
	char *nth, *path;

	if (!setting)
		return;
	crash_name = mem_strdup(setting);
	nth = strchr(crash_name, ':');
	path = nth ? strchr(nth + 1, ':') : NULL;
	if (!path)
		crash_refuse(setting);
	*nth++ = *path++ = '\0';
	if (strchr(crash_name, '>')) {
		crash_first = crash_name;
		crash_name = strchr(crash_name, '>');
		*crash_name++ = '\0';
	}
	crash_path = path;
	crash_hits = crash_map(path);
	if (num_parse_i64(nth, &crash_nth) < 0 || crash_nth < 1 || !crash_hits)
		crash_refuse(setting);
}

bool crash_is_due(const char *name)
{
	if (crash_first && strcmp(name, crash_first) == 0)
		crash_first = NULL;
	if (crash_first || !crash_name || strcmp(name, crash_name) != 0)
		return false;
	return __atomic_add_fetch(crash_hits, 1, __ATOMIC_SEQ_CST) == crash_nth;
}

const char *crash_file(void)
{
	return crash_path;
}

void crash_now(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

#endif
