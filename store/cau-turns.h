/* SPDX-License-Identifier: MIT */
#pragma once

/* Threads for jobs of seconds, which do them piece by piece. Jobs of one user are done in order, and the users take turns: who has
 * many keeps nobody else waiting for more than the pieces in hand. Thread-safe. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CauTurns CauTurns;

/* Does the next piece of @job. Whether that leaves more to do; if not, it may be gone. */
typedef gboolean (*CauTurnsFunc) (gpointer job, gpointer user_data);

CauTurns *cau_turns_new (CauTurnsFunc work, gpointer user_data, guint n_threads);

/* Finishes all jobs first. */
void cau_turns_free (CauTurns *self);

/* @is_begun: @job goes before the others of user @uid. */
void cau_turns_push (CauTurns *self, guint32 uid, gpointer job, gboolean is_begun);

G_END_DECLS
