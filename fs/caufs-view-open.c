/* SPDX-License-Identifier: MIT */
#include "caufs-log.h"
#include "caufs-view.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The mode of a report that is renamed just after the last one who wrote it let go. */
#define LOST_MODE 0600

/* So many bytes are hashed in no time, and so many requests may at once truncate by path to more. */
#define LARGE (64 * 1024 * 1024)
#define MAX_TRUNCATING 4

/* ---- trying again ---- */

int
caufs_view_retry_version (CaufsView *self, const CaufsCaller *caller, CaufsIntentKind kind, guint64 version)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  gboolean is_current = cau_store_get_version (self->store, version, &info, NULL) && info.orchestrator != 0;

  caufs_intents_note (self->intents, caller->tid, kind, info.orchestrator, is_current ? info.name : NULL);
  return -ESTALE;
}

int
caufs_view_retry_name (CaufsView *self, const CaufsCaller *caller, CaufsIntentKind kind, CaufsName *name)
{
  g_autofree char *text = NULL;
  guint64          orchestrator;

  caufs_name_dup_key (name, &orchestrator, &text);
  caufs_intents_note (self->intents, caller->tid, kind, orchestrator, text);
  return -ESTALE;
}

/* Ends the caller's intent for @name. */
static CaufsIntentState
take_intent (CaufsView *self, const CaufsCaller *caller, CaufsIntentKind kind, CaufsName *name)
{
  g_autofree char *text = NULL;
  guint64          orchestrator;

  caufs_name_dup_key (name, &orchestrator, &text);
  return caufs_intents_take (self->intents, caller->tid, kind, orchestrator, text, NULL);
}

/* ---- writing ---- */

/* Begins an upload of what @node is for, and of nothing that took its name meanwhile: the kernel checked by @node whether
 * the caller may. @flags: of the open. */
static int
begin_node (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, int flags, CauUpload **upload)
{
  g_autoptr (GError) error = NULL;
  CauAttributes  attributes = caufs_view_new_attributes (caller, LOST_MODE);
  CauUploadFlags upload_flags =
    (flags & O_TRUNC ? CAU_UPLOAD_TRUNCATE : 0) | (self->options->worm ? CAU_UPLOAD_NO_REPLACE : 0);
  g_autofree char *name = NULL;
  guint64          orchestrator = 0;

  caufs_name_dup_key (node->name, &orchestrator, &name);
  *upload =
    cau_store_begin_upload_of (self->store, node->target, orchestrator, name, upload_flags, &attributes, &error);
  return *upload != NULL ? 0 : caufs_fail (error, "report %s cannot be written", name != NULL ? name : "(removed)");
}

/* Uses up the ticket, if it still is one, for an upload. @flags: of the open. */
static int
begin_ticket (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, int flags, CauUpload **upload)
{
  g_autoptr (GError) error = NULL;

  take_intent (self, caller, CAUFS_INTENT_WRITE, node->name);
  if (!caufs_node_take_ticket (node, upload))
    return -ESTALE;
  if (*upload == NULL)
    return begin_node (self, caller, node, flags, upload);
  if (!(flags & O_TRUNC) || cau_upload_truncate (*upload, 0, &error))
    return 0;
  g_clear_pointer (upload, cau_upload_unref);
  return caufs_fail (error, "a report cannot be emptied");
}

/* The kernel got the size with the ticket; the upload may have begun with another. After O_TRUNC it knows it. */
static void
check_ticket_size (CaufsView *self, CaufsNode *node, CauUpload *upload, int flags)
{
  CauUploadState state;

  cau_upload_get_state (upload, &state);
  if (!(flags & O_TRUNC) && (off_t) state.size != node->ticket_stat.st_size)
    self->changed (node->ino, self->changed_data);
}

static int
open_ticket (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, int flags, CaufsHandle **handle)
{
  CauUpload *upload;
  int        r;

  /* Counted as one writer through, from the ticket to the handle. */
  caufs_name_add_writer (node->name);
  r = begin_ticket (self, caller, node, flags, &upload);
  if (r == 0)
    {
      check_ticket_size (self, node, upload, flags);
      *handle = caufs_handle_new_writer (self, node, upload);
    }
  caufs_name_remove_writer (node->name);
  return r;
}

static int
truncate_ticket (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, guint64 size, struct stat *st)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = NULL;
  guint64  orchestrator;
  gboolean ok;
  int      r;

  caufs_name_add_writer (node->name);
  r = begin_ticket (self, caller, node, 0, &upload);
  ok = r == 0 && cau_upload_truncate (upload, size, &error) && cau_upload_commit (upload, NULL, &error);
  orchestrator = caufs_name_get_orchestrator (node->name);
  caufs_name_remove_writer (node->name);
  if (r < 0)
    return r;
  if (!ok)
    return caufs_fail (error, "a report cannot be truncated");
  caufs_view_note_change (self, orchestrator);
  caufs_view_fill_upload (self, node, upload, st);
  return 0;
}

/* All bytes are hashed, which takes seconds for each gigabyte, and the request holds a thread meanwhile, of which there are few. */
int
caufs_view_truncate_ticket (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, guint64 size, struct stat *st)
{
  int r = -EBUSY;

  if (size <= LARGE)
    return truncate_ticket (self, caller, node, size, st);
  if (g_atomic_int_add (&self->n_truncating, 1) < MAX_TRUNCATING)
    r = truncate_ticket (self, caller, node, size, st);
  g_atomic_int_add (&self->n_truncating, -1);
  return r;
}

/* A second upload on a node: somebody opened /proc/self/fd/N, or /dev/stdout, which leads straight to it. */
static int
open_again (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, int flags, CaufsHandle **handle)
{
  CauUpload *upload;
  int        r = begin_node (self, caller, node, flags, &upload);

  if (r == 0)
    *handle = caufs_handle_new_writer (self, node, upload);
  return r;
}

static int
open_node_for_writing (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, int flags, CaufsHandle **handle)
{
  if (caufs_node_is_ticket (node))
    return open_ticket (self, caller, node, flags, handle);
  if (take_intent (self, caller, CAUFS_INTENT_WRITE, node->name) == CAUFS_INTENT_NOT_LOOKED_UP)
    return open_again (self, caller, node, flags, handle);
  return caufs_view_retry_name (self, caller, CAUFS_INTENT_WRITE, node->name);
}

/* ---- reading ---- */

int
caufs_view_retry_reading (CaufsView *self, const CaufsCaller *caller)
{
  caufs_intents_note (self->intents, caller->tid, CAUFS_INTENT_READ, 0, NULL);
  return -ESTALE;
}

/* A version that its name left is opened only in the second try: the walk before it has just found it, or the path leads
 * straight to it, through /proc/self/fd. */
static int
open_version_for_reading (CaufsView *self, const CaufsCaller *caller, guint64 version, CaufsHandle **handle)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReader) reader = NULL;
  CaufsIntentState intent;

  /* A version that its name left does not know the name, so this is not by name. */
  intent = caufs_intents_take (self->intents, caller->tid, CAUFS_INTENT_READ, 0, NULL, &reader);
  if (reader != NULL && cau_reader_get_info (reader)->version != version)
    g_clear_pointer (&reader, cau_reader_unref);
  if (reader == NULL)
    reader = cau_store_open_version (self->store, version, CAUFS_READER_CHUNK_SIZE, &error);
  if (reader == NULL && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE))
    return caufs_view_retry_reading (self, caller);
  if (reader == NULL)
    return caufs_fail (error, "a report cannot be opened");
  if (cau_reader_get_info (reader)->orchestrator == 0 && intent == CAUFS_INTENT_NONE)
    return caufs_view_retry_reading (self, caller);
  *handle = caufs_handle_new_reader (self, g_steal_pointer (&reader));
  return 0;
}

/* A writer's node is for its writer. Others wait for the commit, and then get the version. In the second try the walk has
 * just found the report unsaved, or the path leads straight to the node. */
static int
open_node_for_reading (CaufsView *self, const CaufsCaller *caller, CaufsNode *node)
{
  g_autoptr (CaufsHandle) handle = NULL;
  CauUploadState   state = { 0 };
  CaufsIntentState intent;
  g_autofree char *name = NULL;
  guint64          orchestrator;

  if (caufs_name_dup_key (node->name, &orchestrator, &name))
    caufs_names_wait_settled (self->names, caller->uid, orchestrator, name);
  intent = take_intent (self, caller, CAUFS_INTENT_READ, node->name);
  handle = caufs_node_ref_handle (node);
  if (handle != NULL)
    cau_upload_get_state (handle->upload, &state);
  if ((handle != NULL && !state.committed) || intent != CAUFS_INTENT_NONE)
    return -EBUSY;
  return caufs_view_retry_name (self, caller, CAUFS_INTENT_READ, node->name);
}

/* ---- OPEN and CREATE ---- */

static gboolean
is_for_writing (int flags)
{
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

static int
open_version (CaufsView *self, const CaufsCaller *caller, guint64 version, gboolean for_writing, CaufsHandle **handle)
{
  if (!for_writing)
    return open_version_for_reading (self, caller, version, handle);
  if (self->options->worm)
    return -EPERM;
  return caufs_view_retry_version (self, caller, CAUFS_INTENT_WRITE, version);
}

static int
open_node (CaufsView *self, const CaufsCaller *caller, guint64 ino, int flags, CaufsHandle **handle)
{
  gboolean for_writing = is_for_writing (flags);
  g_autoptr (CaufsNode) node = NULL;

  switch (caufs_ino_get_kind (ino))
    {
    case CAUFS_NODE_VERSION:
      return open_version (self, caller, caufs_ino_get_id (ino), for_writing, handle);
    case CAUFS_NODE_WRITER:
      node = caufs_nodes_get (self->nodes, ino);
      if (node == NULL)
        return -ESTALE;
      return for_writing ? open_node_for_writing (self, caller, node, flags, handle)
                         : open_node_for_reading (self, caller, node);
    case CAUFS_NODE_ROOT:
    case CAUFS_NODE_ORCHESTRATOR:
      return -EISDIR;
    case CAUFS_NODE_INVALID:
      break;
    }
  return -ESTALE;
}

/* Counts the handle that an open made, or does not count the one that it did not make. */
static int
count_open (CaufsView *self, const CaufsCaller *caller, int result, CaufsHandle *handle)
{
  if (result < 0)
    cau_quota_give (self->open_files, caller->uid, 1);
  else
    handle->uid = caller->uid;
  return result;
}

int
caufs_view_open (CaufsView *self, const CaufsCaller *caller, guint64 ino, int flags, CaufsHandle **handle)
{
  int r;

  if (cau_quota_take (self->open_files, caller->uid, 1) != CAU_QUOTA_OK)
    return -ENFILE;
  r = open_node (self, caller, ino, flags, handle);
  return count_open (self, caller, r, *handle);
}

/* The kernel believes that there is no such report. If there is, then somebody else has just made it, and the kernel
 * has not checked whether the caller may write it: it has to look again. */
static int
retry_create (CaufsView *self, const CaufsCaller *caller, guint64 orchestrator, const char *name, int flags)
{
  if (flags & O_EXCL)
    return -EEXIST;
  caufs_intents_note (self->intents, caller->tid, is_for_writing (flags) ? CAUFS_INTENT_WRITE : CAUFS_INTENT_READ,
                      orchestrator, name);
  return -ESTALE;
}

static int
create_node (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode, int flags,
             struct fuse_entry_param *entry, CaufsHandle **handle)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CaufsName) key = NULL;
  g_autoptr (CaufsNode) node = NULL;
  CauAttributes  attributes = caufs_view_new_attributes (caller, mode);
  guint64        orchestrator = caufs_ino_get_id (parent);
  CauUploadFlags upload_flags =
    CAU_UPLOAD_EXCLUSIVE | (self->options->worm ? CAU_UPLOAD_NO_REPLACE : 0) | (flags & O_EXCL ? CAU_UPLOAD_NEW : 0);
  CauUpload *upload;

  if (caufs_ino_get_kind (parent) != CAUFS_NODE_ORCHESTRATOR)
    return -EPERM;
  upload = cau_store_begin_upload (self->store, orchestrator, name, upload_flags, &attributes, &error);
  if (upload == NULL && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS))
    return retry_create (self, caller, orchestrator, name, flags);
  if (upload == NULL)
    return caufs_fail (error, "report %s cannot be made", name);

  key = caufs_names_get (self->names, orchestrator, name);
  node = caufs_nodes_add (self->nodes, key, cau_upload_get_target (upload), NULL, NULL);
  *handle = caufs_handle_new_writer (self, node, upload);
  memset (entry, 0, sizeof *entry);
  caufs_view_fill_upload (self, node, upload, &entry->attr);
  entry->ino = node->ino;
  entry->attr_timeout = self->options->attr_timeout;
  caufs_node_add_lookup (node);
  return 0;
}

int
caufs_view_create (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode, int flags,
                   struct fuse_entry_param *entry, CaufsHandle **handle)
{
  int r;

  if (cau_quota_take (self->open_files, caller->uid, 1) != CAU_QUOTA_OK)
    return -ENFILE;
  r = create_node (self, caller, parent, name, mode, flags, entry, handle);
  return count_open (self, caller, r, *handle);
}
