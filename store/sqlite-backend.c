/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "cau-access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

/* Idle read connections kept, each with a page cache of up to a MiB. */
#define POOL_MAX 16

/* A connection opened now goes by the path, which may lead to another store by now. */
static CauDb *
open_reader (CauSqlite *self, GError **error)
{
  g_autoptr (CauDb) db = NULL;

  if (!cau_identity_check (self->identity, error))
    return NULL;
  db = cau_db_open (self->path, CAU_DB_READ_ONLY, error);
  return db != NULL && cau_identity_check (self->identity, error) ? g_steal_pointer (&db) : NULL;
}

gboolean
cau_lease_take (CauLease *self, CauBackend *backend, GError **error)
{
  CauSqlite *sqlite = (CauSqlite *) backend;

  self->sqlite = sqlite;
  if (backend->read_only)
    cau_pins_renew (sqlite->pins);
  g_mutex_lock (&sqlite->pool_lock);
  self->db = sqlite->pool->len > 0 ? g_ptr_array_steal_index (sqlite->pool, sqlite->pool->len - 1) : NULL;
  g_mutex_unlock (&sqlite->pool_lock);

  if (self->db == NULL)
    self->db = open_reader (sqlite, error);
  return self->db != NULL;
}

void
cau_lease_return (CauLease *self)
{
  CauSqlite *sqlite = self->sqlite;

  if (self->db == NULL)
    return;
  g_mutex_lock (&sqlite->pool_lock);
  if (sqlite->pool->len < POOL_MAX)
    g_ptr_array_add (sqlite->pool, g_steal_pointer (&self->db));
  g_mutex_unlock (&sqlite->pool_lock);
  g_clear_pointer (&self->db, cau_db_close);
}

static gboolean
sqlite_pin (CauBackend *backend, guint64 version, GError **error)
{
  CauSqlite *self = (CauSqlite *) backend;

  if (cau_pins_pin (self->pins, version))
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE, "version %" G_GUINT64_FORMAT " is no longer there",
               version);
  return FALSE;
}

static void
sqlite_unpin (CauBackend *backend, guint64 version)
{
  CauSqlite *self = (CauSqlite *) backend;

  if (cau_pins_unpin (self->pins, version) && self->writer != NULL)
    cau_writer_collect_soon (self->writer);
}

static CauStage *
sqlite_stage_new (G_GNUC_UNUSED CauBackend *backend)
{
  return g_new0 (CauStage, 1);
}

static void
sqlite_stage_free (CauBackend *backend, CauStage *stage)
{
  if (stage->version != 0)
    {
      sqlite_unpin (backend, stage->version);
      cau_writer_collect_soon (((CauSqlite *) backend)->writer);
    }
  g_clear_error (&stage->failed);
  g_free (stage);
}

static guint64
sqlite_stage_get_version (G_GNUC_UNUSED CauBackend *backend, CauStage *stage)
{
  return stage->version;
}

static void
sqlite_submit (CauBackend *backend, CauOp *op)
{
  cau_writer_submit (((CauSqlite *) backend)->writer, op);
}

static gboolean
sqlite_set_max_size (CauBackend *backend, guint64 max_size, G_GNUC_UNUSED GError **error)
{
  CauSqlite *self = (CauSqlite *) backend;

  self->max_size = max_size;
  if (self->writer != NULL)
    cau_writer_set_max_size (self->writer, max_size);
  return TRUE;
}

static char *
sqlite_describe_exposure (CauBackend *backend)
{
  return cau_access_describe_exposure (((CauSqlite *) backend)->path);
}

static void
sqlite_close (CauBackend *backend)
{
  CauSqlite *self = (CauSqlite *) backend;

  /* The writer's connection goes last: closing the last connection of all checkpoints, which a read-only one cannot. */
  g_ptr_array_unref (self->pool);
  g_clear_pointer (&self->cache, cau_cache_free);
  g_clear_pointer (&self->writer, cau_writer_free);
  g_clear_pointer (&self->pins, cau_pins_free);
  g_clear_pointer (&self->identity, cau_identity_free);
  g_mutex_clear (&self->pool_lock);
  g_free (self->path);
  g_free (self);
}

static const CauBackendClass sqlite_class = {
  .close = sqlite_close,
  .describe_exposure = sqlite_describe_exposure,
  .set_max_size = sqlite_set_max_size,
  .stat = cau_sqlite_stat,
  .get_orchestrator = cau_sqlite_get_orchestrator,
  .list_orchestrators = cau_sqlite_list_orchestrators,
  .list_reports = cau_sqlite_list_reports,
  .find_report = cau_sqlite_find_report,
  .find_name = cau_sqlite_find_name,
  .get_report = cau_sqlite_get_report,
  .get_version = cau_sqlite_get_version,
  .read_chunk = cau_sqlite_read_chunk,
  .scan_orchestrators = cau_sqlite_scan_orchestrators,
  .scan_names = cau_sqlite_scan_names,
  .scan_versions = cau_sqlite_scan_versions,
  .check = cau_sqlite_check,
  .pin = sqlite_pin,
  .unpin = sqlite_unpin,
  .stage_new = sqlite_stage_new,
  .stage_free = sqlite_stage_free,
  .stage_get_version = sqlite_stage_get_version,
  .submit = sqlite_submit,
};

/* WAL shares memory between the processes that use the file, which works on one machine only (sqlite.org/wal.html). The
 * numbers are those of statfs(2) and linux/magic.h. */
static const char *
network_filesystem_name (const char *folder)
{
  static const struct
  {
    guint64     magic;
    const char *name;
  } known[] = { { 0x6969, "NFS" },      { 0xff534d42, "CIFS" }, { 0xfe534d42, "SMB" },   { 0x517b, "SMB" },
                { 0x00c36400, "Ceph" }, { 0x01021997, "9p" },   { 0x5346414f, "AFS" },   { 0x6b414653, "AFS" },
                { 0x65735546, "FUSE" }, { 0x01161970, "GFS2" }, { 0x7461636f, "OCFS2" }, { 0x0bd00bd0, "Lustre" } };
  struct statfs fs;

  if (statfs (folder, &fs) != 0)
    return NULL;
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    if ((guint64) fs.f_type == known[i].magic)
      return known[i].name;
  return NULL;
}

/* SQLite, which makes all but one of the files, does not say why it could not make one. */
static gboolean
check_inodes (const char *path, GError **error)
{
  static const char *const suffixes[] = { "", "-wal", "-shm", "-pins" };
  g_autofree char         *folder = g_path_get_dirname (path);
  struct statvfs           fs;
  guint                    n_needed = 0;
  guint64                  n_free;

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *file = g_strconcat (path, suffixes[i], NULL);

      n_needed += access (file, F_OK) != 0 ? 1 : 0;
    }
  /* Filesystems without a table of inodes say that they have none at all. */
  if (statvfs (folder, &fs) != 0 || fs.f_files == 0)
    return TRUE;
  n_free = geteuid () == 0 ? fs.f_ffree : fs.f_favail;
  if (n_free >= n_needed)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NO_SPACE,
               "%s: the filesystem has %" G_GUINT64_FORMAT
               " free inodes, and %u are needed to open the store; remove some"
               " files there",
               path, n_free, n_needed);
  return FALSE;
}

/* What can be said better than by SQLite before it is asked. */
static gboolean
check_path (const char *path, CauStoreOpenFlags flags, GError **error)
{
  g_autofree char *folder = g_path_get_dirname (path);
  const char      *network = network_filesystem_name (folder);
  gboolean         read_only = (flags & CAU_STORE_OPEN_READ_ONLY) != 0;
  struct stat      st;

  if (stat (path, &st) == 0)
    {
      if (!S_ISREG (st.st_mode))
        g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE, "%s is %s; name a file to keep the store in",
                     path, S_ISDIR (st.st_mode) ? "a folder" : "no regular file");
      else if (st.st_size > 0 && st.st_size < 512)
        /* SQLite would take it for a database that was never written, and overwrite it. */
        g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE, "%s is not a report store; name another file",
                     path);
      else if (access (path, read_only ? R_OK : R_OK | W_OK) != 0)
        g_set_error (error, CAU_STORE_ERROR, (gint) cau_store_error_from_errno (errno), "%s: %s; %s", path,
                     g_strerror (errno),
                     read_only ? "ask its owner for access" : "open it for reading only, or ask its owner for access");
      else if (network != NULL)
        g_set_error (
          error, CAU_STORE_ERROR, CAU_STORE_ERROR_UNSUPPORTED,
          "%s is on a network or FUSE filesystem (%s), where a store would be damaged; keep it on a local disk", path,
          network);
      else
        return TRUE;
      return FALSE;
    }
  if (errno != ENOENT)
    g_set_error (error, CAU_STORE_ERROR, (gint) cau_store_error_from_errno (errno), "%s: %s", path, g_strerror (errno));
  else if ((flags & CAU_STORE_OPEN_CREATE) == 0 || read_only)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no store %s", path);
  else if (stat (folder, &st) != 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "cannot make the store %s: the folder %s: %s", path,
                 folder, g_strerror (errno));
  else if (access (folder, W_OK | X_OK) != 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_PERMISSION, "cannot make the store %s: the folder %s: %s",
                 path, folder, g_strerror (errno));
  else if (network != NULL)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_UNSUPPORTED,
                 "%s is on a network or FUSE filesystem (%s), which cannot hold a store; keep it on a local disk",
                 folder, network);
  else
    return TRUE;
  return FALSE;
}

/* The store's other files stand beside the file itself, not beside a link to it. */
static char *
resolve (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  g_autofree char *name = g_path_get_basename (path);
  char            *real = realpath (path, NULL);
  g_autofree char *real_folder = real == NULL ? realpath (folder, NULL) : NULL;

  if (real != NULL)
    return real;
  return g_build_filename (real_folder != NULL ? real_folder : folder, name, NULL);
}

CauBackend *
cau_sqlite_open (const char *given, CauStoreOpenFlags flags, GError **error)
{
  g_autofree char *path = resolve (given);
  gboolean         read_only = (flags & CAU_STORE_OPEN_READ_ONLY) != 0;
  CauDbMode mode = read_only ? CAU_DB_READ_ONLY : (flags & CAU_STORE_OPEN_CREATE) != 0 ? CAU_DB_CREATE : CAU_DB_WRITE;
  g_autoptr (CauDb) db = NULL;
  CauSqlite   *self;
  CauIdentity *identity;
  CauPins     *pins;

  if (!check_path (path, flags, error) || (!read_only && !check_inodes (path, error))
      || (mode == CAU_DB_CREATE && !cau_access_make (path, error)))
    return NULL;
  db = cau_db_open (path, mode, error);
  if (db == NULL)
    return NULL;
  pins = cau_pins_open (path, read_only, error);
  if (pins == NULL)
    return NULL;
  identity = cau_identity_new (path, db, read_only, error);
  if (identity == NULL)
    {
      cau_pins_free (pins);
      return NULL;
    }

  self = g_new0 (CauSqlite, 1);
  self->base.klass = &sqlite_class;
  self->base.read_only = read_only;
  self->path = g_strdup (path);
  self->pins = pins;
  self->identity = identity;
  self->pool = g_ptr_array_new_with_free_func ((GDestroyNotify) cau_db_close);
  g_mutex_init (&self->pool_lock);
  /* A connection of the pool can go any time. */
  self->cache = cau_cache_new (read_only ? NULL : db);
  if (read_only)
    g_ptr_array_add (self->pool, g_steal_pointer (&db));
  else
    self->writer = cau_writer_new (self, g_steal_pointer (&db), error);
  if (!read_only && (self->writer == NULL || !cau_identity_check (identity, error)))
    {
      sqlite_close (&self->base);
      return NULL;
    }
  return &self->base;
}
