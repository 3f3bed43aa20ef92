/* SPDX-License-Identifier: MIT */
#include "cau-turns.h"

/* One user's jobs that wait: never none. */
typedef struct
{
  guint32 uid;
  GQueue  jobs;
} Turn;

struct _CauTurns
{
  CauTurnsFunc work; /* immutable, as what follows */
  gpointer     user_data;
  GThreadPool *threads; /* run once for each job that waits */

  GMutex lock;
  GQueue turns; /* of Turn, the next first; lock */
};

static gpointer
take (CauTurns *self, guint32 *uid)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  Turn         *turn = g_queue_pop_head (&self->turns);
  gpointer      job = g_queue_pop_head (&turn->jobs);

  *uid = turn->uid;
  if (g_queue_is_empty (&turn->jobs))
    g_free (turn);
  else
    g_queue_push_tail (&self->turns, turn);
  return job;
}

static void
run (G_GNUC_UNUSED gpointer token, gpointer data)
{
  CauTurns *self = data;
  guint32   uid;
  gpointer  job = take (self, &uid);

  if (self->work (job, self->user_data))
    cau_turns_push (self, uid, job, TRUE);
}

CauTurns *
cau_turns_new (CauTurnsFunc work, gpointer user_data, guint n_threads)
{
  CauTurns *self = g_new0 (CauTurns, 1);

  self->work = work;
  self->user_data = user_data;
  self->threads = g_thread_pool_new (run, self, (gint) n_threads, FALSE, NULL);
  g_mutex_init (&self->lock);
  g_queue_init (&self->turns);
  return self;
}

void
cau_turns_free (CauTurns *self)
{
  g_thread_pool_free (self->threads, FALSE, TRUE);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gint
compare_user (gconstpointer turn, gconstpointer uid)
{
  return ((const Turn *) turn)->uid == *(const guint32 *) uid ? 0 : 1;
}

void
cau_turns_push (CauTurns *self, guint32 uid, gpointer job, gboolean is_begun)
{
  GList *found;
  Turn  *turn;

  g_mutex_lock (&self->lock);
  found = g_queue_find_custom (&self->turns, &uid, compare_user);
  turn = found != NULL ? found->data : g_new0 (Turn, 1);
  if (found == NULL)
    {
      turn->uid = uid;
      g_queue_push_tail (&self->turns, turn);
    }
  if (is_begun)
    g_queue_push_head (&turn->jobs, job);
  else
    g_queue_push_tail (&turn->jobs, job);
  g_mutex_unlock (&self->lock);
  g_thread_pool_push (self->threads, self, NULL);
}
