/* SPDX-License-Identifier: MIT */
#include "caureport-target.h"

gboolean
caureport_run_collect (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (GStrv) rest = caureport_parse_options (self, NULL, n_words, words, error);
  g_auto (CaureportTarget) target = CAUREPORT_TARGET_INIT;
  CauStore *store;
  char    **next = rest;

  if (rest == NULL)
    return FALSE;
  if (!caureport_target_take_optional (&target, self, &next, error))
    return FALSE;
  if (!caureport_parse_end (next, error))
    return FALSE;
  store = caureport_target_open (&target, self, 0, error);
  /* How much goes cannot be said: to open the store for writing has collected already. */
  return store != NULL && cau_store_collect (store, NULL, error);
}
