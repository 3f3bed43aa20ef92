/* SPDX-License-Identifier: MIT */
#pragma once

/* Encodes the chunks of one upload on the threads of the store's pool, while the writer goes on. They come back in the
 * order in which they were handed in, so of two encodings of one number the later one comes last. One
 * thread at a time, but for the pool's. */

#include "cau-backend.h"

G_BEGIN_DECLS

typedef struct _CauEncoder CauEncoder;

/* The pool that encoders share: a thread for each processor. */
GThreadPool *cau_encoder_pool_new (void);

/* @pool: (transfer none): outlives the encoder. @seed: as for cau_codec_encode(). */
CauEncoder *cau_encoder_new (GThreadPool *pool, guint64 seed);
/* Waits for the pool, and drops what it made. */
void cau_encoder_free (CauEncoder *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauEncoder, cau_encoder_free)

/* Memory for a chunk, for g_free() or cau_encoder_push(); what was in it before is undefined. Chunks that came back leave
 * theirs for this: memory from the system costs a fault for each page. */
guint8 *cau_encoder_take_buffer (CauEncoder *self);

/* Hands in the first @length bytes of @data (transfer full), which is the size of a chunk. */
void cau_encoder_push (CauEncoder *self, guint64 number, guint8 *data, gsize length);

/* The next encoded chunk. NULL: the next one is not finished; but as long as more than @at_most are in hand
 * it is waited for. Returns: (transfer full) (nullable). */
CauStoredChunk *cau_encoder_pop (CauEncoder *self, guint at_most);

/* How many buffers of a chunk there are: with jobs, or kept for the next ones. The latter can be let go. */
gsize cau_encoder_get_buffers (CauEncoder *self);
void  cau_encoder_drop_buffers (CauEncoder *self);

G_END_DECLS
