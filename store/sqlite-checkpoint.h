/* SPDX-License-Identifier: MIT */
#pragma once

/* Copies the WAL into the database while others go on writing to it. A thread and a connection of its own: whoever saves
 * waits neither for the copying nor for its syncs. */

#include "sqlite-db.h"

G_BEGIN_DECLS

typedef struct _CauCheckpointer CauCheckpointer; /* opaque; thread-safe */

/* Called on the checkpointer's thread when nearly all is copied: what is left is for who has the turn to write, after
 * which the WAL starts over. */
typedef void (*CauCheckpointFunc) (gpointer user_data);

CauCheckpointer *cau_checkpointer_new (const char *path, CauCheckpointFunc nearly_done, gpointer user_data,
                                       GError **error);
/* Waits for the copying in hand. */
void cau_checkpointer_free (CauCheckpointer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauCheckpointer, cau_checkpointer_free)

/* To be called after each commit: the WAL has @pages now. */
void cau_checkpointer_note (CauCheckpointer *self, int pages);

/* Copies what is left on @db, whose thread has the turn to write. @wait: also when the checkpointer is at work, which has
 * to be waited for then. Returns: whether all is copied, and nobody reads from the WAL any more: the next commit starts it over. */
gboolean cau_checkpointer_finish (CauCheckpointer *self, CauDb *db, gboolean wait);

G_END_DECLS
