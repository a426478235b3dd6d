/*
 * brake: too many files at once are held instead of started: a restored snapshot, a mass touch, a wrong
 * pattern. Pure: the caller brings the time (monotonic microseconds). The struct belongs to the caller and
 * needs no cleaning up.
 *
 * A window begins with the first file accepted in it. After `count` files in `per_us` the rest is held until
 * the window is over.
 */
#ifndef CORE_BRAKE_H
#define CORE_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

struct brake {
	int64_t count, per_us; /* count 0: off */
	bool running;	       /* a window is under way */
	int64_t began_us;
	int64_t accepted;
	bool engaged; /* it has held something in this window */
};

enum brake_verdict {
	BRAKE_PASS,
	BRAKE_ENGAGE, /* hold it; it is the first one of this window */
	BRAKE_HOLD,
};

void brake_init(struct brake *b, int64_t count, int64_t per_us);
/* After a restart: so many were accepted since began_us. */
void brake_restore(struct brake *b, int64_t began_us, int64_t accepted, int64_t now_us);
/* One file more. */
enum brake_verdict brake_take(struct brake *b, int64_t now_us);
/* When a window that has held something will be over; INT64_MAX: there is none. */
int64_t brake_due_us(const struct brake *b);
/* True once, at the end of such a window. */
bool brake_end(struct brake *b, int64_t now_us);

#endif
