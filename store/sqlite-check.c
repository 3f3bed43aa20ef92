/* SPDX-License-Identifier: MIT */
/* What a store's tables and indexes say, read on past damage. A row that cannot be reached one way may be reached another. */
#include "cau-check-private.h"
#include "sqlite-backend.h"
#include "sqlite-rows.h"

#include <string.h>

/* Rows read at a time: no transaction stays open while they are looked at. */
#define PAGE_ROWS 256

/* Above every id. */
#define ID_END (G_GUINT64_CONSTANT (1) << 40)

/* Failures to read on from one place, after which it is passed over. SQLite finds fault with a page when it meets it first, and gives
 * what is right of it from then on; there may be several on the way to a row. */
#define TRIES_MAX 4

/* Lines of SQLite's own check. */
#define LINES_MAX 100

/* TRUE when @local is no error, or tells of damage, which is cleared. */
static gboolean
tolerate_damage (GError **local, GError **error)
{
  if (*local == NULL || cau_error_is_damage (*local))
    {
      g_clear_error (local);
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (local));
  return FALSE;
}

/* ---- rows by id ---- */

/* Appends the rows after the id @after, at most @max, to @rows. Those before damage are there also when it fails. */
typedef gboolean (*ReadRows) (CauBackend *backend, guint64 after, guint max, GArray *rows, GError **error);

static gboolean
read_versions (CauBackend *backend, guint64 after, guint max, GArray *rows, GError **error)
{
  g_auto (CauLease) lease = { 0 };
  g_autoptr (CauStmt) stmt = NULL;

  if (!cau_lease_take (&lease, backend, error))
    return FALSE;
  stmt = cau_db_bind (lease.db, error,
                      "SELECT " CAU_VERSION_COLUMNS " FROM versions NOT INDEXED WHERE id > ?1 ORDER BY id LIMIT ?2",
                      "ii", (gint64) after, (gint64) max);
  while (stmt != NULL)
    {
      CauReportInfo info = CAU_REPORT_INFO_INIT;
      gboolean      done;

      if (!cau_stmt_step (stmt, &done, error))
        return FALSE;
      if (done)
        return TRUE;
      if (!cau_row_get_version (stmt, &info, NULL))
        {
          cau_report_info_clear (&info);
          info.version = (guint64) sqlite3_column_int64 (stmt, 0);
          info.damaged = TRUE;
        }
      g_array_append_val (rows, info);
    }
  return FALSE;
}

static gboolean
can_read_after (CauBackend *backend, ReadRows read, guint64 after)
{
  g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (CauReportInfo));

  g_array_set_clear_func (rows, (GDestroyNotify) cau_report_info_clear);
  for (guint i = 0; i < TRIES_MAX; i++)
    if (read (backend, after, 1, rows, NULL))
      return TRUE;
  return FALSE;
}

/* The least id after @bad, more or less, from which rows can be read again; ID_END: there is none. */
static guint64
skip_damage (CauBackend *backend, ReadRows read, guint64 bad)
{
  guint64 good = bad;

  for (guint64 step = 1; good < ID_END; step *= 2)
    {
      good = bad + step;
      if (can_read_after (backend, read, good))
        break;
      bad = good;
    }
  while (bad + 1 < good)
    {
      guint64 middle = bad + (good - bad) / 2;

      if (can_read_after (backend, read, middle))
        good = middle;
      else
        bad = middle;
    }
  return good;
}

gboolean
cau_sqlite_scan_versions (CauBackend *backend, CauRecordedFunc use, gpointer user_data, GError **error)
{
  guint64 after = 0;
  guint   n_tries = 0;

  while (after < ID_END)
    {
      g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (CauReportInfo));
      g_autoptr (GError) local = NULL;
      gboolean ok;

      g_array_set_clear_func (rows, (GDestroyNotify) cau_report_info_clear);
      ok = read_versions (backend, after, PAGE_ROWS, rows, &local);
      if (!tolerate_damage (&local, error))
        return FALSE;
      for (guint i = 0; i < rows->len; i++)
        if (!use (&g_array_index (rows, CauReportInfo, i), user_data, error))
          return FALSE;
      if (ok && rows->len < PAGE_ROWS)
        return TRUE;
      n_tries = rows->len > 0 ? 0 : n_tries + 1;
      if (rows->len > 0)
        /* Damage can bring ids that do not rise. */
        after = MAX (after + 1, g_array_index (rows, CauReportInfo, rows->len - 1).version);
      else if (n_tries >= TRIES_MAX)
        after = skip_damage (backend, read_versions, after);
    }
  return TRUE;
}

/* ---- orchestrators ---- */

/* What says which GUID an orchestrator has, the best last. */
typedef enum
{
  SAID_BY_DAMAGED_RECORD,
  SAID_BY_INDEX,
  SAID_BY_RECORD,
} SaidBy;

typedef struct
{
  CauOrchestratorInfo info; /* id and GUID */
  SaidBy              said_by;
} KnownOrchestrator;

/* Takes the row that @stmt stands on: id, GUID, and the checksum of its record unless the index was read. */
static void
take_orchestrator (CauStmt *stmt, GHashTable *known)
{
  KnownOrchestrator        found = { .info.id = (guint64) sqlite3_column_int64 (stmt, 0), .said_by = SAID_BY_INDEX };
  const KnownOrchestrator *other = g_hash_table_lookup (known, &found.info.id);

  if (sqlite3_column_bytes (stmt, 1) != sizeof found.info.guid.bytes || sqlite3_column_int64 (stmt, 0) <= 0)
    return;
  memcpy (found.info.guid.bytes, sqlite3_column_blob (stmt, 1), sizeof found.info.guid.bytes);
  if (sqlite3_column_count (stmt) > 2)
    found.said_by = cau_row_check_orchestrator (&found.info, sqlite3_column_int64 (stmt, 2)) ? SAID_BY_RECORD
                                                                                             : SAID_BY_DAMAGED_RECORD;
  if (other == NULL || other->said_by < found.said_by)
    {
      KnownOrchestrator *copy = g_memdup2 (&found, sizeof found);

      g_hash_table_replace (known, &copy->info.id, copy);
    }
}

/* Takes what @sql gives before damage. */
static gboolean
take_orchestrators (CauBackend *backend, const char *sql, GHashTable *known, GError **error)
{
  g_auto (CauLease) lease = { 0 };
  g_autoptr (CauStmt) stmt = NULL;
  g_autoptr (GError) local = NULL;
  gboolean done = FALSE;

  if (!cau_lease_take (&lease, backend, error))
    return FALSE;
  stmt = cau_db_bind (lease.db, &local, sql, "");
  while (stmt != NULL && cau_stmt_step (stmt, &done, &local) && !done)
    take_orchestrator (stmt, known);
  return tolerate_damage (&local, error);
}

static gint
compare_orchestrators (gconstpointer a, gconstpointer b)
{
  return cau_compare_u64 (((const CauOrchestratorInfo *) a)->id, ((const CauOrchestratorInfo *) b)->id);
}

GArray *
cau_sqlite_scan_orchestrators (CauBackend *backend, GError **error)
{
  /* The index has all that the last two ask for, and is used for them. */
  static const char *const ways[] = {
    "SELECT id, guid, checksum FROM orchestrators NOT INDEXED ORDER BY id",
    "SELECT id, guid, checksum FROM orchestrators NOT INDEXED ORDER BY id DESC",
    "SELECT id, guid FROM orchestrators WHERE guid >= x'' ORDER BY guid",
    "SELECT id, guid FROM orchestrators WHERE guid >= x'' ORDER BY guid DESC",
  };
  g_autoptr (GHashTable) known = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
  g_autoptr (GArray) list = NULL;
  GHashTableIter iter;
  gpointer       found;

  for (guint i = 0; i < G_N_ELEMENTS (ways); i++)
    if (!take_orchestrators (backend, ways[i], known, error))
      return NULL;
  list = g_array_sized_new (FALSE, FALSE, sizeof (CauOrchestratorInfo), g_hash_table_size (known));
  g_hash_table_iter_init (&iter, known);
  while (g_hash_table_iter_next (&iter, NULL, &found))
    g_array_append_vals (list, &((KnownOrchestrator *) found)->info, 1);
  g_array_sort (list, compare_orchestrators);
  return g_steal_pointer (&list);
}

/* ---- names ---- */

/* What differs between the two ways through the index of names. */
#define NAMES_FORWARD \
  "SELECT id, name FROM versions INDEXED BY versions_by_name WHERE orchestrator = ?1 AND name > ?2" \
  " ORDER BY name LIMIT ?3"
#define NAMES_FROM_END \
  "SELECT id, name FROM versions INDEXED BY versions_by_name WHERE orchestrator = ?1" \
  " AND name > ?2 ORDER BY name DESC LIMIT ?3"
#define NAMES_BACKWARD \
  "SELECT id, name FROM versions INDEXED BY versions_by_name WHERE orchestrator = ?1 AND name < ?2" \
  " ORDER BY name DESC LIMIT ?3"

static gboolean
read_names (CauBackend *backend, const char *sql, guint64 id, const char *from, GArray *rows, GError **error)
{
  g_auto (CauLease) lease = { 0 };
  g_autoptr (CauStmt) stmt = NULL;

  if (!cau_lease_take (&lease, backend, error))
    return FALSE;
  stmt = cau_db_bind (lease.db, error, sql, "iti", (gint64) id, from, (gint64) PAGE_ROWS);
  while (stmt != NULL)
    {
      CauReportInfo info = CAU_REPORT_INFO_INIT;
      gboolean      done;

      if (!cau_stmt_step (stmt, &done, error))
        return FALSE;
      if (done)
        return TRUE;
      info.version = (guint64) sqlite3_column_int64 (stmt, 0);
      info.orchestrator = id;
      info.name = g_strdup ((const char *) sqlite3_column_text (stmt, 1));
      if (info.name != NULL)
        g_array_append_val (rows, info);
    }
  return FALSE;
}

typedef struct
{
  CauBackend     *backend;
  guint64         id;
  CauRecordedFunc use;
  gpointer        user_data;
  char           *last;  /* the name that was met last; NULL: none yet */
  gboolean        whole; /* no damage was met so far */
} NameWalk;

/* Hands on @rows, which must be on one side of what was met before, and of @limit: damage can bring names out of order, and then they
 * would never end. *@more: there may be more. */
static gboolean
use_names (NameWalk *self, GArray *rows, int sign, const char *limit, gboolean *more, GError **error)
{
  *more = self->whole && rows->len == PAGE_ROWS;
  for (guint i = 0; i < rows->len; i++)
    {
      const CauReportInfo *info = &g_array_index (rows, CauReportInfo, i);

      if ((self->last != NULL && strcmp (info->name, self->last) * sign <= 0)
          || (limit != NULL && strcmp (info->name, limit) <= 0))
        {
          *more = self->whole = FALSE;
          return TRUE;
        }
      if (!self->use (info, self->user_data, error))
        return FALSE;
      g_free (self->last);
      self->last = g_strdup (info->name);
    }
  return TRUE;
}

/* Goes through names one way, up (@sign 1) or down (-1) to @limit, or to damage. */
static gboolean
walk_names (NameWalk *self, int sign, const char *limit, GError **error)
{
  gboolean more = TRUE;

  self->whole = TRUE;
  while (more)
    {
      const char      *sql = sign > 0 ? NAMES_FORWARD : self->last == NULL ? NAMES_FROM_END : NAMES_BACKWARD;
      g_autofree char *from = g_strdup (self->last != NULL ? self->last : "");
      g_autoptr (GArray) rows = g_array_new (FALSE, FALSE, sizeof (CauReportInfo));
      g_autoptr (GError) local = NULL;

      g_array_set_clear_func (rows, (GDestroyNotify) cau_report_info_clear);
      self->whole = read_names (self->backend, sql, self->id, from, rows, &local);
      if (!tolerate_damage (&local, error) || !use_names (self, rows, sign, limit, &more, error))
        return FALSE;
    }
  return TRUE;
}

gboolean
cau_sqlite_scan_names (CauBackend *backend, guint64 id, CauRecordedFunc use, gpointer user_data, GError **error)
{
  NameWalk         up = { backend, id, use, user_data, NULL, TRUE };
  NameWalk         down = { backend, id, use, user_data, NULL, TRUE };
  gboolean         ok = walk_names (&up, 1, NULL, error);
  g_autofree char *reached = up.last;

  if (!ok || up.whole)
    return ok;
  ok = walk_names (&down, -1, reached, error);
  g_free (down.last);
  return ok;
}

/* ---- SQLite's own check, and what no row tells alone ---- */

typedef struct
{
  CauProblemFunc found;
  gpointer       user_data;
} Teller;

static void
tell (const Teller *teller, CauFindingKind kind, const CauGuid *guid, char *problem)
{
  g_autofree char *line = g_strdelimit (problem, "\n\r\t", ' ');

  teller->found (kind, guid, line, teller->user_data);
}

/* Calls @use with each row of @sql. Damage is told, what @sql was to find out is @what. */
static gboolean
each_row (CauDb *db, const char *sql, const char *what, void (*use) (CauStmt *stmt, gpointer data), gpointer data,
          const Teller *teller, GError **error)
{
  g_autoptr (GError) local = NULL;
  g_autoptr (CauStmt) stmt = cau_db_bind (db, &local, sql, "");
  gboolean done = FALSE;

  while (stmt != NULL && cau_stmt_step (stmt, &done, &local) && !done)
    use (stmt, data);
  if (local != NULL && cau_error_is_damage (local))
    tell (teller, CAU_FINDING_STORE, NULL, g_strdup_printf ("%s: %s", what, local->message));
  return tolerate_damage (&local, error);
}

static void
tell_line (CauStmt *stmt, gpointer data)
{
  const char *line = (const char *) sqlite3_column_text (stmt, 0);

  if (line != NULL && strcmp (line, "ok") != 0)
    tell (data, CAU_FINDING_STORE, NULL, g_strdup_printf ("SQLite: %s", line));
}

static void
tell_count (CauStmt *stmt, gpointer data)
{
  CauGuid guid;

  if (sqlite3_column_bytes (stmt, 0) != sizeof guid.bytes)
    return;
  memcpy (guid.bytes, sqlite3_column_blob (stmt, 0), sizeof guid.bytes);
  tell (data, CAU_FINDING_STORE, &guid,
        g_strdup_printf ("its record counts %lld reports, there are %lld", (long long) sqlite3_column_int64 (stmt, 1),
                         (long long) sqlite3_column_int64 (stmt, 2)));
}

static void
tell_last_version (CauStmt *stmt, gpointer data)
{
  tell (data, CAU_FINDING_STORE, NULL,
        g_strdup_printf ("the record of the store says that %lld is the last version; there is %lld",
                         (long long) sqlite3_column_int64 (stmt, 0), (long long) sqlite3_column_int64 (stmt, 1)));
}

static void
count_unused (CauStmt *stmt, gpointer summary)
{
  ((CauCheckSummary *) summary)->n_unused_chunks = (guint64) sqlite3_column_int64 (stmt, 0);
}

/* clang-format off */
#define WRONG_COUNTS \
  "SELECT guid, n_reports, n FROM" \
  " (SELECT guid, n_reports, (SELECT count(*) FROM versions WHERE orchestrator = o.id) AS n" \
  "   FROM orchestrators AS o WHERE id > 0)" \
  " WHERE n <> n_reports"
#define WRONG_LAST_VERSION \
  "SELECT last_version, last FROM" \
  " (SELECT last_version, max(coalesce((SELECT max(id) FROM versions), 0)," \
  "    coalesce((SELECT max(id) FROM chunks), 0) / 8388608) AS last FROM orchestrators WHERE id = 0)" \
  " WHERE last_version < last OR last_version >= 1099511627775"
/* Chunks whose version is gone or has become shorter, and that no other version has taken over. */
#define UNUSED_CHUNKS \
  "SELECT count(*) FROM chunks LEFT JOIN versions ON versions.id = chunks.id / 8388608" \
  " WHERE (versions.id IS NULL" \
  "   OR (versions.name IS NOT NULL AND chunks.id % 8388608 >= (versions.size + 131071) / 131072))" \
  "  AND chunks.id NOT IN (SELECT chunk FROM inherited)"
/* clang-format on */

gboolean
cau_sqlite_check (CauBackend *backend, CauCheckSummary *summary, CauProblemFunc found, gpointer user_data,
                  GError **error)
{
  g_auto (CauLease) lease = { 0 };
  Teller teller = { found, user_data };

  return cau_lease_take (&lease, backend, error)
         && each_row (lease.db, "PRAGMA integrity_check(" G_STRINGIFY (LINES_MAX) ")", "SQLite's check", tell_line,
                                                                       &teller, &teller, error)
                      && each_row (lease.db, WRONG_COUNTS, "counting reports", tell_count, &teller, &teller, error)
                      && each_row (lease.db, WRONG_LAST_VERSION, "finding the last version", tell_last_version, &teller,
                                   &teller, error)
                      && each_row (lease.db, UNUSED_CHUNKS, "counting unused chunks", count_unused, summary, &teller,
                                   error);
}
