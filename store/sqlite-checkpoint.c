/* SPDX-License-Identifier: MIT */
#include "sqlite-checkpoint.h"

/* Pages in the WAL that are worth being copied. */
#define MIN_PAGES 1000

/* How long those who read from the WAL are waited for, so that it can start over, in milliseconds. */
#define RESTART_TIMEOUT_MS 10

struct _CauCheckpointer
{
  CauDb            *db; /* the thread's alone after start */
  CauCheckpointFunc nearly_done;
  gpointer          user_data;
  GThread          *thread;
  gint              copied; /* atomic; pages of the WAL that are surely in the database */
  int               noted;  /* of who has the turn to write: pages of the WAL when copying was asked for */
  GMutex            pass;   /* held while pages are copied: SQLite lets one do so at a time, and sends others away */

  GMutex   lock; /* guards what follows */
  GCond    cond;
  gboolean is_wanted;
  gboolean stop;
};

/* *@left: the pages that are left, or -1 when it is not known. */
static gboolean
copy (CauCheckpointer *self, CauDb *db, int mode, int *left)
{
  int pages = -1, copied = -1;
  int result = sqlite3_wal_checkpoint_v2 (cau_db_get_handle (db), NULL, mode, &pages, &copied);

  if (copied >= 0)
    g_atomic_int_set (&self->copied, copied);
  *left = pages >= 0 && copied >= 0 ? pages - copied : -1;
  return result == SQLITE_OK;
}

/* While pages are copied others come. */
static void
copy_most (CauCheckpointer *self)
{
  int      before = G_MAXINT, left = G_MAXINT - 1;
  gboolean ok = TRUE;

  while (ok && left >= MIN_PAGES && left < before)
    {
      before = left;
      g_mutex_lock (&self->pass);
      ok = copy (self, self->db, SQLITE_CHECKPOINT_PASSIVE, &left);
      g_mutex_unlock (&self->pass);
    }
  if (ok && left < MIN_PAGES)
    self->nearly_done (self->user_data);
}

static gboolean
wait_for_work (CauCheckpointer *self)
{
  gboolean goes_on;

  g_mutex_lock (&self->lock);
  while (!self->is_wanted && !self->stop)
    g_cond_wait (&self->cond, &self->lock);
  goes_on = !self->stop;
  g_mutex_unlock (&self->lock);
  return goes_on;
}

static void
end_work (CauCheckpointer *self)
{
  g_mutex_lock (&self->lock);
  self->is_wanted = FALSE;
  g_mutex_unlock (&self->lock);
}

static gpointer
run (gpointer data)
{
  CauCheckpointer *self = data;

  while (wait_for_work (self))
    {
      copy_most (self);
      end_work (self);
    }
  return NULL;
}

CauCheckpointer *
cau_checkpointer_new (const char *path, CauCheckpointFunc nearly_done, gpointer user_data, GError **error)
{
  CauCheckpointer *self;
  CauDb           *db = cau_db_open (path, CAU_DB_WRITE, error);

  if (db == NULL)
    return NULL;
  self = g_new0 (CauCheckpointer, 1);
  self->db = db;
  self->nearly_done = nearly_done;
  self->user_data = user_data;
  g_mutex_init (&self->pass);
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->thread = g_thread_new ("cau-checkpoint", run, self);
  return self;
}

void
cau_checkpointer_free (CauCheckpointer *self)
{
  g_mutex_lock (&self->lock);
  self->stop = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  g_thread_join (self->thread);

  cau_db_close (self->db);
  g_mutex_clear (&self->pass);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

void
cau_checkpointer_note (CauCheckpointer *self, int pages)
{
  int copied = g_atomic_int_get (&self->copied);

  /* It started over. */
  if (pages < MAX (copied, self->noted))
    {
      g_atomic_int_set (&self->copied, 0);
      copied = self->noted = 0;
    }
  /* Somebody who reads for long may keep it from being copied: then not again for each commit. */
  if (pages - MAX (copied, self->noted) < MIN_PAGES)
    return;
  self->noted = pages;
  g_mutex_lock (&self->lock);
  if (!self->is_wanted)
    g_cond_signal (&self->cond);
  self->is_wanted = TRUE;
  g_mutex_unlock (&self->lock);
}

gboolean
cau_checkpointer_finish (CauCheckpointer *self, CauDb *db, gboolean wait)
{
  gboolean ok;
  int      left;

  if (wait)
    g_mutex_lock (&self->pass);
  else if (!g_mutex_trylock (&self->pass))
    return FALSE;
  /* The WAL starts over only when nobody reads from it. Our own readers are quick. */
  sqlite3_busy_timeout (cau_db_get_handle (db), RESTART_TIMEOUT_MS);
  ok = copy (self, db, SQLITE_CHECKPOINT_RESTART, &left);
  sqlite3_busy_timeout (cau_db_get_handle (db), CAU_DB_BUSY_TIMEOUT_MS);
  g_mutex_unlock (&self->pass);
  return ok;
}
