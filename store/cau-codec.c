/* SPDX-License-Identifier: MIT */
#include "cau-codec.h"

#include <string.h>
#include <xxhash.h>
#include <zstd.h>

/* Measured on the sample corpus, see docs/design.md. */
#define CODEC_LEVEL 1

/* Enough for ZSTD_compress() to write without looking at the end. */
#define BOUND ZSTD_COMPRESSBOUND (CAU_STORED_CHUNK_SIZE)

typedef struct
{
  ZSTD_CCtx *ctx;
  guint8    *buffer; /* BOUND bytes */
} Compressor;

static void
compressor_free (gpointer data)
{
  Compressor *self = data;

  ZSTD_freeCCtx (self->ctx);
  g_free (self->buffer);
  g_free (self);
}

static void
decompressor_free (gpointer ctx)
{
  ZSTD_freeDCtx (ctx);
}

/* A context costs more to make than a small chunk to compress, so each thread keeps one. */
static GPrivate compressor = G_PRIVATE_INIT (compressor_free);
static GPrivate decompressor = G_PRIVATE_INIT (decompressor_free);

static Compressor *
get_compressor (void)
{
  Compressor *self = g_private_get (&compressor);

  if (self == NULL)
    {
      self = g_new0 (Compressor, 1);
      self->ctx = ZSTD_createCCtx ();
      self->buffer = g_malloc (BOUND);
      g_private_set (&compressor, self);
    }
  return self;
}

static ZSTD_DCtx *
get_decompressor (void)
{
  ZSTD_DCtx *ctx = g_private_get (&decompressor);

  if (ctx == NULL)
    {
      ctx = ZSTD_createDCtx ();
      g_private_set (&decompressor, ctx);
    }
  return ctx;
}

static gboolean
is_zero (const guint8 *raw, gsize length)
{
  return raw[0] == 0 && memcmp (raw, raw + 1, length - 1) == 0;
}

guint64
cau_codec_checksum (guint64 seed, const CauStoredChunk *chunk)
{
  gsize       size = 0;
  const void *data = chunk->data != NULL ? g_bytes_get_data (chunk->data, &size) : NULL;

  return XXH3_64bits_withSeed (data, size, seed + chunk->number);
}

CauStoredChunk *
cau_codec_encode_hole (guint64 seed, guint64 number)
{
  CauStoredChunk *chunk = g_new0 (CauStoredChunk, 1);

  chunk->number = number;
  chunk->checksum = cau_codec_checksum (seed, chunk);
  return chunk;
}

CauStoredChunk *
cau_codec_encode (guint64 seed, guint64 number, guint8 **raw, gsize length)
{
  g_autoptr (CauStoredChunk) chunk = cau_codec_encode_hole (seed, number);

  if (!is_zero (*raw, length))
    {
      Compressor *self = get_compressor ();
      gsize       stored = ZSTD_compressCCtx (self->ctx, self->buffer, BOUND, *raw, length, CODEC_LEVEL);

      /* An error code is a number near SIZE_MAX: it lands here as "not smaller" as well. */
      if (stored >= length && length >= CAU_STORED_CHUNK_SIZE / 2)
        chunk->data = g_bytes_new_take (g_steal_pointer (raw), length);
      else if (stored >= length)
        chunk->data = g_bytes_new (*raw, length);
      else
        chunk->data = g_bytes_new (self->buffer, stored);
      chunk->checksum = cau_codec_checksum (seed, chunk);
    }
  return g_steal_pointer (&chunk);
}

gboolean
cau_codec_decode (guint64 seed, const CauStoredChunk *chunk, guint8 *raw, gsize length, GError **error)
{
  gsize         stored;
  const guint8 *data;

  if (cau_codec_checksum (seed, chunk) != chunk->checksum)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "chunk %" G_GUINT64_FORMAT " is damaged: its checksum does not match", chunk->number);
      return FALSE;
    }
  if (chunk->data == NULL)
    {
      memset (raw, 0, length);
      return TRUE;
    }
  data = g_bytes_get_data (chunk->data, &stored);
  if (stored == length)
    {
      memcpy (raw, data, length);
      return TRUE;
    }
  if (ZSTD_decompressDCtx (get_decompressor (), raw, length, data, stored) != length)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                   "chunk %" G_GUINT64_FORMAT " is damaged: it does not decompress to %" G_GSIZE_FORMAT " bytes",
                   chunk->number, length);
      return FALSE;
    }
  return TRUE;
}

typedef struct
{
  guint64 seed;
  guint8 *raw;
  gsize   length;
} Load;

static gboolean
decode_loaded (const CauStoredChunk *chunk, gpointer user_data, GError **error)
{
  Load *load = user_data;

  return cau_codec_decode (load->seed, chunk, load->raw, load->length, error);
}

gboolean
cau_codec_load (CauBackend *backend, guint64 version, guint64 seed, guint64 number, guint8 *raw, gsize length,
                GError **error)
{
  Load load = { .seed = seed, .raw = raw, .length = length };

  return backend->klass->read_chunk (backend, version, number, decode_loaded, &load, error);
}
