/*
 * dispatcher: the process that holds credentials, ledger, event log and network, and never opens anything in
 * a watched folder. Puts intake, sender and outbox on one loop; what the parts do is in their headers.
 */
#ifndef DISPATCH_DISPATCHER_H
#define DISPATCH_DISPATCHER_H

/* The whole life of the process. keeper_fd: socket to the keeper, who first sends the configuration; page_fd:
 * our state page, or -1. Both are taken over. Returns the exit status: 0 done, 1 something failed, 69 a scan
 * left files unsent, 78 the configuration or the ledger cannot be used. */
int dispatcher_main(int keeper_fd, int page_fd);

#endif
