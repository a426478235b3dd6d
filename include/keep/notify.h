/*
 * notify: telling systemd (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Does nothing where there is no
 * systemd.
 */
#ifndef KEEP_NOTIFY_H
#define KEEP_NOTIFY_H

/* text: "READY=1", "STATUS=…", "STOPPING=1", several separated by newlines. Never blocks, never fails loudly.
 */
void notify_systemd(const char *text);

#endif
