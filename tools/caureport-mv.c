/* SPDX-License-Identifier: MIT */
#include "caureport-target.h"

#include <string.h>

typedef struct
{
  gboolean no_replace;
  gboolean exchange;
  char    *to; /* owned; the value of --to, or NULL */
} CaureportMove;

static void
caureport_move_clear (CaureportMove *self)
{
  g_clear_pointer (&self->to, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportMove, caureport_move_clear)

/* The orchestrator that --to names. A GUID alone means one in the store of @from. */
static gboolean
caureport_move_take_to (CaureportMove *self, Caureport *app, const CaureportTarget *from, CaureportTarget *to,
                        GError **error)
{
  char  *words[] = { self->to, NULL };
  char **next = words;

  if (self->to == NULL)
    to->guid = from->guid;
  else if (!cau_guid_parse (self->to, &to->guid, NULL))
    return caureport_target_take_orchestrator (to, app, &next, error);
  to->has_guid = TRUE;
  to->store = g_strdup (from->store);
  return TRUE;
}

/* Finds where the report goes: @word is a name, or with a slash in it a path, or NULL. */
static gboolean
caureport_move_take_new_name (CaureportMove *self, Caureport *app, const CaureportTarget *from, char *word,
                              CaureportTarget *to, GError **error)
{
  char  *words[] = { word, NULL };
  char **next = words;

  if (word == NULL && self->to == NULL)
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "the new name is missing");
      return FALSE;
    }
  if (word == NULL || strchr (word, '/') == NULL)
    {
      to->name = g_strdup (word != NULL ? word : from->name);
      return caureport_move_take_to (self, app, from, to, error);
    }
  if (self->to != NULL)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "with --to, '%s' must be a name without a slash",
                   word);
      return FALSE;
    }
  if (!caureport_target_take_any (to, app, &next, error))
    return FALSE;
  if (!to->has_guid)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "'%s' names a whole store", word);
      return FALSE;
    }
  if (to->name == NULL)
    to->name = g_strdup (from->name);
  return TRUE;
}

static gboolean
caureport_move_do (CaureportMove *self, Caureport *app, const CaureportTarget *from, const CaureportTarget *to,
                   GError **error)
{
  CauRenameMode       mode = self->no_replace ? CAU_RENAME_NO_REPLACE : CAU_RENAME_REPLACE;
  CauOrchestratorInfo old;
  CauOrchestratorInfo new;
  CauStore *store;

  if (self->exchange)
    mode = CAU_RENAME_EXCHANGE;
  if (caureport_store_differs (from->store, to->store))
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                   "%s and %s are different stores: get the report from one and put it into the other", from->store,
                   to->store);
      return FALSE;
    }
  store = caureport_target_open_orchestrator (from, app, 0, &old, error);
  if (store == NULL)
    return FALSE;
  if (!cau_store_find_orchestrator (store, &to->guid, &new, error))
    {
      caureport_prefix_error (error, &to->guid, NULL);
      return FALSE;
    }
  if (cau_store_rename_report (store, old.id, from->name, new.id, to->name, mode, error))
    return TRUE;
  caureport_prefix_error (error, &from->guid, from->name);
  return FALSE;
}

gboolean
caureport_run_mv (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (CaureportMove) move = { FALSE, FALSE, NULL };
  GOptionEntry entries[] = {
    { "to", 't', 0, G_OPTION_ARG_FILENAME, &move.to, "Move it to this orchestrator", "ORCHESTRATOR" },
    { "no-replace", 'n', 0, G_OPTION_ARG_NONE, &move.no_replace, "Fail when the new name is taken", NULL },
    { "exchange", 'x', 0, G_OPTION_ARG_NONE, &move.exchange, "Let two reports change places", NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);
  g_auto (CaureportTarget) from = CAUREPORT_TARGET_INIT;
  g_auto (CaureportTarget) to = CAUREPORT_TARGET_INIT;
  char **next = rest;

  if (rest == NULL || !caureport_target_take_report (&from, self, &next, error)
      || !caureport_move_take_new_name (&move, self, &from, *next, &to, error))
    return FALSE;
  if (*next != NULL && !caureport_parse_end (next + 1, error))
    return FALSE;
  if (move.no_replace && move.exchange)
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                           "--no-replace and --exchange contradict each other");
      return FALSE;
    }
  return caureport_move_do (&move, self, &from, &to, error);
}
