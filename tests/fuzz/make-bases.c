/* SPDX-License-Identifier: MIT */
/* Makes the files in bases/ anew, in the folder of its argument: for a new store format. Inputs of fuzz-store and fuzz-wal that were kept
 * mean other bytes then. */

#include "base-contents.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

static void
need (gboolean ok, const GError *error)
{
  if (ok)
    return;
  fprintf (stderr, "make-bases: %s\n", error != NULL ? error->message : "failed");
  exit (EXIT_FAILURE);
}

static guint64
find_or_make_orchestrator (CauStore *store, const char *text)
{
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = { .mode = 0755 };
  CauOrchestratorInfo info;
  CauGuid             guid;

  need (cau_guid_parse (text, &guid, &error), error);
  if (!cau_store_find_orchestrator (store, &guid, &info, NULL))
    need (cau_store_create_orchestrator (store, &guid, &attributes, &info, &error), error);
  return info.id;
}

static void
save (CauStore *store, guint index)
{
  g_autoptr (GError) error = NULL;
  const BaseVersion *version = &base_versions[index];
  CauAttributes      attributes = { .mode = 0644, .uid = 1000, .gid = 1000 };
  guint64            id = find_or_make_orchestrator (store, base_guids[version->orchestrator]);
  gsize              from = version->appends ? base_versions[index - 1].size : 0;
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (CauUpload) upload =
    cau_store_begin_upload (store, id, version->name, version->appends ? 0 : CAU_UPLOAD_TRUNCATE, &attributes, &error);
  CauUploadState state;

  need (upload != NULL, error);
  cau_upload_get_state (upload, &state);
  from = version->appends ? (gsize) state.size : 0;
  bytes = base_bytes (version->seed, from, version->size);
  need (cau_upload_write (upload, from, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), &error), error);
  need (cau_upload_commit (upload, NULL, &error), error);
}

/* Packs @from into @folder. */
static void
pack (const char *from, const char *folder, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *to = g_strdup_printf ("%s/%s.zst", folder, name);
  g_autofree char *data = NULL;
  g_autofree char *packed = NULL;
  gsize            size, packed_size;

  need (g_file_get_contents (from, &data, &size, &error), error);
  packed = g_malloc (ZSTD_compressBound (size));
  packed_size = ZSTD_compress (packed, ZSTD_compressBound (size), data, size, ZSTD_maxCLevel ());
  need (!ZSTD_isError (packed_size) && g_file_set_contents (to, packed, (gssize) packed_size, &error), error);
}

static CauStore *
open_store (const char *path, CauStoreOpenFlags flags)
{
  g_autoptr (GError) error = NULL;
  CauStore *store = cau_store_open (path, flags, &error);

  need (store != NULL, error);
  return store;
}

static void
remove_one (CauStore *store)
{
  g_autoptr (GError) error = NULL;
  const BaseVersion *version = &base_versions[base_removed];
  guint64            id = find_or_make_orchestrator (store, base_guids[version->orchestrator]);

  need (cau_store_remove_report (store, id, version->name, &error), error);
}

/* All of the versions, and one removed: closed, without a log. */
static void
make_closed (const char *path, const char *folder)
{
  CauStore *store = open_store (path, CAU_STORE_OPEN_CREATE);

  for (guint i = 0; i < n_base_versions; i++)
    save (store, i);
  find_or_make_orchestrator (store, base_guids[n_base_guids - 1]);
  remove_one (store);
  cau_store_unref (store);
  pack (path, folder, "base-store");
}

/* The last versions in the log only, and an upload that never ended. */
static void
make_with_log (const char *path, const char *folder)
{
  CauStore        *store = open_store (path, CAU_STORE_OPEN_CREATE);
  g_autofree char *wal = g_strconcat (path, "-wal", NULL);

  for (guint i = 0; i < n_base_checkpointed; i++)
    save (store, i);
  cau_store_unref (store);
  store = open_store (path, 0);
  for (guint i = n_base_checkpointed; i < n_base_versions; i++)
    save (store, i);
  remove_one (store);
  pack (path, folder, "base-wal");
  pack (wal, folder, "base-wal-log");
  cau_store_unref (store);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *temporary = NULL;
  g_autofree char *closed = NULL;
  g_autofree char *with_log = NULL;

  if (argc != 2)
    {
      fputs ("usage: make-bases FOLDER\n", stderr);
      return 2;
    }
  temporary = g_dir_make_tmp ("cau-bases-XXXXXX", &error);
  need (temporary != NULL, error);
  closed = g_build_filename (temporary, "closed.db", NULL);
  with_log = g_build_filename (temporary, "with-log.db", NULL);
  make_closed (closed, argv[1]);
  make_with_log (with_log, argv[1]);
  printf ("%s can go now\n", temporary);
  return EXIT_SUCCESS;
}
