/* SPDX-License-Identifier: MIT */
#pragma once

/* What uploads are for: a report. One that is saved is known by its report id, which every rename in every process
 * leaves alone, so the backend finds it. One that was never saved exists in this process only, as a name; the renames
 * and removals of this process move and end it. Commits and such changes of one target exclude each other: both happen
 * whole, in some order. Thread-safe. */

#include "cau-store.h"

G_BEGIN_DECLS

typedef struct _CauTargets CauTargets; /* all targets of a store */

CauTargets *cau_targets_new (void);
void        cau_targets_free (CauTargets *self);

/* A target for the saved report @report. Returns: (transfer full). */
CauTarget *cau_targets_join_report (CauTargets *self, guint64 report, CauUpload *upload);

/* The target of a name that leads to nothing yet; it is made when no upload has it. *@target, (out) (transfer full), is
 * set before cau_targets_find_upload() can hand out @upload. FALSE: @exclusive, and an upload has it. */
gboolean cau_targets_join_name (CauTargets *self, guint64 id, const char *name, gboolean exclusive, CauUpload *upload,
                                CauTarget **target);

/* As cau_targets_join_name(), for this very target. FALSE: it was saved or removed. */
gboolean cau_target_join (CauTarget *self, CauUpload *upload, CauTarget **target);

/* Drops a reference of @upload, counted by @ref_count. TRUE: it was the last, and @upload has left the target, so
 * that cau_targets_find_upload() cannot hand it out again in between. */
gboolean cau_target_leave (CauTarget *self, CauUpload *upload, gatomicrefcount *ref_count);

/* @upload, which still holds the target, will commit no more: a name that only it had is free. */
void cau_target_abandon (CauTarget *self, CauUpload *upload);

/* The last upload of the target will commit no more: what it saved does not count as being written. */
void cau_target_retire (CauTarget *self);

/* Where a commit has to go. Waits for changes of the name in hand; until cau_target_end_commit() there are none.
 * @info: report, or else orchestrator and name, are set. FALSE: the name was removed. */
gboolean cau_target_begin_commit (CauTarget *self, CauReportInfo *info);

/* @report: the report as which it was saved, 0 when the commit failed. */
void cau_target_end_commit (CauTarget *self, guint64 report);

guint64 cau_target_get_report (CauTarget *self);

/* Whether somebody renamed it before it was saved: then the name is meant, whatever has it. */
gboolean cau_target_is_renamed (CauTarget *self);

/* What was saved may have been removed all the same: the backend knows. */
gboolean cau_target_is_removed (CauTarget *self);

/* Whether it still is that name, not saved yet. */
gboolean cau_target_has_name (CauTarget *self, guint64 id, const char *name);

/* The newest upload of the target, or of a name that was never saved: (transfer full) or NULL. */
CauUpload *cau_target_find_upload (CauTarget *self);
CauUpload *cau_targets_find_upload (CauTargets *self, guint64 id, const char *name);
gboolean   cau_targets_has_report (CauTargets *self, guint64 report);
gboolean   cau_targets_use_orchestrator (CauTargets *self, guint64 id);

/* The unsaved targets of two names (either may be NULL), held still for a change. */
typedef struct
{
  CauTarget *from;
  CauTarget *to;
} CauTargetPair;

/* Waits for their commits in hand and keeps others off. @new_name NULL: a removal. */
void cau_targets_hold (CauTargets *self, guint64 id, const char *name, guint64 new_id, const char *new_name,
                       CauTargetPair *pair);

typedef enum
{
  CAU_TARGETS_NOTHING,  /* the change failed */
  CAU_TARGETS_REMOVE,   /* from is gone */
  CAU_TARGETS_RENAME,   /* from has the new name, what had it is gone */
  CAU_TARGETS_EXCHANGE, /* each has the other's name */
} CauTargetsChange;

void cau_targets_release (CauTargets *self, CauTargetPair *pair, CauTargetsChange change, guint64 id, const char *name,
                          guint64 new_id, const char *new_name);

G_END_DECLS
