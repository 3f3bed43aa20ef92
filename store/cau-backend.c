/* SPDX-License-Identifier: MIT */
#include "cau-backend.h"

static GPrivate is_store_thread;

gboolean
cau_backend_enter_thread (void)
{
  gboolean was_inside = cau_backend_is_thread ();

  g_private_set (&is_store_thread, GINT_TO_POINTER (TRUE));
  return was_inside;
}

void
cau_backend_leave_thread (void)
{
  g_private_set (&is_store_thread, NULL);
}

gboolean
cau_backend_is_thread (void)
{
  return g_private_get (&is_store_thread) != NULL;
}

typedef struct
{
  CauWaitFunc func;
  gpointer    user_data;
} WaitFunc;

static GPrivate wait_func = G_PRIVATE_INIT (g_free);

void
cau_thread_set_wait_func (CauWaitFunc func, gpointer user_data)
{
  WaitFunc *set = g_new (WaitFunc, 1);

  set->func = func;
  set->user_data = user_data;
  g_private_replace (&wait_func, set);
}

static void
tell_wait (gboolean begins)
{
  const WaitFunc *set = g_private_get (&wait_func);

  if (set != NULL)
    set->func (begins, set->user_data);
}

void
cau_thread_begin_wait (void)
{
  tell_wait (TRUE);
}

void
cau_thread_end_wait (void)
{
  tell_wait (FALSE);
}

void
cau_thread_wait (GCond *cond, GMutex *lock)
{
  tell_wait (TRUE);
  g_cond_wait (cond, lock);
  tell_wait (FALSE);
}

typedef struct
{
  GMutex   lock; /* guards finished */
  GCond    cond;
  gboolean finished;
} Waiter;

gint64
cau_now_ns (void)
{
  return cau_datetime_now () * 1000;
}

void
cau_attributes_merge (CauAttributes *to, CauAttributeMask mask, const CauAttributes *from)
{
  if (mask & CAU_ATTRIBUTE_MODE)
    to->mode = from->mode;
  if (mask & CAU_ATTRIBUTE_UID)
    to->uid = from->uid;
  if (mask & CAU_ATTRIBUTE_GID)
    to->gid = from->gid;
  if (mask & CAU_ATTRIBUTE_ATIME)
    to->atime = from->atime;
  if (mask & CAU_ATTRIBUTE_MTIME)
    to->mtime = from->mtime;
  to->ctime = cau_now_ns ();
}

gsize
cau_stored_chunk_weight (const CauStoredChunk *chunk)
{
  return chunk->data != NULL ? g_bytes_get_size (chunk->data) : CAU_HOLE_WEIGHT;
}

void
cau_stored_chunk_free (CauStoredChunk *chunk)
{
  g_clear_pointer (&chunk->data, g_bytes_unref);
  g_free (chunk);
}

static void
waiter_done (CauOp *op)
{
  Waiter *waiter = op->user_data;

  g_mutex_lock (&waiter->lock);
  waiter->finished = TRUE;
  g_cond_signal (&waiter->cond);
  g_mutex_unlock (&waiter->lock);
}

gboolean
cau_backend_run (CauBackend *self, CauOp *op, GError **error)
{
  Waiter waiter = { 0 };

  if (self->read_only)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_READ_ONLY, "the store is open for reading only");
      return FALSE;
    }

  g_mutex_init (&waiter.lock);
  g_cond_init (&waiter.cond);
  op->done = waiter_done;
  op->user_data = &waiter;
  self->klass->submit (self, op);

  g_mutex_lock (&waiter.lock);
  while (!waiter.finished)
    cau_thread_wait (&waiter.cond, &waiter.lock);
  g_mutex_unlock (&waiter.lock);
  g_mutex_clear (&waiter.lock);
  g_cond_clear (&waiter.cond);

  if (op->error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&op->error));
  return FALSE;
}
