/* SPDX-License-Identifier: MIT */
#include "caufs-loop.h"
#include "cau-store.h"
#include "caufs-log.h"
#include "caufs-signals.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>

/* One to take a request, and one to take the next while the first is at work. */
#define MAX_LISTENING 2

/* So many more listen while waits are frequent, as when reports are read from the disk: waking a parked thread for each
 * would take longer. One less after each CALM requests during which nobody had to be woken. */
#define MAX_SPARE 6
#define CALM 256

#define MAX_THREADS 16

#define WAKE_INTERVAL (20 * G_TIME_SPAN_MILLISECOND)

typedef struct
{
  struct fuse_session *session; /* borrowed; immutable */
  guint                n_processors;
  sem_t                ended; /* posted when the session has ended; a signal interrupts the wait for it */

  GMutex lock; /* guards what follows, and all workers */
  GCond  gone;
  GList *workers;     /* (element-type Worker): all that there ever were */
  guint  n_running;   /* of these */
  GQueue parked;      /* of Worker.link, the last that worked first */
  guint  n_listening; /* in read(2) of the device, or about to be */
  guint  n_working;   /* at work, and not waiting */
  guint  n_spare;
  guint  n_calm; /* requests since somebody was woken, or since n_spare became less */
  int    error;
} Loop;

typedef struct
{
  Loop     *loop;
  GThread  *thread;
  pthread_t id; /* once has_begun */
  gboolean  has_begun;
  GList     link;
  GCond     woken;
  gboolean  is_parked;
  gboolean  is_listening;
  gboolean  is_working;
  guint     n_waits; /* the thread's own: how deep it is in waits */
} Worker;

/* The Worker that a thread is. */
static GPrivate current;

static gpointer work (gpointer data);

static void
worker_free (gpointer data)
{
  Worker *self = data;

  if (self->thread != NULL)
    g_thread_join (self->thread);
  g_cond_clear (&self->woken);
  g_free (self);
}

static void
start_worker_locked (Loop *self)
{
  Worker *worker = g_new0 (Worker, 1);

  worker->loop = self;
  worker->link.data = worker;
  worker->is_listening = TRUE;
  g_cond_init (&worker->woken);
  worker->thread = g_thread_try_new ("worker", work, worker, NULL);
  if (worker->thread == NULL)
    {
      worker_free (worker);
      return;
    }
  self->workers = g_list_prepend (self->workers, worker);
  self->n_running++;
  self->n_listening++;
}

/* @listen: what it does then; else it ends. */
static void
unpark_locked (Loop *self, Worker *worker, gboolean listen)
{
  g_queue_unlink (&self->parked, &worker->link);
  worker->is_parked = FALSE;
  worker->is_listening = listen;
  self->n_listening += listen ? 1 : 0;
  g_cond_signal (&worker->woken);
}

/* To be called when a thread stopped listening or gave up its place: somebody must listen if there is a processor for it. */
static void
fill_place_locked (Loop *self)
{
  if (self->n_listening > 0 || self->n_working >= self->n_processors || fuse_session_exited (self->session))
    return;
  self->n_spare = MIN (self->n_spare + 1, MAX_SPARE);
  self->n_calm = 0;
  if (self->parked.head != NULL)
    unpark_locked (self, self->parked.head->data, TRUE);
  else if (self->n_running < MAX_THREADS)
    start_worker_locked (self);
}

/* ---- waits ---- */

void
caufs_loop_begin_wait (void)
{
  Worker *worker = g_private_get (&current);

  if (worker == NULL || worker->n_waits++ > 0)
    return;
  g_mutex_lock (&worker->loop->lock);
  worker->loop->n_working--;
  fill_place_locked (worker->loop);
  g_mutex_unlock (&worker->loop->lock);
}

/* More may be at work then than there are processors, until they are done. */
void
caufs_loop_end_wait (void)
{
  Worker *worker = g_private_get (&current);

  if (worker == NULL || --worker->n_waits > 0)
    return;
  g_mutex_lock (&worker->loop->lock);
  worker->loop->n_working++;
  g_mutex_unlock (&worker->loop->lock);
}

static void
note_wait (gboolean begins, gpointer user_data)
{
  (void) user_data;
  if (begins)
    caufs_loop_begin_wait ();
  else
    caufs_loop_end_wait ();
}

/* ---- a thread ---- */

static void
park_locked (Loop *self, Worker *worker)
{
  worker->is_parked = TRUE;
  g_queue_push_head_link (&self->parked, &worker->link);
  while (worker->is_parked)
    g_cond_wait (&worker->woken, &self->lock);
}

/* FALSE when the session has ended. */
static gboolean
begin_listening (Loop *self, Worker *worker)
{
  gboolean goes_on;

  g_mutex_lock (&self->lock);
  worker->id = pthread_self ();
  worker->has_begun = TRUE;
  if (worker->is_working)
    self->n_working--;
  worker->is_working = FALSE;
  if (!worker->is_listening && self->n_listening >= MAX_LISTENING + self->n_spare
      && !fuse_session_exited (self->session))
    park_locked (self, worker);
  goes_on = !fuse_session_exited (self->session);
  if (goes_on && !worker->is_listening)
    {
      worker->is_listening = TRUE;
      self->n_listening++;
    }
  g_mutex_unlock (&self->lock);
  return goes_on;
}

static void
note_request_locked (Loop *self, Worker *worker)
{
  worker->is_working = TRUE;
  self->n_working++;
  if (++self->n_calm >= CALM)
    {
      self->n_calm = 0;
      self->n_spare -= MIN (self->n_spare, 1);
    }
  fill_place_locked (self);
}

/* @result: of fuse_session_receive_buf(). */
static void
end_listening (Loop *self, Worker *worker, int result)
{
  g_mutex_lock (&self->lock);
  worker->is_listening = FALSE;
  self->n_listening--;
  if (result > 0)
    note_request_locked (self, worker);
  else if (result < 0 && self->error == 0)
    self->error = result;
  g_mutex_unlock (&self->lock);
}

static void
leave (Loop *self)
{
  fuse_session_exit (self->session);
  sem_post (&self->ended);
  g_mutex_lock (&self->lock);
  self->n_running--;
  g_cond_signal (&self->gone);
  g_mutex_unlock (&self->lock);
}

static gpointer
work (gpointer data)
{
  Worker         *worker = data;
  Loop           *self = worker->loop;
  struct fuse_buf buffer = { .mem = NULL };
  int             r = 0;

  g_private_set (&current, worker);
  cau_thread_set_wait_func (note_wait, NULL);
  while (r >= 0 && begin_listening (self, worker))
    {
      r = fuse_session_receive_buf (self->session, &buffer);
      if (r == -EINTR || r == -EAGAIN)
        r = 0;
      end_listening (self, worker, r);
      if (r > 0)
        fuse_session_process_buf (self->session, &buffer);
    }
  free (buffer.mem);
  leave (self);
  return NULL;
}

/* ---- the end ---- */

/* Again and again: a signal between a thread's look at the session and its read(2) does nothing. */
static void
end_workers (Loop *self)
{
  g_mutex_lock (&self->lock);
  while (self->n_running > 0)
    {
      for (GList *l = self->workers; l != NULL; l = l->next)
        {
          Worker *worker = l->data;

          if (worker->is_parked)
            unpark_locked (self, worker, FALSE);
          else if (worker->is_listening && worker->has_begun)
            caufs_signals_wake (worker->id);
        }
      g_cond_wait_until (&self->gone, &self->lock, g_get_monotonic_time () + WAKE_INTERVAL);
    }
  g_mutex_unlock (&self->lock);
}

static void
loop_init (Loop *self, struct fuse_session *session)
{
  self->session = session;
  self->n_processors = MAX (g_get_num_processors (), MAX_LISTENING);
  sem_init (&self->ended, 0, 0);
  g_mutex_init (&self->lock);
  g_cond_init (&self->gone);
  g_queue_init (&self->parked);
}

static void
loop_clear (Loop *self)
{
  g_list_free_full (self->workers, worker_free);
  g_cond_clear (&self->gone);
  g_mutex_clear (&self->lock);
  sem_destroy (&self->ended);
}

int
caufs_loop_run (struct fuse_session *session)
{
  Loop self = { 0 };
  int  r;

  loop_init (&self, session);
  g_mutex_lock (&self.lock);
  for (guint i = 0; i < MAX_LISTENING; i++)
    start_worker_locked (&self);
  r = self.workers != NULL ? 0 : -EAGAIN;
  g_mutex_unlock (&self.lock);

  while (r == 0 && !fuse_session_exited (session))
    sem_wait (&self.ended);
  end_workers (&self);
  if (r == 0)
    r = self.error;
  loop_clear (&self);
  return r;
}
