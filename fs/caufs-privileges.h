/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What the process does not need it gives up, so that it is of less use to whoever gets hold of it by what is in a store or a
 * request. Capabilities belong to threads, and a new one gets those of the thread that makes it. */

/* To be called before the first thread is made. Files that are made are for their owner alone, no program that is started gets
 * more rights than this one has, and of the capabilities those stay that a mount needs. Unless @debug core dumps have
 * no memory in them: that is where reports are. */
void caufs_privileges_reduce (gboolean debug);

/* Whether this user mounts by itself, without fusermount3. */
gboolean caufs_privileges_can_mount (void);

/* For the calling thread: it will not mount any more. Root goes on being able to, because it unmounts at the end. */
void caufs_privileges_end_mounting (void);

G_END_DECLS
