/* SPDX-License-Identifier: MIT */
#include "cau-encoder.h"
#include "cau-store-private.h"

#include <string.h>

/* Commits at once that have much to compute. */
#define LONG_COMMITS_MAX 2

/* ---- the store ---- */

static CauBackend *
open_backend (const char *uri, CauStoreOpenFlags flags, GError **error)
{
  g_autofree char *scheme = g_uri_parse_scheme (uri);
  g_autofree char *path = NULL;

  if (scheme != NULL && g_str_equal (scheme, "rados"))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_UNSUPPORTED,
                   "%s: this caufs was built without Ceph RADOS; name a file", uri);
      return NULL;
    }
  if (scheme != NULL && strstr (uri, "://") != NULL)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID,
                   "%s: there is no engine %s; name a file, or sqlite:FILE", uri, scheme);
      return NULL;
    }
  if (g_str_has_prefix (uri, "sqlite:"))
    uri += strlen ("sqlite:");
  if (*uri == '\0')
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID, "the store's name is empty; name a file");
      return NULL;
    }
  path = g_canonicalize_filename (uri, NULL);
  return cau_sqlite_open (path, flags, error);
}

static guint64
find_room (gpointer store)
{
  CauStoreStat stat;

  return cau_store_stat (store, &stat, NULL) ? stat.blocks_available * stat.block_size : G_MAXUINT64;
}

CauStore *
cau_store_open (const char *uri, CauStoreOpenFlags flags, GError **error)
{
  CauBackend *backend = open_backend (uri, flags, error);
  CauStore   *self;

  if (backend == NULL)
    return NULL;
  self = g_new0 (CauStore, 1);
  g_atomic_ref_count_init (&self->ref_count);
  self->uri = g_strdup (uri);
  self->backend = backend;
  self->max_report_size = CAU_REPORT_SIZE_MAX;
  self->targets = cau_targets_new ();
  self->shares = cau_shares_new (find_room, self);
  self->chunks = cau_chunk_cache_new ();
  self->commits = cau_turns_new (cau_upload_go_on, self, LONG_COMMITS_MAX);
  if (!backend->read_only)
    self->encoders = cau_encoder_pool_new ();
  return self;
}

CauStore *
cau_store_ref (CauStore *self)
{
  g_atomic_ref_count_inc (&self->ref_count);
  return self;
}

static gpointer
store_free (gpointer data)
{
  CauStore *self = data;

  cau_turns_free (self->commits);
  if (self->encoders != NULL)
    g_thread_pool_free (self->encoders, FALSE, TRUE);
  self->backend->klass->close (self->backend);
  cau_targets_free (self->targets);
  cau_shares_free (self->shares);
  cau_chunk_cache_free (self->chunks);
  g_free (self->uri);
  g_free (self);
  return NULL;
}

void
cau_store_unref (CauStore *self)
{
  if (!g_atomic_ref_count_dec (&self->ref_count))
    return;
  /* The end of an upload can drop the last reference on a thread that closing waits for. */
  if (cau_backend_is_thread ())
    g_thread_unref (g_thread_new ("cau-close", store_free, self));
  else
    store_free (self);
}

gboolean
cau_store_set_limits (CauStore *self, guint64 max_size, guint64 max_report_size, GError **error)
{
  self->max_report_size = max_report_size == 0 ? CAU_REPORT_SIZE_MAX : MIN (max_report_size, CAU_REPORT_SIZE_MAX);
  return self->backend->klass->set_max_size (self->backend, max_size, error);
}

void
cau_store_set_upload_limits (CauStore *self, guint64 max_uploads, guint64 max_staged, guint64 max_buffered)
{
  cau_shares_set_limits (self->shares, max_uploads, max_staged, max_buffered);
}

void
cau_store_end_long_commits (CauStore *self)
{
  g_atomic_int_set (&self->hurries, TRUE);
}

const char *
cau_store_get_uri (CauStore *self)
{
  return self->uri;
}

gboolean
cau_store_is_read_only (CauStore *self)
{
  return self->backend->read_only;
}

char *
cau_store_describe_exposure (CauStore *self)
{
  return self->backend->klass->describe_exposure (self->backend);
}

gboolean
cau_store_stat (CauStore *self, CauStoreStat *stat, GError **error)
{
  return self->backend->klass->stat (self->backend, stat, error);
}

gboolean
cau_store_collect (CauStore *self, guint64 *n_collected, GError **error)
{
  CauCollectOp op = { .op = { .kind = CAU_OP_COLLECT, .durable = TRUE } };

  if (!cau_backend_run (self->backend, &op.op, error))
    return FALSE;
  if (n_collected != NULL)
    *n_collected = op.n_collected;
  return TRUE;
}

gboolean
cau_store_sync (CauStore *self, GError **error)
{
  CauOp op = { .kind = CAU_OP_SYNC, .durable = TRUE };

  return self->backend->read_only || cau_backend_run (self->backend, &op, error);
}

/* ---- orchestrators ---- */

gboolean
cau_store_create_orchestrator (CauStore *self, const CauGuid *guid, const CauAttributes *attributes,
                               CauOrchestratorInfo *info, GError **error)
{
  CauOrchestratorOp op = { .op = { .kind = CAU_OP_CREATE_ORCHESTRATOR, .durable = TRUE },
                           .info = { .guid = *guid, .attributes = *attributes } };

  if (!cau_backend_run (self->backend, &op.op, error))
    return FALSE;
  if (info != NULL)
    *info = op.info;
  return TRUE;
}

gboolean
cau_store_remove_orchestrator (CauStore *self, const CauGuid *guid, GError **error)
{
  CauOrchestratorOp op = { .op = { .kind = CAU_OP_REMOVE_ORCHESTRATOR, .durable = TRUE }, .info = { .guid = *guid } };

  if (!cau_store_find_orchestrator (self, guid, &op.info, error))
    return FALSE;
  if (cau_targets_use_orchestrator (self->targets, op.info.id))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_EMPTY, "a report of the orchestrator is being written");
      return FALSE;
    }
  return cau_backend_run (self->backend, &op.op, error);
}

gboolean
cau_store_find_orchestrator (CauStore *self, const CauGuid *guid, CauOrchestratorInfo *info, GError **error)
{
  return self->backend->klass->get_orchestrator (self->backend, guid, 0, info, error);
}

gboolean
cau_store_get_orchestrator (CauStore *self, guint64 id, CauOrchestratorInfo *info, GError **error)
{
  return self->backend->klass->get_orchestrator (self->backend, NULL, id, info, error);
}

GArray *
cau_store_list_orchestrators (CauStore *self, const CauGuid *after, guint max, GError **error)
{
  return self->backend->klass->list_orchestrators (self->backend, after, max, error);
}

gboolean
cau_store_set_orchestrator_attributes (CauStore *self, guint64 id, CauAttributeMask mask,
                                       const CauAttributes *attributes, CauOrchestratorInfo *info, GError **error)
{
  CauOrchestratorOp op = { .op = { .kind = CAU_OP_SET_ORCHESTRATOR_ATTRIBUTES, .durable = TRUE },
                           .mask = mask,
                           .info = { .id = id, .attributes = *attributes } };

  if (!cau_backend_run (self->backend, &op.op, error))
    return FALSE;
  if (info != NULL)
    *info = op.info;
  return TRUE;
}

gboolean
cau_store_check_orchestrator (CauStore *self, guint64 id, GError **error)
{
  CauOrchestratorInfo info;

  if (id != CAU_STORE_ROOT_ID)
    return cau_store_get_orchestrator (self, id, &info, error);
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "a report needs an orchestrator");
  return FALSE;
}

/* ---- reports ---- */

void
cau_report_info_clear (CauReportInfo *info)
{
  const CauReportInfo empty = CAU_REPORT_INFO_INIT;

  g_free (info->name);
  *info = empty;
}

void
cau_report_info_copy (const CauReportInfo *info, CauReportInfo *copy)
{
  *copy = *info;
  copy->name = g_strdup (info->name);
}

gboolean
cau_store_find_report (CauStore *self, guint64 id, const char *name, CauReportInfo *info, GError **error)
{
  cau_report_info_clear (info);
  return self->backend->klass->find_report (self->backend, id, name, info, error);
}

gboolean
cau_store_get_version (CauStore *self, guint64 version, CauReportInfo *info, GError **error)
{
  cau_report_info_clear (info);
  return self->backend->klass->get_version (self->backend, version, info, error);
}

/* What the change of a name in the backend, which may have found nothing there, means for the names of
 * uploads: @found says whether it did something. */
static gboolean
tolerate_not_found (gboolean ok, gboolean expected, gboolean *found, GError **local, GError **error)
{
  *found = ok;
  if (ok)
    return TRUE;
  if (expected && g_error_matches (*local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    {
      g_clear_error (local);
      return TRUE;
    }
  g_propagate_error (error, g_steal_pointer (local));
  return FALSE;
}

static gboolean
is_taken (CauStore *self, guint64 id, const char *name, gboolean *taken, GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  g_autoptr (GError) local = NULL;

  return tolerate_not_found (cau_store_find_report (self, id, name, &info, &local), TRUE, taken, &local, error);
}

static gboolean
run_rename (CauStore *self, guint64 id, const char *name, guint64 new_id, const char *new_name, CauRenameMode mode,
            gboolean may_miss, gboolean *found, GError **error)
{
  CauRenameOp op = { .op = { .kind = CAU_OP_RENAME, .durable = TRUE },
                     .id = id,
                     .name = name,
                     .new_id = new_id,
                     .new_name = new_name,
                     .mode = mode };
  g_autoptr (GError) local = NULL;

  return tolerate_not_found (cau_backend_run (self->backend, &op.op, &local), may_miss, found, &local, error);
}

/* The name of @pair->from was never saved; a report of another process may have it too. */
static gboolean
rename_unsaved (CauStore *self, const CauTargetPair *pair, guint64 id, const char *name, guint64 new_id,
                const char *new_name, CauRenameMode mode, GError **error)
{
  gboolean taken, found;

  if (mode == CAU_RENAME_NO_REPLACE)
    {
      if (!is_taken (self, new_id, new_name, &taken, error))
        return FALSE;
      if (taken || pair->to != NULL)
        {
          g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s exists already", new_name);
          return FALSE;
        }
    }
  return run_rename (self, id, name, new_id, new_name, mode, TRUE, &found, error);
}

/* At least one of the names was never saved. */
static gboolean
exchange_unsaved (CauStore *self, const CauTargetPair *pair, guint64 id, const char *name, guint64 new_id,
                  const char *new_name, GError **error)
{
  gboolean from, to;

  if (!is_taken (self, id, name, &from, error) || !is_taken (self, new_id, new_name, &to, error))
    return FALSE;
  if ((!from && pair->from == NULL) || (!to && pair->to == NULL))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no such report");
      return FALSE;
    }
  if (from && to)
    return run_rename (self, id, name, new_id, new_name, CAU_RENAME_EXCHANGE, FALSE, &from, error);
  if (from)
    return run_rename (self, id, name, new_id, new_name, CAU_RENAME_NO_REPLACE, FALSE, &from, error);
  if (to)
    return run_rename (self, new_id, new_name, id, name, CAU_RENAME_NO_REPLACE, FALSE, &to, error);
  return TRUE;
}

static gboolean
rename_held (CauStore *self, const CauTargetPair *pair, guint64 id, const char *name, guint64 new_id,
             const char *new_name, CauRenameMode mode, GError **error)
{
  gboolean found;

  if (mode == CAU_RENAME_EXCHANGE && (pair->from != NULL || pair->to != NULL))
    return exchange_unsaved (self, pair, id, name, new_id, new_name, error);
  if (pair->from != NULL)
    return rename_unsaved (self, pair, id, name, new_id, new_name, mode, error);
  if (pair->to != NULL && mode == CAU_RENAME_NO_REPLACE)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s exists already", new_name);
      return FALSE;
    }
  return run_rename (self, id, name, new_id, new_name, mode, FALSE, &found, error);
}

gboolean
cau_store_rename_report (CauStore *self, guint64 id, const char *name, guint64 new_id, const char *new_name,
                         CauRenameMode mode, GError **error)
{
  CauTargetPair pair;
  gboolean      ok, same = id == new_id && g_str_equal (name, new_name);

  if (!cau_report_name_validate (new_name, error) || !cau_store_check_orchestrator (self, new_id, error))
    return FALSE;
  cau_targets_hold (self->targets, id, name, new_id, new_name, &pair);
  ok = rename_held (self, &pair, id, name, new_id, new_name, mode, error);
  cau_targets_release (self->targets, &pair,
                       !ok || same                   ? CAU_TARGETS_NOTHING
                       : mode == CAU_RENAME_EXCHANGE ? CAU_TARGETS_EXCHANGE
                                                     : CAU_TARGETS_RENAME,
                       id, name, new_id, new_name);
  return ok;
}

gboolean
cau_store_remove_report (CauStore *self, guint64 id, const char *name, GError **error)
{
  CauRenameOp op = { .op = { .kind = CAU_OP_REMOVE, .durable = TRUE }, .id = id, .name = name };
  g_autoptr (GError) local = NULL;
  CauTargetPair pair;
  gboolean      ok, found;

  cau_targets_hold (self->targets, id, name, 0, NULL, &pair);
  ok = tolerate_not_found (cau_backend_run (self->backend, &op.op, &local), pair.from != NULL, &found, &local, error);
  cau_targets_release (self->targets, &pair, ok ? CAU_TARGETS_REMOVE : CAU_TARGETS_NOTHING, id, name, 0, NULL);
  return ok;
}

gboolean
cau_store_set_report_attributes (CauStore *self, guint64 version, CauAttributeMask mask,
                                 const CauAttributes *attributes, CauReportInfo *info, GError **error)
{
  CauReportAttributesOp op = { .op = { .kind = CAU_OP_SET_REPORT_ATTRIBUTES, .durable = TRUE },
                               .mask = mask,
                               .info = { .version = version, .attributes = *attributes } };
  gboolean              ok = cau_backend_run (self->backend, &op.op, error);

  if (ok && info != NULL)
    {
      cau_report_info_clear (info);
      cau_report_info_copy (&op.saved, info);
    }
  cau_report_info_clear (&op.saved);
  return ok;
}
