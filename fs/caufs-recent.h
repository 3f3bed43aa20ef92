/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <sys/stat.h>

G_BEGIN_DECLS

/* The attributes of versions and writers that were lately told to the kernel.
 *
 * A walk of a path looks a name up, then checks permissions (GETATTR, when attributes have expired), then opens. When a version
 * is replaced and collected in between, or a writer is done, GETATTR must not answer ESTALE: the kernel walks again once only, and the OPEN
 * of the second walk may need that. Thread-safe. */
typedef struct _CaufsRecent CaufsRecent;

CaufsRecent *caufs_recent_new (void);
void         caufs_recent_free (CaufsRecent *self);
void         caufs_recent_note (CaufsRecent *self, guint64 ino, const struct stat *st);

/* FALSE when @ino is not among the last that were noted. */
gboolean caufs_recent_find (CaufsRecent *self, guint64 ino, struct stat *st);

G_END_DECLS
