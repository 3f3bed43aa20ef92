/* SPDX-License-Identifier: MIT */
#include "caufs-log.h"
#include "caufs-view.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- entries ---- */

void
caufs_view_fill_directory_entry (CaufsView *self, const CauOrchestratorInfo *info, struct fuse_entry_param *entry)
{
  memset (entry, 0, sizeof *entry);
  caufs_view_fill_orchestrator (self, info, &entry->attr);
  entry->ino = entry->attr.st_ino;
  entry->attr_timeout = self->options->attr_timeout;
  entry->entry_timeout = self->options->entry_timeout;
}

/* While somebody writes the report through this mount, the kernel must ask for the name each time: a commit changes
 * what it leads to, and telling the kernel so (fuse_lowlevel_notify_inval_entry()) would need a lock that
 * the kernel holds during some of the requests that we serve. */
void
caufs_view_fill_entry (CaufsView *self, const CauReportInfo *info, struct fuse_entry_param *entry)
{
  gboolean is_written = (info->name != NULL && caufs_names_has_writer (self->names, info->orchestrator, info->name))
                        || cau_store_has_upload (self->store, info->report);

  memset (entry, 0, sizeof *entry);
  caufs_view_fill_report (self, info, &entry->attr);
  entry->ino = entry->attr.st_ino;
  entry->attr_timeout = self->options->attr_timeout;
  entry->entry_timeout = is_written ? 0 : self->options->entry_timeout;
}

/* A ticket, for a thread that is about to write. */
static void
fill_ticket_entry (CaufsView *self, CaufsNode *node, struct fuse_entry_param *entry)
{
  memset (entry, 0, sizeof *entry);
  entry->ino = node->ino;
  entry->attr = node->ticket_stat;
  entry->attr_timeout = self->options->attr_timeout;
  caufs_node_add_lookup (node);
}

/* @target: (transfer full). @upload: (transfer full) (nullable). */
static int
give_ticket (CaufsView *self, const CaufsCaller *caller, guint64 id, const char *name, const struct stat *st,
             CauTarget *target, CauUpload *upload, struct fuse_entry_param *entry)
{
  g_autoptr (CaufsName) key = caufs_names_get (self->names, id, name);
  g_autoptr (CaufsNode) node = caufs_nodes_add (self->nodes, key, target, st, upload);

  caufs_intents_set_ticket (self->intents, caller->tid, id, name, node->ino);
  fill_ticket_entry (self, node, entry);
  return 0;
}

/* An upload that was never committed: its writer's node, or a ticket for one more writer. Also a ticket when the node
 * cannot be opened again: another thread is about to make the upload's handle, or the node's first one was closed. The
 * name is taken all the same, and who is told that it is free gets no further than a CREATE that finds it taken. */
static int
give_upload (CaufsView *self, const CaufsCaller *caller, gboolean for_writing, CauUpload *upload, guint64 id,
             const char *name, struct fuse_entry_param *entry)
{
  g_autoptr (CaufsNode) node = caufs_nodes_find_upload (self->nodes, upload);
  g_autoptr (CaufsHandle) first = node != NULL ? caufs_node_ref_handle (node) : NULL;
  struct stat st;

  caufs_view_fill_upload (self, node, first != NULL ? first->upload : upload, &st);
  /* One more upload begins empty, and the kernel counts from where it believes the end to be when it appends. */
  if (for_writing)
    st.st_size = st.st_blocks = 0;
  if (for_writing || first == NULL)
    return give_ticket (self, caller, id, name, &st, cau_upload_get_target (upload), NULL, entry);
  memset (entry, 0, sizeof *entry);
  entry->ino = node->ino;
  entry->attr = st;
  caufs_node_add_lookup (node);
  return 0;
}

/* ---- LOOKUP ---- */

static int
lookup_orchestrator (CaufsView *self, const char *name, struct fuse_entry_param *entry)
{
  g_autoptr (GError) error = NULL;
  CauOrchestratorInfo info;
  CauGuid             guid;

  if (!cau_guid_parse (name, &guid, NULL))
    return -ENOENT;
  if (!cau_store_find_orchestrator (self->store, &guid, &info, &error))
    return caufs_fail (error, "orchestrator %s cannot be looked up", name);
  caufs_view_fill_directory_entry (self, &info, entry);
  return 0;
}

/* The ticket that an earlier LOOKUP of the same walk gave, unless the name leads to something else by now. */
static gboolean
reuse_ticket (CaufsView *self, guint64 ticket, guint64 id, const char *name, struct fuse_entry_param *entry)
{
  g_autoptr (CaufsNode) node = ticket != 0 ? caufs_nodes_get (self->nodes, ticket) : NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  if (node == NULL || !caufs_node_is_ticket (node))
    return FALSE;
  if (cau_store_find_report (self->store, id, name, &info, NULL)
        ? node->st_ino != caufs_ino_of_version (info.version)
        : caufs_ino_get_kind (node->st_ino) == CAUFS_NODE_VERSION)
    return FALSE;
  fill_ticket_entry (self, node, entry);
  return TRUE;
}

static int
lookup_saved_for_writing (CaufsView *self, const CaufsCaller *caller, const CauReportInfo *info,
                          struct fuse_entry_param *entry)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = caufs_view_new_attributes (caller, 0);
  CauUpload    *upload;
  struct stat   st;

  upload =
    cau_store_begin_upload (self->store, info->orchestrator, info->name, CAU_UPLOAD_EXISTING, &attributes, &error);
  if (upload == NULL)
    return caufs_fail (error, "report %s cannot be written", info->name);
  caufs_view_fill_report (self, info, &st);
  return give_ticket (self, caller, info->orchestrator, info->name, &st, cau_upload_get_target (upload), upload, entry);
}

/* For the second try of an open for reading, which must find this version: it is opened here already. */
static int
lookup_for_reading (CaufsView *self, const CaufsCaller *caller, guint64 id, const char *name,
                    struct fuse_entry_param *entry)
{
  g_autoptr (GError) error = NULL;
  CauReader *reader = cau_store_get_report (self->store, id, name, CAUFS_READER_CHUNK_SIZE, &error);

  if (reader == NULL)
    return caufs_fail (error, "report %s cannot be looked up", name);
  caufs_view_fill_entry (self, cau_reader_get_info (reader), entry);
  caufs_intents_set_reader (self->intents, caller->tid, id, name, reader);
  return 0;
}

static int
lookup_now (CaufsView *self, const CaufsCaller *caller, gboolean for_writing, guint64 id, const char *name,
            struct fuse_entry_param *entry)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  /* In this order: an upload that is committed in between is found as a report. */
  upload = cau_store_find_upload (self->store, id, name);
  if (cau_store_find_report (self->store, id, name, &info, &error))
    {
      if (for_writing && !self->options->worm)
        return lookup_saved_for_writing (self, caller, &info, entry);
      caufs_view_fill_entry (self, &info, entry);
      return 0;
    }
  if (upload == NULL || !g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    return caufs_fail (error, "report %s cannot be looked up", name);
  return give_upload (self, caller, for_writing, upload, id, name, entry);
}

static int
lookup_report (CaufsView *self, const CaufsCaller *caller, guint64 id, const char *name, struct fuse_entry_param *entry)
{
  CaufsIntentKind kind = CAUFS_INTENT_READ;
  guint64         ticket = 0;
  gboolean        is_second;

  if (!cau_report_name_validate (name, NULL))
    return -ENOENT;
  caufs_names_wait_settled (self->names, caller->uid, id, name);
  is_second = caufs_intents_look_up (self->intents, caller->tid, id, name, &kind, &ticket);
  if (is_second && kind == CAUFS_INTENT_READ && lookup_for_reading (self, caller, id, name, entry) == 0)
    return 0;
  if (is_second && kind == CAUFS_INTENT_WRITE && reuse_ticket (self, ticket, id, name, entry))
    return 0;
  return lookup_now (self, caller, kind == CAUFS_INTENT_WRITE, id, name, entry);
}

int
caufs_view_lookup (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name,
                   struct fuse_entry_param *entry)
{
  if (strlen (name) > CAU_REPORT_NAME_MAX)
    return -ENAMETOOLONG;
  switch (caufs_ino_get_kind (parent))
    {
    case CAUFS_NODE_ROOT:
      return lookup_orchestrator (self, name, entry);
    case CAUFS_NODE_ORCHESTRATOR:
      return lookup_report (self, caller, caufs_ino_get_id (parent), name, entry);
    case CAUFS_NODE_VERSION:
    case CAUFS_NODE_WRITER:
      return -ENOTDIR;
    case CAUFS_NODE_INVALID:
      break;
    }
  return -ESTALE;
}

void
caufs_view_forget (CaufsView *self, guint64 ino, guint64 n)
{
  caufs_nodes_forget (self->nodes, ino, n);
}

/* ---- orchestrators ---- */

int
caufs_view_mkdir (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode,
                  struct fuse_entry_param *entry)
{
  g_autoptr (GError) error = NULL;
  CauAttributes       attributes = caufs_view_new_attributes (caller, mode);
  CauOrchestratorInfo info;
  CauGuid             guid;

  if (caufs_ino_get_kind (parent) != CAUFS_NODE_ROOT)
    return -EPERM;
  if (!cau_guid_parse (name, &guid, &error)
      || !cau_store_create_orchestrator (self->store, &guid, &attributes, &info, &error))
    return caufs_fail (error, "orchestrator %s cannot be made", name);
  caufs_view_fill_directory_entry (self, &info, entry);
  return 0;
}

int
caufs_view_rmdir (CaufsView *self, guint64 parent, const char *name)
{
  g_autoptr (GError) error = NULL;
  CauGuid guid;

  if (caufs_ino_get_kind (parent) != CAUFS_NODE_ROOT)
    return -ENOTDIR;
  if (!cau_guid_parse (name, &guid, NULL))
    return -ENOENT;
  if (!cau_store_remove_orchestrator (self->store, &guid, &error))
    return caufs_fail (error, "orchestrator %s cannot be removed", name);
  return 0;
}

/* ---- reports ---- */

/* There is no handle and no close: the report is made at once, empty. */
int
caufs_view_mknod (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode,
                  struct fuse_entry_param *entry)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauAttributes attributes = caufs_view_new_attributes (caller, mode);

  if (caufs_ino_get_kind (parent) != CAUFS_NODE_ORCHESTRATOR || !S_ISREG (mode))
    return -EPERM;
  upload = cau_store_begin_upload (self->store, caufs_ino_get_id (parent), name, CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_NEW,
                                   &attributes, &error);
  if (upload == NULL || !cau_upload_commit (upload, &info, &error))
    return caufs_fail (error, "report %s cannot be made", name);
  if (info.version == 0)
    return -ENOENT; /* removed meanwhile */
  caufs_view_note_change (self, 0);
  caufs_view_fill_entry (self, &info, entry);
  return 0;
}

/* Whether worm forbids to take away the name: the report is saved. */
static int
check_worm (CaufsView *self, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  if (!self->options->worm)
    return 0;
  if (cau_store_find_report (self->store, id, name, &info, &error))
    return -EPERM;
  if (g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    return 0;
  return caufs_fail (error, "report %s cannot be looked up", name);
}

int
caufs_view_unlink (CaufsView *self, guint64 parent, const char *name)
{
  g_autoptr (GError) error = NULL;
  guint64 id = caufs_ino_get_id (parent);
  int     r;

  if (caufs_ino_get_kind (parent) != CAUFS_NODE_ORCHESTRATOR)
    return -EPERM;
  r = check_worm (self, id, name);
  if (r < 0)
    return r;
  if (!cau_store_remove_report (self->store, id, name, &error))
    return caufs_fail (error, "report %s cannot be removed", name);
  caufs_names_remove (self->names, id, name);
  caufs_view_note_change (self, 0);
  return 0;
}

static int
rename_mode (guint flags, CauRenameMode *mode)
{
  switch (flags)
    {
    case 0:
      *mode = CAU_RENAME_REPLACE;
      return 0;
    case RENAME_NOREPLACE:
      *mode = CAU_RENAME_NO_REPLACE;
      return 0;
    case RENAME_EXCHANGE:
      *mode = CAU_RENAME_EXCHANGE;
      return 0;
    default:
      return -EINVAL;
    }
}

static int
rename_report (CaufsView *self, guint64 id, const char *name, guint64 new_id, const char *new_name, CauRenameMode mode)
{
  g_autoptr (GError) error = NULL;
  gboolean keep = self->options->worm && mode == CAU_RENAME_REPLACE;

  if (keep)
    mode = CAU_RENAME_NO_REPLACE;
  if (!cau_store_rename_report (self->store, id, name, new_id, new_name, mode, &error))
    return keep && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS)
             ? -EPERM
             : caufs_fail (error, "report %s cannot be renamed", name);
  caufs_names_rename (self->names, id, name, new_id, new_name, mode == CAU_RENAME_EXCHANGE);
  caufs_view_note_change (self, 0);
  return 0;
}

int
caufs_view_rename (CaufsView *self, guint64 parent, const char *name, guint64 new_parent, const char *new_name,
                   guint flags)
{
  guint64       id = caufs_ino_get_id (parent);
  guint64       new_id = caufs_ino_get_id (new_parent);
  CauRenameMode mode;
  int           r = rename_mode (flags, &mode);

  if (r < 0)
    return r;
  if (caufs_ino_get_kind (parent) != CAUFS_NODE_ORCHESTRATOR
      || caufs_ino_get_kind (new_parent) != CAUFS_NODE_ORCHESTRATOR)
    return -EPERM;
  r = check_worm (self, id, name);
  if (r == 0 && mode == CAU_RENAME_EXCHANGE)
    r = check_worm (self, new_id, new_name);
  return r < 0 ? r : rename_report (self, id, name, new_id, new_name, mode);
}
