/*
 * closes: the memory that carries "its writer has closed it" from one name to another.
 *
 * SFTP renames by link and unlink, Qt and rsync write under one name and rename to another: the final name
 * itself is never closed. What is remembered: inodes that were closed (number and birth time, since numbers
 * are used again), names that are not looked at themselves (temporary names) with the inode they had, and
 * halves of renames by cookie. All bounded; the oldest is forgotten first, which only costs a longer wait.
 */
#ifndef SENSE_CLOSES_H
#define SENSE_CLOSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct closes;

struct closes_inode { /* who a file is; ino 0: unknown */
	uint64_t ino;
	int64_t birth_ns; /* 0: the file system does not tell */
	uint32_t links;
};

struct closes *closes_new(void);
void closes_free(struct closes *c); /* takes NULL */
/* A number for a name, never 0. key: any bytes that stand for directory and name, and never for others. */
uint64_t closes_under(const void *key, size_t key_len);
/* This inode was closed by a writer, under that name. Without an inode number nothing is remembered. */
void closes_add(struct closes *c, const struct closes_inode *i, uint64_t under);
/* Was it, under another name than this one? Which inode a name means can only be asked after the event, when
 * it may be another file's already; so nothing is carried from a name to itself. Without a birth time only an
 * inode with several links can be trusted to be the same file and not a new one with a used number. */
bool closes_has(const struct closes *c, const struct closes_inode *i, uint64_t under);
/* The same for an inode that has just been created under that name. If its close was believed to be seen
 * under this very name, that was the close of the file that had the name before: it is forgotten. */
bool closes_created(struct closes *c, const struct closes_inode *i, uint64_t under);

/* A name that is not looked at itself. */
struct closes_name {
	struct closes_inode inode;
	bool closed;
	uint64_t note; /* number of the event that told so */
};
struct closes_name *closes_name(
	struct closes *c, const void *key, size_t key_len, bool make); /* NULL: unknown (and not made) */
void closes_name_forget(struct closes *c, const void *key, size_t key_len);

/* The first half of a rename. */
struct closes_move {
	uint32_t cookie;
	struct closes_inode inode;
	bool closed; /* its writer had closed */
	bool open;   /* its writer was seen beginning, and had not closed */
};
void closes_moved_from(struct closes *c, const struct closes_move *m);
/* Takes the half that belongs to cookie. */
bool closes_moved_to(struct closes *c, uint32_t cookie, struct closes_move *ret);

#endif
