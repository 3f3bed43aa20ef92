/* SPDX-License-Identifier: MIT */
#include "sqlite-vfs-log.h"

#include "sqlite-vfs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* What is gathered of the WAL. A connection holds back frames of the transaction that it has open, and never anything of
 * another:
 *
 * - Held back is only what appends a frame: its header right after the frame before, or as the first write of the transaction;
 *   and the page after such a header. When that frame is a commit frame, all is written. Any other write (the header of
 *   the file, a page written again in its old frame, checksums made anew) first writes what was held back and then itself.
 *   The last write of a transaction is the page of its commit frame, or checksums after that. So
 *   when SQLite goes on to sync the WAL and to publish the transaction in the wal-index (walFrames() in its wal.c),
 *   nothing is held back, and a write that failed was reported by a call that makes it roll back.
 * - Others look at frames only when they are published. The connection itself may read its own ones before: they are
 *   written first.
 * - When the lock of the one writer is let go, what is still held back was rolled back, and is forgotten: the next writer's
 *   frames, perhaps another process's, will have the same place. For the same reason a write that failed forgets it: SQLite
 *   rolls back. */

/* sqlite.org/fileformat2.html, "WAL File Format" */
#define FRAME_HEADER 24

/* Where the header of a frame says how many pages the database has after this transaction: 0 if the frame does not end one. */
#define FRAME_COMMIT_AT 4

/* Bytes that are gathered. The system's VFS cannot write 128 KiB at once (os_unix.c, seekAndWriteFd()). */
#define GATHER_MAX (127 * 1024)

void
cau_vfs_log_forget (CauVfsFile *self)
{
  self->n_held = 0;
  self->append_at = -1;
  self->frame = CAU_FRAME_NONE;
}

int
cau_vfs_log_flush (CauVfsFile *self)
{
  int result = SQLITE_OK;

  if (self->n_held > 0)
    result = CAU_VFS_REAL (&self->base, xWrite, self->held, (int) self->n_held, self->held_at);
  if (result == SQLITE_OK)
    self->n_held = 0;
  return result;
}

static gboolean
is_commit_header (const guint8 *data)
{
  static const guint8 none[4];

  return memcmp (data + FRAME_COMMIT_AT, none, sizeof none) != 0;
}

/* Holds back what appends. It has room: GATHER_MAX is more than a page and a header. */
static int
hold (CauVfsFile *self, const guint8 *data, int length, gint64 offset)
{
  int result = self->n_held + (gsize) length > GATHER_MAX ? cau_vfs_log_flush (self) : SQLITE_OK;

  if (result != SQLITE_OK)
    return result;
  if (self->held == NULL)
    self->held = g_malloc (GATHER_MAX);
  if (self->n_held == 0)
    self->held_at = offset;
  memcpy (self->held + self->n_held, data, (gsize) length);
  self->n_held += (gsize) length;
  self->append_at = offset + length;
  return SQLITE_OK;
}

int
cau_vfs_log_write (CauVfsFile *self, const guint8 *data, int length, gint64 offset)
{
  gboolean appends = offset == self->append_at || (self->append_at < 0 && self->frame == CAU_FRAME_NONE);
  int      result;

  if (appends && self->frame == CAU_FRAME_NONE && length == FRAME_HEADER)
    {
      result = hold (self, data, length, offset);
      self->frame = is_commit_header (data) ? CAU_FRAME_COMMIT : CAU_FRAME_OPEN;
    }
  else if (appends && self->frame != CAU_FRAME_NONE && length > FRAME_HEADER)
    {
      result = hold (self, data, length, offset);
      if (result == SQLITE_OK && self->frame == CAU_FRAME_COMMIT)
        result = cau_vfs_log_flush (self);
      self->frame = CAU_FRAME_NONE;
    }
  else
    {
      result = cau_vfs_log_flush (self);
      if (result == SQLITE_OK)
        result = CAU_VFS_REAL (&self->base, xWrite, data, length, offset);
      self->frame = CAU_FRAME_NONE;
    }
  if (result != SQLITE_OK)
    cau_vfs_log_forget (self);
  return result;
}

/* Writes the bytes of the whole file once more, so that the next sync has them. */
static int
write_again (CauVfsFile *self)
{
  g_autofree guint8 *data = g_malloc (GATHER_MAX);
  sqlite3_int64      size = 0;
  int                result = CAU_VFS_REAL (&self->base, xFileSize, &size);

  for (sqlite3_int64 at = 0; result == SQLITE_OK && at < size; at += GATHER_MAX)
    {
      int length = (int) MIN (size - at, GATHER_MAX);

      result = CAU_VFS_REAL (&self->base, xRead, data, length, at);
      if (result == SQLITE_OK)
        result = CAU_VFS_REAL (&self->base, xWrite, data, length, at);
    }
  return result;
}

int
cau_vfs_log_sync (CauVfsFile *self, int flags)
{
  guint    failures = cau_soundness_get_failures (self->soundness);
  gboolean is_sound = cau_soundness_is_sound (self->soundness);
  int      result = SQLITE_OK;

  /* Who copies pages beside the writer has to wait until that has written them again. */
  if (!is_sound)
    result = cau_vfs_is_sole_writer (self->db) ? write_again (self) : SQLITE_IOERR_FSYNC;
  if (result != SQLITE_OK)
    return result;
  result = CAU_VFS_REAL (&self->base, xSync, flags);
  if (result != SQLITE_OK)
    cau_soundness_note_failure (self->soundness);
  else if (!is_sound)
    cau_soundness_note_written (self->soundness, failures);
  return result;
}

/* Behind the end: the size of a WAL says what is in it. Where a filesystem cannot do so, nothing is kept. */
void
cau_vfs_log_keep_room (CauVfsFile *self)
{
  struct stat st;

  if (self->fd >= 0 && fstat (self->fd, &st) == 0 && st.st_blocks < CAU_VFS_WAL_ROOM / 512)
    fallocate (self->fd, FALLOC_FL_KEEP_SIZE, 0, CAU_VFS_WAL_ROOM);
}
