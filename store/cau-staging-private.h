/* SPDX-License-Identifier: MIT */
#pragma once

/* What cau-staging.c (bytes and chunks) and cau-staging-commit.c share. */

#include "cau-encoder.h"
#include "cau-staging.h"

#include <openssl/evp.h>

G_BEGIN_DECLS

#define CHUNK CAU_STORED_CHUNK_SIZE

/* Raw chunks at once: a writer that alternates between two places does not encode at each step. */
#define HOT_MAX 2

/* Raw chunks that wait for the encoders or are with them. */
#define ENCODING_MAX 8

/* Encoded bytes in memory before they are staged: a small report never is. */
#define STAGE_AT (1024 * 1024)

/* Bytes on their way to the backend before a writer waits. */
#define STAGING_MAX (4 * 1024 * 1024)

typedef struct
{
  guint64 number;
  guint64 used; /* when, by staging->clock */
  guint8 *data; /* room for CHUNK bytes, undefined behind the report's end; NULL: the place is free */
} Hot;

struct _CauStaging
{
  CauStore   *store; /* borrowed: the upload holds it, as the share */
  CauShare   *share;
  CauReader  *base;
  guint64     base_limit; /* bytes of the base that still count: what was cut off once does not come back */
  guint64     size;
  guint64     seed; /* of the chunks' checksums; that of the base, whose chunks are inherited */
  Hot         hot[HOT_MAX];
  guint64     clock;
  CauEncoder *encoder; /* has what is no longer hot and not encoded yet */
  GHashTable *encoded; /* number -> CauStoredChunk: written, not staged */
  gsize       encoded_bytes;
  CauStage   *stage;     /* NULL before anything was staged */
  guint64     staged_to; /* chunks from here on were never staged */
  EVP_MD_CTX *hash;      /* over the first hashed bytes */
  guint64     hashed;
  gsize       buffered; /* bytes in memory, as the share knows them */

  GMutex  lock; /* guards what follows: the backend's thread finishes operations */
  GCond   cond;
  GQueue  sending; /* of CauStageOp, in hand */
  gsize   sending_bytes;
  guint64 staged_bytes; /* of the share: sent, and neither replaced nor saved */
  GError *failed;       /* why one failed: what it had is lost */
};

/* Bytes of chunk @number when the report has @size. */
gsize cau_staging_chunk_length (guint64 size, guint64 number);

/* Whether all that was handed to the backend so far was taken. */
gboolean cau_staging_check_failed (CauStaging *self, GError **error);

/* Takes over what the encoders have finished, and waits until no more than @at_most chunks are with them. */
gboolean cau_staging_settle (CauStaging *self, guint at_most, GError **error);

/* @chunk: (transfer full). Older encodings of its number must have been put before: settle comes first. */
void cau_staging_put_encoded (CauStaging *self, CauStoredChunk *chunk);

/* Counts the memory that is held now. TRUE: all uploads together hold too much. */
gboolean cau_staging_note_buffered (CauStaging *self);

/* Throw away what was staged, and what is encoded and not staged. */
void cau_staging_drop_stage (CauStaging *self);
void cau_staging_drop_encoded (CauStaging *self);

G_END_DECLS
