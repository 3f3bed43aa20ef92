/* SPDX-License-Identifier: MIT */
#include "cau-check-private.h"
#include "cau-codec.h"
#include "cau-store-private.h"

#include <openssl/evp.h>
#include <string.h>

typedef struct
{
  CauStore            *store;
  const CauCheckFuncs *funcs;
  CauCheckSummary     *summary;
  GHashTable          *names;    /* told of: see name_key() */
  GHashTable          *versions; /* (element-type guint64): that those led to */
  guint8              *raw;      /* a chunk */
  guint64              done, total;

  guint64        id;      /* of the orchestrator in hand */
  const CauGuid *guid;    /* its GUID, NULL: it is lost */
  const char    *barrier; /* why reports in it cannot be reached by the GUID; NULL: they can */
} Verification;

/* ---- telling ---- */

static void
tell_problem (CauFindingKind kind, const CauGuid *guid, const char *problem, gpointer data)
{
  Verification *self = data;
  CauFinding    finding = { .kind = kind, .problem = problem };

  finding.has_guid = guid != NULL;
  if (guid != NULL)
    finding.guid = *guid;
  cau_check_tell (self->funcs, self->summary, &finding);
}

static CauFinding
finding_of (Verification *self, const char *name, const char *problem)
{
  CauFinding finding = { .kind = problem != NULL ? CAU_FINDING_DAMAGED : CAU_FINDING_GOOD,
                         .name = name,
                         .problem = problem };

  finding.has_guid = self->guid != NULL;
  if (self->guid != NULL)
    finding.guid = *self->guid;
  return finding;
}

/* ---- the bytes of a report ---- */

/* What is found out of one version. */
typedef struct
{
  Verification        *verification;
  const CauReportInfo *info;
  GArray              *bad; /* (element-type CauRange) */
  char                *problem;
  guint64              stored_size;
  gsize                length; /* of the chunk in hand */
} Reading;

static void
reading_clear (Reading *self)
{
  g_array_unref (self->bad);
  g_free (self->problem);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Reading, reading_clear)

static gboolean
use_chunk (const CauStoredChunk *chunk, gpointer user_data, GError **error)
{
  Reading *self = user_data;

  if (chunk->data != NULL)
    self->stored_size += g_bytes_get_size (chunk->data);
  return cau_codec_decode (self->info->seed, chunk, self->verification->raw, self->length, error);
}

/* The first problem is told, and all bytes that do not read. */
static void
note_bad (Reading *self, guint64 offset, const GError *error)
{
  if (self->problem == NULL)
    self->problem = g_strdup (error->message);
  cau_ranges_add (self->bad, offset, self->length);
}

static void
show_progress (Verification *self, gsize length)
{
  self->done += length;
  if (self->funcs->progress != NULL)
    self->funcs->progress (self->done, MAX (self->done, self->total), self->funcs->user_data);
}

/* SQLite finds fault with a page when it meets it first, and uses it from then on as far as it is right
 * (SQLite 3.40, btreeInitPage(): isInit is set before the sizes of cells are checked). */
static gboolean
read_chunk (Reading *self, guint64 number, GError **error)
{
  CauBackend *backend = self->verification->store->backend;
  guint64     before = self->stored_size;

  if (backend->klass->read_chunk (backend, self->info->version, number, use_chunk, self, NULL))
    return TRUE;
  self->stored_size = before;
  return backend->klass->read_chunk (backend, self->info->version, number, use_chunk, self, error);
}

/* Chunks in a row, up to the last one read, that do not read. */
static guint64
count_bad (const Reading *self)
{
  const CauRange *last = self->bad->len > 0 ? &g_array_index (self->bad, CauRange, self->bad->len - 1) : NULL;

  return last != NULL ? cau_stored_chunks (last->length) : 0;
}

static void
give_up (Reading *self)
{
  CauRange *last = &g_array_index (self->bad, CauRange, self->bad->len - 1);

  last->length = self->info->size - last->offset;
}

static gboolean
read_chunks (Reading *self, EVP_MD_CTX *hash, GError **error)
{
  Verification        *v = self->verification;
  const CauReportInfo *info = self->info;

  for (guint64 number = 0; number < info->n_chunks; number++)
    {
      guint64 offset = number * CAU_STORED_CHUNK_SIZE;
      g_autoptr (GError) local = NULL;

      self->length = (gsize) MIN (info->size - offset, CAU_STORED_CHUNK_SIZE);
      if (read_chunk (self, number, &local))
        EVP_DigestUpdate (hash, v->raw, self->length);
      else if (cau_error_is_damage (local) || g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
        note_bad (self, offset, local);
      else
        {
          g_propagate_error (error, g_steal_pointer (&local));
          return FALSE;
        }
      show_progress (v, self->length);
      if (local != NULL && count_bad (self) >= CAU_CHECK_BAD_CHUNKS_MAX)
        {
          give_up (self);
          return TRUE;
        }
    }
  return TRUE;
}

/* Reads all of the version; what is wrong is self->problem. */
static gboolean
read_version (Reading *self, GError **error)
{
  guint8      sha256[CAU_SHA256_LEN];
  EVP_MD_CTX *hash = EVP_MD_CTX_new ();
  gboolean    ok;

  EVP_DigestInit_ex (hash, EVP_sha256 (), NULL);
  ok = read_chunks (self, hash, error);
  EVP_DigestFinal_ex (hash, sha256, NULL);
  EVP_MD_CTX_free (hash);
  if (!ok || self->problem != NULL)
    return ok;
  if (memcmp (sha256, self->info->sha256, sizeof sha256) != 0)
    self->problem = g_strdup ("the SHA-256 of its content is not the one it was saved with");
  else if (self->stored_size != self->info->stored_size)
    self->problem = g_strdup_printf ("its chunks take %" G_GUINT64_FORMAT " bytes, its record says %" G_GUINT64_FORMAT,
                                     self->stored_size, self->info->stored_size);
  return TRUE;
}

static gboolean
verify_reader (Verification *self, CauReader *reader, GError **error)
{
  const CauReportInfo *info = cau_reader_get_info (reader);
  g_auto (Reading)
    reading = { .verification = self, .info = info, .bad = g_array_new (FALSE, FALSE, sizeof (CauRange)) };
  CauFinding finding;

  if (!read_version (&reading, error))
    return FALSE;
  finding = finding_of (self, info->name, reading.problem != NULL ? reading.problem : self->barrier);
  finding.version = info->version;
  finding.size = info->size;
  finding.n_chunks = info->n_chunks;
  finding.ranges = (const CauRange *) (gpointer) reading.bad->data;
  finding.n_ranges = reading.bad->len;
  cau_check_tell (self->funcs, self->summary, &finding);
  return TRUE;
}

/* ---- names ---- */

/* Whether the record of @info still says what it did, which no lookup of its name finds: else it went meanwhile. */
static gboolean
is_still_there (Verification *self, const CauReportInfo *info)
{
  g_auto (CauReportInfo) now = CAU_REPORT_INFO_INIT;
  g_autoptr (GError) local = NULL;

  if (!self->store->backend->klass->get_version (self->store->backend, info->version, &now, &local))
    return cau_error_is_damage (local);
  return now.orchestrator == info->orchestrator && g_strcmp0 (now.name, info->name) == 0;
}

static void
tell_unreadable (Verification *self, const CauReportInfo *info, const char *problem)
{
  CauFinding finding = finding_of (self, info->name, problem);

  finding.version = info->version;
  cau_check_tell (self->funcs, self->summary, &finding);
}

/* Twice, as read_chunk() does. */
static CauReader *
open_reader (Verification *self, const CauReportInfo *info, GError **error)
{
  const guint64 chunk_size = CAU_STORED_CHUNK_SIZE * 32;
  CauReader    *reader = cau_store_get_report (self->store, info->orchestrator, info->name, chunk_size, NULL);

  return reader != NULL ? reader
                        : cau_store_get_report (self->store, info->orchestrator, info->name, chunk_size, error);
}

static char *
name_key (guint64 orchestrator, const char *name)
{
  return g_strdup_printf ("%" G_GUINT64_FORMAT "/%s", orchestrator, name);
}

static void
note_told (Verification *self, const CauReportInfo *info, guint64 version)
{
  g_hash_table_add (self->names, name_key (info->orchestrator, info->name));
  g_hash_table_add (self->versions, g_memdup2 (&version, sizeof version));
}

/* A name that an index has, info->version being what it leads to there. */
static gboolean
verify_name (const CauReportInfo *info, gpointer data, GError **error)
{
  Verification *self = data;
  g_autoptr (GError) local = NULL;
  g_autoptr (CauReader) reader = open_reader (self, info, &local);

  note_told (self, info, reader != NULL ? cau_reader_get_info (reader)->version : info->version);
  if (reader != NULL)
    return verify_reader (self, reader, error);
  if (cau_error_is_damage (local))
    tell_unreadable (self, info, local->message);
  else if (!g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND)
           && !g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  else if (is_still_there (self, info))
    tell_unreadable (self, info, "the index of names is damaged: it does not lead to this report");
  return TRUE;
}

/* ---- orchestrators ---- */

/* Why @info cannot be found by its GUID; NULL: it can. *@gone: it was removed meanwhile. Returns: (transfer full). */
static char *
find_barrier (Verification *self, const CauOrchestratorInfo *info, gboolean *gone)
{
  CauOrchestratorInfo now;
  g_autoptr (GError) local = NULL;
  g_autoptr (GError) by_id = NULL;

  *gone = FALSE;
  if (cau_store_find_orchestrator (self->store, &info->guid, &now, NULL)
      || cau_store_find_orchestrator (self->store, &info->guid, &now, &local))
    return now.id == info->id ? NULL : g_strdup ("another orchestrator has its GUID");
  if (cau_error_is_damage (local))
    return g_strdup_printf ("its orchestrator cannot be read: %s", local->message);
  *gone = !cau_store_get_orchestrator (self->store, info->id, &now, &by_id)
          && g_error_matches (by_id, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND);
  return g_strdup ("the index of GUIDs is damaged: it does not lead to its orchestrator");
}

static gboolean
verify_orchestrator (Verification *self, const CauOrchestratorInfo *info, GError **error)
{
  CauBackend      *backend = self->store->backend;
  gboolean         gone, ok;
  g_autofree char *barrier = find_barrier (self, info, &gone);

  if (gone)
    return TRUE;
  self->id = info->id;
  self->guid = &info->guid;
  self->barrier = barrier;
  if (barrier != NULL)
    tell_problem (CAU_FINDING_STORE, &info->guid, barrier, self);
  ok = backend->klass->scan_names (backend, info->id, verify_name, self, error);
  self->guid = NULL;
  self->barrier = NULL;
  return ok;
}

/* ---- records ---- */

typedef struct
{
  Verification *verification;
  GHashTable   *orchestrators; /* id -> CauOrchestratorInfo */
} Records;

static gboolean
count_record (const CauReportInfo *info, gpointer data, G_GNUC_UNUSED GError **error)
{
  Records *self = data;

  if (info->name != NULL)
    self->verification->total += info->size;
  else if (!info->damaged)
    self->verification->summary->n_unnamed++;
  return TRUE;
}

/* A record that says a name that was not met in the index. The name is looked up before the record: what was read of one serves
 * for the other, as long as nothing is committed. */
static gboolean
verify_unseen_name (Verification *self, const CauReportInfo *info, GError **error)
{
  g_auto (CauReportInfo) current = CAU_REPORT_INFO_INIT;
  g_autoptr (GError) local = NULL;

  if (cau_store_find_report (self->store, info->orchestrator, info->name, &current, &local))
    {
      if (current.version == info->version)
        return verify_name (info, self, error);
      if (is_still_there (self, info))
        tell_unreadable (self, info, "its name leads to another version");
      return TRUE;
    }
  if (!cau_error_is_damage (local) && !g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  if (is_still_there (self, info))
    tell_unreadable (self, info,
                     cau_error_is_damage (local) ? local->message
                                                 : "the index of names is damaged: it does not lead to this report");
  return TRUE;
}

static gboolean
verify_unseen (Records *self, const CauReportInfo *info, GError **error)
{
  Verification              *v = self->verification;
  const CauOrchestratorInfo *orchestrator = g_hash_table_lookup (self->orchestrators, &info->orchestrator);
  gboolean                   gone = FALSE;
  g_autofree char           *barrier = NULL;

  if (orchestrator != NULL)
    barrier = find_barrier (v, orchestrator, &gone);
  else
    barrier = g_strdup_printf ("orchestrator %" G_GUINT64_FORMAT ", which it belongs to, is lost", info->orchestrator);
  note_told (v, info, info->version);
  v->guid = orchestrator != NULL ? &orchestrator->guid : NULL;
  v->barrier = barrier;
  return gone || verify_unseen_name (v, info, error);
}

/* TRUE also for a record that says a name that was told of with another version: the report was replaced meanwhile, or an index
 * is damaged, which its own check tells. */
static gboolean
is_told (Verification *self, const CauReportInfo *info)
{
  g_autofree char *key = info->name != NULL ? name_key (info->orchestrator, info->name) : NULL;

  return key != NULL ? g_hash_table_contains (self->names, key)
                     : g_hash_table_contains (self->versions, &info->version);
}

static gboolean
verify_record (const CauReportInfo *info, gpointer data, GError **error)
{
  Records      *self = data;
  Verification *v = self->verification;
  gboolean      ok;

  if ((info->name == NULL && !info->damaged) || is_told (v, info))
    return TRUE;
  if (info->damaged)
    {
      g_autofree char *problem = g_strdup_printf (
        "the record of version %" G_GUINT64_FORMAT " is damaged, and no name leads to it", info->version);

      tell_problem (CAU_FINDING_STORE, NULL, problem, v);
      return TRUE;
    }
  ok = verify_unseen (self, info, error);
  v->guid = NULL;
  v->barrier = NULL;
  return ok;
}

/* ---- what is asked for ---- */

static gboolean
verify_all (Verification *self, GError **error)
{
  CauBackend *backend = self->store->backend;
  g_autoptr (GArray) orchestrators = backend->klass->scan_orchestrators (backend, error);
  g_autoptr (GHashTable) by_id = g_hash_table_new (g_int64_hash, g_int64_equal);
  Records records = { self, by_id };

  if (orchestrators == NULL || !backend->klass->scan_versions (backend, count_record, &records, error))
    return FALSE;
  for (guint i = 0; i < orchestrators->len; i++)
    {
      CauOrchestratorInfo *info = &g_array_index (orchestrators, CauOrchestratorInfo, i);

      g_hash_table_insert (by_id, &info->id, info);
    }
  for (guint i = 0; i < orchestrators->len; i++)
    if (!verify_orchestrator (self, &g_array_index (orchestrators, CauOrchestratorInfo, i), error))
      return FALSE;
  return backend->klass->scan_versions (backend, verify_record, &records, error)
         && backend->klass->check (backend, self->summary, tell_problem, self, error);
}

static gboolean
verify_names (Verification *self, guint64 id, const char *const *names, GError **error)
{
  for (; *names != NULL; names++)
    {
      CauReportInfo info = CAU_REPORT_INFO_INIT;
      g_autoptr (GError) local = NULL;
      g_auto (CauReportInfo) known = CAU_REPORT_INFO_INIT;

      if (!cau_store_find_report (self->store, id, *names, &known, &local) && !cau_error_is_damage (local))
        {
          g_propagate_prefixed_error (error, g_steal_pointer (&local), "%s: ", *names);
          return FALSE;
        }
      info.orchestrator = id;
      info.name = (char *) *names;
      info.version = known.version;
      if (!verify_name (&info, self, error))
        return FALSE;
    }
  return TRUE;
}

static gboolean
verify_some (Verification *self, const CauGuid *guid, const char *const *names, GError **error)
{
  CauBackend         *backend = self->store->backend;
  CauOrchestratorInfo info;

  if (!cau_store_find_orchestrator (self->store, guid, &info, NULL)
      && !cau_store_find_orchestrator (self->store, guid, &info, error))
    return FALSE;
  self->guid = guid;
  self->id = info.id;
  if (names != NULL)
    return verify_names (self, info.id, names, error);
  return backend->klass->scan_names (backend, info.id, verify_name, self, error);
}

gboolean
cau_store_verify (CauStore *self, const CauGuid *guid, const char *const *names, const CauCheckFuncs *funcs,
                  CauCheckSummary *summary, GError **error)
{
  Verification v = { .store = self, .funcs = funcs, .summary = summary };
  gboolean     ok;

  memset (summary, 0, sizeof *summary);
  v.names = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  v.versions = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
  v.raw = g_malloc (CAU_STORED_CHUNK_SIZE);
  ok = guid != NULL ? verify_some (&v, guid, names, error) : verify_all (&v, error);
  g_free (v.raw);
  g_hash_table_unref (v.versions);
  g_hash_table_unref (v.names);
  return ok;
}
