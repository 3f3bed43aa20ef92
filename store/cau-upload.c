/* SPDX-License-Identifier: MIT */
#include "cau-upload-private.h"

#include <string.h>

void
cau_upload_wait_locked (CauUpload *self)
{
  self->n_waiting++;
  cau_thread_wait (&self->cond, &self->lock);
  self->n_waiting--;
}

void
cau_upload_wake_locked (CauUpload *self)
{
  if (self->n_waiting > 0)
    g_cond_broadcast (&self->cond);
}

void
cau_upload_enter (CauUpload *self)
{
  g_mutex_lock (&self->lock);
  while (self->busy)
    cau_upload_wait_locked (self);
  self->busy = TRUE;
  g_mutex_unlock (&self->lock);
}

static void
leave (CauUpload *self)
{
  g_mutex_lock (&self->lock);
  self->busy = FALSE;
  cau_upload_wake_locked (self);
  g_mutex_unlock (&self->lock);
}

/* ---- begin and end ---- */

void
cau_upload_clear_op (CauUpload *self)
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
      if (!(flags & CAU_UPLOAD_EXISTING) && g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
        return TRUE;
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if ((flags & CAU_UPLOAD_NO_REPLACE) == 0)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED, "report %s exists already", name);
  g_clear_pointer (reader, cau_reader_unref);
  return FALSE;
}

static void
upload_free (CauUpload *self)
{
  cau_upload_clear_op (self);
  cau_staging_free (self->staging);
  cau_share_leave (self->share);
  g_clear_error (&self->dead);
  g_clear_pointer (&self->put_ends, g_array_unref);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  cau_store_unref (self->store);
  g_free (self);
}

/* @replaced: (transfer full) (nullable): the report as it is. NULL and TOO_MANY when there are too many uploads. */
static CauUpload *
upload_new (CauStore *store, CauUploadFlags flags, const CauAttributes *attributes, CauReader *replaced, GError **error)
{
  CauShare  *share = cau_shares_join (store->shares, attributes->uid, error);
  CauUpload *self;

  if (share == NULL)
    {
      g_clear_pointer (&replaced, cau_reader_unref);
      return NULL;
    }
  self = g_new0 (CauUpload, 1);
  self->share = share;
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
  self->staging = cau_staging_new (store, share, replaced);
  self->size = cau_staging_get_size (self->staging);
  return self;
}

/* An upload of a name that @other, (transfer full) (nullable), is of and that was never saved: who made the name said whose
 * it is and who may use it, and the first of them to commit saves that. */
static void
take_attributes (CauUpload *self, CauUpload *other)
{
  g_autoptr (CauUpload) owned = other;
  gint64         now = self->attributes.mtime;
  CauUploadState state;

  if (other == NULL)
    return;
  cau_upload_get_state (other, &state);
  self->attributes = state.attributes;
  if (self->flags & CAU_UPLOAD_TRUNCATE)
    self->attributes.mtime = self->attributes.ctime = now;
}

static gboolean
check_is_free (CauStore *self, guint64 id, const char *name, GError **error)
{
  gboolean has_orchestrator, is_taken;

  if (!self->backend->klass->find_name (self->backend, id, name, &has_orchestrator, &is_taken, error))
    return FALSE;
  if (!has_orchestrator || id == CAU_STORE_ROOT_ID)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no such orchestrator");
  else if (is_taken)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s exists already", name);
  else
    return TRUE;
  return FALSE;
}

/* The upload of a name that must be free. It takes the name first, so that one look at the store is enough. Until then a
 * removal or rename of a report that has the name takes the upload along: then it starts over. */
static CauUpload *
begin_exclusive (CauStore *store, guint64 id, const char *name, CauUploadFlags flags, const CauAttributes *attributes,
                 GError **error)
{
  for (;;)
    {
      CauUpload *upload = upload_new (store, flags, attributes, NULL, error);

      if (upload == NULL)
        return NULL;
      if (!cau_targets_join_name (store->targets, id, name, TRUE, upload, &upload->target))
        {
          g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s is being written already", name);
          upload_free (upload);
          return NULL;
        }
      if (!check_is_free (store, id, name, error))
        {
          cau_upload_unref (upload);
          return NULL;
        }
      if (cau_target_has_name (upload->target, id, name))
        return upload;
      cau_upload_unref (upload);
    }
}

static gboolean
check_may_write (CauStore *self, GError **error)
{
  if (!self->backend->read_only)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_READ_ONLY, "the store is open for reading only");
  return FALSE;
}

/* @replaced: (transfer full). */
static CauUpload *
begin_saved (CauStore *self, CauUploadFlags flags, const CauAttributes *attributes, CauReader *replaced, GError **error)
{
  guint64    report = cau_reader_get_info (replaced)->report;
  CauUpload *upload = upload_new (self, flags, attributes, replaced, error);

  if (upload != NULL)
    upload->target = cau_targets_join_report (self->targets, report, upload);
  return upload;
}

CauUpload *
cau_store_begin_upload (CauStore *self, guint64 id, const char *name, CauUploadFlags flags,
                        const CauAttributes *attributes, GError **error)
{
  CauReader *replaced;
  CauUpload *upload;

  if (!check_may_write (self, error) || !cau_report_name_validate (name, error))
    return NULL;
  if (flags & CAU_UPLOAD_EXCLUSIVE)
    return begin_exclusive (self, id, name, flags, attributes, error);
  if (!cau_store_check_orchestrator (self, id, error) || !open_replaced (self, id, name, flags, &replaced, error))
    return NULL;
  if (replaced != NULL)
    return begin_saved (self, flags, attributes, replaced, error);

  upload = upload_new (self, flags, attributes, NULL, error);
  if (upload == NULL)
    return NULL;
  take_attributes (upload, cau_store_find_upload (self, id, name));
  cau_targets_join_name (self->targets, id, name, FALSE, upload, &upload->target);
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

/* @upload: set to NULL, and no failure, when the target was saved or removed. */
static gboolean
begin_unsaved (CauStore *self, CauTarget *target, CauUploadFlags flags, const CauAttributes *attributes,
               CauUpload **upload, GError **error)
{
  *upload = upload_new (self, flags, attributes, NULL, error);
  if (*upload == NULL)
    return FALSE;
  take_attributes (*upload, cau_target_find_upload (target));
  if (!cau_target_join (target, *upload, &(*upload)->target))
    g_clear_pointer (upload, upload_free);
  return TRUE;
}

CauUpload *
cau_store_begin_upload_of (CauStore *self, CauTarget *target, guint64 id, const char *name, CauUploadFlags flags,
                           const CauAttributes *attributes, GError **error)
{
  g_autoptr (CauReader) replaced = NULL;
  CauUpload *upload = NULL;

  if (!check_may_write (self, error))
    return NULL;
  if (cau_target_get_report (target) == 0 && !begin_unsaved (self, target, flags, attributes, &upload, error))
    return NULL;
  if (upload != NULL)
    return upload;
  if (name != NULL && !cau_target_is_removed (target)
      && !open_replaced (self, id, name, flags | CAU_UPLOAD_EXISTING, &replaced, error))
    return NULL;
  if (replaced != NULL && cau_reader_get_info (replaced)->report == cau_target_get_report (target))
    return begin_saved (self, flags, attributes, g_steal_pointer (&replaced), error);
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "the report was removed or replaced meanwhile");
  return NULL;
}

CauTarget *
cau_upload_get_target (CauUpload *self)
{
  return cau_target_ref (self->target);
}

CauUpload *
cau_upload_ref (CauUpload *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static gpointer
free_in_thread (gpointer upload)
{
  upload_free (upload);
  return NULL;
}

void
cau_upload_unref (CauUpload *self)
{
  if (!cau_target_leave (self->target, self, &self->ref_count))
    return;
  /* What is on its way to the backend is waited for, and could wait for this very thread. */
  if (cau_backend_is_thread () && cau_staging_is_sending (self->staging))
    g_thread_unref (g_thread_new ("cau-free", free_in_thread, self));
  else
    upload_free (self);
}

void
cau_upload_retire (CauUpload *self)
{
  cau_target_retire (self->target);
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
gboolean
cau_upload_check_alive (CauUpload *self, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (self->dead != NULL)
    g_propagate_error (error, g_error_copy (self->dead));
  else if (self->abandoned)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID, "the upload was abandoned");
  return self->dead == NULL && !self->abandoned;
}

/* With the gate held. What was staged goes at once: others may need the room. */
void
cau_upload_die (CauUpload *self, const GError *error)
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
  if (!cau_upload_check_alive (self, error))
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
  cau_upload_die (self, local);
  leave (self);
  g_propagate_error (error, local);
  return FALSE;
}

static gboolean
write_at (CauUpload *self, guint64 offset, const void *data, gsize length, gboolean append, GError **error)
{
  GError *local = NULL;

  cau_upload_enter (self);
  if (append)
    offset = cau_staging_get_size (self->staging);
  if (!check_change (self, offset > G_MAXUINT64 - length ? G_MAXUINT64 : offset + length, &local))
    {
      /* A report that became too large is not saved without its end. */
      if (g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG))
        cau_upload_die (self, local);
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

  cau_upload_enter (self);
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

  cau_upload_enter (self);
  ok = cau_upload_check_alive (self, error) && cau_staging_read (self->staging, offset, buffer, length, n_read, error);
  leave (self);
  return ok;
}

/* The report exists and there is nothing to commit that would carry the attributes. If it was removed, they go with it. */
static gboolean
set_saved_attributes (CauUpload *self, CauAttributeMask mask, const CauAttributes *attributes, guint64 *version,
                      GError **error)
{
  CauReportAttributesOp op = { .op = { .kind = CAU_OP_SET_REPORT_ATTRIBUTES, .durable = TRUE },
                               .mask = mask,
                               .info = { .report = cau_target_get_report (self->target), .attributes = *attributes } };
  g_autoptr (GError) local = NULL;
  gboolean ok;

  if (self->flags & CAU_UPLOAD_NO_REPLACE)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED, "the report is saved and may not be changed");
      return FALSE;
    }
  ok = cau_backend_run (self->store->backend, &op.op, &local);
  if (ok)
    *version = op.saved.version;
  cau_report_info_clear (&op.saved);
  if (ok || g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

gboolean
cau_upload_set_attributes (CauUpload *self, CauAttributeMask mask, const CauAttributes *attributes, guint64 *version,
                           GError **error)
{
  gboolean ok, at_once;
  guint64  changed = 0;

  cau_upload_enter (self);
  ok = cau_upload_check_alive (self, error);
  g_mutex_lock (&self->lock);
  at_once = self->committed && !self->dirty;
  g_mutex_unlock (&self->lock);
  if (ok && at_once)
    ok = set_saved_attributes (self, mask, attributes, &changed, error);
  if (version != NULL)
    *version = changed;
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

gboolean
cau_upload_has_name (CauUpload *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) current = NULL;
  guint64 report = cau_target_get_report (self->target);

  if (report == 0)
    return !cau_target_is_removed (self->target);
  current = cau_store_open_report (self->store, report, CAU_STORED_CHUNK_SIZE, &error);
  return current != NULL || !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND);
}

void
cau_upload_abandon (CauUpload *self)
{
  cau_upload_enter (self);
  g_mutex_lock (&self->lock);
  self->abandoned = TRUE;
  self->dirty = FALSE;
  g_mutex_unlock (&self->lock);
  cau_target_abandon (self->target, self);
  leave (self);
}

GArray *
cau_upload_get_put_ends (CauUpload *self)
{
  if (self->put_ends == NULL)
    self->put_ends = g_array_new (FALSE, FALSE, sizeof (guint64));
  return self->put_ends;
}
