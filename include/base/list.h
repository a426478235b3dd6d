/*
 * list: an intrusive doubly linked ring. The head is a struct list too; members embed one. Nothing is owned.
 */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *prev, *next;
};

/* NOLINTBEGIN(bugprone-macro-parentheses): types and names cannot stand in parentheses */
#define LIST_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define LIST_FOREACH(it, head) for (struct list *it = (head)->next; it != (head); it = it->next)
/* The current member may be removed (and freed) inside the body. */
#define LIST_FOREACH_SAFE(it, head)                                                                          \
	for (struct list *it = (head)->next, *it##_next = it->next; it != (head);                            \
		it = it##_next, it##_next = it->next)
/* NOLINTEND(bugprone-macro-parentheses) */

static inline void list_init(struct list *l)
{
	l->prev = l->next = l;
}

static inline bool list_is_empty(const struct list *head)
{
	return head->next == head;
}

static inline bool list_is_linked(const struct list *l)
{
	return l->next != NULL && l->next != l;
}

static inline void list_add_tail(struct list *head, struct list *l)
{
	l->prev = head->prev;
	l->next = head;
	head->prev->next = l;
	head->prev = l;
}

/* Safe to call on an initialised member that is in no list. */
static inline void list_remove(struct list *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = l;
}

#endif
