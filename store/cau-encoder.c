/* SPDX-License-Identifier: MIT */
#include "cau-encoder.h"

#include "cau-codec.h"

/* Each has a compressor, of about a MiB. */
#define MAX_THREADS 8

/* Buffers that wait for their next use. */
#define SPARE_MAX 4

typedef struct
{
  CauEncoder     *encoder;
  guint64         number;
  guint8         *data; /* the encoder's, then NULL if the chunk has taken it */
  gsize           length;
  CauStoredChunk *chunk; /* NULL until it is encoded; guarded by the encoder's lock */
} Job;

struct _CauEncoder
{
  GThreadPool *pool;
  guint64      seed;
  GQueue       jobs; /* of Job, the oldest first */
  guint8      *spare[SPARE_MAX];
  guint        n_spare;

  GMutex lock;
  GCond  cond; /* a job is done */
};

static void
encode (gpointer data, G_GNUC_UNUSED gpointer user_data)
{
  Job            *job = data;
  CauEncoder     *self = job->encoder;
  CauStoredChunk *chunk = cau_codec_encode (self->seed, job->number, &job->data, job->length);

  g_mutex_lock (&self->lock);
  job->chunk = chunk;
  /* The waiter may free the encoder as soon as the lock is let go. */
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

GThreadPool *
cau_encoder_pool_new (void)
{
  /* Exclusive: its threads are there from now on, so handing in a job cannot fail. */
  return g_thread_pool_new (encode, NULL, (gint) MIN (g_get_num_processors (), MAX_THREADS), TRUE, NULL);
}

CauEncoder *
cau_encoder_new (GThreadPool *pool, guint64 seed)
{
  CauEncoder *self = g_new0 (CauEncoder, 1);

  self->pool = pool;
  self->seed = seed;
  g_queue_init (&self->jobs);
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  return self;
}

void
cau_encoder_free (CauEncoder *self)
{
  CauStoredChunk *chunk;

  while ((chunk = cau_encoder_pop (self, 0)) != NULL)
    cau_stored_chunk_free (chunk);
  cau_encoder_drop_buffers (self);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

guint8 *
cau_encoder_take_buffer (CauEncoder *self)
{
  return self->n_spare > 0 ? self->spare[--self->n_spare] : g_malloc (CAU_STORED_CHUNK_SIZE);
}

gsize
cau_encoder_get_buffers (CauEncoder *self)
{
  return self->n_spare + self->jobs.length;
}

void
cau_encoder_drop_buffers (CauEncoder *self)
{
  while (self->n_spare > 0)
    g_free (self->spare[--self->n_spare]);
}

static void
give_buffer (CauEncoder *self, guint8 *data)
{
  if (data != NULL && self->n_spare < SPARE_MAX)
    self->spare[self->n_spare++] = data;
  else
    g_free (data);
}

void
cau_encoder_push (CauEncoder *self, guint64 number, guint8 *data, gsize length)
{
  Job *job = g_new0 (Job, 1);

  job->encoder = self;
  job->number = number;
  job->data = data;
  job->length = length;
  g_queue_push_tail (&self->jobs, job);
  if (g_thread_pool_get_num_threads (self->pool) > 0)
    g_thread_pool_push (self->pool, job, NULL);
  else
    encode (job, NULL); /* the system allowed no thread */
}

CauStoredChunk *
cau_encoder_pop (CauEncoder *self, guint at_most)
{
  Job            *job = g_queue_peek_head (&self->jobs);
  CauStoredChunk *chunk;

  if (job == NULL)
    return NULL;
  g_mutex_lock (&self->lock);
  while (job->chunk == NULL && self->jobs.length > at_most)
    cau_thread_wait (&self->cond, &self->lock);
  chunk = job->chunk;
  g_mutex_unlock (&self->lock);
  if (chunk == NULL)
    return NULL;
  g_queue_pop_head (&self->jobs);
  give_buffer (self, job->data);
  g_free (job);
  return chunk;
}
