/* SPDX-License-Identifier: MIT */
#include "cau-staging.h"

#include <string.h>

struct _CauUpload
{
  gatomicrefcount ref_count;
  CauStore       *store;
  CauTarget      *target;
  CauUploadFlags  flags;

  /* The gate: one write, read, truncate or commit at a time. It is a flag and not a mutex, because a commit
   * begins on one thread and ends on another. Whoever holds it owns staging, append_only and op. */
  GMutex           lock; /* guards busy and what follows down to the next comment */
  GCond            cond;
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
  CauCommitCallback callback;
  gpointer          user_data;
  gboolean         *finished; /* of the caller that waits for it; NULL: it holds a reference instead */

  GArray *put_ends; /* cau-put.c's */
};

static void
enter (CauUpload *self)
{
  g_mutex_lock (&self->lock);
  while (self->busy)
    g_cond_wait (&self->cond, &self->lock);
  self->busy = TRUE;
  g_mutex_unlock (&self->lock);
}

static void
leave (CauUpload *self)
{
  g_mutex_lock (&self->lock);
  self->busy = FALSE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

/* ---- begin and end ---- */

static void
clear_op (CauUpload *self)
{
  g_clear_pointer (&self->op.chunks, g_ptr_array_unref);
  cau_report_info_clear (&self->op.info);
  cau_report_info_clear (&self->op.saved);
  g_clear_error (&self->op.op.error);
}

/* A reader of what the name leads to; *@reader is NULL when it leads to nothing yet. */
static gboolean
open_replaced (CauStore *store, guint64 id, const char *name, CauUploadFlags flags, CauReader **reader, GError **error)
{
  g_autoptr (GError) local = NULL;

  *reader = cau_store_get_report (store, id, name, CAU_STORED_CHUNK_SIZE, &local);
  if (*reader == NULL)
    {
      if (g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if ((flags & (CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_NO_REPLACE)) == 0)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR,
               (flags & CAU_UPLOAD_EXCLUSIVE) ? CAU_STORE_ERROR_EXISTS : CAU_STORE_ERROR_REFUSED,
               "report %s exists already", name);
  g_clear_pointer (reader, cau_reader_unref);
  return FALSE;
}

static void
upload_free (CauUpload *self)
{
  clear_op (self);
  cau_staging_free (self->staging);
  g_clear_error (&self->dead);
  g_clear_pointer (&self->put_ends, g_array_unref);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  cau_store_unref (self->store);
  g_free (self);
}

/* @replaced: (transfer full) (nullable): the report as it is. */
static CauUpload *
upload_new (CauStore *store, CauUploadFlags flags, const CauAttributes *attributes, CauReader *replaced)
{
  CauUpload *self = g_new0 (CauUpload, 1);

  g_atomic_ref_count_init (&self->ref_count);
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->store = cau_store_ref (store);
  self->flags = flags;
  self->attributes = *attributes;
  self->committed = replaced != NULL;
  if (replaced != NULL)
    self->attributes = cau_reader_get_info (replaced)->attributes;
  self->append_only = !(flags & CAU_UPLOAD_TRUNCATE);
  /* A report that its opening emptied has something to commit. */
  self->dirty = self->committed && (flags & CAU_UPLOAD_TRUNCATE) != 0;
  if (self->dirty || !self->committed)
    self->attributes.mtime = self->attributes.ctime = cau_now_ns ();
  if (!self->committed)
    self->attributes.atime = self->attributes.mtime;
  if (flags & CAU_UPLOAD_TRUNCATE)
    g_clear_pointer (&replaced, cau_reader_unref);
  self->staging = cau_staging_new (store, replaced);
  self->size = cau_staging_get_size (self->staging);
  return self;
}

CauUpload *
cau_store_begin_upload (CauStore *self, guint64 id, const char *name, CauUploadFlags flags,
                        const CauAttributes *attributes, GError **error)
{
  CauReader *replaced;
  CauUpload *upload;
  guint64    report;

  if (self->backend->read_only)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_READ_ONLY, "the store is open for reading only");
      return NULL;
    }
  if (!cau_report_name_validate (name, error) || !cau_store_check_orchestrator (self, id, error)
      || !open_replaced (self, id, name, flags, &replaced, error))
    return NULL;
  if (replaced != NULL)
    {
      report = cau_reader_get_info (replaced)->report;
      upload = upload_new (self, flags, attributes, replaced);
      upload->target = cau_targets_join_report (self->targets, report, upload);
      return upload;
    }

  upload = upload_new (self, flags, attributes, NULL);
  upload->target = cau_targets_join_name (self->targets, id, name, (flags & CAU_UPLOAD_EXCLUSIVE) != 0, upload);
  if (upload->target == NULL)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s is being written already", name);
      upload_free (upload);
      return NULL;
    }
  /* The name was free when we looked. Now that it is ours, look again: another upload may have been committed in between. */
  if (!open_replaced (self, id, name, flags, &replaced, error))
    {
      cau_upload_unref (upload);
      return NULL;
    }
  if (replaced == NULL)
    return upload;
  cau_reader_unref (replaced);
  cau_upload_unref (upload);
  return cau_store_begin_upload (self, id, name, flags, attributes, error);
}

CauUpload *
cau_upload_ref (CauUpload *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

void
cau_upload_unref (CauUpload *self)
{
  if (cau_target_leave (self->target, self, &self->ref_count))
    upload_free (self);
}

CauUpload *
cau_store_find_upload (CauStore *self, guint64 id, const char *name)
{
  return cau_targets_find_upload (self->targets, id, name);
}

gboolean
cau_store_has_upload (CauStore *self, guint64 report)
{
  return cau_targets_has_report (self->targets, report);
}

/* ---- writing ---- */

/* Whether what was begun may go on. Called with the gate held. */
static gboolean
check_alive (CauUpload *self, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (self->dead != NULL)
    g_propagate_error (error, g_error_copy (self->dead));
  else if (self->abandoned)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID, "the upload was abandoned");
  return self->dead == NULL && !self->abandoned;
}

/* With the gate held. What was staged goes at once: others may need the room. */
static void
die (CauUpload *self, const GError *error)
{
  g_mutex_lock (&self->lock);
  if (self->dead == NULL)
    self->dead = g_error_copy (error);
  g_mutex_unlock (&self->lock);
  cau_staging_drop (self->staging);
}

static gboolean
check_change (CauUpload *self, guint64 size, GError **error)
{
  if (!check_alive (self, error))
    return FALSE;
  if ((self->flags & CAU_UPLOAD_NO_REPLACE) && self->committed)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED, "the report is saved and may not be changed");
      return FALSE;
    }
  if (size <= self->store->max_report_size)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG,
               "a report of %" G_GUINT64_FORMAT " bytes is larger than the limit of %" G_GUINT64_FORMAT, size,
               self->store->max_report_size);
  return FALSE;
}

/* Notes what a change did, and gives up the gate. @local: (transfer full): why it failed, or NULL. */
static gboolean
finish_change (CauUpload *self, GError *local, GError **error)
{
  if (local == NULL)
    {
      g_mutex_lock (&self->lock);
      self->dirty = TRUE;
      self->size = cau_staging_get_size (self->staging);
      /* As for write(2): an mtime that was set before is overtaken. */
      self->set &= ~(CauAttributeMask) CAU_ATTRIBUTE_MTIME;
      self->attributes.mtime = self->attributes.ctime = cau_now_ns ();
      g_mutex_unlock (&self->lock);
      leave (self);
      return TRUE;
    }
  die (self, local);
  leave (self);
  g_propagate_error (error, local);
  return FALSE;
}

static gboolean
write_at (CauUpload *self, guint64 offset, const void *data, gsize length, gboolean append, GError **error)
{
  GError *local = NULL;

  enter (self);
  if (append)
    offset = cau_staging_get_size (self->staging);
  if (!check_change (self, offset > G_MAXUINT64 - length ? G_MAXUINT64 : offset + length, &local))
    {
      /* A report that became too large is not saved without its end. */
      if (g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG))
        die (self, local);
      leave (self);
      g_propagate_error (error, local);
      return FALSE;
    }
  if (length == 0)
    {
      leave (self);
      return TRUE;
    }
  self->append_only = self->append_only && append;
  cau_staging_write (self->staging, offset, data, length, &local);
  return finish_change (self, local, error);
}

gboolean
cau_upload_write (CauUpload *self, guint64 offset, const void *data, gsize length, GError **error)
{
  return write_at (self, offset, data, length, FALSE, error);
}

gboolean
cau_upload_append (CauUpload *self, const void *data, gsize length, GError **error)
{
  return write_at (self, 0, data, length, TRUE, error);
}

gboolean
cau_upload_truncate (CauUpload *self, guint64 size, GError **error)
{
  GError *local = NULL;

  enter (self);
  if (!check_change (self, size, error))
    {
      leave (self);
      return FALSE;
    }
  self->append_only = FALSE;
  cau_staging_truncate (self->staging, size, &local);
  return finish_change (self, local, error);
}

gboolean
cau_upload_read (CauUpload *self, guint64 offset, void *buffer, gsize length, gsize *n_read, GError **error)
{
  gboolean ok;

  enter (self);
  ok = check_alive (self, error) && cau_staging_read (self->staging, offset, buffer, length, n_read, error);
  leave (self);
  return ok;
}

/* The report exists and there is nothing to commit that would carry the attributes. If it was removed, they go with it. */
static gboolean
set_saved_attributes (CauUpload *self, CauAttributeMask mask, const CauAttributes *attributes, GError **error)
{
  CauReportAttributesOp op = { .op = { .kind = CAU_OP_SET_REPORT_ATTRIBUTES, .durable = TRUE },
                               .mask = mask,
                               .info = { .report = cau_target_get_report (self->target), .attributes = *attributes } };
  g_autoptr (GError) local = NULL;

  if (self->flags & CAU_UPLOAD_NO_REPLACE)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED, "the report is saved and may not be changed");
      return FALSE;
    }
  if (cau_backend_run (self->store->backend, &op.op, &local))
    {
      cau_report_info_clear (&op.info);
      return TRUE;
    }
  if (g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
cau_upload_set_attributes (CauUpload *self, CauAttributeMask mask, const CauAttributes *attributes, GError **error)
{
  gboolean ok, at_once;

  enter (self);
  ok = check_alive (self, error);
  g_mutex_lock (&self->lock);
  at_once = self->committed && !self->dirty;
  g_mutex_unlock (&self->lock);
  if (ok && at_once)
    ok = set_saved_attributes (self, mask, attributes, error);
  if (ok)
    {
      g_mutex_lock (&self->lock);
      cau_attributes_merge (&self->attributes, mask, attributes);
      if (!at_once)
        self->set |= mask;
      g_mutex_unlock (&self->lock);
    }
  leave (self);
  return ok;
}

void
cau_upload_get_state (CauUpload *self, CauUploadState *state)
{
  state->report = cau_target_get_report (self->target);
  g_mutex_lock (&self->lock);
  state->size = self->size;
  state->attributes = self->attributes;
  state->dirty = self->dirty;
  state->committed = self->committed;
  g_mutex_unlock (&self->lock);
}

void
cau_upload_abandon (CauUpload *self)
{
  enter (self);
  g_mutex_lock (&self->lock);
  self->abandoned = TRUE;
  self->dirty = FALSE;
  g_mutex_unlock (&self->lock);
  cau_target_abandon (self->target, self);
  leave (self);
}

/* ---- the commit ---- */

/* Ends the commit in hand: first the caller is told, while what was saved stands still, then the gate opens. Whoever waits for
 * that may free the upload as soon as the lock is let go. */
static void
finish_commit (CauUpload *self, const GError *error)
{
  gboolean *finished = self->finished;

  self->callback (self, error, self->user_data);
  g_mutex_lock (&self->lock);
  self->busy = FALSE;
  if (finished != NULL)
    *finished = TRUE;
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
  if (finished == NULL)
    cau_upload_unref (self);
}

static void
note_saved (CauUpload *self)
{
  const CauReportInfo *saved = &self->op.saved;

  if (!self->op.removed)
    cau_staging_rebase (self->staging, cau_reader_new (self->store, saved, CAU_STORED_CHUNK_SIZE));
  self->append_only = TRUE;
  g_mutex_lock (&self->lock);
  self->dirty = FALSE;
  self->committed = TRUE;
  self->set = 0;
  if (!self->op.removed)
    self->attributes = saved->attributes;
  g_mutex_unlock (&self->lock);
}

static void
commit_done (CauOp *op)
{
  CauUpload *self = op->user_data;
  g_autoptr (GError) error = g_steal_pointer (&op->error);

  cau_target_end_commit (self->target, error == NULL && !self->op.removed ? self->op.saved.report : 0);
  if (error != NULL && self->op.check_base && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CONFLICT))
    {
      g_thread_pool_push (self->store->rebasers, self, NULL);
      return;
    }
  if (error != NULL)
    die (self, error);
  else
    note_saved (self);
  finish_commit (self, error);
}

static void
fill_info (CauUpload *self, CauReportInfo *info)
{
  g_mutex_lock (&self->lock);
  info->attributes = self->attributes;
  self->op.mask = self->set;
  g_mutex_unlock (&self->lock);
}

/* Called with the gate held; finish_commit() follows from here or from the backend's thread. */
static void
submit_commit (CauUpload *self)
{
  g_autoptr (GError) error = NULL;

  clear_op (self);
  self->op.op.kind = CAU_OP_COMMIT;
  self->op.op.durable = TRUE;
  self->op.op.done = commit_done;
  self->op.op.user_data = self;
  self->op.no_replace = (self->flags & CAU_UPLOAD_NO_REPLACE) != 0;
  self->op.check_base = self->append_only;
  self->op.removed = FALSE;
  self->op.pinned = FALSE;
  if (!cau_staging_prepare (self->staging, &self->op, &error))
    {
      die (self, error);
      finish_commit (self, error);
      return;
    }
  if (!cau_target_begin_commit (self->target, &self->op.info))
    {
      self->op.removed = TRUE;
      note_saved (self);
      finish_commit (self, NULL);
      return;
    }
  fill_info (self, &self->op.info);
  self->store->backend->klass->submit (self->store->backend, &self->op.op);
}

static CauReader *
open_current (CauUpload *self, GError **error)
{
  g_auto (CauReportInfo) where = CAU_REPORT_INFO_INIT;
  CauReader *reader;

  if (!cau_target_begin_commit (self->target, &where))
    return NULL;
  if (where.report == 0)
    reader = cau_store_get_report (self->store, where.orchestrator, where.name, CAU_STORED_CHUNK_SIZE, error);
  else
    reader = cau_store_open_report (self->store, where.report, CAU_STORED_CHUNK_SIZE, error);
  cau_target_end_commit (self->target, 0);
  return reader;
}

static gboolean
append_again (CauUpload *self, CauStaging *to, GError **error)
{
  CauReader         *base = cau_staging_get_base (self->staging);
  guint64            offset = base != NULL ? cau_reader_get_info (base)->size : 0;
  g_autofree guint8 *buffer = g_malloc (CAU_STORED_CHUNK_SIZE);
  gsize              n_read;

  for (;; offset += n_read)
    {
      if (!cau_staging_read (self->staging, offset, buffer, CAU_STORED_CHUNK_SIZE, &n_read, error))
        return FALSE;
      if (n_read == 0)
        return TRUE;
      if (cau_staging_get_size (to) + n_read > self->store->max_report_size)
        {
          g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG,
                       "with what others appended the report is larger than the limit of %" G_GUINT64_FORMAT " bytes",
                       self->store->max_report_size);
          return FALSE;
        }
      if (!cau_staging_write (to, cau_staging_get_size (to), buffer, n_read, error))
        return FALSE;
    }
}

/* What was appended goes after the bytes that the report has now, and is committed again. */
void
cau_upload_rebase (gpointer upload, gpointer store)
{
  CauUpload *self = upload;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStaging) staging = NULL;
  CauReader *base;

  cau_backend_enter_thread ();
  base = open_current (self, &error);
  /* Gone again: the commit finds out what that means. */
  if (g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    g_clear_error (&error);
  if (error == NULL)
    {
      staging = cau_staging_new (store, base);
      if (append_again (self, staging, &error))
        {
          g_mutex_lock (&self->lock);
          self->size = cau_staging_get_size (staging);
          g_mutex_unlock (&self->lock);
          g_clear_pointer (&self->staging, cau_staging_free);
          self->staging = g_steal_pointer (&staging);
          submit_commit (self);
          return;
        }
    }
  die (self, error);
  finish_commit (self, error);
}

static void
start_commit (CauUpload *self, CauCommitCallback callback, gpointer user_data, gboolean *finished)
{
  g_autoptr (GError) error = NULL;
  gboolean needed;

  enter (self);
  self->callback = callback;
  self->user_data = user_data;
  self->finished = finished;
  if (finished == NULL)
    cau_upload_ref (self);
  if (!check_alive (self, &error))
    {
      finish_commit (self, error);
      return;
    }
  g_mutex_lock (&self->lock);
  needed = self->dirty || !self->committed;
  g_mutex_unlock (&self->lock);
  if (needed)
    submit_commit (self);
  else
    finish_commit (self, NULL);
}

void
cau_upload_commit_async (CauUpload *self, CauCommitCallback callback, gpointer user_data)
{
  start_commit (self, callback, user_data, NULL);
}

typedef struct
{
  CauReportInfo *info;  /* NULL: not wanted */
  GError        *error; /* owned */
} CommitResult;

static void
take_result (CauUpload *upload, const GError *error, gpointer user_data)
{
  CommitResult *result = user_data;
  CauReader    *base = cau_staging_get_base (upload->staging);

  if (error != NULL)
    result->error = g_error_copy (error);
  if (result->info == NULL)
    return;
  cau_report_info_clear (result->info);
  if (error == NULL && base != NULL && !upload->op.removed)
    cau_report_info_copy (cau_reader_get_info (base), result->info);
}

gboolean
cau_upload_commit (CauUpload *self, CauReportInfo *info, GError **error)
{
  CommitResult result = { .info = info };
  gboolean     finished = FALSE;

  start_commit (self, take_result, &result, &finished);
  g_mutex_lock (&self->lock);
  while (!finished)
    g_cond_wait (&self->cond, &self->lock);
  g_mutex_unlock (&self->lock);
  if (result.error == NULL)
    return TRUE;
  g_propagate_error (error, result.error);
  return FALSE;
}

GArray *
cau_upload_get_put_ends (CauUpload *self)
{
  if (self->put_ends == NULL)
    self->put_ends = g_array_new (FALSE, FALSE, sizeof (guint64));
  return self->put_ends;
}
