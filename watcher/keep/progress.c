/*
 * progress: the line ends with a carriage return, so that the cursor stands at its beginning and whoever
 * writes next only has to erase it.
 */
#include "keep/progress.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/terminal.h"
#include "base/text.h"

#define PROGRESS_BYTES 4096

static bool shown; /* there is a line to be erased */

bool progress_is_possible(void)
{
	const char *term = getenv("TERM");

	return term && term[0] && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

void progress_show(const char *text)
{
	CLEANUP_BUF struct buf printable = BUF_INIT(PROGRESS_BYTES), line = BUF_INIT(PROGRESS_BYTES);
	size_t columns = terminal_columns(STDERR_FILENO);

	if (columns < 2)
		return;
	(void)text_add_printable(&printable, text, strlen(text));
	/* not into the last column: some terminals go to the next line then */
	(void)terminal_add_cut(&line, buf_str(&printable), columns - 1);
	(void)buf_adds(&line, LOG_ERASE "\r");
	shown = fs_write_all(STDERR_FILENO, buf_str(&line), line.len) == 0;
}

void progress_end(void)
{
	if (shown && fs_write_all(STDERR_FILENO, LOG_ERASE, strlen(LOG_ERASE)) == 0)
		shown = false;
}
