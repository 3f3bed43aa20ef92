/* SPDX-License-Identifier: MIT */
#pragma once

/* Rows of versions that were read a moment ago, for as long as nobody has changed the database.
 *
 * SQLite keeps the state of the database in the shared memory of the WAL, in a header that each commit of each process
 * replaces (sqlite.org/walformat.html, section 2.1). A row that was read between two looks at the same header is a row of
 * that state, and is true as long as the header is the same: whoever finds it does without a transaction, and its
 * locks. Every commit empties the cache. */

#include "sqlite-db.h"

G_BEGIN_DECLS

typedef struct _CauCache CauCache; /* opaque; thread-safe */

#define CAU_CACHE_STATE_WORDS 12

/* What the database was when somebody looked. */
typedef struct
{
  gboolean is_known;
  guint32  words[CAU_CACHE_STATE_WORDS];
} CauCacheState;

/* @db: open, outlives the cache; NULL: one that finds nothing. */
CauCache *cau_cache_new (CauDb *db);
void      cau_cache_free (CauCache *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauCache, cau_cache_free)

/* Fills @info with what is known of @version, or of what @name of the orchestrator @id leads to. FALSE: it has to be read, and
 * @state is for cau_cache_add() then. */
gboolean cau_cache_find_version (CauCache *self, guint64 version, CauReportInfo *info, CauCacheState *state);
gboolean cau_cache_find_name (CauCache *self, guint64 id, const char *name, CauReportInfo *info, CauCacheState *state);

/* Keeps @info, which was read after @state was got, unless the database was changed since. */
void cau_cache_add (CauCache *self, const CauCacheState *state, const CauReportInfo *info);

G_END_DECLS
