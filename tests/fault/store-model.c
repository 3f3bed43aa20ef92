/* SPDX-License-Identifier: MIT */
#include "store-model.h"

#include <openssl/evp.h>
#include <string.h>

struct _StoreModel
{
  GHashTable *values; /* key -> value */
};

StoreModel *
store_model_new (void)
{
  StoreModel *self = g_new0 (StoreModel, 1);

  self->values = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  return self;
}

StoreModel *
store_model_copy (StoreModel *self)
{
  StoreModel    *copy = store_model_new ();
  GHashTableIter iter;
  gpointer       key, value;

  g_hash_table_iter_init (&iter, self->values);
  while (g_hash_table_iter_next (&iter, &key, &value))
    store_model_set (copy, key, value);
  return copy;
}

void
store_model_free (StoreModel *self)
{
  g_hash_table_unref (self->values);
  g_free (self);
}

void
store_model_set (StoreModel *self, const char *key, const char *value)
{
  if (value == NULL)
    g_hash_table_remove (self->values, key);
  else
    g_hash_table_insert (self->values, g_strdup (key), g_strdup (value));
}

const char *
store_model_get (StoreModel *self, const char *key)
{
  return g_hash_table_lookup (self->values, key);
}

static gint
compare_keys (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *
store_model_list (StoreModel *self, gboolean reports)
{
  GPtrArray     *keys = g_ptr_array_new ();
  GHashTableIter iter;
  gpointer       key;

  g_hash_table_iter_init (&iter, self->values);
  while (g_hash_table_iter_next (&iter, &key, NULL))
    if ((strchr (key, '/') != NULL) == reports)
      g_ptr_array_add (keys, key);
  g_ptr_array_sort (keys, compare_keys);
  return keys;
}

/* ---- values ---- */

#define DIGEST_TEXT (2 * CAU_SHA256_LEN + 1)

static void
format_digest (const guint8 *sha256, char *text)
{
  for (guint i = 0; i < CAU_SHA256_LEN; i++)
    g_snprintf (text + 2 * i, 3, "%02x", sha256[i]);
}

static void
digest (GBytes *bytes, char *text)
{
  guint8      sha256[EVP_MAX_MD_SIZE];
  gsize       size;
  const void *data = g_bytes_get_data (bytes, &size);

  g_assert_true (EVP_Digest (data, size, sha256, NULL, EVP_sha256 (), NULL));
  format_digest (sha256, text);
}

static char *
value_of (const char *sha256, gsize size, guint32 mode, guint32 uid)
{
  return g_strdup_printf ("%s/%zu %o %u", sha256, size, mode, uid);
}

char *
store_value (GBytes *bytes, guint32 mode, guint32 uid)
{
  char sha256[DIGEST_TEXT] = "-";

  if (bytes != NULL)
    digest (bytes, sha256);
  return value_of (sha256, bytes != NULL ? g_bytes_get_size (bytes) : 0, mode, uid);
}

char *
store_value_replace (const char *old, const char *bytes_of)
{
  return g_strdup_printf ("%.*s%s", (int) strcspn (bytes_of, " "), bytes_of, strchr (old, ' '));
}

char *
store_value_set_attributes (const char *old, guint32 mode, guint32 uid)
{
  return g_strdup_printf ("%.*s %o %u", (int) strcspn (old, " "), old, mode, uid);
}

/* ---- reading a store ---- */

static GBytes *
read_report (CauReader *reader, GError **error)
{
  const CauReportInfo *info = cau_reader_get_info (reader);
  g_autofree guint8   *data = g_malloc (info->size + 1);
  gsize                n_read;

  if (!cau_reader_read (reader, 0, data, info->size + 1, &n_read, error))
    return NULL;
  return g_bytes_new_take (g_steal_pointer (&data), n_read);
}

/* Sets @sha256 to the digest of @bytes, which must be the one that the record has. */
static gboolean
check_record (const CauReportInfo *info, GBytes *bytes, char *sha256, GError **error)
{
  char said[DIGEST_TEXT];

  digest (bytes, sha256);
  format_digest (info->sha256, said);
  if (strcmp (said, sha256) == 0 && info->size == g_bytes_get_size (bytes))
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT, "the bytes of %s are not those of its record",
               info->name);
  return FALSE;
}

static gboolean
add_report (StoreModel *self, CauStore *store, const char *guid, const CauReportInfo *info, GError **error)
{
  g_autofree char *key = g_strdup_printf ("%s/%s", guid, info->name), *value = NULL;
  char             sha256[DIGEST_TEXT];
  g_autoptr (CauReader) reader = NULL;
  g_autoptr (GBytes) bytes = NULL;

  if (info->damaged)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT, "the record of %s is damaged", key);
      return FALSE;
    }
  reader = cau_store_get_report (store, info->orchestrator, info->name, 131072, error);
  bytes = reader != NULL ? read_report (reader, error) : NULL;
  if (bytes == NULL || !check_record (info, bytes, sha256, error))
    {
      g_prefix_error (error, "%s: ", key);
      return FALSE;
    }
  value = value_of (sha256, info->size, info->attributes.mode, info->attributes.uid);
  store_model_set (self, key, value);
  return TRUE;
}

static gboolean
add_orchestrator (StoreModel *self, CauStore *store, const CauOrchestratorInfo *orchestrator, GError **error)
{
  char             guid[CAU_GUID_TEXT_LEN + 1];
  g_autofree char *value = store_value (NULL, orchestrator->attributes.mode, orchestrator->attributes.uid);
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, orchestrator->id, NULL, error);
  g_autoptr (GError) local = NULL;
  const CauReportInfo *info;
  guint64              n = 0;

  if (ids == NULL)
    return FALSE;
  cau_guid_format (&orchestrator->guid, guid);
  store_model_set (self, guid, value);
  for (; (info = cau_report_ids_next (ids, &local)) != NULL; n++)
    if (!add_report (self, store, guid, info, error))
      return FALSE;
  if (local == NULL && n != orchestrator->n_reports)
    g_set_error (&local, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "%s has %" G_GUINT64_FORMAT " reports and counts %" G_GUINT64_FORMAT, guid, n,
                 orchestrator->n_reports);
  if (local == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&local));
  return FALSE;
}

StoreModel *
store_model_read (CauStore *store, GError **error)
{
  g_autoptr (GArray) orchestrators = cau_store_list_orchestrators (store, NULL, 1000, error);
  g_autoptr (StoreModel) self = store_model_new ();

  if (orchestrators == NULL)
    return NULL;
  for (guint i = 0; i < orchestrators->len; i++)
    if (!add_orchestrator (self, store, &g_array_index (orchestrators, CauOrchestratorInfo, i), error))
      return NULL;
  return g_steal_pointer (&self);
}

/* ---- changes ---- */

StoreChange *
store_change_new (void)
{
  StoreChange *self = g_new0 (StoreChange, 1);

  self->end = G_MAXUINT;
  self->keys = g_ptr_array_new_with_free_func (g_free);
  self->values = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
store_change_free (StoreChange *self)
{
  g_ptr_array_unref (self->keys);
  g_ptr_array_unref (self->values);
  g_free (self);
}

void
store_change_set (StoreChange *self, const char *key, const char *value)
{
  g_ptr_array_add (self->keys, g_strdup (key));
  g_ptr_array_add (self->values, g_strdup (value));
}

void
store_model_apply (StoreModel *self, const StoreChange *change)
{
  for (guint i = 0; i < change->keys->len; i++)
    store_model_set (self, g_ptr_array_index (change->keys, i), g_ptr_array_index (change->values, i));
}

static gboolean
is_done (const StoreChange *change, StoreModel *actual)
{
  for (guint i = 0; i < change->keys->len; i++)
    if (g_strcmp0 (store_model_get (actual, g_ptr_array_index (change->keys, i)), g_ptr_array_index (change->values, i))
        != 0)
      return FALSE;
  return TRUE;
}

static char *
describe (const char *key, const char *expected, const char *actual)
{
  return g_strdup_printf ("%s is %s, where %s was due", key, actual != NULL ? actual : "absent",
                          expected != NULL ? expected : "nothing");
}

static char *
find_difference (StoreModel *expected, StoreModel *actual)
{
  GHashTableIter iter;
  gpointer       key, value;

  g_hash_table_iter_init (&iter, expected->values);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (g_strcmp0 (value, store_model_get (actual, key)) != 0)
      return describe (key, value, store_model_get (actual, key));
  g_hash_table_iter_init (&iter, actual->values);
  while (g_hash_table_iter_next (&iter, &key, &value))
    if (store_model_get (expected, key) == NULL)
      return describe (key, NULL, value);
  return NULL;
}

/* A change that is not wholly done must not be done at all: what differs from the rest then is found. */
char *
store_model_compare (StoreModel *self, GPtrArray *maybe, StoreModel *actual)
{
  g_autoptr (StoreModel) expected = store_model_copy (self);

  for (guint i = 0; maybe != NULL && i < maybe->len; i++)
    if (is_done (g_ptr_array_index (maybe, i), actual))
      store_model_apply (expected, g_ptr_array_index (maybe, i));
  return find_difference (expected, actual);
}
