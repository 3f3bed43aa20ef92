/* SPDX-License-Identifier: MIT */
#include "caufs-handle-private.h"
#include "caufs-log.h"
#include "caufs-view.h"

/* ---- life ---- */

static CaufsHandle *
caufs_handle_new (CaufsView *view)
{
  CaufsHandle *self = g_new0 (CaufsHandle, 1);

  self->n_refs = 1;
  self->view = view;
  g_mutex_init (&self->lock);
  g_mutex_lock (&view->lock);
  g_hash_table_add (view->handles, self);
  g_mutex_unlock (&view->lock);
  caufs_crowd_join (view->crowd, 1);
  return self;
}

CaufsHandle *
caufs_handle_new_reader (CaufsView *view, CauReader *reader)
{
  const CauReportInfo *info = cau_reader_get_info (reader);
  CaufsHandle         *self = caufs_handle_new (view);

  self->reader = reader;
  self->name = caufs_names_get (view->names, info->orchestrator, info->name);
  return self;
}

CaufsHandle *
caufs_handle_new_writer (CaufsView *view, CaufsNode *node, CauUpload *upload)
{
  CaufsHandle   *self = caufs_handle_new (view);
  CauUploadState state;

  cau_upload_get_state (upload, &state);
  self->owes = state.dirty || !state.committed;
  self->upload = upload;
  self->name = caufs_name_ref (node->name);
  caufs_name_add_writer (self->name);
  self->node = caufs_node_pin (node);
  caufs_node_set_handle (node, self, upload);
  return self;
}

CaufsHandle *
caufs_handle_ref (CaufsHandle *self)
{
  g_atomic_int_inc (&self->n_refs);
  return self;
}

void
caufs_handle_unref (CaufsHandle *self)
{
  if (!g_atomic_int_dec_and_test (&self->n_refs))
    return;
  g_clear_pointer (&self->reader, cau_reader_unref);
  g_clear_pointer (&self->upload, cau_upload_unref);
  /* Who waited for the last close must not find the upload any more. */
  caufs_settle_end (&self->settle, self->name);
  g_clear_pointer (&self->node, caufs_node_unpin);
  caufs_name_unref (self->name);
  g_mutex_clear (&self->lock);
  g_free (self);
}

void
caufs_handle_close (CaufsHandle *self)
{
  CaufsView *view = self->view;

  g_mutex_lock (&view->lock);
  g_hash_table_remove (view->handles, self);
  g_mutex_unlock (&view->lock);
  cau_quota_give (view->open_files, self->uid, 1);
  if (self->upload != NULL)
    {
      caufs_node_drop_handle (self->node, self, self->upload);
      caufs_name_remove_writer (self->name);
      /* The thread that answered the last FLUSH may hold it a moment longer. */
      cau_upload_retire (self->upload);
    }
  caufs_handle_unref (self);
  caufs_crowd_leave (view->crowd, 1);
}

/* ---- reading and writing ---- */

int
caufs_handle_read (CaufsHandle *self, guint64 offset, void *buffer, size_t size, size_t *n_read)
{
  g_autoptr (GError) error = NULL;
  gboolean ok;

  ok = self->reader != NULL ? cau_reader_read (self->reader, offset, buffer, size, n_read, &error)
                            : cau_upload_read (self->upload, offset, buffer, size, n_read, &error);
  if (!ok)
    {
      g_autofree char *what = caufs_name_describe (self->name);

      return caufs_fail (error, "%s cannot be read", what);
    }
  return 0;
}

static void
add_writer_locked (CaufsHandle *self, pid_t tid)
{
  for (guint i = 0; i < MIN (self->n_writers, CAUFS_N_WRITERS); i++)
    if (self->writers[i] == tid)
      return;
  if (self->n_writers < CAUFS_N_WRITERS)
    self->writers[self->n_writers] = tid;
  self->n_writers = MIN (self->n_writers + 1, CAUFS_N_WRITERS + 1);
}

/* To be called after each change, before the answer. */
static void
note_written (CaufsHandle *self, pid_t tid)
{
  gboolean was_noted;

  g_mutex_lock (&self->lock);
  add_writer_locked (self, tid);
  self->is_written = TRUE;
  self->is_flushed = FALSE;
  was_noted = self->is_noted;
  self->is_noted = FALSE;
  g_mutex_unlock (&self->lock);
  if (was_noted)
    caufs_settle_end (&self->settle, self->name);
}

/* Whether the first failure, the one to be logged. */
static gboolean
note_failed (CaufsHandle *self, int errnum)
{
  gboolean is_first;

  g_mutex_lock (&self->lock);
  is_first = self->failed == 0;
  self->failed = errnum;
  g_mutex_unlock (&self->lock);
  return is_first;
}

int
caufs_handle_fail (CaufsHandle *self, const GError *error, const char *what_failed)
{
  int errnum = cau_store_error_to_errno (error);

  if (note_failed (self, errnum))
    {
      g_autofree char *what = caufs_name_describe (self->name);

      return caufs_fail (error, "%s %s", what, what_failed);
    }
  return -errnum;
}

int
caufs_handle_get_failed (CaufsHandle *self)
{
  int failed;

  g_mutex_lock (&self->lock);
  failed = self->failed;
  g_mutex_unlock (&self->lock);
  return failed;
}

int
caufs_handle_write (CaufsHandle *self, pid_t tid, guint64 offset, const void *data, size_t size, gboolean append)
{
  g_autoptr (GError) error = NULL;
  int      failed = caufs_handle_get_failed (self);
  gboolean ok;

  if (failed != 0)
    return -failed;
  ok = append ? cau_upload_append (self->upload, data, size, &error)
              : cau_upload_write (self->upload, offset, data, size, &error);
  if (!ok)
    return caufs_handle_fail (self, error, "cannot be written");
  note_written (self, tid);
  return 0;
}

int
caufs_handle_truncate (CaufsHandle *self, pid_t tid, guint64 size)
{
  g_autoptr (GError) error = NULL;
  int failed = caufs_handle_get_failed (self);

  if (failed != 0)
    return -failed;
  if (!cau_upload_truncate (self->upload, size, &error))
    /* A size that is not allowed is refused before anything is changed. */
    return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG)
             ? caufs_fail (error, "a report cannot be made longer")
             : caufs_handle_fail (self, error, "cannot be truncated");
  note_written (self, tid);
  return 0;
}

int
caufs_handle_extend (CaufsHandle *self, pid_t tid, guint64 size)
{
  g_autoptr (GError) error = NULL;
  CauUploadState state;

  cau_upload_get_state (self->upload, &state);
  if (size <= state.size)
    return 0;
  /* A failure is an answer to a question here, and leaves what was written alone. */
  if (!cau_upload_truncate (self->upload, size, &error))
    return caufs_fail (error, "space for a report cannot be reserved");
  note_written (self, tid);
  return 0;
}

int
caufs_handle_set_attributes (CaufsHandle *self, CauAttributeMask mask, const CauAttributes *attributes)
{
  g_autoptr (GError) error = NULL;
  guint64 version;

  if (!cau_upload_set_attributes (self->upload, mask, attributes, &version, &error))
    {
      g_autofree char *what = caufs_name_describe (self->name);

      return caufs_fail (error, "attributes of %s cannot be set", what);
    }
  /* For who has the version open: the kernel would show what it knows until attr_timeout is over. */
  if (version != 0)
    self->view->changed (caufs_ino_of_version (version), self->view->changed_data);
  caufs_view_note_change (self->view, 0);
  return 0;
}
