/* SPDX-License-Identifier: MIT */
#pragma once

/* The room of a store on the disk: taken before it is needed, and given back. The database file grows in steps and gets smaller when much
 * of it is free; the WAL is copied into it and starts over. Used by who has the turn to write, but for what it is told of. */

#include "sqlite-checkpoint.h"
#include "sqlite-transaction.h"

G_BEGIN_DECLS

typedef struct _CauRoom CauRoom;

/* @path: of the store. @transactions: borrowed. @nearly_copied: called from another thread, when it is time for
 * cau_room_restart_wal(). */
CauRoom *cau_room_new (const char *path, CauTransactions *transactions, CauCheckpointFunc nearly_copied,
                       gpointer user_data, GError **error);
void     cau_room_free (CauRoom *self);

/* Takes what the database file will need when the pages of the open transaction are copied there. Without it a full disk could stop
 * every checkpoint; the WAL could then not start over, and removing reports would have no room to be written. */
gboolean cau_room_reserve (CauRoom *self, GError **error);

/* To be called after changes: has the WAL copied when that is worth it. */
void cau_room_note_change (CauRoom *self);

/* Whether the WAL is so large that who writes has to wait until it is copied. */
gboolean cau_room_is_wal_full (CauRoom *self);

/* Copies what is left of the WAL, which then starts over, unless somebody else is at it and need not be waited for (@wait), or
 * somebody reads from it. */
void cau_room_restart_wal (CauRoom *self, gboolean wait);

/* Gives free pages back to the filesystem, as long as @goes_on. Some are kept for the next saves. */
void cau_room_shrink (CauRoom *self, gboolean (*goes_on) (gpointer user_data), gpointer user_data);

/* Limits the database to @pages; 0: to nothing but what SQLite can have. */
void cau_room_limit (CauRoom *self, gint pages);

G_END_DECLS
