/* SPDX-License-Identifier: MIT */
#include "cau-staging-private.h"

#include "cau-codec.h"

#include <string.h>

CauStaging *
cau_staging_new (CauStore *store, CauShare *share, CauReader *base)
{
  CauStaging *self = g_new0 (CauStaging, 1);

  self->store = store;
  self->share = share;
  self->base = base;
  self->size = self->base_limit = base != NULL ? cau_reader_get_info (base)->size : 0;
  self->seed = base != NULL ? cau_reader_get_info (base)->seed : ((guint64) g_random_int () << 32 | g_random_int ());
  self->encoder = cau_encoder_new (store->encoders, self->seed);
  self->encoded = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, (GDestroyNotify) cau_stored_chunk_free);
  self->hash = EVP_MD_CTX_new ();
  EVP_DigestInit_ex (self->hash, EVP_sha256 (), NULL);
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  g_queue_init (&self->sending);
  return self;
}

static void
wait_until_sent (CauStaging *self, gsize at_most)
{
  g_mutex_lock (&self->lock);
  while (self->sending_bytes > at_most || (at_most == 0 && self->sending.length > 0))
    cau_thread_wait (&self->cond, &self->lock);
  g_mutex_unlock (&self->lock);
}

gboolean
cau_staging_is_sending (CauStaging *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  return self->sending.length > 0;
}

void
cau_staging_drop_stage (CauStaging *self)
{
  wait_until_sent (self, 0);
  if (self->stage != NULL)
    self->store->backend->klass->stage_free (self->store->backend, self->stage);
  self->stage = NULL;
  self->staged_to = 0;
  cau_share_give_staged (self->share, self->staged_bytes);
  self->staged_bytes = 0;
}

static void
drop_hot (CauStaging *self)
{
  for (guint i = 0; i < HOT_MAX; i++)
    g_clear_pointer (&self->hot[i].data, g_free);
}

static void
drop_encoding (CauStaging *self)
{
  CauStoredChunk *chunk;

  while ((chunk = cau_encoder_pop (self->encoder, 0)) != NULL)
    cau_stored_chunk_free (chunk);
}

void
cau_staging_drop_encoded (CauStaging *self)
{
  g_hash_table_remove_all (self->encoded);
  self->encoded_bytes = 0;
}

void
cau_staging_drop (CauStaging *self)
{
  cau_staging_drop_stage (self);
  drop_hot (self);
  drop_encoding (self);
  cau_staging_drop_encoded (self);
  cau_encoder_drop_buffers (self->encoder);
  cau_staging_note_buffered (self);
}

void
cau_staging_free (CauStaging *self)
{
  cau_staging_drop (self);
  cau_encoder_free (self->encoder);
  g_hash_table_unref (self->encoded);
  g_clear_pointer (&self->base, cau_reader_unref);
  EVP_MD_CTX_free (self->hash);
  g_clear_error (&self->failed);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

guint64
cau_staging_get_size (CauStaging *self)
{
  return self->size;
}

CauReader *
cau_staging_get_base (CauStaging *self)
{
  return self->base;
}

/* ---- memory ---- */

gboolean
cau_staging_note_buffered (CauStaging *self)
{
  gsize before = self->buffered;

  self->buffered = cau_encoder_get_buffers (self->encoder) * CHUNK + self->encoded_bytes;
  for (guint i = 0; i < HOT_MAX; i++)
    self->buffered += self->hot[i].data != NULL ? CHUNK : 0;
  g_mutex_lock (&self->lock);
  self->buffered += self->sending_bytes;
  g_mutex_unlock (&self->lock);
  return cau_share_note_buffered (self->share, before, self->buffered);
}

/* ---- to the backend ---- */

static void
stage_done (CauOp *op)
{
  CauStaging *self = op->user_data;
  CauStageOp *stage_op = (CauStageOp *) op;

  g_mutex_lock (&self->lock);
  for (guint i = 0; i < stage_op->chunks->len; i++)
    self->sending_bytes -= cau_stored_chunk_weight (g_ptr_array_index (stage_op->chunks, i));
  g_queue_remove (&self->sending, op);
  if (op->error == NULL)
    {
      cau_share_give_staged (self->share, stage_op->released);
      self->staged_bytes -= stage_op->released;
    }
  else if (self->failed == NULL)
    self->failed = g_steal_pointer (&op->error);
  g_clear_error (&op->error);
  g_ptr_array_unref (stage_op->chunks);
  g_free (stage_op);
  /* The waiter may free the staging as soon as the lock is let go. */
  g_cond_broadcast (&self->cond);
  g_mutex_unlock (&self->lock);
}

/* @error: (transfer full): why what was written is lost. */
static void
fail_staging (CauStaging *self, GError *error)
{
  g_mutex_lock (&self->lock);
  if (self->failed == NULL)
    self->failed = g_steal_pointer (&error);
  g_mutex_unlock (&self->lock);
  g_clear_error (&error);
}

/* What is on its way may replace some of what is counted: then that is waited for. */
static gboolean
take_staged (CauStaging *self)
{
  GError *error = NULL;

  if (!cau_share_take_staged (self->share, self->encoded_bytes, NULL))
    {
      wait_until_sent (self, 0);
      if (!cau_share_take_staged (self->share, self->encoded_bytes, &error))
        {
          fail_staging (self, error);
          return FALSE;
        }
    }
  g_mutex_lock (&self->lock);
  self->staged_bytes += self->encoded_bytes;
  g_mutex_unlock (&self->lock);
  return TRUE;
}

static gint
compare_chunks (gconstpointer a, gconstpointer b)
{
  guint64 x = (*(const CauStoredChunk *const *) a)->number, y = (*(const CauStoredChunk *const *) b)->number;

  return x < y ? -1 : x > y;
}

/* Hands all encoded chunks to the backend; forgets first what it has from chunk @keep on. */
static void
send_encoded (CauStaging *self, guint64 keep)
{
  CauStageOp    *op;
  GHashTableIter iter;
  gpointer       chunk;

  if (!take_staged (self))
    {
      cau_staging_drop_encoded (self);
      return;
    }
  op = g_new0 (CauStageOp, 1);
  if (self->stage == NULL)
    self->stage = self->store->backend->klass->stage_new (self->store->backend);
  op->op.kind = CAU_OP_STAGE;
  op->op.done = stage_done;
  op->op.user_data = self;
  op->stage = self->stage;
  op->keep = keep;
  op->chunks = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_stored_chunk_free);

  g_hash_table_iter_init (&iter, self->encoded);
  while (g_hash_table_iter_next (&iter, NULL, &chunk))
    {
      g_hash_table_iter_steal (&iter);
      g_ptr_array_add (op->chunks, chunk);
      self->staged_to = MAX (self->staged_to, ((CauStoredChunk *) chunk)->number + 1);
    }
  /* Rows that come in the order of their keys fill the pages of a tree; in the order of a hash they leave half of each
   * empty. */
  g_ptr_array_sort (op->chunks, compare_chunks);

  g_mutex_lock (&self->lock);
  g_queue_push_tail (&self->sending, op);
  self->sending_bytes += self->encoded_bytes;
  g_mutex_unlock (&self->lock);
  self->encoded_bytes = 0;
  self->store->backend->klass->submit (self->store->backend, &op->op);
}

gboolean
cau_staging_check_failed (CauStaging *self, GError **error)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  if (self->failed != NULL)
    g_propagate_error (error, g_error_copy (self->failed));
  return self->failed == NULL;
}

void
cau_staging_put_encoded (CauStaging *self, CauStoredChunk *chunk)
{
  CauStoredChunk *old = g_hash_table_lookup (self->encoded, &chunk->number);

  if (old != NULL)
    {
      self->encoded_bytes -= cau_stored_chunk_weight (old);
      g_hash_table_remove (self->encoded, &old->number);
    }
  g_hash_table_insert (self->encoded, &chunk->number, chunk);
  self->encoded_bytes += cau_stored_chunk_weight (chunk);
  if (self->encoded_bytes >= STAGE_AT)
    {
      send_encoded (self, G_MAXUINT64);
      wait_until_sent (self, STAGING_MAX);
    }
}

gboolean
cau_staging_settle (CauStaging *self, guint at_most, GError **error)
{
  CauStoredChunk *chunk;

  while ((chunk = cau_encoder_pop (self->encoder, at_most)) != NULL)
    cau_staging_put_encoded (self, chunk);
  return cau_staging_check_failed (self, error);
}

/* ---- chunks ---- */

gsize
cau_staging_chunk_length (guint64 size, guint64 number)
{
  guint64 start = number * CHUNK;

  return start >= size ? 0 : (gsize) MIN (size - start, CHUNK);
}

static gboolean
load_base (CauStaging *self, guint64 number, guint8 *raw, GError **error)
{
  gsize wanted = cau_staging_chunk_length (self->base_limit, number),
        length = cau_staging_chunk_length (self->size, number), n_read = 0;

  if (wanted > 0 && !cau_reader_read (self->base, number * CHUNK, raw, wanted, &n_read, error))
    return FALSE;
  memset (raw + n_read, 0, length - n_read);
  return TRUE;
}

/* Loads the bytes of chunk @number that the report has. A chunk was encoded with the length it had then, which its later neighbours do not change: a last chunk that grows is
 * loaded first, and encoded again. So its length then is its length by the size now, or it is hot. */
static gboolean
load_chunk (CauStaging *self, guint64 number, guint8 *raw, GError **error)
{
  CauBackend     *backend = self->store->backend;
  gsize           length = cau_staging_chunk_length (self->size, number);
  CauStoredChunk *chunk;
  g_autoptr (GError) local = NULL;

  if (!cau_staging_settle (self, 0, error))
    return FALSE;
  chunk = g_hash_table_lookup (self->encoded, &number);
  if (chunk != NULL)
    return cau_codec_decode (self->seed, chunk, raw, length, error);
  if (number >= self->staged_to)
    return load_base (self, number, raw, error);

  wait_until_sent (self, 0);
  if (!cau_staging_check_failed (self, error))
    return FALSE;
  if (cau_codec_load (backend, backend->klass->stage_get_version (backend, self->stage), self->seed, number, raw,
                      length, &local))
    return TRUE;
  if (g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    return load_base (self, number, raw, error);
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

/* Hands the chunk to the encoders. */
static gboolean
cool (CauStaging *self, Hot *hot, GError **error)
{
  gsize length = hot->data != NULL ? cau_staging_chunk_length (self->size, hot->number) : 0;

  if (length > 0)
    cau_encoder_push (self->encoder, hot->number, g_steal_pointer (&hot->data), length);
  g_clear_pointer (&hot->data, g_free);
  return cau_staging_settle (self, ENCODING_MAX, error);
}

static Hot *
find_hot (CauStaging *self, guint64 number)
{
  for (guint i = 0; i < HOT_MAX; i++)
    if (self->hot[i].data != NULL && self->hot[i].number == number)
      return &self->hot[i];
  return NULL;
}

/* @load: its bytes matter, all of them will not be overwritten. */
static Hot *
heat (CauStaging *self, guint64 number, gboolean load, GError **error)
{
  Hot               *hot = find_hot (self, number), *oldest = &self->hot[0];
  g_autofree guint8 *data = NULL;

  if (hot == NULL)
    {
      for (guint i = 1; i < HOT_MAX; i++)
        if (oldest->data != NULL && (self->hot[i].data == NULL || self->hot[i].used < oldest->used))
          oldest = &self->hot[i];
      if (!cool (self, oldest, error))
        return NULL;
      data = cau_encoder_take_buffer (self->encoder);
      if (load && !load_chunk (self, number, data, error))
        return NULL;
      hot = oldest;
      hot->number = number;
      hot->data = g_steal_pointer (&data);
    }
  hot->used = ++self->clock;
  return hot;
}

/* ---- size ---- */

/* Makes the report end at @size, beyond its end. The last chunk grows by zeros, so it is written again. */
static gboolean
extend (CauStaging *self, guint64 size, GError **error)
{
  guint64 first = cau_stored_chunks (self->size), end = cau_stored_chunks (size), last = self->size / CHUNK;
  gsize   at = self->size % CHUNK;

  if (at != 0)
    {
      Hot *hot = heat (self, last, TRUE, error);

      if (hot == NULL)
        return FALSE;
      memset (hot->data + at, 0, cau_staging_chunk_length (size, last) - at);
    }
  if (!cau_staging_settle (self, 0, error))
    return FALSE;
  for (guint64 number = first; number < end; number++)
    {
      cau_staging_put_encoded (self, cau_codec_encode_hole (self->seed, number));
      if (!cau_staging_check_failed (self, error))
        return FALSE;
    }
  self->size = size;
  return TRUE;
}

static void
forget_hash_from (CauStaging *self, guint64 offset)
{
  if (offset >= self->hashed)
    return;
  EVP_DigestInit_ex (self->hash, EVP_sha256 (), NULL);
  self->hashed = 0;
}

/* Called when nothing is with the encoders. */
static void
forget_chunks_from (CauStaging *self, guint64 first)
{
  GHashTableIter iter;
  gpointer       chunk;

  for (guint i = 0; i < HOT_MAX; i++)
    if (self->hot[i].data != NULL && self->hot[i].number >= first)
      g_clear_pointer (&self->hot[i].data, g_free);
  g_hash_table_iter_init (&iter, self->encoded);
  while (g_hash_table_iter_next (&iter, NULL, &chunk))
    if (((CauStoredChunk *) chunk)->number >= first)
      {
        self->encoded_bytes -= cau_stored_chunk_weight (chunk);
        g_hash_table_iter_remove (&iter);
      }
  if (self->staged_to > first)
    {
      send_encoded (self, first);
      self->staged_to = first;
    }
}

static gboolean
shrink (CauStaging *self, guint64 size, GError **error)
{
  /* The last chunk gets shorter, so it is written again. */
  if (size % CHUNK != 0 && heat (self, size / CHUNK, TRUE, error) == NULL)
    return FALSE;
  if (!cau_staging_settle (self, 0, error))
    return FALSE;
  forget_chunks_from (self, cau_stored_chunks (size));
  forget_hash_from (self, size);
  self->size = size;
  self->base_limit = MIN (self->base_limit, size);
  return cau_staging_check_failed (self, error);
}

/* Keeps nothing in memory: there is too much in all uploads together, most of it perhaps in some that nobody works on. */
static gboolean
relieve (CauStaging *self, GError **error)
{
  for (guint i = 0; i < HOT_MAX; i++)
    if (!cool (self, &self->hot[i], error))
      return FALSE;
  if (!cau_staging_settle (self, 0, error))
    return FALSE;
  if (self->encoded_bytes > 0)
    send_encoded (self, G_MAXUINT64);
  wait_until_sent (self, 0);
  cau_encoder_drop_buffers (self->encoder);
  cau_staging_note_buffered (self);
  return cau_staging_check_failed (self, error);
}

gboolean
cau_staging_truncate (CauStaging *self, guint64 size, GError **error)
{
  gboolean ok = size < self->size ? shrink (self, size, error) : extend (self, size, error);

  return ok && (!cau_staging_note_buffered (self) || relieve (self, error));
}

/* ---- bytes ---- */

static gboolean
write_chunk (CauStaging *self, guint64 offset, const guint8 *data, gsize length, GError **error)
{
  guint64 number = offset / CHUNK;
  gsize   at = offset % CHUNK;
  gsize   old = cau_staging_chunk_length (self->size, number);
  Hot    *hot = heat (self, number, old > 0 && (at > 0 || length < old), error);

  if (hot == NULL)
    return FALSE;
  memcpy (hot->data + at, data, length);
  self->size = MAX (self->size, offset + length);
  return TRUE;
}

gboolean
cau_staging_write (CauStaging *self, guint64 offset, const guint8 *data, gsize length, GError **error)
{
  if (!cau_staging_check_failed (self, error) || (offset > self->size && !extend (self, offset, error)))
    return FALSE;
  forget_hash_from (self, offset);
  while (length > 0)
    {
      gsize part = MIN (length, CHUNK - offset % CHUNK);

      if (!write_chunk (self, offset, data, part, error))
        return FALSE;
      if (offset == self->hashed)
        {
          EVP_DigestUpdate (self->hash, data, part);
          self->hashed += part;
        }
      offset += part;
      data += part;
      length -= part;
    }
  return !cau_staging_note_buffered (self) || relieve (self, error);
}

gboolean
cau_staging_read (CauStaging *self, guint64 offset, guint8 *buffer, gsize length, gsize *n_read, GError **error)
{
  g_autofree guint8 *raw = NULL;

  *n_read = 0;
  if (offset >= self->size)
    return TRUE;
  length = (gsize) MIN (length, self->size - offset);
  while (*n_read < length)
    {
      guint64 number = offset / CHUNK;
      gsize   at = offset % CHUNK, part = MIN (length - *n_read, CHUNK - at);
      Hot    *hot = find_hot (self, number);

      if (hot == NULL && raw == NULL)
        raw = g_malloc (CHUNK);
      if (hot == NULL && !load_chunk (self, number, raw, error))
        return FALSE;
      memcpy (buffer + *n_read, (hot != NULL ? hot->data : raw) + at, part);
      offset += part;
      *n_read += part;
    }
  return TRUE;
}
