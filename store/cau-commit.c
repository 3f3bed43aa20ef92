/* SPDX-License-Identifier: MIT */
#include "cau-upload-private.h"

/* How an upload becomes the report: handed to the backend, and, for what was only appended, again when somebody else was
 * first. */

/* With more bytes to hash, as after a truncation to gigabytes, a commit would hold the thread that began it for seconds. */
#define HASH_HERE ((guint64) 16 * 1024 * 1024)

/* What is hashed, or put after what others saved, before it is somebody else's turn. */
#define PIECE ((guint64) 64 * 1024 * 1024)

/* Ends the commit in hand: first the caller is told, while what was saved stands still, then the gate opens. Whoever waits for
 * that may free the upload as soon as the lock is let go. */
static void
finish_commit (CauUpload *self, const GError *error)
{
  gboolean *finished = self->finished;

  self->is_outrun = FALSE;
  g_clear_pointer (&self->rebased, cau_staging_free);
  self->callback (self, error, self->user_data);
  g_mutex_lock (&self->lock);
  self->busy = FALSE;
  if (finished != NULL)
    *finished = TRUE;
  cau_upload_wake_locked (self);
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
      self->is_outrun = TRUE;
      cau_turns_push (self->store->commits, cau_share_get_uid (self->share), self, TRUE);
      return;
    }
  if (error != NULL)
    cau_upload_die (self, error);
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

  cau_upload_clear_op (self);
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
      cau_upload_die (self, error);
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
  self->op.is_new =
    (self->flags & CAU_UPLOAD_NEW) != 0 && self->op.info.report == 0 && !cau_target_is_renamed (self->target);
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

/* Makes self->rebased, which begins as what the report is now. */
static gboolean
begin_rebasing (CauUpload *self, GError **error)
{
  g_autoptr (GError) local = NULL;
  CauReader *base = open_current (self, &local);

  /* Gone again: the commit finds out what that means. */
  if (local != NULL && !g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  self->rebased = cau_staging_new (self->store, self->share, base);
  return TRUE;
}

static guint64
base_size (CauStaging *staging)
{
  CauReader *base = cau_staging_get_base (staging);

  return base != NULL ? cau_reader_get_info (base)->size : 0;
}

/* Puts the next PIECE of what was appended into self->rebased. */
static gboolean
append_again (CauUpload *self, gboolean *has_more, GError **error)
{
  CauStaging        *to = self->rebased;
  const guint64      done = cau_staging_get_size (to) - base_size (to);
  guint64            offset = base_size (self->staging) + done, end = offset + PIECE;
  g_autofree guint8 *buffer = g_malloc (CAU_STORED_CHUNK_SIZE);
  gsize              n_read;

  for (; offset < end; offset += n_read)
    {
      if (!cau_staging_read (self->staging, offset, buffer, CAU_STORED_CHUNK_SIZE, &n_read, error))
        return FALSE;
      if (n_read == 0)
        break;
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
  *has_more = offset >= end;
  return TRUE;
}

/* @staging: (transfer full): the bytes that the report has now, and what was appended after them. An upload that
 * nothing was written to changes nothing of what others saved meanwhile, nor when that was. */
static void
take_rebased (CauUpload *self, CauStaging *staging)
{
  CauReader *base = cau_staging_get_base (staging);

  g_mutex_lock (&self->lock);
  self->size = cau_staging_get_size (staging);
  if (!self->dirty && base != NULL && !(self->set & CAU_ATTRIBUTE_MTIME))
    self->attributes.mtime = cau_reader_get_info (base)->attributes.mtime;
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&self->staging, cau_staging_free);
  self->staging = staging;
}

/* What was appended goes after the bytes that the report has now, and is committed again. */
static gboolean
rebase (CauUpload *self, GError **error)
{
  gboolean has_more;

  if ((self->rebased == NULL && !begin_rebasing (self, error)) || !append_again (self, &has_more, error))
    return FALSE;
  self->is_outrun = has_more;
  if (!has_more)
    take_rebased (self, g_steal_pointer (&self->rebased));
  return TRUE;
}

static gboolean
is_long (CauUpload *self)
{
  return self->is_outrun || cau_staging_get_unhashed (self->staging) > HASH_HERE;
}

/* The next piece of what there is to compute. */
static gboolean
compute (CauUpload *self, GError **error)
{
  if (g_atomic_int_get (&self->store->hurries))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO,
                   "the store is about to be closed, and there is no time left to compute the report's checksum");
      return FALSE;
    }
  return self->is_outrun ? rebase (self, error) : cau_staging_hash (self->staging, PIECE, error);
}

gboolean
cau_upload_go_on (gpointer upload, G_GNUC_UNUSED gpointer store)
{
  CauUpload *self = upload;
  g_autoptr (GError) error = NULL;

  cau_backend_enter_thread ();
  if (!compute (self, &error))
    {
      cau_upload_die (self, error);
      finish_commit (self, error);
      return FALSE;
    }
  if (is_long (self))
    return TRUE;
  submit_commit (self);
  return FALSE;
}

static void
start_commit (CauUpload *self, CauCommitCallback callback, gpointer user_data, gboolean *finished)
{
  g_autoptr (GError) error = NULL;
  gboolean needed;

  cau_upload_enter (self);
  self->callback = callback;
  self->user_data = user_data;
  self->finished = finished;
  if (finished == NULL)
    cau_upload_ref (self);
  if (!cau_upload_check_alive (self, &error))
    {
      finish_commit (self, error);
      return;
    }
  g_mutex_lock (&self->lock);
  needed = self->dirty || !self->committed;
  g_mutex_unlock (&self->lock);
  if (!needed)
    finish_commit (self, NULL);
  else if (is_long (self))
    cau_turns_push (self->store->commits, cau_share_get_uid (self->share), self, FALSE);
  else
    submit_commit (self);
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
    cau_upload_wait_locked (self);
  g_mutex_unlock (&self->lock);
  if (result.error == NULL)
    return TRUE;
  g_propagate_error (error, result.error);
  return FALSE;
}
