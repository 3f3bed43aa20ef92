/* SPDX-License-Identifier: MIT */
#include "cau-staging-private.h"

#include "cau-codec.h"

guint64
cau_staging_get_unhashed (CauStaging *self)
{
  return self->size - MIN (self->hashed, self->size);
}

gboolean
cau_staging_hash (CauStaging *self, guint64 most, GError **error)
{
  const guint64      end = self->hashed + MIN (most, cau_staging_get_unhashed (self));
  g_autofree guint8 *raw = self->hashed < end ? g_malloc (CHUNK) : NULL;

  while (self->hashed < end)
    {
      gsize n_read;

      if (!cau_staging_read (self, self->hashed, raw, CHUNK - self->hashed % CHUNK, &n_read, error))
        return FALSE;
      EVP_DigestUpdate (self->hash, raw, n_read);
      self->hashed += n_read;
    }
  return TRUE;
}

/* Finishing spoils the state, and the upload may go on. */
static void
finish_hash (CauStaging *self, guint8 *sha256)
{
  EVP_MD_CTX *copy = EVP_MD_CTX_new ();

  EVP_MD_CTX_copy_ex (copy, self->hash);
  EVP_DigestFinal_ex (copy, sha256, NULL);
  EVP_MD_CTX_free (copy);
}

static GPtrArray *
copy_encoded (CauStaging *self)
{
  GPtrArray     *chunks = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_stored_chunk_free);
  GHashTableIter iter;
  gpointer       value;

  g_hash_table_iter_init (&iter, self->encoded);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      CauStoredChunk *chunk = g_memdup2 (value, sizeof *chunk);

      if (chunk->data != NULL)
        g_bytes_ref (chunk->data);
      g_ptr_array_add (chunks, chunk);
    }
  return chunks;
}

/* Here and now: a small report is one chunk, which no other thread would have earlier. */
static void
encode_hot (CauStaging *self)
{
  for (guint i = 0; i < HOT_MAX; i++)
    {
      Hot               *hot = &self->hot[i];
      g_autofree guint8 *data = g_steal_pointer (&hot->data);
      gsize              length = data != NULL ? cau_staging_chunk_length (self->size, hot->number) : 0;

      if (length > 0)
        cau_staging_put_encoded (self, cau_codec_encode (self->seed, hot->number, &data, length));
    }
}

gboolean
cau_staging_prepare (CauStaging *self, CauCommitOp *op, GError **error)
{
  /* The hash first: it may read what is hot. */
  if (!cau_staging_hash (self, G_MAXUINT64, error) || !cau_staging_settle (self, 0, error))
    return FALSE;
  finish_hash (self, op->info.sha256);
  encode_hot (self);
  if (!cau_staging_check_failed (self, error))
    return FALSE;
  op->stage = self->stage;
  op->chunks = copy_encoded (self);
  op->base = self->base != NULL ? cau_reader_get_info (self->base)->version : 0;
  op->inherit = cau_stored_chunks (self->base_limit);
  op->info.size = self->size;
  op->info.seed = self->seed;
  return TRUE;
}

void
cau_staging_rebase (CauStaging *self, CauReader *saved)
{
  cau_staging_drop_stage (self);
  cau_staging_drop_encoded (self);
  g_clear_pointer (&self->base, cau_reader_unref);
  self->base = saved;
  self->base_limit = self->size;
  cau_staging_note_buffered (self);
}
