/* SPDX-License-Identifier: MIT */
#include "caufs-view.h"
#include "caufs-dir.h"
#include "caufs-log.h"

#include <errno.h>

/* What closes have to compute at the end of the mount, such as the checksum of gigabytes, is given up after this time: systemd kills
 * the daemon, and with it what closes have in hand, 90 s after it asked it to end. */
#define FINISH_TIME (60 * G_TIME_SPAN_SECOND)

/* Each holds up to 512 entries. */
#define MAX_OPEN_DIRS 1024

CaufsView *
caufs_view_new (CauStore *store, const CaufsOptions *options, CaufsChangedFunc changed, gpointer user_data)
{
  CaufsView *self = g_new0 (CaufsView, 1);

  self->store = store;
  self->options = options;
  self->locks = caufs_locks_new ();
  self->names = caufs_names_new ();
  self->nodes = caufs_nodes_new ();
  self->intents = caufs_intents_new ();
  self->recent = caufs_recent_new ();
  self->open_files = cau_quota_new (options->max_open);
  self->open_dirs = cau_quota_new (MAX_OPEN_DIRS);
  self->crowd = caufs_crowd_new ();
  self->changed = changed;
  self->changed_data = user_data;
  g_mutex_init (&self->lock);
  g_cond_init (&self->idle);
  self->handles = g_hash_table_new (NULL, NULL);
  self->dirs = g_hash_table_new (NULL, NULL);
  return self;
}

void
caufs_view_free (CaufsView *self)
{
  g_hash_table_unref (self->handles);
  g_hash_table_unref (self->dirs);
  caufs_crowd_free (self->crowd);
  cau_quota_free (self->open_dirs);
  cau_quota_free (self->open_files);
  caufs_recent_free (self->recent);
  caufs_intents_free (self->intents);
  caufs_nodes_free (self->nodes); /* before the names, which its nodes hold */
  caufs_names_free (self->names);
  caufs_locks_free (self->locks);
  cau_store_unref (self->store);
  g_cond_clear (&self->idle);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static void
wait_for_commits (CaufsView *self, gint64 deadline)
{
  gboolean is_late = FALSE;

  g_mutex_lock (&self->lock);
  self->is_awaited = TRUE;
  while (self->n_commits > 0 && !is_late)
    is_late = !g_cond_wait_until (&self->idle, &self->lock, deadline);
  if (is_late)
    cau_store_end_long_commits (self->store);
  while (self->n_commits > 0)
    g_cond_wait (&self->idle, &self->lock);
  g_mutex_unlock (&self->lock);
}

/* Returns: (transfer container). */
static GList *
list_open (CaufsView *self, GHashTable *set)
{
  GList *open;

  g_mutex_lock (&self->lock);
  open = g_hash_table_get_keys (set);
  g_mutex_unlock (&self->lock);
  return open;
}

static void
ignore_done (int result, gpointer user_data)
{
  (void) result;
  (void) user_data;
}

static void
discard (CaufsHandle *handle)
{
  if (caufs_handle_is_unsaved (handle))
    {
      g_autofree char *what = caufs_name_describe (handle->name);

      caufs_log (CAUFS_LOG_REFUSAL, "%s was still being written when the mount ended: nothing of that was saved", what);
    }
  caufs_handle_discard (handle);
}

void
caufs_view_finish (CaufsView *self, gboolean is_unmounted)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GList) open = NULL;
  g_autoptr (GList) closed = NULL;
  g_autoptr (GList) dirs = list_open (self, self->dirs);
  const gint64 deadline = g_get_monotonic_time () + FINISH_TIME;

  wait_for_commits (self, deadline);
  closed = is_unmounted ? list_open (self, self->handles) : NULL;
  for (GList *l = closed; l != NULL; l = l->next)
    if (caufs_handle_is_closed_unsaved (l->data))
      caufs_handle_release (l->data, ignore_done, NULL);
  wait_for_commits (self, deadline);
  open = list_open (self, self->handles);
  for (GList *l = open; l != NULL; l = l->next)
    discard (l->data);
  for (GList *l = dirs; l != NULL; l = l->next)
    caufs_dir_close (l->data);
  if (!cau_store_is_read_only (self->store) && !cau_store_sync (self->store, &error))
    caufs_fail (error, "the store cannot be synchronised");
}

CauAttributes
caufs_view_new_attributes (const CaufsCaller *caller, mode_t mode)
{
  return (CauAttributes){ .mode = mode & 07777, .uid = caller->uid, .gid = caller->gid };
}

void
caufs_view_note_change (CaufsView *self, guint64 orchestrator)
{
  g_atomic_int_inc (&self->generation);
  if (orchestrator != CAU_STORE_ROOT_ID)
    self->changed (caufs_ino_of_orchestrator (orchestrator), self->changed_data);
}
