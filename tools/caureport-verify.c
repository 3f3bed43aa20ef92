/* SPDX-License-Identifier: MIT */
#include "caureport-findings.h"
#include "caureport-target.h"

static void
caureport_verify_found (const CauFinding *finding, gpointer findings)
{
  caureport_findings_show (findings, finding);
}

static void
caureport_verify_progress (guint64 done, guint64 total, gpointer findings)
{
  caureport_findings_progress (findings, done, total);
}

/* What was found is printed already; the status needs a line too. */
static gboolean
caureport_verify_judge (const CaureportTarget *target, const CauCheckSummary *summary, GError **error)
{
  if (summary->n_damaged > 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "%s is damaged: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " reports do not read whole",
                 target->store, summary->n_damaged, summary->n_damaged + summary->n_good);
  else if (summary->n_store > 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "%s is damaged, though all its reports read; caureport recover makes a whole store of it",
                 target->store);
  else
    return TRUE;
  return FALSE;
}

/* Damage that keeps the store from being opened is not the end. */
static void
caureport_verify_advise (GError **error)
{
  GError *advised;

  if (!g_error_matches (*error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT)
      && !g_error_matches (*error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE))
    return;
  advised = g_error_new (CAU_STORE_ERROR, (*error)->code,
                         "%s; if it was a store, caureport recover may still find reports in it", (*error)->message);
  g_error_free (*error);
  *error = advised;
}

static gboolean
caureport_verify_do (CaureportFindings *findings, Caureport *app, const CaureportTarget *target,
                     const char *const *names, GError **error)
{
  const CauCheckFuncs funcs = { caureport_verify_found, caureport_verify_progress, NULL, findings };
  CauCheckSummary     summary;
  CauStore           *store = caureport_target_open (target, app, CAU_STORE_OPEN_READ_ONLY, error);
  gboolean            ok;

  if (store == NULL)
    {
      caureport_verify_advise (error);
      return FALSE;
    }
  caureport_findings_begin (findings, target->store);
  ok = cau_store_verify (store, target->has_guid ? &target->guid : NULL, names, &funcs, &summary, error);
  caureport_findings_end (findings, ok ? &summary : NULL);
  if (!ok && target->has_guid)
    caureport_prefix_error (error, &target->guid, NULL);
  return ok && caureport_verify_judge (target, &summary, error);
}

gboolean
caureport_run_verify (Caureport *self, int n_words, char **words, GError **error)
{
  CaureportFindings findings = { .recover = FALSE };
  GOptionEntry      entries[] = {
         { "all", 'a', 0, G_OPTION_ARG_NONE, &findings.all, "List the reports that are good, too", NULL },
         { "json", 'j', 0, G_OPTION_ARG_NONE, &findings.json, "Print a JSON array, an object a line", NULL },
         G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);
  g_auto (CaureportTarget) target = CAUREPORT_TARGET_INIT;
  const char *one[] = { NULL, NULL };
  char      **next = rest;

  if (rest == NULL)
    return FALSE;
  if (!caureport_target_take_optional (&target, self, &next, error))
    return FALSE;
  if (target.name == NULL && target.has_guid && *next != NULL)
    return caureport_verify_do (&findings, self, &target, (const char *const *) next, error);
  one[0] = target.name;
  return caureport_parse_end (next, error)
         && caureport_verify_do (&findings, self, &target, target.name != NULL ? one : NULL, error);
}
