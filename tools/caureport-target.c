/* SPDX-License-Identifier: MIT */
#include "caureport-target.h"

#include "caureport-mount.h"

#include <string.h>
#include <sys/stat.h>

void
caureport_target_clear (CaureportTarget *self)
{
  g_clear_pointer (&self->store, g_free);
  g_clear_pointer (&self->name, g_free);
}

static gboolean
caureport_target_fail_missing (const char *what, GError **error)
{
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "%s is missing", what);
  return FALSE;
}

static gboolean
caureport_target_take_default (CaureportTarget *self, Caureport *app, GError **error)
{
  const char *uri = app->store_option != NULL ? app->store_option : g_getenv ("CAU_STORE");

  if (uri == NULL || *uri == '\0')
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                           "no store is named: give --store STORE, set CAU_STORE, "
                           "or give a path in a caufs mount in place of the GUID");
      return FALSE;
    }
  self->store = g_strdup (uri);
  return TRUE;
}

/* The file that a store's URI means; NULL for one that is no file. Borrowed. */
static const char *
caureport_store_file (const char *uri)
{
  if (g_str_has_prefix (uri, "sqlite:"))
    return uri + strlen ("sqlite:");
  return strstr (uri, "://") != NULL ? NULL : uri;
}

gboolean
caureport_store_differs (const char *a, const char *b)
{
  const char *a_file = caureport_store_file (a);
  const char *b_file = caureport_store_file (b);
  struct stat a_stat;
  struct stat b_stat;

  if (strcmp (a, b) == 0)
    return FALSE;
  if (a_file == NULL || b_file == NULL)
    return TRUE;
  if (stat (a_file, &a_stat) != 0 || stat (b_file, &b_stat) != 0)
    return FALSE;
  return a_stat.st_dev != b_stat.st_dev || a_stat.st_ino != b_stat.st_ino;
}

/* Takes the store that --store names for a path in a mount: it may name the mount's store in another
 * way, as is needed where the daemon's way cannot be followed, but not another store. */
static gboolean
caureport_target_take_option (CaureportTarget *self, Caureport *app, const CaureportPlace *place, GError **error)
{
  if (caureport_store_differs (app->store_option, place->store))
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                   "%s is a mount of %s, but --store names %s: leave one of them out", place->mountpoint, place->store,
                   app->store_option);
      return FALSE;
    }
  self->store = g_strdup (app->store_option);
  return TRUE;
}

static gboolean
caureport_target_take_mounted (CaureportTarget *self, Caureport *app, const CaureportPlace *place, GError **error)
{
  const char *file = caureport_store_file (place->store);

  if (app->store_option != NULL)
    return caureport_target_take_option (self, app, place, error);
  if (file != NULL && !g_file_test (file, G_FILE_TEST_EXISTS))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND,
                   "%s is a mount of %s, which cannot be seen from here: name the store with --store",
                   place->mountpoint, place->store);
      return FALSE;
    }
  self->store = g_strdup (place->store);
  return TRUE;
}

/* Takes apart a path below the store's root: GUID, or GUID/NAME. */
static gboolean
caureport_target_take_inside (CaureportTarget *self, const char *path, const char *inside, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (inside, "/", 3);
  guint n_parts = g_strv_length (parts);

  if (n_parts == 0)
    return TRUE;
  if (n_parts > 2)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                   "'%s' lies deeper in the mount than reports do: they are MOUNTPOINT/GUID/NAME", path);
      return FALSE;
    }
  if (!cau_guid_parse (parts[0], &self->guid, error))
    {
      g_prefix_error (error, "'%s': ", path);
      return FALSE;
    }
  self->has_guid = TRUE;
  self->name = g_strdup (parts[1]);
  return TRUE;
}

gboolean
caureport_target_take_any (CaureportTarget *self, Caureport *app, char ***words, GError **error)
{
  const char *word = (*words)[0];
  g_auto (CaureportPlace) place = { NULL, NULL, NULL };
  g_autoptr (GError) find_error = NULL;

  *words += 1;
  if (cau_guid_parse (word, &self->guid, NULL))
    {
      self->has_guid = TRUE;
      return caureport_target_take_default (self, app, error);
    }
  if (!caureport_place_find (word, &place, &find_error))
    {
      if (find_error != NULL)
        g_propagate_error (error, g_steal_pointer (&find_error));
      else
        g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                     "'%s' is neither the GUID of an orchestrator nor a path in a caufs mount", word);
      return FALSE;
    }
  return caureport_target_take_mounted (self, app, &place, error)
         && caureport_target_take_inside (self, word, place.inside, error);
}

gboolean
caureport_target_take_optional (CaureportTarget *self, Caureport *app, char ***words, GError **error)
{
  return **words != NULL ? caureport_target_take_any (self, app, words, error)
                         : caureport_target_take_default (self, app, error);
}

gboolean
caureport_target_take_orchestrator (CaureportTarget *self, Caureport *app, char ***words, GError **error)
{
  const char *word = (*words)[0];

  if (word == NULL)
    return caureport_target_fail_missing ("the GUID of an orchestrator", error);
  if (!caureport_target_take_any (self, app, words, error))
    return FALSE;
  if (self->has_guid && self->name == NULL)
    return TRUE;
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "'%s' names %s, where an orchestrator is meant", word,
               self->has_guid ? "a report" : "a whole store");
  return FALSE;
}

gboolean
caureport_target_take_report (CaureportTarget *self, Caureport *app, char ***words, GError **error)
{
  const char *word = (*words)[0];

  if (word == NULL)
    return caureport_target_fail_missing ("the GUID of an orchestrator", error);
  if (!caureport_target_take_any (self, app, words, error))
    return FALSE;
  if (!self->has_guid)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "'%s' names a whole store, where a report is meant",
                   word);
      return FALSE;
    }
  if (self->name != NULL)
    return TRUE;
  if ((*words)[0] == NULL)
    return caureport_target_fail_missing ("the name of a report", error);
  self->name = g_strdup ((*words)[0]);
  self->is_pair = TRUE;
  *words += 1;
  return TRUE;
}

CauStore *
caureport_target_open (const CaureportTarget *self, Caureport *app, CauStoreOpenFlags flags, GError **error)
{
  if (app->store != NULL && app->store_flags == flags && strcmp (app->store_uri, self->store) == 0)
    return app->store;
  g_clear_pointer (&app->store, cau_store_unref);
  g_clear_pointer (&app->store_uri, g_free);
  app->store = cau_store_open (self->store, flags, error);
  app->store_uri = g_strdup (self->store);
  app->store_flags = flags;
  return app->store;
}

CauStore *
caureport_target_open_orchestrator (const CaureportTarget *self, Caureport *app, CauStoreOpenFlags flags,
                                    CauOrchestratorInfo *info, GError **error)
{
  CauStore *store = caureport_target_open (self, app, flags, error);

  if (store == NULL)
    return NULL;
  if (cau_store_find_orchestrator (store, &self->guid, info, error))
    return store;
  caureport_prefix_error (error, &self->guid, NULL);
  return NULL;
}
