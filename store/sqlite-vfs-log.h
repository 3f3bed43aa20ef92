/* SPDX-License-Identifier: MIT */
#pragma once

/* A file as the VFS has it, and what it does with a WAL. Used by sqlite-vfs.c. */

#include "sqlite-soundness.h"

#include <glib.h>
#include <sqlite3.h>

G_BEGIN_DECLS

typedef enum
{
  CAU_FRAME_NONE,  /* the next write that appends is a header */
  CAU_FRAME_OPEN,  /* it is the page of a frame after which the transaction goes on */
  CAU_FRAME_COMMIT /* it is the page of the commit frame */
} CauFrameState;

typedef struct _CauVfsFile CauVfsFile;

struct _CauVfsFile
{
  sqlite3_file  base;
  sqlite3_file *real; /* follows this structure */

  /* of a database */
  CauVfsFile      *wal;   /* its WAL, while that is open */
  gint64           chunk; /* by how many bytes it grows; 0: as it comes */
  gboolean         checks_pages;
  int              met_damage;
  gboolean         has_writer_lock;
  int              level; /* SQLite's lock on the file itself */
  volatile guint8 *index; /* the first region of the shared memory, while that is mapped */

  /* of both */
  int fd; /* the real file's, not to be closed; -1: not known */

  /* of a WAL */
  CauVfsFile   *db;
  CauSoundness *soundness;
  gboolean      gathers;
  guint8       *held;   /* as many bytes as are gathered; NULL until there is something */
  gsize         n_held; /* bytes held back */
  gint64        held_at;
  gint64        append_at; /* where the next write appends; -1: nothing was written in this transaction */
  CauFrameState frame;
};

static inline CauVfsFile *
cau_vfs_file (sqlite3_file *base)
{
  return (CauVfsFile *) base;
}

static inline sqlite3_file *
cau_vfs_real (sqlite3_file *base)
{
  return cau_vfs_file (base)->real;
}

/* Calls @method of the file below. */
#define CAU_VFS_REAL(base, method, ...) (cau_vfs_real (base)->pMethods->method (cau_vfs_real (base), ##__VA_ARGS__))

/* Whether nobody else can write meanwhile: the connection of the database @self is the one writer, or alone with the files, which it is
 * when it copies the rest before it closes them. */
static inline gboolean
cau_vfs_is_sole_writer (const CauVfsFile *self)
{
  return self->has_writer_lock || self->level == SQLITE_LOCK_EXCLUSIVE;
}

/* Writes, or holds back what appends a frame. */
int cau_vfs_log_write (CauVfsFile *self, const guint8 *data, int length, gint64 offset);

/* Writes what is held back, if anything is; any file. */
int cau_vfs_log_flush (CauVfsFile *self);

/* What is held back was rolled back. */
void cau_vfs_log_forget (CauVfsFile *self);

/* With nothing held back. */
int cau_vfs_log_sync (CauVfsFile *self, int flags);

/* Takes CAU_VFS_WAL_ROOM for it, if it has less. */
void cau_vfs_log_keep_room (CauVfsFile *self);

G_END_DECLS
