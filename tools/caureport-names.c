/* SPDX-License-Identifier: MIT */
#include "caureport-target.h"

#include <string.h>
#include <unistd.h>

static void
caureport_target_free (gpointer data)
{
  CaureportTarget *target = data;

  caureport_target_clear (target);
  g_free (target);
}

/* Takes each of @words as an orchestrator, or fails before anything is done. */
static GPtrArray *
caureport_take_orchestrators (Caureport *self, char **words, GError **error)
{
  g_autoptr (GPtrArray) targets = g_ptr_array_new_with_free_func (caureport_target_free);

  do
    {
      g_ptr_array_add (targets, g_new0 (CaureportTarget, 1));
      if (!caureport_target_take_orchestrator (g_ptr_array_index (targets, targets->len - 1), self, &words, error))
        return NULL;
    }
  while (*words != NULL);
  return g_steal_pointer (&targets);
}

/* Takes all of @words: an orchestrator and names in it, or paths of reports. */
static GPtrArray *
caureport_take_reports (Caureport *self, char **words, GError **error)
{
  g_autoptr (GPtrArray) targets = g_ptr_array_new_with_free_func (caureport_target_free);
  const CaureportTarget *first;

  do
    {
      g_ptr_array_add (targets, g_new0 (CaureportTarget, 1));
      if (!caureport_target_take_report (g_ptr_array_index (targets, targets->len - 1), self, &words, error))
        return NULL;
      first = g_ptr_array_index (targets, 0);
      while (first->is_pair && *words != NULL)
        {
          CaureportTarget *target = g_new0 (CaureportTarget, 1);

          target->store = g_strdup (first->store);
          target->guid = first->guid;
          target->has_guid = TRUE;
          target->name = g_strdup (*words++);
          g_ptr_array_add (targets, target);
        }
    }
  while (*words != NULL);
  return g_steal_pointer (&targets);
}

static gboolean
caureport_remove_report (CauStore *store, const CaureportTarget *target, GError **error)
{
  CauOrchestratorInfo orchestrator;

  if (cau_store_find_orchestrator (store, &target->guid, &orchestrator, error)
      && cau_store_remove_report (store, orchestrator.id, target->name, error))
    return TRUE;
  caureport_prefix_error (error, &target->guid, target->name);
  return FALSE;
}

gboolean
caureport_run_rm (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (GStrv) rest = caureport_parse_options (self, NULL, n_words, words, error);
  g_autoptr (GPtrArray) targets = NULL;

  if (rest == NULL || (targets = caureport_take_reports (self, rest, error)) == NULL)
    return FALSE;
  for (guint i = 0; i < targets->len; i++)
    {
      const CaureportTarget *target = g_ptr_array_index (targets, i);
      CauStore              *store = caureport_target_open (target, self, 0, error);
      GError                *failure = NULL;

      if (store == NULL)
        return FALSE;
      if (!caureport_remove_report (store, target, &failure))
        caureport_fail (self, failure);
    }
  return TRUE;
}

gboolean
caureport_make_orchestrator (Caureport *self, CauStore *store, const CauGuid *guid, CauOrchestratorInfo *info,
                             GError **error)
{
  CauAttributes attributes = { 0777 & ~self->umask, geteuid (), getegid (), 0, 0, 0 };

  if (cau_store_create_orchestrator (store, guid, &attributes, info, error))
    return TRUE;
  caureport_prefix_error (error, guid, NULL);
  return FALSE;
}

gboolean
caureport_run_mkdir (Caureport *self, int n_words, char **words, GError **error)
{
  gboolean     parents = FALSE;
  GOptionEntry entries[] = {
    { "parents", 'p', 0, G_OPTION_ARG_NONE, &parents, "One that exists is no error", NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);
  g_autoptr (GPtrArray) targets = NULL;

  if (rest == NULL || (targets = caureport_take_orchestrators (self, rest, error)) == NULL)
    return FALSE;
  for (guint i = 0; i < targets->len; i++)
    {
      const CaureportTarget *target = g_ptr_array_index (targets, i);
      CauStore              *store = caureport_target_open (target, self, CAU_STORE_OPEN_CREATE, error);
      CauOrchestratorInfo    info;
      GError                *failure = NULL;

      if (store == NULL)
        return FALSE;
      if (caureport_make_orchestrator (self, store, &target->guid, &info, &failure))
        continue;
      if (parents && g_error_matches (failure, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS))
        g_error_free (failure);
      else
        caureport_fail (self, failure);
    }
  return TRUE;
}

gboolean
caureport_run_rmdir (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (GStrv) rest = caureport_parse_options (self, NULL, n_words, words, error);
  g_autoptr (GPtrArray) targets = NULL;

  if (rest == NULL || (targets = caureport_take_orchestrators (self, rest, error)) == NULL)
    return FALSE;
  for (guint i = 0; i < targets->len; i++)
    {
      const CaureportTarget *target = g_ptr_array_index (targets, i);
      CauStore              *store = caureport_target_open (target, self, 0, error);
      GError                *failure = NULL;

      if (store == NULL)
        return FALSE;
      if (cau_store_remove_orchestrator (store, &target->guid, &failure))
        continue;
      caureport_prefix_error (&failure, &target->guid, NULL);
      caureport_fail (self, failure);
    }
  return TRUE;
}
