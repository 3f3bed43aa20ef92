/* SPDX-License-Identifier: MIT */
#include "cau-check-private.h"

gboolean
cau_error_is_damage (const GError *error)
{
  return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT)
         || g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO);
}

void
cau_check_tell (const CauCheckFuncs *funcs, CauCheckSummary *summary, const CauFinding *finding)
{
  if (finding->kind == CAU_FINDING_GOOD)
    {
      summary->n_good++;
      summary->bytes += finding->size;
    }
  else if (finding->kind == CAU_FINDING_DAMAGED)
    summary->n_damaged++;
  else if (finding->kind == CAU_FINDING_STORE)
    summary->n_store++;
  funcs->found (finding, funcs->user_data);
}

void
cau_ranges_add (GArray *ranges, guint64 offset, guint64 length)
{
  CauRange  range = { offset, length };
  CauRange *last = ranges->len > 0 ? &g_array_index (ranges, CauRange, ranges->len - 1) : NULL;

  if (last != NULL && last->offset + last->length == offset)
    last->length += length;
  else
    g_array_append_val (ranges, range);
}
