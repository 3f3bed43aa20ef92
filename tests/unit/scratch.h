/* SPDX-License-Identifier: MIT */
#pragma once

/* Folders for what a test leaves behind when it ends. */

#include <glib.h>

/* A new folder, in memory where that is possible, so that syncs cost nothing. Returns: (transfer full). */
char *scratch_new (void);

/* Removes @dir with all that is in it. */
gboolean scratch_remove (const char *dir);
