/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-view.h"

G_BEGIN_DECLS

/* An open directory: what fuse_file_info.fh points to after OPENDIR.
 *
 * Offsets count entries: 0 is ".", 1 is "..", 2 the first name. The kernel mostly goes on where it stopped; for
 * seekdir(3) each reply notes which name was where, and the listing starts again behind the nearest. */
typedef struct _CaufsDir CaufsDir; /* opaque; thread-safe */

/* Takes one entry; @next is the offset after it. FALSE when there is no room for it. */
typedef gboolean (*CaufsDirAdd) (const char *name, const struct fuse_entry_param *entry, off_t next,
                                 gpointer user_data);

int  caufs_dir_open (CaufsView *view, guint64 ino, CaufsDir **dir);
void caufs_dir_free (CaufsDir *self);

/* Gives entries from @offset on, until @add has no room or there are no more. Fails only before the
 * first one. */
int caufs_dir_read (CaufsDir *self, off_t offset, CaufsDirAdd add, gpointer user_data);

G_END_DECLS
