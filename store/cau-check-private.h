/* SPDX-License-Identifier: MIT */
#pragma once

/* What looking for damage and saving what is left share. */

#include "cau-check.h"

G_BEGIN_DECLS

/* Whether @error tells of damage. That is a finding, and no failure. */
gboolean cau_error_is_damage (const GError *error);

/* Counts @finding, and tells it. */
void cau_check_tell (const CauCheckFuncs *funcs, CauCheckSummary *summary, const CauFinding *finding);

/* Adds bytes to @ranges (element-type CauRange), from the first to the last. */
void cau_ranges_add (GArray *ranges, guint64 offset, guint64 length);

static inline gint
cau_compare_u64 (guint64 a, guint64 b)
{
  return a < b ? -1 : a > b;
}

G_END_DECLS
