/* SPDX-License-Identifier: MIT */
/* GLib's means for threads, as ThreadSanitizer can see them: linked before GLib in builds with -Db_sanitize=thread.
 *
 * GLib is not instrumented. It makes mutexes and conditions of futexes and hands work to pools of threads by them, of which
 * ThreadSanitizer learns nothing: it would take what they protect for races. Calls from within GLib do not come here (it is linked with
 * -Bsymbolic-functions), so it goes on with its own; no mutex of ours is ever locked by GLib. */

#include <dlfcn.h>
#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <sanitizer/tsan_interface.h>
#include <stdlib.h>
#include <time.h>

#undef g_atomic_ref_count_init
#undef g_atomic_ref_count_inc
#undef g_atomic_ref_count_dec
#undef g_atomic_ref_count_compare
#undef g_once_init_enter
#undef g_once_init_leave

#define REAL(name) ((__typeof__ (&name)) real_function (#name))

static void *
real_function (const char *name)
{
  void *function = dlsym (RTLD_NEXT, name);

  if (function == NULL)
    abort ();
  return function;
}

/* ---- mutexes and conditions: of pthreads, made when they are first used, as GLib's may be zeros only ---- */

static void *
publish (gpointer *place, void *made, void (*destroy) (void *))
{
  void *expected = NULL;

  if (__atomic_compare_exchange_n (place, &expected, made, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
    return made;
  destroy (made);
  return expected;
}

static void
mutex_free (void *mutex)
{
  pthread_mutex_destroy (mutex);
  free (mutex);
}

static pthread_mutex_t *
mutex_of (GMutex *mutex)
{
  pthread_mutex_t *made = __atomic_load_n (&mutex->p, __ATOMIC_ACQUIRE);

  if (made != NULL)
    return made;
  made = malloc (sizeof *made);
  pthread_mutex_init (made, NULL);
  return publish (&mutex->p, made, mutex_free);
}

void
g_mutex_init (GMutex *mutex)
{
  mutex->p = NULL;
  mutex_of (mutex);
}

void
g_mutex_clear (GMutex *mutex)
{
  if (mutex->p != NULL)
    mutex_free (mutex->p);
  mutex->p = NULL;
}

void
g_mutex_lock (GMutex *mutex)
{
  pthread_mutex_lock (mutex_of (mutex));
}

gboolean
g_mutex_trylock (GMutex *mutex)
{
  return pthread_mutex_trylock (mutex_of (mutex)) == 0;
}

void
g_mutex_unlock (GMutex *mutex)
{
  pthread_mutex_unlock (mutex_of (mutex));
}

static void
cond_free (void *cond)
{
  pthread_cond_destroy (cond);
  free (cond);
}

static pthread_cond_t *
cond_of (GCond *cond)
{
  pthread_cond_t    *made = __atomic_load_n (&cond->p, __ATOMIC_ACQUIRE);
  pthread_condattr_t attributes;

  if (made != NULL)
    return made;
  made = malloc (sizeof *made);
  pthread_condattr_init (&attributes);
  pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
  pthread_cond_init (made, &attributes);
  pthread_condattr_destroy (&attributes);
  return publish (&cond->p, made, cond_free);
}

void
g_cond_init (GCond *cond)
{
  cond->p = NULL;
  cond_of (cond);
}

void
g_cond_clear (GCond *cond)
{
  if (cond->p != NULL)
    cond_free (cond->p);
  cond->p = NULL;
}

void
g_cond_wait (GCond *cond, GMutex *mutex)
{
  pthread_cond_wait (cond_of (cond), mutex_of (mutex));
}

gboolean
g_cond_wait_until (GCond *cond, GMutex *mutex, gint64 end_time)
{
  struct timespec end = { .tv_sec = end_time / G_USEC_PER_SEC, .tv_nsec = end_time % G_USEC_PER_SEC * 1000 };

  return pthread_cond_timedwait (cond_of (cond), mutex_of (mutex), &end) != ETIMEDOUT;
}

void
g_cond_signal (GCond *cond)
{
  pthread_cond_signal (cond_of (cond));
}

void
g_cond_broadcast (GCond *cond)
{
  pthread_cond_broadcast (cond_of (cond));
}

/* ---- what is made once: the value itself is read by the macro in the caller, which is instrumented ---- */

static pthread_mutex_t once_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  once_done = PTHREAD_COND_INITIALIZER;
static GSList         *once_begun; /* of the places whose values are being made */

gboolean
g_once_init_enter (volatile void *location)
{
  gsize   *value = (gsize *) location;
  gboolean is_first;

  pthread_mutex_lock (&once_lock);
  while (g_slist_find (once_begun, value) != NULL)
    pthread_cond_wait (&once_done, &once_lock);
  is_first = __atomic_load_n (value, __ATOMIC_ACQUIRE) == 0;
  if (is_first)
    once_begun = g_slist_prepend (once_begun, value);
  pthread_mutex_unlock (&once_lock);
  return is_first;
}

void
g_once_init_leave (volatile void *location, gsize result)
{
  gsize *value = (gsize *) location;

  pthread_mutex_lock (&once_lock);
  __atomic_store_n (value, result, __ATOMIC_RELEASE);
  once_begun = g_slist_remove (once_begun, value);
  pthread_cond_broadcast (&once_done);
  pthread_mutex_unlock (&once_lock);
}

/* ---- counts of references ---- */

void
g_atomic_ref_count_init (gatomicrefcount *count)
{
  __atomic_store_n (count, 1, __ATOMIC_SEQ_CST);
}

void
g_atomic_ref_count_inc (gatomicrefcount *count)
{
  __atomic_fetch_add (count, 1, __ATOMIC_SEQ_CST);
}

gboolean
g_atomic_ref_count_dec (gatomicrefcount *count)
{
  return __atomic_fetch_sub (count, 1, __ATOMIC_SEQ_CST) == 1;
}

gboolean
g_atomic_ref_count_compare (gatomicrefcount *count, gint value)
{
  return __atomic_load_n (count, __ATOMIC_SEQ_CST) == value;
}

/* The last reference may go on another thread than the one that used the bytes last. */
void
g_bytes_unref (GBytes *bytes)
{
  if (bytes == NULL)
    return;
  __tsan_acquire (bytes);
  __tsan_release (bytes);
  REAL (g_bytes_unref) (bytes);
}

/* ---- pools: what was done before a push is seen by the job, and what the jobs did by who frees the pool ---- */

typedef struct
{
  GFunc    func;
  gpointer user_data;
} Pool;

static void
run_job (gpointer job, gpointer user_data)
{
  Pool *pool = user_data;

  __tsan_acquire (pool);
  pool->func (job, pool->user_data);
  __tsan_release (pool);
}

GThreadPool *
g_thread_pool_new (GFunc func, gpointer user_data, gint max_threads, gboolean exclusive, GError **error)
{
  Pool *pool = g_new (Pool, 1);

  pool->func = func;
  pool->user_data = user_data;
  return REAL (g_thread_pool_new) (run_job, pool, max_threads, exclusive, error);
}

gboolean
g_thread_pool_push (GThreadPool *self, gpointer job, GError **error)
{
  __tsan_release (self->user_data);
  return REAL (g_thread_pool_push) (self, job, error);
}

void
g_thread_pool_free (GThreadPool *self, gboolean immediate, gboolean wait)
{
  Pool *pool = self->user_data;

  REAL (g_thread_pool_free) (self, immediate, wait);
  __tsan_acquire (pool);
  if (wait)
    g_free (pool);
}
