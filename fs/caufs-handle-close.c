/* SPDX-License-Identifier: MIT */
#include "caufs-handle-private.h"
#include "caufs-log.h"
#include "caufs-process.h"
#include "caufs-view.h"

#include <string.h>

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
    result = caufs_handle_fail (self, error, "cannot be saved");
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
  int failed = caufs_handle_get_failed (self);

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
  int failed = caufs_handle_get_failed (self);

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
