/* SPDX-License-Identifier: MIT */
#include "cau-check-private.h"
#include "cau-codec.h"
#include "cau-access.h"
#include "sqlite-chunks.h"
#include "sqlite-rows.h"
#include "sqlite-salvage.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Bytes of reports after which what was saved is committed, and the log starts over. */
#define COMMIT_BYTES (32u * 1024 * 1024)

typedef struct
{
  CauSalvage          *salvage;
  CauDb               *to;
  const CauCheckFuncs *funcs;
  CauCheckSummary     *summary;
  GHashTable          *guids; /* orchestrator -> CauGuid, as in the new store */
  guint8              *raw;   /* a chunk */
  guint64              done, total, committed;
} Recovery;

/* ---- telling ---- */

static void
tell_of_orchestrator (Recovery *self, const CauGuid *guid, const char *problem)
{
  const CauFinding finding = { .kind = CAU_FINDING_STORE, .has_guid = TRUE, .guid = *guid, .problem = problem };

  cau_check_tell (self->funcs, self->summary, &finding);
}

static void
tell_of_store (Recovery *self, CauFindingKind kind, const char *problem)
{
  const CauFinding finding = { .kind = kind, .problem = problem };

  cau_check_tell (self->funcs, self->summary, &finding);
}

static CauFinding
finding_of_name (Recovery *self, CauFindingKind kind, guint64 orchestrator, const char *name, guint64 version)
{
  const CauGuid *guid = g_hash_table_lookup (self->guids, &orchestrator);
  CauFinding     finding = { .kind = kind, .name = name, .version = version };

  finding.has_guid = guid != NULL;
  if (guid != NULL)
    finding.guid = *guid;
  return finding;
}

static CauFinding
finding_of (Recovery *self, CauFindingKind kind, const CauReportInfo *info)
{
  CauFinding finding = finding_of_name (self, kind, info->orchestrator, info->name, info->version);

  finding.size = info->size;
  finding.n_chunks = info->n_chunks;
  return finding;
}

/* ---- orchestrators ---- */

/* A GUID for an orchestrator that has lost its own. */
static void
make_guid (guint64 id, CauGuid *guid)
{
  guint64 digits = GUINT64_TO_BE (id);

  memset (guid, 0, sizeof *guid);
  memcpy (guid->bytes + sizeof guid->bytes - sizeof digits, &digits, sizeof digits);
}

static gboolean
is_guid_taken (Recovery *self, const CauGuid *guid, gboolean *taken, GError **error)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (self->to, error, "SELECT 1 FROM orchestrators WHERE guid = ?1", "b", guid->bytes, sizeof guid->bytes);
  gboolean done;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, error))
    return FALSE;
  *taken = !done;
  return TRUE;
}

static gboolean
choose_guid (Recovery *self, CauSalvagedOrchestrator *found, GError **error)
{
  guint64 *id = g_memdup2 (&found->info.id, sizeof found->info.id);
  gboolean taken = FALSE;

  if (found->has_guid && !is_guid_taken (self, &found->info.guid, &taken, error))
    {
      g_free (id);
      return FALSE;
    }
  if (!found->has_guid || taken)
    {
      make_guid (found->info.id, &found->info.guid);
      tell_of_orchestrator (self, &found->info.guid, "the GUID of this orchestrator is lost; it has this one instead");
    }
  else if (!found->has_attributes)
    tell_of_orchestrator (self, &found->info.guid,
                          "the record of this orchestrator is lost; its mode, owner and times are made up");
  g_hash_table_insert (self->guids, id, g_memdup2 (&found->info.guid, sizeof found->info.guid));
  return TRUE;
}

static void
make_attributes (CauAttributes *attributes)
{
  attributes->mode = 0755;
  attributes->uid = getuid ();
  attributes->gid = getgid ();
  attributes->atime = attributes->mtime = attributes->ctime = cau_now_ns ();
}

static gboolean
put_orchestrator (Recovery *self, CauSalvagedOrchestrator *found, GError **error)
{
  const CauAttributes *a = &found->info.attributes;

  if (!found->has_attributes)
    make_attributes (&found->info.attributes);
  return cau_row_restore_orchestrator (self->to, &found->info, error)
         && cau_db_run (self->to, error,
                        "UPDATE orchestrators SET mode = ?2, uid = ?3, gid = ?4, atime = ?5, mtime = ?6, ctime = ?7"
                        " WHERE id = ?1",
                        "iiiiiii", (gint64) found->info.id, (gint64) a->mode, (gint64) a->uid, (gint64) a->gid,
                        a->atime, a->mtime, a->ctime);
}

static gboolean
put_root (Recovery *self, const CauSalvagedOrchestrator *found, GError **error)
{
  const CauAttributes *a = &found->info.attributes;

  return cau_db_run (self->to, error,
                     "UPDATE orchestrators SET mode = ?1, uid = ?2, gid = ?3, atime = ?4, mtime = ?5, ctime = ?6"
                     " WHERE id = 0",
                     "iiiiii", (gint64) a->mode, (gint64) a->uid, (gint64) a->gid, a->atime, a->mtime, a->ctime);
}

/* From the newest to the oldest: of two with one GUID the newer one keeps it. */
static gboolean
put_orchestrators (Recovery *self, GError **error)
{
  GArray  *list = cau_salvage_get_orchestrators (self->salvage);
  gboolean has_root = FALSE;

  for (guint i = list->len; i-- > 0;)
    {
      CauSalvagedOrchestrator *found = &g_array_index (list, CauSalvagedOrchestrator, i);

      if (found->info.id == CAU_STORE_ROOT_ID)
        {
          has_root = TRUE;
          if (!put_root (self, found, error))
            return FALSE;
          continue;
        }
      if (!choose_guid (self, found, error) || !put_orchestrator (self, found, error))
        return FALSE;
    }
  if (!has_root)
    tell_of_store (self, CAU_FINDING_STORE,
                   "the record of the store itself is lost; its mode, owner and times are made up");
  return TRUE;
}

/* ---- reports ---- */

static gsize
chunk_length (const CauReportInfo *info, guint64 number)
{
  return (gsize) MIN (info->size - number * CAU_STORED_CHUNK_SIZE, CAU_STORED_CHUNK_SIZE);
}

static gboolean
put_chunk (Recovery *self, guint64 version, CauStoredChunk *chunk, GError **error)
{
  g_autoptr (GPtrArray) one = g_ptr_array_new ();

  g_ptr_array_add (one, chunk);
  return cau_chunks_insert (self->to, version, one, error);
}

/* What became of the chunks of a version. */
typedef struct
{
  GArray  *bad;         /* (element-type CauRange): lost, or taken although the checksum did not hold */
  gboolean is_lost;     /* some of it is */
  guint64  n_in_a_row;  /* chunks that were lost one after the other */
  gboolean is_right;    /* the SHA-256 is that of the version */
  guint64  stored_size; /* of the chunks that were put */
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  g_array_unref (outcome->bad);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static void
outcome_init (Outcome *outcome)
{
  memset (outcome, 0, sizeof *outcome);
  outcome->bad = g_array_new (FALSE, FALSE, sizeof (CauRange));
}

static void
show_progress (Recovery *self, gsize length)
{
  self->done += length;
  self->committed += length;
  if (self->funcs->progress != NULL)
    self->funcs->progress (MIN (self->done, self->total), self->total, self->funcs->user_data);
}

/* Puts the chunks of @info into the new store. FALSE: that failed; damage is told by @outcome. */
static gboolean
copy_chunks (Recovery *self, const CauReportInfo *info, EVP_MD_CTX *hash, Outcome *outcome, GError **error)
{
  guint8 sha256[CAU_SHA256_LEN];

  EVP_DigestInit_ex (hash, EVP_sha256 (), NULL);
  for (guint64 number = 0; number < info->n_chunks; number++)
    {
      gsize length = chunk_length (info, number);
      g_autoptr (CauStoredChunk) chunk = NULL;
      CauChunkState state = cau_salvage_read_chunk (self->salvage, info, number, self->raw, length, &chunk);

      show_progress (self, length);
      if (state != CAU_CHUNK_GOOD)
        cau_ranges_add (outcome->bad, number * CAU_STORED_CHUNK_SIZE, length);
      outcome->is_lost |= state == CAU_CHUNK_LOST;
      outcome->n_in_a_row = state == CAU_CHUNK_LOST ? outcome->n_in_a_row + 1 : 0;
      if (outcome->n_in_a_row >= CAU_CHECK_BAD_CHUNKS_MAX && number + 1 < info->n_chunks)
        {
          cau_ranges_add (outcome->bad, (number + 1) * CAU_STORED_CHUNK_SIZE,
                          info->size - (number + 1) * CAU_STORED_CHUNK_SIZE);
          break;
        }
      if (outcome->is_lost)
        continue;
      outcome->stored_size += chunk->data != NULL ? g_bytes_get_size (chunk->data) : 0;
      EVP_DigestUpdate (hash, self->raw, length);
      if (!put_chunk (self, info->version, chunk, error))
        return FALSE;
    }
  EVP_DigestFinal_ex (hash, sha256, NULL);
  outcome->is_right = !outcome->is_lost && memcmp (sha256, info->sha256, sizeof sha256) == 0;
  return TRUE;
}

/* Puts @info and its chunks into the new store, or nothing of it. */
static gboolean
copy_version (Recovery *self, const CauReportInfo *info, Outcome *outcome, GError **error)
{
  EVP_MD_CTX *hash = EVP_MD_CTX_new ();
  gboolean    ok;

  ok = cau_db_run (self->to, error, "SAVEPOINT report", "") && copy_chunks (self, info, hash, outcome, error);
  EVP_MD_CTX_free (hash);
  if (!ok)
    return FALSE;
  if (outcome->is_right)
    {
      CauReportInfo row = *info;

      /* What lies before damage in the log and what lies beyond it may be one report under two names. Changes go by this number. */
      row.report = info->version;
      row.stored_size = outcome->stored_size;
      if (!cau_row_insert_version (self->to, &row, error)
          || !cau_db_run (self->to, error, "UPDATE orchestrators SET n_reports = n_reports + 1 WHERE id = ?1", "i",
                          (gint64) info->orchestrator))
        return FALSE;
    }
  else if (!cau_db_run (self->to, error, "ROLLBACK TO report", ""))
    return FALSE;
  return cau_db_run (self->to, error, "RELEASE report", "");
}

static void
tell_of_saved (Recovery *self, const CauReportInfo *info)
{
  CauFinding finding = finding_of (self, CAU_FINDING_GOOD, info);

  cau_check_tell (self->funcs, self->summary, &finding);
  if (!cau_salvage_is_outdated (self->salvage, info))
    return;
  finding.kind = CAU_FINDING_NOTE;
  finding.problem =
    "saved as it was before damage in the log; it may have been replaced, renamed or removed after that";
  cau_check_tell (self->funcs, self->summary, &finding);
}

static void
show_pieces (Recovery *self, const CauReportInfo *info, const CauFinding *finding)
{
  guint64 n_lost = 0;

  for (guint64 number = 0; self->funcs->piece != NULL && number < info->n_chunks && n_lost < CAU_CHECK_BAD_CHUNKS_MAX;
       number++)
    {
      gsize length = chunk_length (info, number);
      g_autoptr (CauStoredChunk) chunk = NULL;

      n_lost++;
      if (cau_salvage_read_chunk (self->salvage, info, number, self->raw, length, &chunk) != CAU_CHUNK_GOOD)
        continue;
      n_lost = 0;
      self->funcs->piece (finding, number * CAU_STORED_CHUNK_SIZE, self->raw, length, self->funcs->user_data);
    }
}

static void
tell_of_damage (Recovery *self, const CauReportInfo *info, const Outcome *outcome, const CauReportInfo *older)
{
  CauFinding       finding = finding_of (self, CAU_FINDING_DAMAGED, info);
  g_autofree char *problem = NULL;
  const char      *what =
    outcome->bad->len > 0 ? "chunks of it are damaged or missing" : "its SHA-256 is not that of its content";

  if (older != NULL)
    problem =
      g_strdup_printf ("%s; its older version %" G_GUINT64_FORMAT " was saved in its place", what, older->version);
  finding.problem = problem != NULL ? problem : what;
  finding.ranges = (const CauRange *) (gpointer) outcome->bad->data;
  finding.n_ranges = outcome->bad->len;
  cau_check_tell (self->funcs, self->summary, &finding);
  show_pieces (self, info, &finding);
}

static gboolean
commit (Recovery *self, GError **error)
{
  self->committed = 0;
  if (!cau_db_exec (self->to, "COMMIT", error))
    return FALSE;
  if (sqlite3_wal_checkpoint_v2 (cau_db_get_handle (self->to), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL)
      == SQLITE_OK)
    return TRUE;
  cau_db_set_error (self->to, error);
  return FALSE;
}

/* Saves the newest of @claims, versions of one name, that is whole. */
static gboolean
recover_report (Recovery *self, GPtrArray *claims, GError **error)
{
  const CauReportInfo *newest = g_ptr_array_index (claims, 0), *saved = NULL;
  g_auto (Outcome) first = { 0 };

  outcome_init (&first);
  for (guint i = 0; i < claims->len && saved == NULL; i++)
    {
      const CauReportInfo *info = g_ptr_array_index (claims, i);
      g_auto (Outcome) outcome = { 0 };

      outcome_init (&outcome);
      if (!copy_version (self, info, i == 0 ? &first : &outcome, error))
        return FALSE;
      if (i == 0 ? first.is_right : outcome.is_right)
        saved = info;
    }
  if (saved == newest)
    tell_of_saved (self, newest);
  else
    tell_of_damage (self, newest, &first, saved);
  return self->committed < COMMIT_BYTES || (commit (self, error) && cau_db_exec (self->to, "BEGIN", error));
}

static gboolean
recover_reports (Recovery *self, GError **error)
{
  GPtrArray *reports = cau_salvage_get_reports (self->salvage);

  for (guint i = 0; i < reports->len; i++)
    self->total += ((const CauReportInfo *) g_ptr_array_index ((GPtrArray *) reports->pdata[i], 0))->size;
  for (guint i = 0; i < reports->len; i++)
    if (!recover_report (self, g_ptr_array_index (reports, i), error))
      return FALSE;
  return TRUE;
}

/* ---- what is left ---- */

static void
tell_of_the_rest (Recovery *self)
{
  GPtrArray       *lost = cau_salvage_get_lost (self->salvage);
  guint64          n_nameless = cau_salvage_get_n_nameless (self->salvage);
  guint64          n_unread = cau_image_get_n_unread (cau_salvage_get_image (self->salvage));
  g_autofree char *nameless = NULL;
  g_autofree char *unread = NULL;

  for (guint i = 0; i < lost->len; i++)
    {
      const CauSalvagedName *name = g_ptr_array_index (lost, i);
      CauFinding finding = finding_of_name (self, CAU_FINDING_DAMAGED, name->orchestrator, name->name, name->version);

      finding.problem = "its record is damaged or missing";
      cau_check_tell (self->funcs, self->summary, &finding);
    }
  if (n_nameless > 0)
    {
      nameless =
        g_strdup_printf ("there are chunks of %" G_GUINT64_FORMAT " versions without a record: of reports whose"
                         " names are lost, or of versions that were removed",
                         n_nameless);
      tell_of_store (self, CAU_FINDING_NOTE, nameless);
    }
  if (n_unread > 0)
    {
      unread = g_strdup_printf ("%" G_GUINT64_FORMAT " times a page could not be read from the disk", n_unread);
      tell_of_store (self, CAU_FINDING_STORE, unread);
    }
}

static gboolean
copy_all (Recovery *self, GError **error)
{
  return cau_db_exec (self->to, "BEGIN", error) && put_orchestrators (self, error) && recover_reports (self, error)
         && cau_db_run (self->to, error, "UPDATE orchestrators SET last_version = ?1 WHERE id = 0", "i",
                        (gint64) cau_salvage_get_last_version (self->salvage))
         && commit (self, error);
}

/* ---- the new file ---- */

static gboolean
fail_from_errno (const char *path, GError **error)
{
  int           errsv = errno;
  CauStoreError code = errsv == ENOENT ? CAU_STORE_ERROR_NOT_FOUND : cau_store_error_from_errno (errsv);

  if (errsv == EEXIST)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "%s exists already; name a file that does not",
                   path);
      return FALSE;
    }
  g_set_error (error, CAU_STORE_ERROR, (gint) code, "cannot make %s: %s", path, g_strerror (errsv));
  return FALSE;
}

/* Takes away a store that did not become complete, or what SQLite had beside one. */
static void
remove_files (const char *path, gboolean all)
{
  static const char *const suffixes[] = { "-wal", "-shm", "" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes) - (all ? 0 : 1); i++)
    {
      g_autofree char *file = g_strconcat (path, suffixes[i], NULL);

      unlink (file);
    }
}

/* Gives @temporary the name @path, unless there is one. Some filesystems cannot do that in one step. */
static gboolean
rename_to_new (const char *temporary, const char *path)
{
  if (renameat2 (AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
    return TRUE;
  if (errno != EINVAL || link (temporary, path) != 0)
    return FALSE;
  unlink (temporary);
  return TRUE;
}

/* EINVAL: a filesystem whose folders need no sync. */
static gboolean
sync_folder_of (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  int              fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean         ok = fd >= 0 && (fsync (fd) == 0 || errno == EINVAL);
  int              errsv = errno;

  if (fd >= 0)
    close (fd);
  errno = errsv;
  return ok;
}

/* Gives the complete store its name, and makes that durable. */
static gboolean
put_in_place (const char *temporary, const char *path, GError **error)
{
  if (!rename_to_new (temporary, path))
    return fail_from_errno (path, error);
  if (sync_folder_of (path))
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO,
               "%s is complete, but may be gone after a power loss: its folder cannot be synced: %s", path,
               g_strerror (errno));
  return FALSE;
}

/* The new store has the mode and, for root, the owner of the old one. */
static gboolean
make_store (Recovery *self, const char *old, const char *path, GError **error)
{
  g_autofree char *temporary = g_strdup_printf ("%s.recovering-%08x", path, g_random_int ());
  int              fd = cau_access_open_beside (old, temporary, O_RDWR, TRUE);
  gboolean         ok;

  if (fd < 0)
    return fail_from_errno (path, error);
  close (fd);
  self->to = cau_db_open (temporary, CAU_DB_CREATE, error);
  ok = self->to != NULL && copy_all (self, error);
  g_clear_pointer (&self->to, cau_db_close);
  ok = ok && put_in_place (temporary, path, error);
  remove_files (temporary, !ok);
  return ok;
}

/* ---- the old file ---- */

static gboolean
check_old (CauSalvage *salvage, const char *path, GError **error)
{
  if (cau_salvage_has_format_1 (salvage))
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_FORMAT,
                 "%s has the older store format 1; open a copy of it for writing once, for example with caureport"
                 " collect, and recover that",
                 path);
  else if (cau_salvage_get_orchestrators (salvage)->len == 0 && cau_salvage_get_lost (salvage)->len == 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE, "%s is not a report store, nor the rest of one",
                 path);
  else
    return TRUE;
  return FALSE;
}

/* A log that is there already would be taken for the new store's. */
static gboolean
can_make (const char *path, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *log_path = g_strconcat (path, "-wal", NULL);
  const char      *there = access (path, F_OK) == 0 ? path : access (log_path, F_OK) == 0 ? log_path : NULL;

  errno = EEXIST;
  if (there != NULL)
    return fail_from_errno (there, error);
  return access (folder, W_OK | X_OK) == 0 || fail_from_errno (path, error);
}

gboolean
cau_store_recover (const char *path, const char *new_path, const CauCheckFuncs *funcs, CauCheckSummary *summary,
                   GError **error)
{
  Recovery  self = { .funcs = funcs, .summary = summary };
  CauImage *image = can_make (new_path, error) ? cau_image_open (path, error) : NULL;
  g_autoptr (CauSalvage) salvage = image != NULL ? cau_salvage_new (image) : NULL;
  gboolean ok;

  memset (summary, 0, sizeof *summary);
  if (salvage == NULL || !check_old (salvage, path, error))
    return FALSE;
  self.salvage = salvage;
  self.guids = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  self.raw = g_malloc (CAU_STORED_CHUNK_SIZE);
  ok = make_store (&self, path, new_path, error);
  if (ok)
    tell_of_the_rest (&self);
  g_free (self.raw);
  g_hash_table_unref (self.guids);
  return ok;
}
