/* SPDX-License-Identifier: MIT */
#include "caufs-intents.h"

typedef struct
{
  pid_t           tid;
  CaufsIntentKind kind;
  guint64         orchestrator;
  char           *name; /* owned; NULL: any */
  guint64         ticket;
  CauReader      *reader; /* owned; NULL: none */
  gboolean        looked_up;
  gint64          made; /* monotonic, microseconds */
} CaufsIntent;

/* An array, not a hash: an intent lives for one walk of a path, so there are hardly ever more than a few. */
struct _CaufsIntents
{
  GMutex     lock;
  GPtrArray *all; /* (element-type CaufsIntent); lock */
};

static void
caufs_intent_free (gpointer data)
{
  CaufsIntent *self = data;

  g_clear_pointer (&self->reader, cau_reader_unref);
  g_free (self->name);
  g_free (self);
}

static CaufsIntentState
end_intent (CaufsIntent *intent, CauReader **reader)
{
  CaufsIntentState state = intent->looked_up ? CAUFS_INTENT_LOOKED_UP : CAUFS_INTENT_NOT_LOOKED_UP;

  if (reader != NULL)
    *reader = g_steal_pointer (&intent->reader);
  caufs_intent_free (intent);
  return state;
}

CaufsIntents *
caufs_intents_new (void)
{
  CaufsIntents *self = g_new0 (CaufsIntents, 1);

  g_mutex_init (&self->lock);
  self->all = g_ptr_array_new_with_free_func (caufs_intent_free);
  return self;
}

void
caufs_intents_free (CaufsIntents *self)
{
  g_ptr_array_unref (self->all);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static gboolean
matches (const CaufsIntent *intent, guint64 orchestrator, const char *name)
{
  return intent->name == NULL || name == NULL
         || (intent->orchestrator == orchestrator && g_str_equal (intent->name, name));
}

static void
sweep_locked (CaufsIntents *self)
{
  gint64 oldest = g_get_monotonic_time () - CAUFS_INTENT_LIFE;

  for (guint i = self->all->len; i > 0; i--)
    {
      const CaufsIntent *intent = g_ptr_array_index (self->all, i - 1);

      if (intent->made < oldest)
        g_ptr_array_remove_index_fast (self->all, i - 1);
    }
}

/* Returns the index of the thread's intent that fits, or -1. */
static gint
find_locked (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name)
{
  if (self->all->len == 0)
    return -1;
  sweep_locked (self);
  for (guint i = 0; i < self->all->len; i++)
    {
      const CaufsIntent *intent = g_ptr_array_index (self->all, i);

      if (intent->tid == tid && matches (intent, orchestrator, name))
        return (gint) i;
    }
  return -1;
}

static void
forget_locked (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name)
{
  gint i;

  while ((i = find_locked (self, tid, orchestrator, name)) >= 0)
    g_ptr_array_remove_index_fast (self->all, (guint) i);
}

void
caufs_intents_note (CaufsIntents *self, pid_t tid, CaufsIntentKind kind, guint64 orchestrator, const char *name)
{
  CaufsIntent *intent = g_new0 (CaufsIntent, 1);

  intent->tid = tid;
  intent->kind = kind;
  intent->orchestrator = orchestrator;
  intent->name = g_strdup (name);
  intent->made = g_get_monotonic_time ();

  g_mutex_lock (&self->lock);
  forget_locked (self, tid, orchestrator, tid == 0 ? name : NULL);
  g_ptr_array_add (self->all, intent);
  g_mutex_unlock (&self->lock);
}

gboolean
caufs_intents_look_up (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name, CaufsIntentKind *kind,
                       guint64 *ticket)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  gint         i = find_locked (self, tid, orchestrator, name);
  CaufsIntent *intent;

  (void) locker;
  if (i < 0)
    return FALSE;
  intent = g_ptr_array_index (self->all, (guint) i);
  intent->looked_up = TRUE;
  *kind = intent->kind;
  *ticket = intent->ticket;
  return TRUE;
}

void
caufs_intents_set_ticket (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name, guint64 ticket)
{
  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  gint i = find_locked (self, tid, orchestrator, name);

  (void) locker;
  if (i >= 0)
    ((CaufsIntent *) g_ptr_array_index (self->all, (guint) i))->ticket = ticket;
}

void
caufs_intents_set_reader (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name, CauReader *reader)
{
  CaufsIntent *intent;
  CauReader   *old = reader;
  gint         i;

  g_mutex_lock (&self->lock);
  i = find_locked (self, tid, orchestrator, name);
  if (i >= 0)
    {
      intent = g_ptr_array_index (self->all, (guint) i);
      old = intent->reader;
      intent->reader = reader;
    }
  g_mutex_unlock (&self->lock);
  g_clear_pointer (&old, cau_reader_unref);
}

CaufsIntentState
caufs_intents_take (CaufsIntents *self, pid_t tid, CaufsIntentKind kind, guint64 orchestrator, const char *name,
                    CauReader **reader)
{
  CaufsIntent *intent = NULL;
  gint         i;

  if (reader != NULL)
    *reader = NULL;
  g_mutex_lock (&self->lock);
  i = find_locked (self, tid, orchestrator, name);
  if (i >= 0 && ((CaufsIntent *) g_ptr_array_index (self->all, (guint) i))->kind == kind)
    intent = g_ptr_array_steal_index_fast (self->all, (guint) i);
  g_mutex_unlock (&self->lock);
  return intent != NULL ? end_intent (intent, reader) : CAUFS_INTENT_NONE;
}
