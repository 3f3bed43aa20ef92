/* SPDX-License-Identifier: MIT */
#include "store-load.h"

#include "../unit/scratch.h"

#include <sqlite3.h>
#include <string.h>

#define MODE 0640
#define UID 1001

/* ---- the load ---- */

StoreLoad *
store_load_new (guint32 seed)
{
  StoreLoad *self = g_new0 (StoreLoad, 1);

  self->dir = scratch_new ();
  self->path = g_build_filename (self->dir, "store.cau", NULL);
  self->rand = g_rand_new_with_seed (seed);
  self->model = store_model_new ();
  self->changes = g_ptr_array_new_with_free_func ((GDestroyNotify) store_change_free);
  g_mutex_init (&self->lock);
  return self;
}

StoreLoad *
store_load_copy (StoreLoad *self)
{
  StoreLoad       *copy = store_load_new (0);
  g_autofree char *bytes = NULL;
  gsize            length;

  g_assert_true (g_file_get_contents (self->path, &bytes, &length, NULL));
  g_assert_true (g_file_set_contents_full (copy->path, bytes, (gssize) length, G_FILE_SET_CONTENTS_NONE, 0644, NULL));
  store_model_free (copy->model);
  copy->model = store_model_copy (self->model);
  return copy;
}

gboolean
store_load_open (StoreLoad *self, CauStoreOpenFlags flags, GError **error)
{
  self->store = cau_store_open (self->path, flags, error);
  return self->store != NULL;
}

void
store_load_close (StoreLoad *self)
{
  g_clear_pointer (&self->unfinished, cau_upload_unref);
  g_clear_pointer (&self->reader, cau_reader_unref);
  g_clear_pointer (&self->read, g_bytes_unref);
  g_clear_pointer (&self->store, cau_store_unref);
}

void
store_load_free (StoreLoad *self)
{
  store_load_close (self);
  g_assert_true (scratch_remove (self->dir));
  g_rand_free (self->rand);
  store_model_free (self->model);
  g_ptr_array_unref (self->changes);
  g_mutex_clear (&self->lock);
  g_free (self->path);
  g_free (self->dir);
  g_free (self);
}

/* ---- changes ---- */

static void
begin_change (StoreLoad *self, StoreChange *change)
{
  g_mutex_lock (&self->lock);
  change->begin = self->now != NULL ? self->now (self->user_data) : 0;
  g_ptr_array_add (self->changes, change);
  g_mutex_unlock (&self->lock);
}

/* One that failed is as if it had never been. Returns: @ok. */
static gboolean
end_change (StoreLoad *self, StoreChange *change, gboolean ok)
{
  g_mutex_lock (&self->lock);
  if (ok)
    {
      change->end = self->now != NULL ? self->now (self->user_data) : 0;
      store_model_apply (self->model, change);
    }
  else
    g_ptr_array_remove (self->changes, change);
  g_mutex_unlock (&self->lock);
  return ok;
}

static StoreChange *
begin_set (StoreLoad *self, const char *key, const char *value)
{
  StoreChange *change = store_change_new ();

  store_change_set (change, key, value);
  begin_change (self, change);
  return change;
}

static CauAttributes
attributes (void)
{
  return (CauAttributes){ .mode = MODE, .uid = UID, .gid = UID };
}

static gboolean
find_orchestrator (StoreLoad *self, const char *key, CauOrchestratorInfo *info, GError **error)
{
  g_autofree char *text = g_strndup (key, strcspn (key, "/"));
  CauGuid          guid;

  return cau_guid_parse (text, &guid, error) && cau_store_find_orchestrator (self->store, &guid, info, error);
}

static const char *
name_of (const char *key)
{
  return strchr (key, '/') + 1;
}

gboolean
store_load_make (StoreLoad *self, const char *guid, GError **error)
{
  g_autofree char    *value = store_value (NULL, MODE, UID);
  StoreChange        *change = begin_set (self, guid, value);
  CauAttributes       a = attributes ();
  CauOrchestratorInfo info;
  CauGuid             key;

  return end_change (self, change,
                     cau_guid_parse (guid, &key, error)
                       && cau_store_create_orchestrator (self->store, &key, &a, &info, error));
}

gboolean
store_load_remove_orchestrator (StoreLoad *self, const char *guid, GError **error)
{
  StoreChange *change = begin_set (self, guid, NULL);
  CauGuid      key;

  return end_change (self, change,
                     cau_guid_parse (guid, &key, error) && cau_store_remove_orchestrator (self->store, &key, error));
}

static char *
value_of_save (StoreLoad *self, const char *key, GBytes *bytes)
{
  g_autofree char *value = store_value (bytes, MODE, UID);
  const char      *old;
  char            *result;

  g_mutex_lock (&self->lock);
  old = store_model_get (self->model, key);
  result = old != NULL ? store_value_replace (old, value) : g_steal_pointer (&value);
  g_mutex_unlock (&self->lock);
  return result;
}

static gboolean
upload (StoreLoad *self, const char *key, GBytes *bytes, gboolean append, GError **error)
{
  CauOrchestratorInfo orchestrator;
  CauAttributes       a = attributes ();
  g_autoptr (CauUpload) up = NULL;
  gsize       length;
  const void *data = g_bytes_get_data (bytes, &length);

  if (!find_orchestrator (self, key, &orchestrator, error))
    return FALSE;
  up =
    cau_store_begin_upload (self->store, orchestrator.id, name_of (key), append ? 0 : CAU_UPLOAD_TRUNCATE, &a, error);
  if (up == NULL)
    return FALSE;
  if (append ? !cau_upload_append (up, data, length, error) : !cau_upload_write (up, 0, data, length, error))
    return FALSE;
  return cau_upload_commit (up, NULL, error);
}

gboolean
store_load_save (StoreLoad *self, const char *key, GBytes *bytes, GError **error)
{
  g_autofree char *value = value_of_save (self, key, bytes);
  StoreChange     *change = begin_set (self, key, value);

  return end_change (self, change, upload (self, key, bytes, FALSE, error));
}

gboolean
store_load_append (StoreLoad *self, const char *key, GBytes *bytes, GBytes *whole, GError **error)
{
  g_autofree char *value = value_of_save (self, key, whole);
  StoreChange     *change = begin_set (self, key, value);

  return end_change (self, change, upload (self, key, bytes, TRUE, error));
}

gboolean
store_load_remove (StoreLoad *self, const char *key, GError **error)
{
  StoreChange        *change = begin_set (self, key, NULL);
  CauOrchestratorInfo orchestrator;

  return end_change (self, change,
                     find_orchestrator (self, key, &orchestrator, error)
                       && cau_store_remove_report (self->store, orchestrator.id, name_of (key), error));
}

gboolean
store_load_rename (StoreLoad *self, const char *key, const char *to, CauRenameMode mode, GError **error)
{
  StoreChange        *change = store_change_new ();
  CauOrchestratorInfo from, into;
  const char         *other = mode == CAU_RENAME_EXCHANGE ? store_model_get (self->model, to) : NULL;

  if (strcmp (key, to) != 0)
    {
      store_change_set (change, to, store_model_get (self->model, key));
      store_change_set (change, key, other);
    }
  begin_change (self, change);
  return end_change (
    self, change,
    find_orchestrator (self, key, &from, error) && find_orchestrator (self, to, &into, error)
      && cau_store_rename_report (self->store, from.id, name_of (key), into.id, name_of (to), mode, error));
}

static gboolean
set_attributes (StoreLoad *self, const char *key, const CauAttributes *a, GError **error)
{
  CauAttributeMask    mask = CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_UID;
  CauOrchestratorInfo orchestrator;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  if (!find_orchestrator (self, key, &orchestrator, error))
    return FALSE;
  if (strchr (key, '/') == NULL)
    return cau_store_set_orchestrator_attributes (self->store, orchestrator.id, mask, a, NULL, error);
  return cau_store_find_report (self->store, orchestrator.id, name_of (key), &info, error)
         && cau_store_set_report_attributes (self->store, info.version, mask, a, NULL, error);
}

gboolean
store_load_set_attributes (StoreLoad *self, const char *key, guint32 mode, guint32 uid, GError **error)
{
  g_autofree char *value = store_value_set_attributes (store_model_get (self->model, key), mode, uid);
  StoreChange     *change = begin_set (self, key, value);
  CauAttributes    a = { .mode = mode, .uid = uid };

  return end_change (self, change, set_attributes (self, key, &a, error));
}

int
store_load_checkpoint (StoreLoad *self, int mode)
{
  sqlite3 *db = NULL;
  int      result;

  g_assert_cmpint (sqlite3_open_v2 (self->path, &db, SQLITE_OPEN_READWRITE, "caufs"), ==, SQLITE_OK);
  sqlite3_busy_timeout (db, 10);
  sqlite3_exec (db, "PRAGMA synchronous=FULL; SELECT count(*) FROM versions", NULL, NULL, NULL);
  result = sqlite3_wal_checkpoint_v2 (db, NULL, mode, NULL, NULL);
  sqlite3_close (db);
  return result;
}

/* ---- several at once ---- */

typedef struct
{
  StoreLoad *load;
  GThread   *thread;
  char      *key;
  GBytes    *bytes;
  gboolean   ok;
  GError    *error;
} Saver;

static gpointer
save_in_thread (gpointer data)
{
  Saver *self = data;

  self->ok = store_load_save (self->load, self->key, self->bytes, &self->error);
  return NULL;
}

gboolean
store_load_save_group (StoreLoad *self, const char *guid, guint n, GError **error)
{
  g_autofree Saver *savers = g_new0 (Saver, n);
  gboolean          ok = TRUE;

  for (guint i = 0; i < n; i++)
    {
      g_autofree char *text = g_strdup_printf ("%u of %u, %u\n", i, n, g_rand_int (self->rand));

      savers[i] = (Saver){ .load = self, .key = g_strdup_printf ("%s/group-%u", guid, i) };
      savers[i].bytes = g_bytes_new (text, strlen (text));
      savers[i].thread = g_thread_new ("saver", save_in_thread, &savers[i]);
    }
  for (guint i = 0; i < n; i++)
    {
      g_thread_join (savers[i].thread);
      if (!savers[i].ok && ok)
        g_propagate_error (error, g_steal_pointer (&savers[i].error));
      ok = ok && savers[i].ok;
      g_clear_error (&savers[i].error);
      g_bytes_unref (savers[i].bytes);
      g_free (savers[i].key);
    }
  return ok;
}

void
store_load_begin_upload (StoreLoad *self, const char *guid, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  CauAttributes       a = attributes ();
  CauOrchestratorInfo orchestrator;

  if (self->unfinished != NULL)
    return;
  if (find_orchestrator (self, guid, &orchestrator, &error))
    self->unfinished =
      cau_store_begin_upload (self->store, orchestrator.id, "unfinished", CAU_UPLOAD_TRUNCATE, &a, &error);
  if (self->unfinished == NULL
      || !cau_upload_write (self->unfinished, 0, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &error))
    g_error ("cannot begin an upload: %s", error->message);
}
