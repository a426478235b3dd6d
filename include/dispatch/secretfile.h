/*
 * secretfile: a secret that stands in a file of its own, named by a `*_file` key: a path, or
 * `credential:NAME` for one that systemd hands to the service. A file that others can read or change is
 * refused. What is in the file never comes into a message.
 */
#ifndef DISPATCH_SECRETFILE_H
#define DISPATCH_SECRETFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"
#include "base/secret.h"

#define SECRETFILE_BYTES (16u * 1024) /* longest secret */
/* Room that a struct secret needs for one, line ends included. */
#define SECRETFILE_ROOM_BYTES (SECRETFILE_BYTES + 16)
#define SECRETFILE_WHOLE_BYTES (256u * 1024) /* longest file of SECRETFILE_WHOLE */

enum secretfile_form {
	SECRETFILE_WORD,  /* visible ASCII without blanks: a token, which goes into a header line */
	SECRETFILE_LINE,  /* one line without control characters: a password; blanks count */
	SECRETFILE_WHOLE, /* the file as it stands; s has room for SECRETFILE_WHOLE_BYTES */
};

/* Adds to s what the file holds, without the line ends behind it. value: of the key. credentials_directory:
 * $CREDENTIALS_DIRECTORY, or NULL (relative is as good as none). s has room for SECRETFILE_ROOM_BYTES more.
 * -errno with *err (class ERR_CONF, with the command that mends it): missing, open to others, of another
 * owner than root or us, not a regular file, empty, too long, of another form; s may then hold a part and is
 * to be given up. May block on the file. */
int secretfile_add(const char *value, const char *credentials_directory, enum secretfile_form form,
	struct secret *s, struct err *err) MUST_CHECK;
/* The same, and when the file's content was changed last (wall clock, microseconds; of a credential of
 * systemd: when it was handed over). */
int secretfile_add_dated(const char *value, const char *credentials_directory, enum secretfile_form form,
	struct secret *s, int64_t *ret_changed_us, struct err *err) MUST_CHECK;
/* Does value name a credential of systemd? Those are copied when the service starts, and stay as they are. */
bool secretfile_is_handed_over(const char *value);
/* Where the file of a `*_file` key is, for libraries that open it themselves: its path in *ret (malloc'd).
 * is_secret: owner and mode are judged as above (nothing is read), else it is not even looked at. */
int secretfile_find(const char *value, const char *credentials_directory, bool is_secret, char **ret,
	struct err *err) MUST_CHECK;

#define SECRETFILE_ANYBODY ((uid_t)-1)

/* For `check`, which another user may ask than the one who will run the service: that is service, or
 * SECRETFILE_ANYBODY when he is not known. Is the file there, not empty, with a good mode and owner? Nothing
 * is read. NULL and a credential of systemd are taken as good. 1: it is good; 0 with *err: perhaps (this user
 * cannot see it, or the service could not read it); -errno with *err: the service would not start. */
int secretfile_look(const char *value, uid_t service, struct err *err) MUST_CHECK;
/* The same, and is its content of that form? It is added to s. 1: it was looked into, and is good (*err may
 * say what is doubtful nevertheless); 0: it was not, for what *err says, or, with that untouched, because it
 * is none that could be; -errno with *err. */
int secretfile_look_into(const char *value, enum secretfile_form form, uid_t service, struct secret *s,
	struct err *err) MUST_CHECK;

#endif
