/* SPDX-License-Identifier: MIT */
#pragma once

/* Decoded chunks of which readers have read a part: the next part is likely to be asked for soon, and decoding takes longer than
 * copying. There is one for all readers of a store, since each may belong to somebody who opened thousands of them. Who does not
 * find a chunk any more decodes it again. Thread-safe. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CauChunkCache CauChunkCache;

CauChunkCache *cau_chunk_cache_new (void);
void           cau_chunk_cache_free (CauChunkCache *self);

/* Returns: (transfer full) (nullable): chunk @number of @version. @is_done: it will hardly be asked for again, and goes. */
GBytes *cau_chunk_cache_find (CauChunkCache *self, guint64 version, guint64 number, gboolean is_done);

/* Keeps @chunk in place of the one that was not asked for longest. */
void cau_chunk_cache_add (CauChunkCache *self, guint64 version, guint64 number, GBytes *chunk);

/* Who read parts of @version is gone. */
void cau_chunk_cache_forget (CauChunkCache *self, guint64 version);

G_END_DECLS
