/* SPDX-License-Identifier: MIT */
#include "sqlite-cache.h"

#include <string.h>

/* Rows kept: about 6 MiB of them. */
#define MAX_ROWS 16384

/* The header of the WAL index: two copies of 12 words, the second written before the first. */
#define WORD_VERSION 0
#define WORD_IS_INIT 3 /* the first byte of it */
#define WAL_INDEX_VERSION 3007000
#define WAL_INDEX_BYTES 32768

struct _CauCache
{
  const volatile guint32 *header; /* the mapped WAL index, or NULL */

  GMutex        lock; /* guards what follows */
  CauCacheState state;
  GHashTable   *by_version; /* (element-type guint64 CauReportInfo): owned; the key lies in it */
  GHashTable   *by_name;    /* set of CauReportInfo, hashed by orchestrator and name; borrowed */
};

static guint
name_hash (gconstpointer data)
{
  const CauReportInfo *info = data;

  return g_str_hash (info->name) ^ g_int64_hash (&info->orchestrator);
}

static gboolean
name_equal (gconstpointer a, gconstpointer b)
{
  const CauReportInfo *x = a, *y = b;

  return x->orchestrator == y->orchestrator && strcmp (x->name, y->name) == 0;
}

static void
info_free (gpointer data)
{
  cau_report_info_clear (data);
  g_free (data);
}

static const volatile guint32 *
map_header (CauDb *db)
{
  sqlite3_file  *file = NULL;
  volatile void *index = NULL;

  if (sqlite3_file_control (cau_db_get_handle (db), "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK
      || file == NULL || file->pMethods == NULL || file->pMethods->iVersion < 2
      || file->pMethods->xShmMap (file, 0, WAL_INDEX_BYTES, 0, &index) != SQLITE_OK)
    return NULL;
  return index;
}

CauCache *
cau_cache_new (CauDb *db)
{
  CauCache *self = g_new0 (CauCache, 1);

  self->header = db != NULL ? map_header (db) : NULL;
  g_mutex_init (&self->lock);
  self->by_version = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, info_free);
  self->by_name = g_hash_table_new (name_hash, name_equal);
  return self;
}

void
cau_cache_free (CauCache *self)
{
  g_hash_table_unref (self->by_name);
  g_hash_table_unref (self->by_version);
  g_mutex_clear (&self->lock);
  g_free (self);
}

/* While a commit writes the header its copies differ, and the state is not known. */
static void
get_state (CauCache *self, CauCacheState *state)
{
  guint32 second[CAU_CACHE_STATE_WORDS];

  state->is_known = FALSE;
  if (self->header == NULL)
    return;
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  for (guint i = 0; i < CAU_CACHE_STATE_WORDS; i++)
    state->words[i] = self->header[i];
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  for (guint i = 0; i < CAU_CACHE_STATE_WORDS; i++)
    second[i] = self->header[CAU_CACHE_STATE_WORDS + i];
  __atomic_thread_fence (__ATOMIC_SEQ_CST);
  state->is_known = state->words[WORD_VERSION] == WAL_INDEX_VERSION
                    && *(const guint8 *) &state->words[WORD_IS_INIT] != 0
                    && memcmp (state->words, second, sizeof second) == 0;
}

static gboolean
is_same (const CauCacheState *a, const CauCacheState *b)
{
  return a->is_known && b->is_known && memcmp (a->words, b->words, sizeof a->words) == 0;
}

static void
forget_all_locked (CauCache *self)
{
  g_hash_table_remove_all (self->by_name);
  g_hash_table_remove_all (self->by_version);
}

/* @wanted: a CauReportInfo of which the orchestrator and the name, or else the version, are set. */
static gboolean
find (CauCache *self, const CauReportInfo *wanted, CauReportInfo *info, CauCacheState *state)
{
  const CauReportInfo *found = NULL;

  get_state (self, state);
  g_mutex_lock (&self->lock);
  if (is_same (state, &self->state))
    found = wanted->name != NULL ? g_hash_table_lookup (self->by_name, wanted)
                                 : g_hash_table_lookup (self->by_version, &wanted->version);
  if (found != NULL)
    {
      cau_report_info_clear (info);
      cau_report_info_copy (found, info);
    }
  g_mutex_unlock (&self->lock);
  return found != NULL;
}

gboolean
cau_cache_find_version (CauCache *self, guint64 version, CauReportInfo *info, CauCacheState *state)
{
  const CauReportInfo wanted = { .version = version };

  return find (self, &wanted, info, state);
}

gboolean
cau_cache_find_name (CauCache *self, guint64 id, const char *name, CauReportInfo *info, CauCacheState *state)
{
  const CauReportInfo wanted = { .orchestrator = id, .name = (char *) name };

  return find (self, &wanted, info, state);
}

void
cau_cache_add (CauCache *self, const CauCacheState *state, const CauReportInfo *info)
{
  CauCacheState  now;
  CauReportInfo *copy;

  get_state (self, &now);
  if (!is_same (state, &now))
    return;
  copy = g_new (CauReportInfo, 1);
  cau_report_info_copy (info, copy);

  g_mutex_lock (&self->lock);
  if (!is_same (&now, &self->state) || g_hash_table_size (self->by_version) >= MAX_ROWS)
    forget_all_locked (self);
  self->state = now;
  if (g_hash_table_contains (self->by_version, &copy->version))
    g_clear_pointer (&copy, info_free);
  else
    {
      g_hash_table_insert (self->by_version, &copy->version, copy);
      if (copy->orchestrator != 0)
        g_hash_table_add (self->by_name, copy);
    }
  g_mutex_unlock (&self->lock);
}
