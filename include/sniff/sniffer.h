/*
 * sniffer: the main loop of the process "bw-sniff", which tells MIME types of descriptors handed to it, and
 * whether one that is gzip is whole, and can do nothing else. It owns its socket's end and libmagic; it opens
 * no file of anybody's, and nothing it learns from one file stays for the next.
 *
 * Its other end is sense/ask, in the watcher. Messages (core/wire.h): first WIRE_TYPES, then for each
 * WIRE_ASK with one descriptor one WIRE_ANSWER.
 */
#ifndef SNIFF_SNIFFER_H
#define SNIFF_SNIFFER_H

#include <stdbool.h>

/*
 * Runs until the socket fd (SOCK_SEQPACKET, from sense/ask) is closed at the other end. Confines the process
 * for good (without_seccomp: by Landlock and limits only, since libmagic does not work under the filter) and
 * clears its environment. Returns the exit status: 0 after that end, 1 when libmagic does not
 * work (WIRE_TYPES has said why), the process could not be confined, or a message made no sense.
 */
int sniffer_main(int fd, bool without_seccomp);

#endif
