/* SPDX-License-Identifier: MIT */
#pragma once

/* What cau-upload.c (writing) and cau-commit.c share. */

#include "cau-staging.h"

G_BEGIN_DECLS

struct _CauUpload
{
  gatomicrefcount ref_count;
  CauStore       *store;
  CauTarget      *target;
  CauShare       *share; /* what it counts to */
  CauUploadFlags  flags;

  /* The gate: one write, read, truncate or commit at a time. It is a flag and not a mutex, because a commit
   * begins on one thread and ends on another. Whoever holds it owns staging, append_only and op. */
  GMutex           lock; /* guards busy and what follows down to the next comment */
  GCond            cond;
  guint            n_waiting; /* on cond: waking nobody is a system call too (GLib 2.74) */
  gboolean         busy;
  gboolean         dirty;
  gboolean         committed;
  gboolean         abandoned;
  guint64          size;
  GError          *dead; /* why what was written is lost */
  CauAttributes    attributes;
  CauAttributeMask set; /* the attributes that were set since the last commit */

  CauStaging *staging;
  gboolean    append_only; /* only appended to since it began or was committed */

  /* The commit in hand. */
  CauCommitOp       op;
  gboolean          is_outrun; /* somebody else's came first: what was appended goes after that */
  CauStaging       *rebased;   /* as much of it as has been put there; NULL: nothing yet */
  CauCommitCallback callback;
  gpointer          user_data;
  gboolean         *finished; /* of the caller that waits for it; NULL: it holds a reference instead */

  GArray *put_ends; /* cau-put.c's */
};

/* Waits for a change of what the lock guards; tells of one. */
void cau_upload_wait_locked (CauUpload *self);
void cau_upload_wake_locked (CauUpload *self);

/* Waits for the gate and takes it. */
void cau_upload_enter (CauUpload *self);

/* With the gate held: whether what was begun may go on. */
gboolean cau_upload_check_alive (CauUpload *self, GError **error);

/* With the gate held: what was written is lost, for @error. What was staged goes at once: others may need the room. */
void cau_upload_die (CauUpload *self, const GError *error);

void cau_upload_clear_op (CauUpload *self);

G_END_DECLS
