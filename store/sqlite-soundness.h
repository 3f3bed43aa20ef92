/* SPDX-License-Identifier: MIT */
#pragma once

/* Whether the disk has what was written to a WAL, as far as this process knows.
 *
 * When a sync fails, Linux takes the pages that could not be written for clean: a later sync succeeds without them, and each open file
 * hears of the failure once at most (errseq_t, since Linux 4.13). So a WAL whose sync failed, for any connection, is
 * not sound until all of it was written again and synced. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CauSoundness CauSoundness; /* one for each WAL that is open in this process; any thread */

CauSoundness *cau_soundness_ref_named (const char *path);
void          cau_soundness_unref (CauSoundness *self);

/* Counts the failures. What was written again is compared with the count from before, so that one in between is not
 * forgotten. */
guint    cau_soundness_get_failures (CauSoundness *self);
void     cau_soundness_note_failure (CauSoundness *self);
gboolean cau_soundness_is_sound (CauSoundness *self);
void     cau_soundness_note_written (CauSoundness *self, guint failures);

G_END_DECLS
