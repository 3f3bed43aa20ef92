/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-fuse.h"

#include <glib.h>
#include <pthread.h>

G_BEGIN_DECLS

/* SIGTERM, SIGINT and SIGHUP end the session's loop.
 *
 * libfuse's own handlers do the same, with a gap: a signal between the loop's look at its flag and its wait is lost
 * (fuse_session_loop_mt(), at least until 3.16). Here a thread takes the signals, and wakes the loop until it has ended. */
typedef struct _CaufsSignals CaufsSignals; /* opaque */

/* Blocks the signals, in this thread and all that it makes: to be called before there are others. */
void caufs_signals_block (void);

/* Begins to listen, for the loop that this thread is about to run. */
CaufsSignals *caufs_signals_start (struct fuse_session *session);

/* Interrupts what @thread waits for in the kernel. */
void caufs_signals_wake (pthread_t thread);

/* The loop has ended. Returns whether a signal ended it. */
gboolean caufs_signals_stop (CaufsSignals *self);

G_END_DECLS
