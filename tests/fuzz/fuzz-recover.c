/* SPDX-License-Identifier: MIT */
/* Saving what is left of a damaged store, which reads its file page by page without SQLite: the input says how the file is changed. */

#include "fuzz-store.h"

#include "base-contents.h"
#include "cau-check.h"

#include <stdio.h>
#include <string.h>

static GByteArray *base;
static char       *new_path;

int
LLVMFuzzerInitialize (int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
  base = base_load ("base-store");
  store_init ();
  new_path = g_strconcat (store_path (), ".new", NULL);
  return 0;
}

static void
remove_new (void)
{
  static const char *const suffixes[] = { "", "-wal", "-shm", "-pins" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = g_strconcat (new_path, suffixes[i], NULL);

      remove (path);
    }
}

typedef struct
{
  guint64 n_good, n_damaged;
} Found;

static void
take_finding (const CauFinding *finding, gpointer user_data)
{
  Found *found = user_data;

  fuzz_check ((finding->problem == NULL) == (finding->kind == CAU_FINDING_GOOD));
  fuzz_check (finding->problem == NULL || strchr (finding->problem, '\n') == NULL);
  fuzz_check (finding->name == NULL || cau_report_name_validate (finding->name, NULL));
  found->n_good += finding->kind == CAU_FINDING_GOOD;
  found->n_damaged += finding->kind == CAU_FINDING_DAMAGED;
}

/* Whether @data is at @offset in a version that some name ever led to. */
static gboolean
is_piece_of_any (guint64 offset, const guint8 *data, gsize length)
{
  for (guint i = 0; i < n_base_versions; i++)
    {
      g_autoptr (GBytes) bytes = NULL;

      if (offset > base_versions[i].size || length > base_versions[i].size - offset)
        continue;
      bytes = base_bytes (base_versions[i].seed, (gsize) offset, (gsize) offset + length);
      if (memcmp (g_bytes_get_data (bytes, NULL), data, length) == 0)
        return TRUE;
    }
  return FALSE;
}

static void
take_piece (const CauFinding *finding G_GNUC_UNUSED, guint64 offset, gconstpointer data, gsize length,
            gpointer user_data G_GNUC_UNUSED)
{
  if (length > 0)
    fuzz_check (is_piece_of_any (offset, data, length));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  FuzzInput input = { data, size };
  g_autoptr (GByteArray) db = g_byte_array_new ();
  Found           found = { 0 };
  CauCheckFuncs   funcs = { .found = take_finding, .piece = take_piece, .user_data = &found };
  CauCheckSummary summary = { 0 };

  g_byte_array_append (db, base->data, base->len);
  mutate_bytes (db, &input);
  store_place (db, NULL);
  remove_new ();
  if (!fuzz_result (cau_store_recover (store_path (), new_path, &funcs, &summary, &error), &error, CAU_STORE_ERROR))
    {
      fuzz_check (!g_file_test (new_path, G_FILE_TEST_EXISTS));
      return 0;
    }
  fuzz_check (found.n_good == summary.n_good && found.n_damaged == summary.n_damaged);
  /* An orchestrator whose GUID is lost gets another. */
  fuzz_check (store_count_good (new_path, STORE_KNOWN_BYTES | STORE_LOST_GUIDS) == summary.n_good);
  return 0;
}
