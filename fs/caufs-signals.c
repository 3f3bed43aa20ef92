/* SPDX-License-Identifier: MIT */
#include "caufs-signals.h"

#include <signal.h>
#include <unistd.h>

/* Handled, by nothing, so that it interrupts. */
#define WAKE_SIGNAL SIGUSR2

#define WAKE_INTERVAL (20 * G_TIME_SPAN_MILLISECOND)

struct _CaufsSignals
{
  struct fuse_session *session; /* borrowed */
  pthread_t            loop;
  GThread             *thread;

  GMutex   lock;
  GCond    cond;
  gboolean has_ended;  /* the loop; lock */
  gboolean was_caught; /* lock */
};

static void
fill_set (sigset_t *set)
{
  sigemptyset (set);
  sigaddset (set, SIGTERM);
  sigaddset (set, SIGINT);
  sigaddset (set, SIGHUP);
}

static void
ignore_signal (int number)
{
  (void) number;
}

void
caufs_signals_block (void)
{
  struct sigaction wake = { .sa_handler = ignore_signal };
  sigset_t         set;

  fill_set (&set);
  pthread_sigmask (SIG_BLOCK, &set, NULL);
  sigaction (WAKE_SIGNAL, &wake, NULL);
  signal (SIGPIPE, SIG_IGN);
}

void
caufs_signals_wake (pthread_t thread)
{
  pthread_kill (thread, WAKE_SIGNAL);
}

static void
end_loop (CaufsSignals *self)
{
  g_mutex_lock (&self->lock);
  self->was_caught = !self->has_ended;
  while (!self->has_ended)
    {
      fuse_session_exit (self->session);
      caufs_signals_wake (self->loop);
      g_cond_wait_until (&self->cond, &self->lock, g_get_monotonic_time () + WAKE_INTERVAL);
    }
  g_mutex_unlock (&self->lock);
}

static gpointer
listen_for_signals (gpointer data)
{
  sigset_t set;
  int      number;

  fill_set (&set);
  if (sigwait (&set, &number) == 0)
    end_loop (data);
  return NULL;
}

CaufsSignals *
caufs_signals_start (struct fuse_session *session)
{
  CaufsSignals *self = g_new0 (CaufsSignals, 1);

  self->session = session;
  self->loop = pthread_self ();
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->thread = g_thread_new ("signals", listen_for_signals, self);
  return self;
}

gboolean
caufs_signals_stop (CaufsSignals *self)
{
  gboolean was_caught;

  g_mutex_lock (&self->lock);
  self->has_ended = TRUE;
  was_caught = self->was_caught;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);

  /* The thread may still be waiting. If it is not, the signal stays blocked and does nothing. */
  kill (getpid (), SIGTERM);
  g_thread_join (self->thread);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
  return was_caught;
}
