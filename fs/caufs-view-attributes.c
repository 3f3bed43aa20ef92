/* SPDX-License-Identifier: MIT */
#include "caufs-log.h"
#include "caufs-view.h"

#include <errno.h>
#include <string.h>

#define NS_PER_S G_GINT64_CONSTANT (1000000000)

/* What programs that read or write whole blocks best take at a time: a chunk of the store. */
#define BLOCK_SIZE (128 * 1024)

/* ---- what struct stat says ---- */

static struct timespec
timespec_of_ns (gint64 ns)
{
  gint64 s = ns / NS_PER_S;
  gint64 rest = ns % NS_PER_S;

  if (rest < 0)
    {
      s--;
      rest += NS_PER_S;
    }
  return (struct timespec){ .tv_sec = s, .tv_nsec = rest };
}

/* Times that nanoseconds cannot say (before 1678, after 2262) become the nearest they can. */
static gint64
ns_of_timespec (const struct timespec *time)
{
  if (time->tv_sec >= G_MAXINT64 / NS_PER_S)
    return G_MAXINT64;
  if (time->tv_sec <= G_MININT64 / NS_PER_S)
    return G_MININT64;
  return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static void
fill_attributes (CaufsView *self, const CauAttributes *attributes, mode_t type, mode_t all, struct stat *st)
{
  const CaufsOptions *options = self->options;

  st->st_mode = type | (options->umask_is_set ? all & ~options->umask : attributes->mode & 07777);
  st->st_uid = options->uid_is_set ? options->uid : attributes->uid;
  st->st_gid = options->gid_is_set ? options->gid : attributes->gid;
  st->st_atim = timespec_of_ns (attributes->atime);
  st->st_mtim = timespec_of_ns (attributes->mtime);
  st->st_ctim = timespec_of_ns (attributes->ctime);
  st->st_blksize = BLOCK_SIZE;
}

static void
fill_sizes (guint64 size, guint64 stored_size, struct stat *st)
{
  st->st_size = (off_t) size;
  st->st_blocks = (blkcnt_t) ((stored_size + 511) / 512);
}

void
caufs_view_fill_orchestrator (CaufsView *self, const CauOrchestratorInfo *info, struct stat *st)
{
  memset (st, 0, sizeof *st);
  st->st_ino = caufs_ino_of_orchestrator (info->id);
  /* The root does not count its directories; 1 is how a filesystem says so. */
  st->st_nlink = info->id == CAU_STORE_ROOT_ID ? 1 : 2;
  fill_attributes (self, &info->attributes, S_IFDIR, 0777, st);
  caufs_recent_note (self->recent, st->st_ino, st);
}

void
caufs_view_fill_report (CaufsView *self, const CauReportInfo *info, struct stat *st)
{
  memset (st, 0, sizeof *st);
  st->st_ino = caufs_ino_of_version (info->version);
  st->st_nlink = info->orchestrator != 0 ? 1 : 0;
  fill_attributes (self, &info->attributes, S_IFREG, 0666, st);
  fill_sizes (info->size, info->stored_size, st);
  caufs_recent_note (self->recent, st->st_ino, st);
}

void
caufs_view_fill_upload (CaufsView *self, const CaufsNode *node, CauUpload *upload, struct stat *st)
{
  CauUploadState state;

  cau_upload_get_state (upload, &state);
  memset (st, 0, sizeof *st);
  st->st_ino = node != NULL ? node->st_ino : 0;
  st->st_nlink = 1;
  fill_attributes (self, &state.attributes, S_IFREG, 0666, st);
  fill_sizes (state.size, state.size, st);
  if (node != NULL)
    caufs_recent_note (self->recent, node->ino, st);
}

/* ---- GETATTR ---- */

static int
getattr_orchestrator (CaufsView *self, guint64 id, struct stat *st)
{
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo info;

  if (cau_store_get_orchestrator (self->store, id, &info, &error))
    {
      caufs_view_fill_orchestrator (self, &info, st);
      return 0;
    }
  /* One that was removed while somebody has it open. */
  if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND)
      || !caufs_recent_find (self->recent, caufs_ino_of_orchestrator (id), st))
    return caufs_fail (error, "attributes of an orchestrator cannot be read");
  st->st_nlink = 0;
  return 0;
}

static int
getattr_version (CaufsView *self, guint64 version, struct stat *st)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  if (!cau_store_get_version (self->store, version, &info, &error))
    {
      if (!g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE)
          || !caufs_recent_find (self->recent, caufs_ino_of_version (version), st))
        return caufs_fail (error, "attributes of a report cannot be read");
      st->st_nlink = 0;
      return 0;
    }
  caufs_view_fill_report (self, &info, st);
  return 0;
}

static int
getattr_writer (CaufsView *self, guint64 ino, struct stat *st)
{
  g_autoptr (CaufsNode) node = caufs_nodes_get (self->nodes, ino);
  g_autoptr (CaufsHandle) handle = node != NULL ? caufs_node_ref_handle (node) : NULL;

  if (handle != NULL)
    {
      caufs_view_fill_upload (self, node, handle->upload, st);
      if (!cau_upload_has_name (handle->upload))
        st->st_nlink = 0;
    }
  else if (node != NULL && caufs_node_is_ticket (node))
    *st = node->ticket_stat;
  else if (!caufs_recent_find (self->recent, ino, st))
    return -ESTALE;
  return 0;
}

int
caufs_view_getattr (CaufsView *self, guint64 ino, struct stat *st, double *timeout)
{
  *timeout = self->options->attr_timeout;
  switch (caufs_ino_get_kind (ino))
    {
    case CAUFS_NODE_ROOT:
    case CAUFS_NODE_ORCHESTRATOR:
      return getattr_orchestrator (self, caufs_ino_get_id (ino), st);
    case CAUFS_NODE_VERSION:
      return getattr_version (self, caufs_ino_get_id (ino), st);
    case CAUFS_NODE_WRITER:
      *timeout = 0;
      return getattr_writer (self, ino, st);
    case CAUFS_NODE_INVALID:
      break;
    }
  return -ESTALE;
}

/* ---- SETATTR ---- */

static gint64
now_ns (void)
{
  return cau_datetime_now () * 1000;
}

/* FUSE_SET_ATTR_MTIME stands beside FUSE_SET_ATTR_MTIME_NOW; likewise for atime. */
static CauAttributeMask
wanted_attributes (int to_set, const struct stat *wanted, CauAttributes *attributes)
{
  CauAttributeMask mask = 0;

  *attributes = (CauAttributes){ .mode = wanted->st_mode & 07777, .uid = wanted->st_uid, .gid = wanted->st_gid };
  attributes->atime = to_set & FUSE_SET_ATTR_ATIME_NOW ? now_ns () : ns_of_timespec (&wanted->st_atim);
  attributes->mtime = to_set & FUSE_SET_ATTR_MTIME_NOW ? now_ns () : ns_of_timespec (&wanted->st_mtim);
  if (to_set & FUSE_SET_ATTR_MODE)
    mask |= CAU_ATTRIBUTE_MODE;
  if (to_set & FUSE_SET_ATTR_UID)
    mask |= CAU_ATTRIBUTE_UID;
  if (to_set & FUSE_SET_ATTR_GID)
    mask |= CAU_ATTRIBUTE_GID;
  if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
    mask |= CAU_ATTRIBUTE_ATIME;
  if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
    mask |= CAU_ATTRIBUTE_MTIME;
  return mask;
}

static int
setattr_orchestrator (CaufsView *self, guint64 id, int to_set, const struct stat *wanted, struct stat *st)
{
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo info;
  CauAttributes       attributes;
  CauAttributeMask    mask = wanted_attributes (to_set, wanted, &attributes);

  if (!cau_store_set_orchestrator_attributes (self->store, id, mask, &attributes, &info, &error))
    return caufs_fail (error, "attributes of an orchestrator cannot be set");
  caufs_view_fill_orchestrator (self, &info, st);
  return 0;
}

/* What was set through a handle of a version that was replaced is the report's as well: the kernel, which keeps the attributes
 * of the current one, has to hear of it. */
static void
note_current_changed (CaufsView *self, guint64 report)
{
  guint64 version = cau_store_get_current_version (self->store, report);

  if (version != 0)
    self->changed (caufs_ino_of_version (version), self->changed_data);
}

static int
setattr_version (CaufsView *self, const CaufsCaller *caller, guint64 version, int to_set, const struct stat *wanted,
                 struct stat *st)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CaufsIntentState intent;
  CauAttributes    attributes;
  CauAttributeMask mask = wanted_attributes (to_set, wanted, &attributes);

  if (self->options->worm)
    return -EPERM;
  if (to_set & FUSE_SET_ATTR_SIZE)
    return caufs_view_retry_version (self, caller, CAUFS_INTENT_WRITE, version);
  /* In the second try the walk has opened the version, so that it is there, whoever replaced it since. */
  intent = caufs_intents_take (self->intents, caller->tid, CAUFS_INTENT_READ, 0, NULL, &reader);
  if (!cau_store_set_report_attributes (self->store, version, mask, &attributes, &info, &error))
    return intent == CAUFS_INTENT_NONE && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE)
             ? caufs_view_retry_reading (self, caller)
             : caufs_fail (error, "attributes of a report cannot be set");
  if (info.orchestrator == 0)
    note_current_changed (self, info.report);
  caufs_view_note_change (self, 0);
  caufs_view_fill_report (self, &info, st);
  return 0;
}

/* @by_path: truncate(2), which is not for the upload of whoever happens to write a report that is saved. */
static int
setattr_handle (CaufsView *self, const CaufsCaller *caller, CaufsHandle *handle, gboolean by_path, int to_set,
                const struct stat *wanted, struct stat *st)
{
  CauAttributes    attributes;
  CauAttributeMask mask = wanted_attributes (to_set, wanted, &attributes);
  CauUploadState   state;
  int              r = 0;

  cau_upload_get_state (handle->upload, &state);
  if (state.committed && self->options->worm)
    return -EPERM;
  if (to_set & FUSE_SET_ATTR_SIZE)
    {
      if (state.committed && by_path)
        return caufs_view_retry_name (self, caller, CAUFS_INTENT_WRITE, handle->name);
      r = caufs_handle_truncate (handle, caller->tid, (guint64) wanted->st_size);
    }
  if (r == 0 && mask != 0)
    r = caufs_handle_set_attributes (handle, mask, &attributes);
  if (r == 0)
    caufs_view_fill_upload (self, handle->node, handle->upload, st);
  return r;
}

static int
setattr_writer (CaufsView *self, const CaufsCaller *caller, guint64 ino, CaufsHandle *given, int to_set,
                const struct stat *wanted, struct stat *st)
{
  g_autoptr (CaufsNode) node = caufs_nodes_get (self->nodes, ino);
  g_autoptr (CaufsHandle) first = node != NULL ? caufs_node_ref_handle (node) : NULL;
  gboolean has_handle = given != NULL && given->upload != NULL;

  if (has_handle || first != NULL)
    return setattr_handle (self, caller, has_handle ? given : first, !has_handle, to_set, wanted, st);
  if (node == NULL)
    return -ESTALE;
  if (to_set & FUSE_SET_ATTR_SIZE && caufs_node_is_ticket (node))
    return caufs_view_truncate_ticket (self, caller, node, (guint64) wanted->st_size, st);
  if (to_set & FUSE_SET_ATTR_SIZE)
    return caufs_view_retry_name (self, caller, CAUFS_INTENT_WRITE, node->name);
  /* Not what the thread wanted the ticket for: the walk that follows must find the version. */
  caufs_intents_take (self->intents, caller->tid, CAUFS_INTENT_WRITE, 0, NULL, NULL);
  return -ESTALE;
}

int
caufs_view_setattr (CaufsView *self, const CaufsCaller *caller, guint64 ino, CaufsHandle *handle, int to_set,
                    const struct stat *wanted, struct stat *st, double *timeout)
{
  *timeout = self->options->attr_timeout;
  switch (caufs_ino_get_kind (ino))
    {
    case CAUFS_NODE_ROOT:
    case CAUFS_NODE_ORCHESTRATOR:
      return setattr_orchestrator (self, caufs_ino_get_id (ino), to_set, wanted, st);
    case CAUFS_NODE_VERSION:
      return setattr_version (self, caller, caufs_ino_get_id (ino), to_set, wanted, st);
    case CAUFS_NODE_WRITER:
      *timeout = 0;
      return setattr_writer (self, caller, ino, handle, to_set, wanted, st);
    case CAUFS_NODE_INVALID:
      break;
    }
  return -ESTALE;
}

/* ---- STATFS ---- */

int
caufs_view_statfs (CaufsView *self, struct statvfs *st)
{
  g_autoptr (GError) error = NULL;
  CauStoreStat stat;

  if (!cau_store_stat (self->store, &stat, &error))
    return caufs_fail (error, "the store's free space cannot be read");
  memset (st, 0, sizeof *st);
  st->f_bsize = stat.block_size;
  st->f_frsize = stat.block_size;
  st->f_blocks = stat.blocks;
  st->f_bfree = stat.blocks_free;
  st->f_bavail = stat.blocks_available;
  st->f_files = stat.n_reports;
  st->f_ffree = G_MAXUINT32;
  st->f_favail = G_MAXUINT32;
  st->f_namemax = CAU_REPORT_NAME_MAX;
  return 0;
}

/* ---- extended attributes ---- */

static void
format_timestamp (const CauReportInfo *info, GString *value)
{
  char text[CAU_DATETIME_TEXT_LEN + 1];

  cau_datetime_format (info->timestamp, text);
  g_string_append (value, text);
}

static void
format_sha256 (const CauReportInfo *info, GString *value)
{
  for (guint i = 0; i < CAU_SHA256_LEN; i++)
    g_string_append_printf (value, "%02x", info->sha256[i]);
}

static void
format_stored_size (const CauReportInfo *info, GString *value)
{
  g_string_append_printf (value, "%" G_GUINT64_FORMAT, info->stored_size);
}

static void
format_chunks (const CauReportInfo *info, GString *value)
{
  g_string_append_printf (value, "%" G_GUINT64_FORMAT, info->n_chunks);
}

static const struct
{
  const char *name;
  void (*format) (const CauReportInfo *info, GString *value);
} xattrs[] = {
  { "user.cau.timestamp", format_timestamp },
  { "user.cau.sha256", format_sha256 },
  { "user.cau.stored_size", format_stored_size },
  { "user.cau.chunks", format_chunks },
};

/* The protocol of getxattr(2): a size of 0 asks how much is needed. */
static ssize_t
give (const GString *value, char *buffer, size_t size)
{
  if (size == 0)
    return (ssize_t) value->len;
  if (size < value->len)
    return -ERANGE;
  memcpy (buffer, value->str, value->len);
  return (ssize_t) value->len;
}

ssize_t
caufs_view_getxattr (CaufsView *self, guint64 ino, const char *name, char *value, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GString) text = g_string_new (NULL);
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  guint i = 0;

  /* "Not supported" where the answer will never be another one, the ACLs and security labels: ls(1) then asks for
   * one file only, not for each. */
  if (!g_str_has_prefix (name, "user."))
    return -EOPNOTSUPP;
  while (i < G_N_ELEMENTS (xattrs) && !g_str_equal (name, xattrs[i].name))
    i++;
  if (i == G_N_ELEMENTS (xattrs) || caufs_ino_get_kind (ino) != CAUFS_NODE_VERSION)
    return -ENODATA;
  if (!cau_store_get_version (self->store, caufs_ino_get_id (ino), &info, &error))
    return caufs_fail (error, "attributes of a report cannot be read");
  xattrs[i].format (&info, text);
  return give (text, value, size);
}

ssize_t
caufs_view_listxattr (CaufsView *self, guint64 ino, char *list, size_t size)
{
  g_autoptr (GString) names = g_string_new (NULL);

  (void) self;
  if (caufs_ino_get_kind (ino) == CAUFS_NODE_VERSION)
    for (guint i = 0; i < G_N_ELEMENTS (xattrs); i++)
      g_string_append_len (names, xattrs[i].name, (gssize) strlen (xattrs[i].name) + 1);
  return give (names, list, size);
}
