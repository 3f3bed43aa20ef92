/* SPDX-License-Identifier: MIT */
#include "cau-target.h"
#include "cau-backend.h"

typedef struct
{
  guint64 id;
  char   *name;
} Key;

/* All fields are guarded by targets->lock. */
struct _CauTarget
{
  CauTargets *targets;
  guint       ref_count; /* uploads, holds, and those who hold none of its uploads */
  Key         key;       /* while report is 0 */
  guint64     report;    /* 0: never saved */
  gboolean    removed;
  gboolean    renamed;
  gboolean    retired;    /* not counted in by_report any more */
  gboolean    held;       /* a rename or removal is in hand */
  guint       committing; /* commits in hand */
  GQueue      uploads;    /* of CauUpload, the newest first; not counted: each leaves before it goes */
};

struct _CauTargets
{
  gint        n_saved;   /* targets in by_report; atomic, changed with the lock held */
  GMutex      lock;      /* guards the tables and every target; nothing is waited for under it but cond */
  GCond       cond;      /* held or committing became less */
  guint       n_waiting; /* on cond: waking nobody is a system call too (GLib 2.74) */
  GHashTable *by_name;   /* Key -> CauTarget: never saved, not removed */
  GHashTable *by_report; /* report -> the number of targets, in a pointer */
};

static guint
key_hash (gconstpointer data)
{
  const Key *key = data;

  return g_str_hash (key->name) ^ g_int64_hash (&key->id);
}

static gboolean
key_equal (gconstpointer a, gconstpointer b)
{
  const Key *x = a, *y = b;

  return x->id == y->id && g_str_equal (x->name, y->name);
}

CauTargets *
cau_targets_new (void)
{
  CauTargets *self = g_new0 (CauTargets, 1);

  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  self->by_name = g_hash_table_new (key_hash, key_equal);
  self->by_report = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  return self;
}

void
cau_targets_free (CauTargets *self)
{
  g_warn_if_fail (g_hash_table_size (self->by_name) == 0 && g_hash_table_size (self->by_report) == 0);
  g_hash_table_unref (self->by_name);
  g_hash_table_unref (self->by_report);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

static void
wait_locked (CauTargets *self)
{
  self->n_waiting++;
  cau_thread_wait (&self->cond, &self->lock);
  self->n_waiting--;
}

static void
wake_locked (CauTargets *self)
{
  if (self->n_waiting > 0)
    g_cond_broadcast (&self->cond);
}

static CauTarget *
find_name_locked (CauTargets *self, guint64 id, const char *name)
{
  Key key = { id, (char *) name };

  return g_hash_table_lookup (self->by_name, &key);
}

static void
count_report_locked (CauTargets *self, guint64 report, int added)
{
  int n = GPOINTER_TO_INT (g_hash_table_lookup (self->by_report, &report)) + added;

  g_atomic_int_add (&self->n_saved, added);
  if (n > 0)
    g_hash_table_insert (self->by_report, g_memdup2 (&report, sizeof report), GINT_TO_POINTER (n));
  else
    g_hash_table_remove (self->by_report, &report);
}

/* Takes the target out of the table it is in: its name and report may change then. */
static void
unlist_locked (CauTarget *self)
{
  if (self->report != 0 && !self->retired)
    count_report_locked (self->targets, self->report, -1);
  else if (self->report == 0 && !self->removed)
    g_hash_table_remove (self->targets->by_name, &self->key);
}

static void
retire_locked (CauTarget *self)
{
  unlist_locked (self);
  self->retired = TRUE;
}

static void
list_locked (CauTarget *self)
{
  if (self->report != 0)
    count_report_locked (self->targets, self->report, 1);
  else if (!self->removed)
    g_hash_table_insert (self->targets->by_name, &self->key, self);
}

static CauTarget *
target_new_locked (CauTargets *targets, guint64 id, const char *name, guint64 report)
{
  CauTarget *self = g_new0 (CauTarget, 1);

  self->targets = targets;
  self->key.id = id;
  self->key.name = g_strdup (name);
  self->report = report;
  g_queue_init (&self->uploads);
  list_locked (self);
  return self;
}

static void
remove_locked (CauTarget *self)
{
  unlist_locked (self);
  self->removed = TRUE;
}

/* Nobody can commit it any more: a name that was never saved is free, and a report does not count as being written. */
static void
end_locked (CauTarget *self)
{
  if (self->uploads.length > 0 || self->held)
    return;
  if (self->report == 0)
    remove_locked (self);
  else
    retire_locked (self);
}

static void
unref_locked (CauTarget *self)
{
  end_locked (self);
  if (--self->ref_count > 0)
    return;
  g_free (self->key.name);
  g_free (self);
}

static void
join_locked (CauTarget *self, CauUpload *upload)
{
  self->ref_count++;
  g_queue_push_head (&self->uploads, upload);
}

CauTarget *
cau_targets_join_report (CauTargets *self, guint64 report, CauUpload *upload)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  CauTarget    *target = target_new_locked (self, 0, NULL, report);

  join_locked (target, upload);
  return target;
}

gboolean
cau_targets_join_name (CauTargets *self, guint64 id, const char *name, gboolean exclusive, CauUpload *upload,
                       CauTarget **target)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  CauTarget    *found = find_name_locked (self, id, name);

  if (found != NULL && exclusive)
    return FALSE;
  *target = found != NULL ? found : target_new_locked (self, id, name, 0);
  join_locked (*target, upload);
  return TRUE;
}

gboolean
cau_target_join (CauTarget *self, CauUpload *upload, CauTarget **target)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  if (self->report != 0 || self->removed)
    return FALSE;
  *target = self;
  join_locked (self, upload);
  return TRUE;
}

CauTarget *
cau_target_ref (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  self->ref_count++;
  return self;
}

void
cau_target_unref (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  unref_locked (self);
}

gboolean
cau_target_leave (CauTarget *self, CauUpload *upload, gatomicrefcount *ref_count)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  if (!g_atomic_ref_count_dec (ref_count))
    return FALSE;
  g_queue_remove (&self->uploads, upload);
  unref_locked (self);
  return TRUE;
}

void
cau_target_abandon (CauTarget *self, CauUpload *upload)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  g_queue_remove (&self->uploads, upload);
  if (self->report == 0)
    end_locked (self);
}

void
cau_target_retire (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  if (self->report != 0 && self->committing == 0 && self->uploads.length <= 1)
    retire_locked (self);
}

gboolean
cau_target_begin_commit (CauTarget *self, CauReportInfo *info)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  while (self->held)
    wait_locked (self->targets);
  if (self->removed)
    return FALSE;
  self->committing++;
  info->report = self->report;
  info->orchestrator = self->report == 0 ? self->key.id : 0;
  g_free (info->name);
  info->name = g_strdup (self->report == 0 ? self->key.name : NULL);
  return TRUE;
}

void
cau_target_end_commit (CauTarget *self, guint64 report)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  self->committing--;
  if (report != 0 && self->report == 0)
    {
      unlist_locked (self);
      self->report = report;
      list_locked (self);
    }
  wake_locked (self->targets);
}

guint64
cau_target_get_report (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  return self->report;
}

gboolean
cau_target_is_renamed (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  return self->renamed;
}

gboolean
cau_target_is_removed (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  return self->removed;
}

gboolean
cau_target_has_name (CauTarget *self, guint64 id, const char *name)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  return self->report == 0 && !self->removed && self->key.id == id && g_str_equal (self->key.name, name);
}

static CauUpload *
ref_newest_locked (const CauTarget *self)
{
  return self != NULL && self->uploads.head != NULL ? cau_upload_ref (self->uploads.head->data) : NULL;
}

CauUpload *
cau_target_find_upload (CauTarget *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->targets->lock);

  return ref_newest_locked (self);
}

CauUpload *
cau_targets_find_upload (CauTargets *self, guint64 id, const char *name)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return ref_newest_locked (find_name_locked (self, id, name));
}

gboolean
cau_targets_has_report (CauTargets *self, guint64 report)
{
  gboolean result;

  if (g_atomic_int_get (&self->n_saved) == 0)
    return FALSE;
  g_mutex_lock (&self->lock);
  result = g_hash_table_contains (self->by_report, &report);
  g_mutex_unlock (&self->lock);
  return result;
}

gboolean
cau_targets_use_orchestrator (CauTargets *self, guint64 id)
{
  G_GNUC_UNUSED  g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  GHashTableIter iter;
  gpointer       key;

  g_hash_table_iter_init (&iter, self->by_name);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    if (((Key *) key)->id == id)
      return TRUE;
  return FALSE;
}

void
cau_targets_hold (CauTargets *self, guint64 id, const char *name, guint64 new_id, const char *new_name,
                  CauTargetPair *pair)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  /* What a name leads to can change in each wait, so it is looked up again. Both are taken at once: no order of holds
   * can block another. */
  for (;;)
    {
      pair->from = find_name_locked (self, id, name);
      pair->to = new_name != NULL ? find_name_locked (self, new_id, new_name) : NULL;
      if (pair->to == pair->from)
        pair->to = NULL;
      if ((pair->from == NULL || (!pair->from->held && pair->from->committing == 0))
          && (pair->to == NULL || (!pair->to->held && pair->to->committing == 0)))
        break;
      wait_locked (self);
    }
  for (guint i = 0; i < 2; i++)
    {
      CauTarget *target = i == 0 ? pair->from : pair->to;

      if (target != NULL)
        {
          target->held = TRUE;
          target->ref_count++;
        }
    }
}

static void
rename_locked (CauTarget *self, guint64 id, const char *name)
{
  self->renamed = TRUE;
  unlist_locked (self);
  self->key.id = id;
  g_free (self->key.name);
  self->key.name = g_strdup (name);
  list_locked (self);
}

void
cau_targets_release (CauTargets *self, CauTargetPair *pair, CauTargetsChange change, guint64 id, const char *name,
                     guint64 new_id, const char *new_name)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (pair->to != NULL && change == CAU_TARGETS_RENAME)
    remove_locked (pair->to);
  if (pair->to != NULL && change == CAU_TARGETS_EXCHANGE)
    unlist_locked (pair->to);
  if (pair->from != NULL && change == CAU_TARGETS_REMOVE)
    remove_locked (pair->from);
  else if (pair->from != NULL && change != CAU_TARGETS_NOTHING)
    rename_locked (pair->from, new_id, new_name);
  if (pair->to != NULL && change == CAU_TARGETS_EXCHANGE)
    {
      pair->to->renamed = TRUE;
      pair->to->key.id = id;
      g_free (pair->to->key.name);
      pair->to->key.name = g_strdup (name);
      list_locked (pair->to);
    }

  for (guint i = 0; i < 2; i++)
    {
      CauTarget *target = i == 0 ? pair->from : pair->to;

      if (target != NULL)
        {
          target->held = FALSE;
          unref_locked (target);
        }
    }
  wake_locked (self);
}
