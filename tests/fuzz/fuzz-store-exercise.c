/* SPDX-License-Identifier: MIT */
#include "fuzz-store.h"

#include "base-contents.h"
#include "cau-check.h"

#include <stdlib.h>
#include <string.h>

/* No base has as many; a listing that goes in circles has more. */
#define MANY 2000

/* Bounds on what a store says: see cau-store.h and docs/store-format.md. */
#define ID_END (G_GUINT64_CONSTANT (1) << 62)
#define SIZE_MAX_REPORT (G_GUINT64_CONSTANT (1) << 40)

/* Of a report that says it is larger, only the ends are read. */
#define READ_WHOLE_MAX ((guint64) 1 << 20)

typedef struct
{
  CauStore  *store;
  StoreRules rules;
  CauGuid    guid; /* of the orchestrator at hand */
  guint64    id;
} Exercise;

#define RESULT(call) fuzz_result ((call), &error, CAU_STORE_ERROR)

static void
check_info (const CauReportInfo *info)
{
  fuzz_check (info->version > 0 && info->version < ID_END && info->report > 0 && info->report < ID_END);
  fuzz_check (info->size <= SIZE_MAX_REPORT && (info->attributes.mode & ~07777u) == 0);
  if (info->name != NULL)
    fuzz_check (cau_report_name_validate (info->name, NULL));
}

static void
read_at (CauReader *reader, guint64 offset, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *data = g_malloc (length);
  guint64            size = cau_reader_get_info (reader)->size;
  gsize              n_read = 0;

  if (RESULT (cau_reader_read (reader, offset, data, length, &n_read, &error)))
    fuzz_check (n_read == (offset < size ? MIN (length, size - offset) : 0));
}

static void
read_whole (const Exercise *self, CauReader *reader, const char *name)
{
  g_autoptr (GError) error = NULL;
  gsize              size = (gsize) cau_reader_get_info (reader)->size;
  g_autofree guint8 *data = g_malloc (size + 1);
  gsize              n_read = 0;

  if (!RESULT (cau_reader_read (reader, 0, data, size + 1, &n_read, &error)))
    return;
  fuzz_check (n_read == size);
  if (self->rules & STORE_KNOWN_BYTES)
    fuzz_check (base_has_version (self->rules & STORE_LOST_GUIDS ? NULL : &self->guid, name, data, size));
}

static void
read_report (const Exercise *self, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = cau_store_get_report (self->store, self->id, name, 50000, &error);
  guint64 size;

  if (!RESULT (reader != NULL))
    return;
  check_info (cau_reader_get_info (reader));
  size = cau_reader_get_info (reader)->size;
  if (size <= READ_WHOLE_MAX)
    read_whole (self, reader, name);
  read_at (reader, 100, 1000);
  read_at (reader, size - MIN (size, 70000), 70001);
  read_at (reader, size / 2, 200000);
}

static void
list_reports (const Exercise *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (self->store, self->id, NULL, &error);
  g_autofree char     *name = NULL;
  const CauReportInfo *info;
  guint                n = 0;

  if (!RESULT (ids != NULL))
    return;
  while ((info = cau_report_ids_next (ids, &error)) != NULL)
    {
      fuzz_check (++n < MANY);
      fuzz_check (info->name != NULL && info->orchestrator == self->id);
      fuzz_check (cau_report_name_validate (info->name, NULL));
      g_free (name);
      name = g_strdup (info->name);
      if (!info->damaged)
        check_info (info);
      read_report (self, name);
    }
  RESULT (error == NULL);
}

/* ---- changes ---- */

/* What was saved reads back, unless an error says that it does not. */
static void
check_saved (const Exercise *self, const char *name, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = cau_store_get_report (self->store, self->id, name, 1000, &error);
  gsize              size = g_bytes_get_size (bytes);
  g_autofree guint8 *data = g_malloc (size + 1);
  gsize              n_read = 0;

  if (!RESULT (reader != NULL) || !RESULT (cau_reader_read (reader, 0, data, size + 1, &n_read, &error)))
    {
      fuzz_check ((self->rules & STORE_KEEPS_WHAT_IS_SAVED) == 0);
      return;
    }
  fuzz_check (n_read == size && (size == 0 || memcmp (data, g_bytes_get_data (bytes, NULL), size) == 0));
}

/* Borrowed. */
static GBytes *
bytes_to_save (void)
{
  static GBytes *bytes;

  if (bytes == NULL)
    bytes = base_bytes (99, 0, 140000);
  return bytes;
}

static void
save_report (const Exercise *self, const char *name, GBytes *bytes, CauUploadFlags flags)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = { .mode = 0600 };
  g_autoptr (CauUpload) upload = cau_store_begin_upload (self->store, self->id, name, flags, &attributes, &error);

  if (!RESULT (upload != NULL)
      || !RESULT (cau_upload_write (upload, 0, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &error))
      || !RESULT (cau_upload_truncate (upload, g_bytes_get_size (bytes), &error))
      || !RESULT (cau_upload_commit (upload, NULL, &error)))
    return;
  check_saved (self, name, bytes);
}

static void
append_to_report (const Exercise *self, const char *name)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = { .mode = 0600 };
  g_autoptr (CauUpload) upload = cau_store_begin_upload (self->store, self->id, name, 0, &attributes, &error);

  if (RESULT (upload != NULL) && RESULT (cau_upload_append (upload, "more", 4, &error)))
    RESULT (cau_upload_commit (upload, NULL, &error));
}

static void
change_names (const Exercise *self)
{
  static const struct
  {
    const char   *from, *to;
    CauRenameMode mode;
  } renames[] = { { "saved", "renamed", CAU_RENAME_REPLACE },
                  { "large.xml", "replaced", CAU_RENAME_EXCHANGE },
                  { "zeros", "empty", CAU_RENAME_REPLACE },
                  { "a", "b", CAU_RENAME_NO_REPLACE } };
  static const char *const removed[] = { "renamed", "replaced", "grows.log", "e" };
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (renames); i++)
    RESULT (cau_store_rename_report (self->store, self->id, renames[i].from, self->id, renames[i].to, renames[i].mode,
                                     &error));
  for (guint i = 0; i < G_N_ELEMENTS (removed); i++)
    RESULT (cau_store_remove_report (self->store, self->id, removed[i], &error));
}

static void
change_orchestrator (const Exercise *self)
{
  g_autoptr (GBytes) nothing = g_bytes_new (NULL, 0);

  save_report (self, "saved", bytes_to_save (), CAU_UPLOAD_TRUNCATE);
  save_report (self, "saved empty", nothing, CAU_UPLOAD_TRUNCATE);
  save_report (self, "one chunk", bytes_to_save (), 0);
  append_to_report (self, "grows.log");
  append_to_report (self, "c");
  change_names (self);
}

/* ---- the store ---- */

static GArray *
list_orchestrators (CauStore *store)
{
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (CauOrchestratorInfo));
  CauGuid after;

  for (;;)
    {
      g_autoptr (GError) error = NULL;
      g_autoptr (GArray) page = cau_store_list_orchestrators (store, all->len > 0 ? &after : NULL, 2, &error);

      if (!RESULT (page != NULL) || page->len == 0)
        return g_steal_pointer (&all);
      g_array_append_vals (all, page->data, page->len);
      fuzz_check (all->len < MANY);
      after = g_array_index (page, CauOrchestratorInfo, page->len - 1).guid;
    }
}

/* ---- verify ---- */

static void
take_finding (const CauFinding *finding, gpointer user_data)
{
  guint64 *n_good = user_data;

  fuzz_check ((finding->problem == NULL) == (finding->kind == CAU_FINDING_GOOD));
  fuzz_check (finding->problem == NULL || strchr (finding->problem, '\n') == NULL);
  *n_good += finding->kind == CAU_FINDING_GOOD;
}

static guint64
verify (CauStore *store, gboolean *is_sound)
{
  g_autoptr (GError) error = NULL;
  guint64         n_good = 0;
  CauCheckFuncs   funcs = { .found = take_finding, .user_data = &n_good };
  CauCheckSummary summary = { 0 };

  *is_sound = FALSE;
  if (!RESULT (cau_store_verify (store, NULL, NULL, &funcs, &summary, &error)))
    return 0;
  fuzz_check (n_good == summary.n_good);
  *is_sound = summary.n_damaged == 0 && summary.n_store == 0;
  return n_good;
}

guint64
store_count_good (const char *path, StoreRules rules)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (path, CAU_STORE_OPEN_READ_ONLY, &error);
  g_autoptr (GArray) orchestrators = NULL;
  gboolean is_sound;
  guint64  n;

  fuzz_check (store != NULL);
  n = verify (store, &is_sound);
  fuzz_check (is_sound);
  orchestrators = list_orchestrators (store);
  for (guint i = 0; i < orchestrators->len; i++)
    {
      const CauOrchestratorInfo *info = &g_array_index (orchestrators, CauOrchestratorInfo, i);
      Exercise                   exercise = { store, rules, info->guid, info->id };

      list_reports (&exercise);
    }
  return n;
}

static void
exercise_all (CauStore *store, StoreRules rules)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GArray) orchestrators = list_orchestrators (store);
  CauStoreStat stat;
  gboolean     is_sound;

  RESULT (cau_store_stat (store, &stat, &error));
  if (cau_store_is_read_only (store))
    verify (store, &is_sound);
  for (guint i = 0; i < orchestrators->len; i++)
    {
      const CauOrchestratorInfo *info = &g_array_index (orchestrators, CauOrchestratorInfo, i);
      Exercise                   exercise = { store, rules, info->guid, info->id };

      fuzz_check (info->id > 0 && info->id < ID_END);
      list_reports (&exercise);
      if (!cau_store_is_read_only (store))
        change_orchestrator (&exercise);
    }
  if (!cau_store_is_read_only (store))
    {
      RESULT (cau_store_collect (store, NULL, &error));
      RESULT (cau_store_sync (store, &error));
    }
}

static void
exercise_opened (CauStoreOpenFlags flags, StoreRules rules)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (store_path (), flags, &error);

  if (RESULT (store != NULL))
    exercise_all (store, rules);
}

void
store_exercise (StoreRules rules)
{
  exercise_opened (CAU_STORE_OPEN_READ_ONLY, rules);
  exercise_opened (0, rules);
}
