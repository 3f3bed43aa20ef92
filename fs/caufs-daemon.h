/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Going into the background. The store has threads, and fork() takes only one along, so the fork comes first: the parent
 * waits until the child has mounted, or has failed, and says so. */
typedef struct _CaufsDaemon CaufsDaemon; /* opaque; to be used by one thread at a time */

/* Forks unless @foreground. Returns in the child only: the parent prints the child's error and exits with its
 * status, or exits with 0 when the child is ready. Returns: (transfer full). */
CaufsDaemon *caufs_daemon_start (gboolean foreground);

/* Cannot go on: has @message, one line, printed on stderr, and the parent exit with 1. */
void caufs_daemon_fail (CaufsDaemon *self, const char *message);

/* The mount is there: lets the parent exit, and leaves the terminal, or prints @message in the foreground. Tells systemd when that
 * asked for it ($NOTIFY_SOCKET). */
void caufs_daemon_ready (CaufsDaemon *self, const char *message);
void caufs_daemon_free (CaufsDaemon *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsDaemon, caufs_daemon_free)

G_END_DECLS
