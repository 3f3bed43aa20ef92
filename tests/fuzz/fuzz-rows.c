/* SPDX-License-Identifier: MIT */
/* A store that somebody made with malice: its rows have the right checksums and say what no caufs ever wrote. The input says which rows, and
 * which statements that change the schema. */

#include "fuzz-store.h"

#include "cau-backend.h"
#include "sqlite-chunks.h"
#include "sqlite-rows.h"
#include "sqlite-vfs.h"

#include <string.h>
#include <xxhash.h>

/* Steps of SQLite's machine after which a statement of the input is given up. */
#define STEPS_MAX 20000

static GByteArray *base;

int
LLVMFuzzerInitialize (int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
  base = base_load ("base-store");
  store_init ();
  return 0;
}

/* Small ones meet those that are there; the others are beyond what is possible. */
static guint64
take_number (FuzzInput *input)
{
  guint8 kind = fuzz_input_byte (input);

  switch (kind >> 6)
    {
    case 0:
      return kind & 63;
    case 1:
      return fuzz_input_number (input, 2);
    case 2:
      return fuzz_input_number (input, 8);
    default:
      return (G_GUINT64_CONSTANT (1) << (kind & 63)) - (fuzz_input_byte (input) & 1);
    }
}

static void
put_version (CauDb *db, FuzzInput *input)
{
  CauReportInfo    info = CAU_REPORT_INFO_INIT;
  gsize            length;
  const guint8    *name;
  g_autofree char *text = NULL;

  info.version = take_number (input);
  info.report = take_number (input);
  info.orchestrator = take_number (input);
  info.size = take_number (input);
  info.stored_size = take_number (input);
  info.seed = fuzz_input_byte (input);
  info.saved = (CauDatetime) take_number (input);
  info.attributes.mode = (guint32) take_number (input);
  info.attributes.mtime = (gint64) take_number (input);
  name = fuzz_input_bytes (input, 255, &length);
  info.name = text = fuzz_text (name, length);
  if (!cau_row_insert_version (db, &info, NULL))
    (void) cau_row_update_version (db, &info, NULL);
}

static void
put_chunk (CauDb *db, FuzzInput *input)
{
  guint64        version = take_number (input);
  CauStoredChunk chunk = { .number = take_number (input) };
  guint64        seed = fuzz_input_byte (input);
  gsize          length;
  const guint8  *data = fuzz_input_bytes (input, 255, &length);
  GPtrArray     *chunks = g_ptr_array_new ();

  if (length > 0)
    chunk.data = g_bytes_new (data, length);
  chunk.checksum = XXH3_64bits_withSeed (length > 0 ? data : NULL, length, seed + chunk.number);
  g_ptr_array_add (chunks, &chunk);
  (void) cau_chunks_insert (db, version, chunks, NULL);
  g_ptr_array_unref (chunks);
  g_clear_pointer (&chunk.data, g_bytes_unref);
}

static void
put_inherited (CauDb *db, FuzzInput *input)
{
  gint64 version = (gint64) take_number (input), number = (gint64) take_number (input);
  gint64 chunk = (gint64) (take_number (input) * 8388608 + (guint64) number);

  (void) cau_db_run (db, NULL, "REPLACE INTO inherited (version, number, chunk) VALUES (?1, ?2, ?3)", "iii", version,
                     number, chunk);
}

static void
put_orchestrator (CauDb *db, FuzzInput *input)
{
  CauOrchestratorInfo info = { 0 };
  gint64              sequence = (gint64) take_number (input);

  (void) cau_db_run (db, NULL, "UPDATE sqlite_sequence SET seq = ?1", "i", sequence);
  for (guint i = 0; i < sizeof info.guid.bytes; i += 4)
    memset (info.guid.bytes + i, fuzz_input_byte (input), 4);
  info.attributes.mode = (guint32) take_number (input);
  (void) cau_row_insert_orchestrator (db, &info, (fuzz_input_byte (input) & 1) != 0, NULL);
}

static void
set_counts (CauDb *db, FuzzInput *input)
{
  gint64 id = (gint64) take_number (input), n_reports = (gint64) take_number (input);
  gint64 last_version = (gint64) take_number (input);

  (void) cau_db_run (db, NULL, "UPDATE orchestrators SET n_reports = ?2, last_version = ?3 WHERE id = ?1", "iii", id,
                     n_reports, last_version);
}

static void
delete_row (CauDb *db, FuzzInput *input)
{
  guint8 table = fuzz_input_byte (input);
  gint64 id = (gint64) take_number (input);

  if (table % 3 == 0)
    (void) cau_db_run (db, NULL, "DELETE FROM versions WHERE id = ?1", "i", id);
  else if (table % 3 == 1)
    (void) cau_db_run (db, NULL, "DELETE FROM chunks WHERE id / 8388608 = ?1", "i", id);
  else
    (void) cau_db_run (db, NULL, "DELETE FROM orchestrators WHERE id = ?1", "i", id);
}

/* Nothing that would reach another file, or wait. */
static int
authorize (void *data G_GNUC_UNUSED, int action, const char *a G_GNUC_UNUSED, const char *b G_GNUC_UNUSED,
           const char *c G_GNUC_UNUSED, const char *d G_GNUC_UNUSED)
{
  switch (action)
    {
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_PRAGMA:
    case SQLITE_TRANSACTION:
    case SQLITE_CREATE_VTABLE:
      return SQLITE_DENY;
    default:
      return SQLITE_OK;
    }
}

static int
give_up (void *data)
{
  return ++*(guint *) data > 1;
}

static void
run_statement (CauDb *db, FuzzInput *input)
{
  sqlite3         *handle = cau_db_get_handle (db);
  gsize            length;
  const guint8    *bytes = fuzz_input_bytes (input, 255, &length);
  g_autofree char *sql = fuzz_text (bytes, length);
  guint            n_periods = 0;

  sqlite3_limit (handle, SQLITE_LIMIT_LENGTH, 1 << 20);
  sqlite3_set_authorizer (handle, authorize, NULL);
  sqlite3_progress_handler (handle, STEPS_MAX, give_up, &n_periods);
  sqlite3_exec (handle, sql, NULL, NULL, NULL);
  sqlite3_progress_handler (handle, 0, NULL, NULL);
  sqlite3_set_authorizer (handle, NULL, NULL);
}

static void
forge (CauDb *db, FuzzInput *input)
{
  static void (*const steps[]) (CauDb *, FuzzInput *) = { put_version, put_chunk,  put_inherited, put_orchestrator,
                                                          set_counts,  delete_row, run_statement };

  (void) cau_db_exec (db, "PRAGMA foreign_keys=OFF; PRAGMA synchronous=OFF; PRAGMA ignore_check_constraints=ON", NULL);
  (void) cau_db_exec (db, "BEGIN", NULL);
  for (guint n = 0; input->left > 0 && n < 64; n++)
    steps[fuzz_input_byte (input) % G_N_ELEMENTS (steps)](db, input);
  (void) cau_db_exec (db, "COMMIT", NULL);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  CauDb    *db;

  store_place (base, NULL);
  db = cau_db_open (store_path (), CAU_DB_WRITE, NULL);
  fuzz_check (db != NULL);
  forge (db, &input);
  cau_db_close (db);
  store_exercise (STORE_KEEPS_WHAT_IS_SAVED);
  return 0;
}
