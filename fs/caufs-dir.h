/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-view.h"

G_BEGIN_DECLS

/* An open directory: what fuse_file_info.fh points to after OPENDIR.
 *
 * Offsets count entries: 0 is ".", 1 is "..", 2 the first name. The kernel mostly goes on where it stopped; for
 * seekdir(3) each reply notes which name was where, and the listing starts again behind the nearest. */
typedef struct _CaufsDir CaufsDir; /* opaque; counted; thread-safe */

/* Takes one entry; @next is the offset after it. FALSE when there is no room for it. */
typedef gboolean (*CaufsDirAdd) (const char *name, const struct fuse_entry_param *entry, off_t next,
                                 gpointer user_data);

/* For user @uid. */
int  caufs_dir_open (CaufsView *view, guint64 ino, uid_t uid, CaufsDir **dir);
void caufs_dir_close (CaufsDir *self);

/* Gives entries from @offset on, until @add has no room or there are no more. Fails only before the
 * first one. */
int caufs_dir_read (CaufsDir *self, off_t offset, CaufsDirAdd add, gpointer user_data);

/* Prepares what the kernel will ask for next, while it works on the answer. The kernel may close the directory as soon as it
 * has the answer, so who calls this takes a reference before it is sent. */
void      caufs_dir_read_ahead (CaufsDir *self);
CaufsDir *caufs_dir_ref (CaufsDir *self);
void      caufs_dir_unref (CaufsDir *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsDir, caufs_dir_unref)

G_END_DECLS
