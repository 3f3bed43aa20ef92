/* SPDX-License-Identifier: MIT */
#pragma once

/* Rounds of damage to a store and of what is asked of it then, in a process of their own: the first thing that is wrong ends it.
 * It prints a line "round NUMBER DAMAGE" for each, "wrong ..." if something is, "count N WHAT" for all that it counted, and "done". */

#include <glib.h>

/* Some of what is counted. */
#define FLIP_BITS "bits"
#define FLIP_HITS "hits: " /* and the region */
#define FLIP_ROUNDS_WITH_LOSS "rounds in which writing after damage lost reports for good"

/* Runs the rounds @first to @first + @n - 1. @dir: of varied_make_subjects(); @work: for files that change. Never returns. */
void flip_run_rounds (const char *dir, const char *work, guint32 seed, guint first, guint n) G_GNUC_NORETURN;
