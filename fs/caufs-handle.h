/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-nodes.h"

G_BEGIN_DECLS

typedef struct _CaufsView CaufsView;

/* An open file: what fuse_file_info.fh points to. It either reads, a version that it pins, or writes, an upload.
 *
 * When an upload is saved:
 *  - FLUSH (a close) saves what was written since the last time. It saves nothing when nothing was written: a shell that
 *    redirects closes a duplicate before the program runs. Nor when the closer is a process that wrote nothing of
 *    it, while those that did live on: a program that starts another one closes, in the child, what it is still writing.
 *  - RELEASE (the last close) saves what is still to be saved: a report created or truncated by its opening, and never written.
 *  - Neither saves for a thread that a signal is ending. A later FLUSH, of another process that has the file
 *    open, saves everything after all. */
typedef struct _CaufsHandle CaufsHandle;

/* So many threads that wrote are remembered. With more, every close saves. */
#define CAUFS_N_WRITERS 4

struct _CaufsHandle
{
  gint       n_refs; /* atomic */
  CaufsView *view;   /* borrowed */
  uid_t      uid;    /* whose open file it counts as: see caufs_view_open() */
  CaufsName *name;   /* owned */
  CauReader *reader; /* owned; NULL when it writes */
  CaufsNode *node;   /* pinned; NULL when it reads, as is upload */
  CauUpload *upload; /* owned */

  GMutex      lock;
  gboolean    is_written;               /* since the last commit began; lock, as what follows */
  pid_t       writers[CAUFS_N_WRITERS]; /* the threads that did; 0: unknown */
  guint       n_writers;                /* CAUFS_N_WRITERS + 1: there were more */
  gboolean    owes;                     /* a commit even if nothing is written */
  gboolean    is_killed;                /* the last who closed it was being killed */
  gboolean    is_flushed;               /* closed, and not written since */
  gboolean    is_noted;                 /* settle may be noted */
  int         failed;                   /* errno of the write or commit that lost what was written */
  CaufsSettle settle;                   /* guarded by the names' mutex */
};

/* Called once, from any thread, with no lock held: 0 or a negative errno. */
typedef void (*CaufsDone) (int result, gpointer user_data);

/* @reader: (transfer full). */
CaufsHandle *caufs_handle_new_reader (CaufsView *view, CauReader *reader);

/* @upload: (transfer full). It is the first handle of @node unless that has one. */
CaufsHandle *caufs_handle_new_writer (CaufsView *view, CaufsNode *node, CauUpload *upload);
CaufsHandle *caufs_handle_ref (CaufsHandle *self);
void         caufs_handle_unref (CaufsHandle *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsHandle, caufs_handle_unref)

/* *@n_read is less than @size only at the end. */
int caufs_handle_read (CaufsHandle *self, guint64 offset, void *buffer, size_t size, size_t *n_read);

/* @tid: who writes, 0 when that is not known. @append: at the end, wherever the kernel thinks that is. An upload that
 * fails to take what is written saves nothing. */
int caufs_handle_write (CaufsHandle *self, pid_t tid, guint64 offset, const void *data, size_t size, gboolean append);
int caufs_handle_truncate (CaufsHandle *self, pid_t tid, guint64 size);

/* Makes the file at least @size bytes long. */
int caufs_handle_extend (CaufsHandle *self, pid_t tid, guint64 size);
int caufs_handle_set_attributes (CaufsHandle *self, CauAttributeMask mask, const CauAttributes *attributes);

/* Thread @tid, of user @uid, closes the file. */
void caufs_handle_flush (CaufsHandle *self, pid_t tid, uid_t uid, CaufsDone done, gpointer user_data);
void caufs_handle_sync (CaufsHandle *self, CaufsDone done, gpointer user_data);

/* The last close: the locks set through this file go. Takes the kernel's reference. */
void caufs_handle_release (CaufsHandle *self, CaufsDone done, gpointer user_data);

/* The kernel never got the handle, or is gone with it: what was not saved is not saved. Takes the kernel's reference. */
void caufs_handle_discard (CaufsHandle *self);

/* Whether RELEASE would commit though nothing was written since a FLUSH; whether bytes would be lost without one. */
gboolean caufs_handle_is_closed_unsaved (CaufsHandle *self);
gboolean caufs_handle_is_unsaved (CaufsHandle *self);

G_END_DECLS
