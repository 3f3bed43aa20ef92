/* SPDX-License-Identifier: MIT */
#include "caufs-names.h"
#include "cau-quota.h"
#include "caufs-loop.h"

#include <string.h>

struct _CaufsNames
{
  gint      n_writers; /* of all names; atomic, changed with the lock held */
  CauQuota *waits;     /* owned */

  GMutex      lock;
  GCond       settled;
  GHashTable *table;    /* set of CaufsName, hashed by orchestrator and name; borrowed; lock */
  GPtrArray  *settling; /* (element-type CaufsSettle); borrowed; lock */
};

struct _CaufsName
{
  CaufsNames    *table; /* borrowed */
  CaufsLockList *locks; /* owned; immutable */

  /* guarded by CaufsNames.lock */
  guint   n_refs;
  guint64 orchestrator; /* 0: stands for no name, and is not in the table */
  char   *name;         /* owned; NULL likewise */
  guint   n_writers;
};

static guint
caufs_name_hash (gconstpointer data)
{
  const CaufsName *self = data;

  return g_str_hash (self->name) ^ (guint) (self->orchestrator * 2654435761u);
}

static gboolean
caufs_name_equal (gconstpointer a, gconstpointer b)
{
  const CaufsName *x = a;
  const CaufsName *y = b;

  return x->orchestrator == y->orchestrator && strcmp (x->name, y->name) == 0;
}

CaufsNames *
caufs_names_new (void)
{
  CaufsNames *self = g_new0 (CaufsNames, 1);

  g_mutex_init (&self->lock);
  g_cond_init (&self->settled);
  self->table = g_hash_table_new (caufs_name_hash, caufs_name_equal);
  self->settling = g_ptr_array_new ();
  self->waits = cau_quota_new (CAUFS_SETTLE_WAITS);
  return self;
}

void
caufs_names_free (CaufsNames *self)
{
  g_warn_if_fail (g_hash_table_size (self->table) == 0);
  g_hash_table_unref (self->table);
  g_ptr_array_unref (self->settling);
  cau_quota_free (self->waits);
  g_cond_clear (&self->settled);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static CaufsName *
find_locked (CaufsNames *self, guint64 orchestrator, const char *name)
{
  CaufsName key = { .orchestrator = orchestrator, .name = (char *) name };

  return g_hash_table_lookup (self->table, &key);
}

CaufsName *
caufs_names_get (CaufsNames *self, guint64 orchestrator, const char *name)
{
  CaufsName *found;

  g_mutex_lock (&self->lock);
  found = name != NULL ? find_locked (self, orchestrator, name) : NULL;
  if (found == NULL)
    {
      found = g_new0 (CaufsName, 1);
      found->table = self;
      found->locks = caufs_lock_list_new ();
      if (name != NULL)
        {
          found->orchestrator = orchestrator;
          found->name = g_strdup (name);
          g_hash_table_add (self->table, found);
        }
    }
  found->n_refs++;
  g_mutex_unlock (&self->lock);
  return found;
}

CaufsName *
caufs_name_ref (CaufsName *self)
{
  g_mutex_lock (&self->table->lock);
  self->n_refs++;
  g_mutex_unlock (&self->table->lock);
  return self;
}

/* Makes @self stand for no name. */
static void
detach_locked (CaufsName *self)
{
  if (self->name == NULL)
    return;
  g_hash_table_remove (self->table->table, self);
  self->orchestrator = 0;
  g_clear_pointer (&self->name, g_free);
}

void
caufs_name_unref (CaufsName *self)
{
  CaufsNames *table = self->table;
  gboolean    is_last;

  g_mutex_lock (&table->lock);
  is_last = --self->n_refs == 0;
  if (is_last)
    detach_locked (self);
  g_mutex_unlock (&table->lock);
  if (!is_last)
    return;
  caufs_lock_list_free (self->locks);
  g_free (self);
}

gboolean
caufs_name_dup_key (CaufsName *self, guint64 *orchestrator, char **name)
{
  g_mutex_lock (&self->table->lock);
  *orchestrator = self->orchestrator;
  *name = g_strdup (self->name);
  g_mutex_unlock (&self->table->lock);
  return *name != NULL;
}

guint64
caufs_name_get_orchestrator (CaufsName *self)
{
  guint64 orchestrator;

  g_mutex_lock (&self->table->lock);
  orchestrator = self->orchestrator;
  g_mutex_unlock (&self->table->lock);
  return orchestrator;
}

char *
caufs_name_describe (CaufsName *self)
{
  g_autofree char *name = NULL;
  guint64          orchestrator;

  if (!caufs_name_dup_key (self, &orchestrator, &name))
    return g_strdup ("a report that was removed or replaced meanwhile");
  return g_strdup_printf ("report %s", name);
}

CaufsLockList *
caufs_name_get_locks (CaufsName *self)
{
  return self->locks;
}

static void
attach_locked (CaufsName *self, guint64 orchestrator, const char *name)
{
  self->orchestrator = orchestrator;
  self->name = g_strdup (name);
  g_hash_table_add (self->table->table, self);
}

void
caufs_names_rename (CaufsNames *self, guint64 orchestrator, const char *name, guint64 new_orchestrator,
                    const char *new_name, gboolean exchange)
{
  CaufsName *from;
  CaufsName *to;

  g_mutex_lock (&self->lock);
  from = find_locked (self, orchestrator, name);
  to = find_locked (self, new_orchestrator, new_name);
  if (from != to)
    {
      if (from != NULL)
        detach_locked (from);
      if (to != NULL)
        detach_locked (to);
      if (from != NULL)
        attach_locked (from, new_orchestrator, new_name);
      if (to != NULL && exchange)
        attach_locked (to, orchestrator, name);
    }
  g_mutex_unlock (&self->lock);
}

void
caufs_names_remove (CaufsNames *self, guint64 orchestrator, const char *name)
{
  CaufsName *found;

  g_mutex_lock (&self->lock);
  found = find_locked (self, orchestrator, name);
  if (found != NULL)
    detach_locked (found);
  g_mutex_unlock (&self->lock);
}

void
caufs_name_add_writer (CaufsName *self)
{
  g_mutex_lock (&self->table->lock);
  self->n_writers++;
  g_atomic_int_inc (&self->table->n_writers);
  g_mutex_unlock (&self->table->lock);
}

void
caufs_name_remove_writer (CaufsName *self)
{
  g_mutex_lock (&self->table->lock);
  self->n_writers--;
  g_atomic_int_add (&self->table->n_writers, -1);
  g_mutex_unlock (&self->table->lock);
}

gboolean
caufs_names_has_writer (CaufsNames *self, guint64 orchestrator, const char *name)
{
  const CaufsName *found;
  gboolean         has_writer;

  if (g_atomic_int_get (&self->n_writers) == 0)
    return FALSE;
  g_mutex_lock (&self->lock);
  found = find_locked (self, orchestrator, name);
  has_writer = found != NULL && found->n_writers > 0;
  g_mutex_unlock (&self->lock);
  return has_writer;
}

/* ---- settling ---- */

void
caufs_settle_note (CaufsSettle *self, CaufsName *name)
{
  CaufsNames *table = name->table;

  g_mutex_lock (&table->lock);
  if (!self->is_spent)
    {
      self->name = name;
      self->deadline = g_get_monotonic_time () + CAUFS_SETTLE_TIME;
      if (!self->is_noted)
        g_ptr_array_add (table->settling, self);
      self->is_noted = TRUE;
      self->is_awaited = FALSE;
    }
  g_mutex_unlock (&table->lock);
}

void
caufs_settle_end (CaufsSettle *self, CaufsName *name)
{
  CaufsNames *table = name->table;

  g_mutex_lock (&table->lock);
  if (self->is_noted)
    {
      self->is_noted = FALSE;
      g_ptr_array_remove_fast (table->settling, self);
      g_cond_broadcast (&table->settled);
    }
  g_mutex_unlock (&table->lock);
}

/* Nobody has to wait any more for closes that no RELEASE followed. */
static void
drop_expired_locked (CaufsNames *self, gint64 now)
{
  for (guint i = self->settling->len; i > 0; i--)
    {
      CaufsSettle *settle = g_ptr_array_index (self->settling, i - 1);

      if (settle->deadline > now)
        continue;
      settle->is_noted = FALSE;
      settle->is_spent = settle->is_awaited;
      g_ptr_array_remove_index_fast (self->settling, i - 1);
    }
}

/* One that was noted by @latest, less the time that it has. */
static CaufsSettle *
find_settling_locked (CaufsNames *self, guint64 orchestrator, const char *name, gint64 latest)
{
  for (guint i = 0; i < self->settling->len; i++)
    {
      CaufsSettle *settle = g_ptr_array_index (self->settling, i);

      if (settle->deadline <= latest && settle->name->name != NULL && settle->name->orchestrator == orchestrator
          && (name == NULL || strcmp (settle->name->name, name) == 0))
        return settle;
    }
  return NULL;
}

static void
wait_locked (CaufsNames *self, CaufsSettle *settle)
{
  settle->is_awaited = TRUE;
  caufs_loop_begin_wait ();
  g_cond_wait_until (&self->settled, &self->lock, settle->deadline);
  caufs_loop_end_wait ();
}

void
caufs_names_wait_settled (CaufsNames *self, uid_t uid, guint64 orchestrator, const char *name)
{
  /* What is closed later does not matter to who asks now: they would wait for ever on somebody who goes on closing files. */
  const gint64 begun = g_get_monotonic_time ();
  gboolean     may_wait = FALSE;
  CaufsSettle *settle;

  g_mutex_lock (&self->lock);
  drop_expired_locked (self, begun);
  while ((settle = find_settling_locked (self, orchestrator, name, begun + CAUFS_SETTLE_TIME)) != NULL
         && (may_wait || (may_wait = cau_quota_take (self->waits, uid, 1) == CAU_QUOTA_OK)))
    {
      wait_locked (self, settle);
      drop_expired_locked (self, g_get_monotonic_time ());
    }
  g_mutex_unlock (&self->lock);
  if (may_wait)
    cau_quota_give (self->waits, uid, 1);
}
