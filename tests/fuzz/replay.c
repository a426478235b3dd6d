/*
 * replay: main() of a fuzz target in a usual build. Runs every file of its corpus once, and each cut short.
 *
 * Without arguments the corpus is $BW_TOP/tests/fuzz/corpus/NAME for a program called fuzz_NAME; arguments
 * name files or folders instead (to look at one crash). Each input is copied to memory of exactly its size,
 * so that valgrind and ASan see the first byte read too far. An empty corpus is a failure: it would test
 * nothing.
 */
#include "fuzz.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_BYTES_MAX (4u << 20)
/* Cutting at each length is quadratic; beyond this a file is run whole only. */
#define CUT_BYTES_MAX 1024u

static unsigned long inputs;

static void run_input(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy) {
		perror("malloc");
		exit(1);
	}
	if (size)
		memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	inputs++;
}

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rbe");
	uint8_t *bytes = malloc(INPUT_BYTES_MAX);
	size_t size = 0;
	int rc = -1;

	if (!file || !bytes) {
		perror(path);
		goto out;
	}
	size = fread(bytes, 1, INPUT_BYTES_MAX, file);
	if (ferror(file) || !feof(file)) {
		fprintf(stderr, "%s: cannot be read, or is larger than %u bytes\n", path, INPUT_BYTES_MAX);
		goto out;
	}
	run_input(bytes, size);
	for (size_t cut = 0; size <= CUT_BYTES_MAX && cut < size; cut++)
		run_input(bytes, cut);
	rc = 0;
out:
	if (file)
		fclose(file);
	free(bytes);
	return rc;
}

static int run_folder(const char *path)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, NULL, alphasort);
	int files = 0;

	if (n < 0) {
		perror(path);
		return -1;
	}
	for (int i = 0; i < n; i++) {
		char name[PATH_MAX];

		if (entries[i]->d_name[0] != '.') {
			int length = snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);

			if (length < 0 || (size_t)length >= sizeof(name) || run_file(name) < 0)
				files = INT_MIN / 2;
			files++;
		}
		free(entries[i]);
	}
	free(entries);
	if (files == 0)
		fprintf(stderr, "%s: there is nothing in this corpus\n", path);
	return files > 0 ? 0 : -1;
}

static int run_path(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	return S_ISDIR(st.st_mode) ? run_folder(path) : run_file(path);
}

static int run_own_corpus(const char *program)
{
	const char *top = getenv("BW_TOP");
	const char *slash = strrchr(program, '/');
	const char *name = slash ? slash + 1 : program;
	char path[PATH_MAX];
	int length;

	if (strncmp(name, "fuzz_", 5) != 0) {
		fprintf(stderr, "%s: not called fuzz_NAME, so name the corpus\n", name);
		return -1;
	}
	length = snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top ? top : ".", name + 5);
	if (length < 0 || (size_t)length >= sizeof(path))
		return -1;
	return run_path(path);
}

int main(int argc, char **argv)
{
	int rc = 0;

	if (argc < 2)
		rc = run_own_corpus(argv[0]);
	for (int i = 1; i < argc; i++) {
		if (run_path(argv[i]) < 0)
			rc = -1;
	}
	printf("%lu inputs\n", inputs);
	return rc < 0 ? 1 : 0;
}
