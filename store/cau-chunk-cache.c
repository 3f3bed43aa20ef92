/* SPDX-License-Identifier: MIT */
#include "cau-chunk-cache.h"

/* 32 MiB. */
#define MAX_CHUNKS 256

typedef struct
{
  guint64 version; /* whose bytes never change, and whose id is never used again */
  guint64 number;
  GBytes *chunk;
  GList   link;
} Entry;

struct _CauChunkCache
{
  GMutex      lock;    /* held to look up, not to copy */
  GHashTable *entries; /* set of Entry, owned; lock */
  GQueue      by_use;  /* of Entry.link, the last that was used first; lock */
};

static guint
entry_hash (gconstpointer data)
{
  const Entry *self = data;

  return (guint) (self->version * 2654435761u + self->number);
}

static gboolean
entry_equal (gconstpointer a, gconstpointer b)
{
  const Entry *x = a, *y = b;

  return x->version == y->version && x->number == y->number;
}

static void
entry_free (gpointer data)
{
  Entry *self = data;

  g_bytes_unref (self->chunk);
  g_free (self);
}

CauChunkCache *
cau_chunk_cache_new (void)
{
  CauChunkCache *self = g_new0 (CauChunkCache, 1);

  g_mutex_init (&self->lock);
  self->entries = g_hash_table_new_full (entry_hash, entry_equal, entry_free, NULL);
  g_queue_init (&self->by_use);
  return self;
}

void
cau_chunk_cache_free (CauChunkCache *self)
{
  g_hash_table_unref (self->entries);
  g_mutex_clear (&self->lock);
  g_free (self);
}

static void
drop_locked (CauChunkCache *self, Entry *entry)
{
  g_queue_unlink (&self->by_use, &entry->link);
  g_hash_table_remove (self->entries, entry);
}

GBytes *
cau_chunk_cache_find (CauChunkCache *self, guint64 version, guint64 number, gboolean is_done)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  const Entry   key = { .version = version, .number = number };
  Entry        *entry = g_hash_table_lookup (self->entries, &key);
  GBytes       *chunk;

  if (entry == NULL)
    return NULL;
  chunk = g_bytes_ref (entry->chunk);
  if (is_done)
    {
      drop_locked (self, entry);
      return chunk;
    }
  g_queue_unlink (&self->by_use, &entry->link);
  g_queue_push_head_link (&self->by_use, &entry->link);
  return chunk;
}

void
cau_chunk_cache_add (CauChunkCache *self, guint64 version, guint64 number, GBytes *chunk)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  Entry        *entry = g_new0 (Entry, 1), *old;

  entry->version = version;
  entry->number = number;
  entry->chunk = g_bytes_ref (chunk);
  entry->link.data = entry;
  old = g_hash_table_lookup (self->entries, entry);
  if (old == NULL && g_hash_table_size (self->entries) >= MAX_CHUNKS)
    old = g_queue_peek_tail (&self->by_use);
  if (old != NULL)
    drop_locked (self, old);
  g_hash_table_add (self->entries, entry);
  g_queue_push_head_link (&self->by_use, &entry->link);
}

void
cau_chunk_cache_forget (CauChunkCache *self, guint64 version)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  GList        *next;

  for (GList *l = self->by_use.head; l != NULL; l = next)
    {
      next = l->next;
      if (((Entry *) l->data)->version == version)
        drop_locked (self, l->data);
    }
}
