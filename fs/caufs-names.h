/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-locks.h"

G_BEGIN_DECLS

/* The names of reports that handles are open on, or that are about to be written.
 *
 * A CaufsName is what all handles of one report share, whether they read or write: its locks, how many of them write,
 * and whether one is being closed. It is found by orchestrator and name when a handle is opened, follows renames made
 * through this mount, and stands for no name any more once that was removed or renamed over: it goes on as long
 * as its handles do. One mutex guards the table and all fields. */
typedef struct _CaufsNames CaufsNames; /* opaque; thread-safe */
typedef struct _CaufsName  CaufsName;  /* opaque; counted; holds no reference to the table, which outlives it */

CaufsNames *caufs_names_new (void);
void        caufs_names_free (CaufsNames *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsNames, caufs_names_free)

/* Finds or makes the name; one that stands for nothing when @name is NULL. Returns: (transfer full). */
CaufsName *caufs_names_get (CaufsNames *self, guint64 orchestrator, const char *name);
CaufsName *caufs_name_ref (CaufsName *self);
void       caufs_name_unref (CaufsName *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsName, caufs_name_unref)

/* FALSE when it stands for no name any more. @name: (out) (transfer full). */
gboolean caufs_name_dup_key (CaufsName *self, guint64 *orchestrator, char **name);

/* 0 when it stands for no name any more. */
guint64 caufs_name_get_orchestrator (CaufsName *self);

/* For messages: (transfer full), never NULL. */
char *caufs_name_describe (CaufsName *self);

CaufsLockList *caufs_name_get_locks (CaufsName *self);

/* What a rename and a removal did to the names. */
void caufs_names_rename (CaufsNames *self, guint64 orchestrator, const char *name, guint64 new_orchestrator,
                         const char *new_name, gboolean exchange);
void caufs_names_remove (CaufsNames *self, guint64 orchestrator, const char *name);

/* Counts who writes: handles, and nodes handed out to be opened for it. While there are any, the name
 * may come to lead to another version without the kernel hearing of it. */
void     caufs_name_add_writer (CaufsName *self);
void     caufs_name_remove_writer (CaufsName *self);
gboolean caufs_names_has_writer (CaufsNames *self, guint64 orchestrator, const char *name);

/* ---- settling ---- */

/* Between the last close(2) of a file and its RELEASE, which the kernel does not wait for, others could see the
 * state before the close. So who asks for the name, or lists its directory, first waits for the RELEASE.
 * But a FLUSH may also be the close of a duplicate, followed by no RELEASE for hours: the wait has an end, and an upload
 * that others waited for in vain is not waited for again. */
#define CAUFS_SETTLE_TIME (100 * G_TIME_SPAN_MILLISECOND)

/* Embedded in a handle, zeroed at first; guarded by the mutex of the names. */
typedef struct
{
  CaufsName *name;
  gint64     deadline; /* monotonic, microseconds */
  gboolean   is_noted;
  gboolean   is_awaited; /* by somebody, since it was noted */
  gboolean   is_spent;
} CaufsSettle;

/* A FLUSH came after which a RELEASE would change what others see. */
void caufs_settle_note (CaufsSettle *self, CaufsName *name);

/* It was no close after all, or the RELEASE has been done. */
void caufs_settle_end (CaufsSettle *self, CaufsName *name);

/* Waits until nothing of the kind is left for @name, or, when that is NULL, in the whole orchestrator. A wait takes a thread that
 * serves the mount: of those user @uid gets CAUFS_SETTLE_WAITS / 2, see cau-quota.h, and is answered at once beyond that. */
#define CAUFS_SETTLE_WAITS 8
void caufs_names_wait_settled (CaufsNames *self, uid_t uid, guint64 orchestrator, const char *name);

G_END_DECLS
