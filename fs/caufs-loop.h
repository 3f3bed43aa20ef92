/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-fuse.h"

#include <glib.h>

G_BEGIN_DECLS

/* The threads that serve the requests of a session.
 *
 * The kernel gives each request to the thread that has waited for one the longest. Of many threads that wait it wakes a
 * different one each time, which has slept long enough to find nothing of its own in the processor's caches: with the 16 that
 * libfuse's loop soon has, a small write costs three times what it costs with 2. So here two threads wait for requests,
 * and no other is woken while as many work as there are processors. The others are parked, the last one that worked to be the
 * first that is woken.
 *
 * A thread that waits for something else than a processor is not counted meanwhile, so that closes and removals that
 * wait for the disk, or for a lock that another process has on the store, hold up nobody who reads. Where such waits are
 * frequent, more threads stay with the requests for a while. Looking up a name or a version counts as work, even when a
 * page of the index has to come from the disk. */

/* Serves requests until the session ends. Returns 0 or a negative errno. */
int caufs_loop_run (struct fuse_session *session);

/* To be called by a handler around what may wait for long. They may nest, and do nothing on threads of others.
 * The store's own waits, for commits and for other threads, are bracketed already. */
void caufs_loop_begin_wait (void);
void caufs_loop_end_wait (void);

G_END_DECLS
