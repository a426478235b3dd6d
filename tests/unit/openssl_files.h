/*
 * openssl_files: keys and certificates by openssl(1) in a folder of the test's own, for tests of TLS.
 */
#ifndef OPENSSL_FILES_H
#define OPENSSL_FILES_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_PATH_BYTES 256

static char files_folder[64];

static inline bool files_begin(void)
{
	snprintf(files_folder, sizeof(files_folder), "/tmp/test_tls.XXXXXX");
	return mkdtemp(files_folder) != NULL;
}

static inline void files_end(void)
{
	DIR *d = opendir(files_folder);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	rmdir(files_folder);
}

/* One of a few buffers, used in turn. */
static inline char *files_path(const char *name)
{
	static char paths[8][FILES_PATH_BYTES];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, FILES_PATH_BYTES, "%s/%s", files_folder, name);
	return path;
}

/* Runs a command of the shell in the folder, silently: 0 is good. */
static inline bool files_run(const char *command)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		if (chdir(files_folder) == 0)
			execl("/bin/sh", "sh", "-ec", command, (char *)NULL);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* NAME.key and NAME.pem, signed by itself; only we can read them. */
static inline bool files_make_certificate(const char *name)
{
	char command[512];

	snprintf(command, sizeof(command),
		"umask 077; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days "
		"2 "
		"-subj /CN=%s -keyout %s.key -out %s.pem",
		name, name, name);
	return files_run(command);
}

static inline void files_write(const char *name, const void *bytes, size_t n)
{
	int fd = open(files_path(name), O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
		abort();
	close(fd);
}

#endif
