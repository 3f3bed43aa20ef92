/* SPDX-License-Identifier: MIT */
#pragma once

/* What the mount shows, and does, without the protocol: every function here returns 0 or a negative errno, knows no
 * request, and may be called by many threads at once. Functions may wait for the store. */

#include "cau-quota.h"
#include "caufs-crowd.h"
#include "caufs-fuse.h"
#include "caufs-handle.h"
#include "caufs-intents.h"
#include "caufs-nodes.h"
#include "caufs-options.h"
#include "caufs-recent.h"

G_BEGIN_DECLS

/* What GetReport's parameter has to be when it is not used: readers here are read at offsets. */
#define CAUFS_READER_CHUNK_SIZE (1024 * 1024)

/* Called when a change that the kernel did not ask for, the commit of a close, made its copy of the attributes of
 * node @ino wrong. From any thread, with no lock held. */
typedef void (*CaufsChangedFunc) (guint64 ino, gpointer user_data);

struct _CaufsView
{
  CauStore           *store;   /* owned */
  const CaufsOptions *options; /* borrowed */
  CaufsLocks         *locks;   /* owned, as what follows */
  CaufsNames         *names;
  CaufsNodes         *nodes;
  CaufsIntents       *intents;
  CaufsRecent        *recent;
  CauQuota           *open_files; /* what handles count to */
  CauQuota           *open_dirs;
  CaufsCrowd         *crowd; /* of both */

  CaufsChangedFunc changed;
  gpointer         changed_data;

  gint n_truncating; /* requests that make a large report of another one and wait for it; atomic */
  gint generation;   /* counts what changes names or attributes of reports, after the change; atomic */

  GMutex      lock;
  GCond       idle;
  guint       n_commits;  /* in hand; lock */
  gboolean    is_awaited; /* somebody waits for idle: waking nobody is a system call too (GLib 2.74); lock */
  GHashTable *handles;    /* set of CaufsHandle that the kernel holds; lock */
  GHashTable *dirs;       /* likewise of CaufsDir */
};

/* Who asks. */
typedef struct
{
  pid_t tid; /* 0 when it belongs to another PID namespace */
  uid_t uid;
  gid_t gid;
} CaufsCaller;

/* @store: (transfer full). @options must outlive it. */
CaufsView *caufs_view_new (CauStore *store, const CaufsOptions *options, CaufsChangedFunc changed, gpointer user_data);
void       caufs_view_free (CaufsView *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsView, caufs_view_free)

/* Ends the work: commits what was closed by then though the kernel dropped its RELEASE (@is_unmounted: it does so when
 * it takes a mount away), waits for the commits in hand, and lets go of all handles, logging what is lost. */
void caufs_view_finish (CaufsView *self, gboolean is_unmounted);

/* To be called after each change of reports. @orchestrator: whose directory the kernel does not know to be
 * changed, or 0. */
void caufs_view_note_change (CaufsView *self, guint64 orchestrator);

/* ---- attributes: caufs-view-attributes.c ---- */

void caufs_view_fill_orchestrator (CaufsView *self, const CauOrchestratorInfo *info, struct stat *st);
void caufs_view_fill_report (CaufsView *self, const CauReportInfo *info, struct stat *st);

/* @node: (nullable): without one there is no st_ino. */
void caufs_view_fill_upload (CaufsView *self, const CaufsNode *node, CauUpload *upload, struct stat *st);

/* @timeout: how long the kernel may keep it, in seconds. */
int caufs_view_getattr (CaufsView *self, guint64 ino, struct stat *st, double *timeout);

/* @to_set: FUSE_SET_ATTR_*; @wanted: the values. @handle: (nullable): through which it came. */
int caufs_view_setattr (CaufsView *self, const CaufsCaller *caller, guint64 ino, CaufsHandle *handle, int to_set,
                        const struct stat *wanted, struct stat *st, double *timeout);
int caufs_view_statfs (CaufsView *self, struct statvfs *st);

/* Returns the value's size, or a negative errno; @value is filled if @size suffices, else -ERANGE; not if it is 0. */
ssize_t caufs_view_getxattr (CaufsView *self, guint64 ino, const char *name, char *value, size_t size);
ssize_t caufs_view_listxattr (CaufsView *self, guint64 ino, char *list, size_t size);

/* ---- names: caufs-view-names.c ---- */

/* Entries that succeed count as one look-up by the kernel: caufs_view_forget() if it does not get them. */
int  caufs_view_lookup (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name,
                        struct fuse_entry_param *entry);
void caufs_view_forget (CaufsView *self, guint64 ino, guint64 n);
int  caufs_view_mkdir (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode,
                       struct fuse_entry_param *entry);
int  caufs_view_rmdir (CaufsView *self, guint64 parent, const char *name);
int  caufs_view_mknod (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode,
                       struct fuse_entry_param *entry);
int  caufs_view_unlink (CaufsView *self, guint64 parent, const char *name);
int  caufs_view_rename (CaufsView *self, guint64 parent, const char *name, guint64 new_parent, const char *new_name,
                        guint flags);

/* Fill the entry of a directory, and of the report's current version: nodes that need no counting. */
void caufs_view_fill_directory_entry (CaufsView *self, const CauOrchestratorInfo *info, struct fuse_entry_param *entry);
void caufs_view_fill_entry (CaufsView *self, const CauReportInfo *info, struct fuse_entry_param *entry);

/* ---- opening: caufs-view-open.c ---- */

/* *@handle: (transfer full): for the kernel to release; caufs_handle_discard() if it does not get it. */
int caufs_view_create (CaufsView *self, const CaufsCaller *caller, guint64 parent, const char *name, mode_t mode,
                       int flags, struct fuse_entry_param *entry, CaufsHandle **handle);
int caufs_view_open (CaufsView *self, const CaufsCaller *caller, guint64 ino, int flags, CaufsHandle **handle);

/* truncate(2) of a report by its path, which is committed at once. */
int caufs_view_truncate_ticket (CaufsView *self, const CaufsCaller *caller, CaufsNode *node, guint64 size,
                                struct stat *st);

/* Answers ESTALE, and remembers why: see caufs-intents.h. */
int caufs_view_retry_version (CaufsView *self, const CaufsCaller *caller, CaufsIntentKind kind, guint64 version);
int caufs_view_retry_name (CaufsView *self, const CaufsCaller *caller, CaufsIntentKind kind, CaufsName *name);

/* Likewise; what the walk finds then stays open until the second try. */
int caufs_view_retry_reading (CaufsView *self, const CaufsCaller *caller);

/* The attributes of what @caller makes. */
CauAttributes caufs_view_new_attributes (const CaufsCaller *caller, mode_t mode);

G_END_DECLS
