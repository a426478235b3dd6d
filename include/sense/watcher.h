/*
 * watcher: the process of one [watch:NAME] (bw-watch). It reads its folder and nothing else: no credential,
 * no network.
 */
#ifndef SENSE_WATCHER_H
#define SENSE_WATCHER_H

/* Runs until the keeper says stop or goes away. keeper_fd: its configuration comes from there, and `stop`;
 * with WIRE_MODE_EXPLAIN the questions and answers too. dispatch_fd: -1 in that mode. page_fd: -1 for none.
 * Returns an exit status: WIRE_EXIT_AGAIN when another is to take over at once, since a directory is not the
 * one that it was, or is back. */
int watcher_main(int keeper_fd, int dispatch_fd, int page_fd);

#endif
