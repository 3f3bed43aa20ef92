/* SPDX-License-Identifier: MIT */
#include "caufs-handle.h"
#include "caufs-log.h"
#include "caufs-process.h"
#include "caufs-view.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

/* From so many handles at once on, what they took is given back when all but an eighth of them are closed: malloc keeps it in pieces
 * between which others live on, and after each such crowd a little more. */
#define CROWD 1024

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
  view->most = MAX (view->most, g_hash_table_size (view->handles));
  g_mutex_unlock (&view->lock);
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

/* Whether it was one of a crowd that is gone. */
static gboolean
leave_crowd (CaufsView *view, CaufsHandle *self)
{
  gboolean is_gone;
  guint    n;

  g_mutex_lock (&view->lock);
  g_hash_table_remove (view->handles, self);
  n = g_hash_table_size (view->handles);
  is_gone = view->most >= CROWD && n < view->most / 8;
  if (is_gone)
    {
      view->most = n;
      view->has_stragglers = TRUE;
    }
  else if (n == 0 && view->has_stragglers)
    {
      /* An eighth of a crowd of uploads can hold tens of megabytes. */
      view->has_stragglers = FALSE;
      is_gone = TRUE;
    }
  g_mutex_unlock (&view->lock);
  return is_gone;
}

/* The file is open no more. Drops the kernel's reference. */
static void
caufs_handle_close (CaufsHandle *self)
{
  gboolean is_crowd_gone = leave_crowd (self->view, self);

  cau_quota_give (self->view->open_files, self->uid, 1);
  if (self->upload != NULL)
    {
      caufs_node_drop_handle (self->node, self, self->upload);
      caufs_name_remove_writer (self->name);
      /* The thread that answered the last FLUSH may hold it a moment longer. */
      cau_upload_retire (self->upload);
    }
  caufs_handle_unref (self);
  if (is_crowd_gone)
    malloc_trim (0);
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

static int
fail (CaufsHandle *self, const GError *error, const char *format)
{
  int errnum = cau_store_error_to_errno (error);

  if (note_failed (self, errnum))
    {
      g_autofree char *what = caufs_name_describe (self->name);

      return caufs_fail (error, "%s %s", what, format);
    }
  return -errnum;
}

static int
get_failed (CaufsHandle *self)
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
  int      failed = get_failed (self);
  gboolean ok;

  if (failed != 0)
    return -failed;
  ok = append ? cau_upload_append (self->upload, data, size, &error)
              : cau_upload_write (self->upload, offset, data, size, &error);
  if (!ok)
    return fail (self, error, "cannot be written");
  note_written (self, tid);
  return 0;
}

int
caufs_handle_truncate (CaufsHandle *self, pid_t tid, guint64 size)
{
  g_autoptr (GError) error = NULL;
  int failed = get_failed (self);

  if (failed != 0)
    return -failed;
  if (!cau_upload_truncate (self->upload, size, &error))
    /* A size that is not allowed is refused before anything is changed. */
    return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_TOO_BIG)
             ? caufs_fail (error, "a report cannot be made longer")
             : fail (self, error, "cannot be truncated");
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

/* ---- the commit ---- */

typedef struct
{
  CaufsHandle *handle;  /* owned */
  gboolean     is_last; /* nobody hears of an error but by the log */
  CaufsDone    done;
  gpointer     user_data;
} CaufsCommit;

static void
end_commit_in_hand (CaufsView *view)
{
  g_mutex_lock (&view->lock);
  if (--view->n_commits == 0 && view->is_awaited)
    g_cond_broadcast (&view->idle);
  g_mutex_unlock (&view->lock);
}

static void
log_unsaved (CaufsHandle *self, const GError *error)
{
  g_autofree char *what = caufs_name_describe (self->name);

  caufs_log (caufs_log_kind_of (error), "%s was not saved at its last close: %s", what, error->message);
}

/* From any thread. */
static void
commit_done (CauUpload *upload, const GError *error, gpointer data)
{
  CaufsCommit *commit = data;
  CaufsHandle *self = commit->handle;
  CaufsView   *view = self->view;
  int          result = 0;

  (void) upload;
  if (error != NULL && commit->is_last)
    log_unsaved (self, error);
  else if (error != NULL)
    result = fail (self, error, "cannot be saved");
  else
    {
      g_mutex_lock (&self->lock);
      self->owes = FALSE;
      g_mutex_unlock (&self->lock);
      caufs_view_note_change (view, caufs_name_get_orchestrator (self->name));
    }
  commit->done (result, commit->user_data);
  g_free (commit);
  /* The end of the mount waits for this, and then takes away what the handle refers to. */
  caufs_handle_unref (self);
  end_commit_in_hand (view);
}

static void
caufs_handle_commit (CaufsHandle *self, gboolean is_last, CaufsDone done, gpointer user_data)
{
  CaufsCommit *commit = g_new0 (CaufsCommit, 1);

  commit->handle = caufs_handle_ref (self);
  commit->is_last = is_last;
  commit->done = done;
  commit->user_data = user_data;
  g_mutex_lock (&self->view->lock);
  self->view->n_commits++;
  g_mutex_unlock (&self->view->lock);
  cau_upload_commit_async (self->upload, commit_done, commit);
}

static void
note_settle (CaufsHandle *self)
{
  g_mutex_lock (&self->lock);
  self->is_noted = TRUE;
  g_mutex_unlock (&self->lock);
  caufs_settle_note (&self->settle, self->name);
}

/* ---- closing ---- */

static gboolean
has_something_to_save (CaufsHandle *self)
{
  gboolean result;

  g_mutex_lock (&self->lock);
  result = self->is_written || self->owes;
  g_mutex_unlock (&self->lock);
  return result;
}

/* Whether thread @tid belongs to a process that wrote nothing of what is to be saved, while all that did live on. */
static gboolean
is_bystander (CaufsHandle *self, pid_t tid)
{
  pid_t    writers[CAUFS_N_WRITERS];
  pid_t    process;
  guint    n;
  gboolean is_known;

  g_mutex_lock (&self->lock);
  n = self->n_writers;
  is_known = self->is_written && n > 0 && n <= CAUFS_N_WRITERS && !self->is_killed;
  memcpy (writers, self->writers, sizeof writers);
  g_mutex_unlock (&self->lock);
  for (guint i = 0; is_known && i < n; i++)
    is_known = writers[i] != tid;
  process = is_known ? caufs_process_of_thread (tid) : 0;
  for (guint i = 0; process != 0 && i < n; i++)
    {
      pid_t writer = caufs_process_of_thread (writers[i]);

      if (writer == 0 || writer == process)
        return FALSE;
    }
  return process != 0;
}

static gboolean
is_being_killed (CaufsHandle *self, pid_t tid, uid_t uid)
{
  g_autofree char *what = NULL;

  if (self->view->options->keep_killed || !caufs_process_is_killed (tid, uid))
    return FALSE;
  what = caufs_name_describe (self->name);
  caufs_log (CAUFS_LOG_NOTICE, "%s: its writer, process %d, was killed before it closed it", what, (int) tid);
  return TRUE;
}

/* What was written until now is about to be committed. Whether there was something. */
static gboolean
take_written_locked (CaufsHandle *self)
{
  gboolean was_written = self->is_written;

  self->is_written = FALSE;
  self->n_writers = 0;
  return was_written;
}

typedef struct
{
  CaufsHandle *handle; /* owned */
  CaufsDone    done;
  gpointer     user_data;
} CaufsFlush;

/* A failed upload goes with the RELEASE: until then its name would still be seen. */
static void
flush_done (int result, gpointer data)
{
  CaufsFlush *flush = data;

  if (result != 0)
    note_settle (flush->handle);
  flush->done (result, flush->user_data);
  caufs_handle_unref (flush->handle);
  g_free (flush);
}

static void
flush_written (CaufsHandle *self, CaufsDone done, gpointer user_data)
{
  CaufsFlush *flush = g_new0 (CaufsFlush, 1);

  flush->handle = caufs_handle_ref (self);
  flush->done = done;
  flush->user_data = user_data;
  caufs_handle_commit (self, FALSE, flush_done, flush);
}

static void
flush_unsaved (CaufsHandle *self, pid_t tid, uid_t uid, CaufsDone done, gpointer user_data)
{
  gboolean is_killed = is_being_killed (self, tid, uid);
  gboolean needs_commit;

  g_mutex_lock (&self->lock);
  self->is_killed = is_killed;
  self->is_flushed = !is_killed;
  needs_commit = !is_killed && take_written_locked (self);
  g_mutex_unlock (&self->lock);

  if (needs_commit)
    flush_written (self, done, user_data);
  else
    {
      note_settle (self);
      done (0, user_data);
    }
}

void
caufs_handle_flush (CaufsHandle *self, pid_t tid, uid_t uid, CaufsDone done, gpointer user_data)
{
  int failed = get_failed (self);

  if (failed != 0)
    note_settle (self);
  if (self->upload == NULL || failed != 0 || !has_something_to_save (self) || is_bystander (self, tid))
    done (-failed, user_data);
  else
    flush_unsaved (self, tid, uid, done, user_data);
}

void
caufs_handle_sync (CaufsHandle *self, CaufsDone done, gpointer user_data)
{
  int failed = get_failed (self);

  if (self->upload == NULL || failed != 0 || !has_something_to_save (self))
    {
      done (-failed, user_data);
      return;
    }
  g_mutex_lock (&self->lock);
  take_written_locked (self);
  g_mutex_unlock (&self->lock);
  caufs_handle_commit (self, FALSE, done, user_data);
}

typedef struct
{
  CaufsHandle *handle; /* the kernel's reference */
  CaufsDone    done;
  gpointer     user_data;
} CaufsRelease;

static void
release_done (int result, gpointer data)
{
  CaufsRelease *release = data;

  (void) result;
  caufs_handle_close (release->handle);
  release->done (0, release->user_data);
  g_free (release);
}

static void
throw_away (CaufsHandle *self)
{
  g_autofree char *what = caufs_name_describe (self->name);

  caufs_log (CAUFS_LOG_NOTICE, "%s: thrown away what was not saved yet, because its writer was killed", what);
  cau_upload_abandon (self->upload);
}

/* Gives up what must not be saved. Whether something is left to be. */
static gboolean
settle_upload (CaufsHandle *self)
{
  gboolean is_killed, is_unsaved;
  int      failed;

  g_mutex_lock (&self->lock);
  is_killed = self->is_killed;
  is_unsaved = self->is_written || self->owes;
  failed = self->failed;
  g_mutex_unlock (&self->lock);
  if (!is_unsaved && failed == 0)
    return FALSE;
  if (failed != 0)
    cau_upload_abandon (self->upload);
  else if (is_killed)
    throw_away (self);
  return failed == 0 && !is_killed;
}

void
caufs_handle_release (CaufsHandle *self, CaufsDone done, gpointer user_data)
{
  CaufsRelease *release = g_new0 (CaufsRelease, 1);

  release->handle = self;
  release->done = done;
  release->user_data = user_data;
  /* A close takes away the locks of who closes, which FLUSH tells; but readers send none, and RELEASE has no owner of POSIX
   * locks, and none of those of F_OFD_SETLK (fs/fuse/file.c, fuse_file_release(), Linux 6.18). */
  caufs_locks_release_file (self->view->locks, caufs_name_get_locks (self->name), self);
  if (self->upload != NULL && settle_upload (self))
    caufs_handle_commit (self, TRUE, release_done, release);
  else
    release_done (0, release);
}

void
caufs_handle_discard (CaufsHandle *self)
{
  if (self->upload != NULL)
    cau_upload_abandon (self->upload);
  caufs_handle_close (self);
}

gboolean
caufs_handle_is_closed_unsaved (CaufsHandle *self)
{
  gboolean result;

  g_mutex_lock (&self->lock);
  result = self->upload != NULL && self->owes && self->is_flushed && !self->is_killed && self->failed == 0;
  g_mutex_unlock (&self->lock);
  return result;
}

gboolean
caufs_handle_is_unsaved (CaufsHandle *self)
{
  gboolean result;

  g_mutex_lock (&self->lock);
  result = self->upload != NULL && (self->is_written || self->owes) && self->failed == 0;
  g_mutex_unlock (&self->lock);
  return result;
}
