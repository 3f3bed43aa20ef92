/* SPDX-License-Identifier: MIT */
#pragma once

/* The chunks of a version. Those that were written for it have computed ids, so they need no list; those that it shares
 * with older versions of the same report are listed in the table inherited. */

#include "cau-backend.h"
#include "sqlite-db.h"

G_BEGIN_DECLS

/* Stores @chunks for @version, each in the place of the one with its number, if any. */
gboolean cau_chunks_insert (CauDb *db, guint64 version, const GPtrArray *chunks, GError **error);

/* Takes away what was stored for @version from number @from on. */
gboolean cau_chunks_forget (CauDb *db, guint64 version, guint64 from, GError **error);

/* Sums up in @weight what the chunks that were stored for @version take, from number @from up to @to. */
gboolean cau_chunks_weigh (CauDb *db, guint64 version, guint64 from, guint64 to, guint64 *weight, GError **error);

/* Lets @version share the chunks of @base below number @end, except for the numbers that were stored for it. */
gboolean cau_chunks_inherit (CauDb *db, guint64 version, guint64 base, guint64 end, GError **error);

/* Sets info->stored_size. CORRUPT unless info->version has each chunk from 0 to its last: it is whole then. */
gboolean cau_chunks_measure (CauDb *db, CauReportInfo *info, GError **error);

/* As CauBackendClass.read_chunk. Errors: NOT_FOUND, CORRUPT, those of @use. */
gboolean cau_chunks_read (CauDb *db, guint64 version, guint64 number, CauChunkFunc use, gpointer user_data,
                          GError **error);

/* Deletes what @version has and no other version shares. @is_report: it has a name, so no other version inherits from it: whoever does
 * holds a pin on what it inherits from. */
gboolean cau_chunks_delete (CauDb *db, guint64 version, gboolean is_report, GError **error);

G_END_DECLS
