/* SPDX-License-Identifier: MIT */
#include "sqlite-vfs.h"

#include "sqlite-page.h"
#include "sqlite-vfs-log.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Bytes written at once when the database grows. */
#define GROW_STEP (64 * 1024)

/* The lock of the one writer among those of the wal-index (sqlite.org/walformat.html, "WAL Locks"). */
#define WRITER_LOCK 0

/* Where the wal-index says how many frames of the WAL were copied (sqlite.org/walformat.html, "The WAL-Index File Format"). */
#define COPIED_AT 96

static _Thread_local int last_errno;

int
cau_vfs_take_errno (void)
{
  int code = last_errno;

  last_errno = 0;
  return code;
}

/* Returns: @result, that of a call that was just made. */
static int
noted (int result)
{
  int kind = result & 0xff;

  if ((kind == SQLITE_IOERR && result != SQLITE_IOERR_SHORT_READ) || kind == SQLITE_FULL || kind == SQLITE_CANTOPEN)
    last_errno = errno;
  return result;
}

/* ---- the database ---- */

static int
write_zeros (CauVfsFile *self, gint64 start, gint64 end)
{
  g_autofree guint8 *zeros = g_malloc0 (GROW_STEP);
  int                result = SQLITE_OK;

  for (; result == SQLITE_OK && start < end; start += GROW_STEP)
    result = CAU_VFS_REAL (&self->base, xWrite, zeros, (int) MIN (end - start, GROW_STEP), start);
  return result;
}

/* SQLite does it by a write for each page where its build does not know posix_fallocate(3), as Debian's does not. Pages
 * written so would go to the disk twice if the checkpoint is not soon. */
static int
take_room (CauVfsFile *self, gint64 start, gint64 end)
{
  int r;

  do
    r = self->fd >= 0 ? fallocate (self->fd, 0, start, end - start) : -1;
  while (r != 0 && self->fd >= 0 && errno == EINTR);
  if (r == 0)
    return SQLITE_OK;
  if (self->fd < 0 || errno == EOPNOTSUPP)
    return write_zeros (self, start, end);
  return errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int
grow (CauVfsFile *self, gint64 size)
{
  sqlite3_int64 end = 0;
  int           result = CAU_VFS_REAL (&self->base, xFileSize, &end);

  size = (size + self->chunk - 1) / self->chunk * self->chunk;
  return result == SQLITE_OK && end < size ? take_room (self, end, size) : result;
}

/* @page: a whole one that was just read at @offset. */
static gboolean
is_sound (CauVfsFile *self, const guint8 *page, gint64 offset)
{
  guint32 number = (guint32) (offset / CAU_DB_PAGE_SIZE) + 1;
  guint8  map[CAU_DB_PAGE_SIZE];

  if (cau_page_is_sound (page, number))
    return TRUE;
  offset = ((gint64) cau_page_map_of (number) - 1) * CAU_DB_PAGE_SIZE;
  return number > 1 && CAU_VFS_REAL (&self->base, xRead, map, sizeof map, offset) == SQLITE_OK
         && cau_page_map_denies (map, number);
}

/* ---- the methods of a file ---- */

static int
file_close (sqlite3_file *base)
{
  CauVfsFile *self = cau_vfs_file (base);
  int         result = CAU_VFS_REAL (base, xClose);

  if (self->db != NULL)
    self->db->wal = NULL;
  g_clear_pointer (&self->soundness, cau_soundness_unref);
  g_clear_pointer (&self->held, g_free);
  return result;
}

static int
file_read (sqlite3_file *base, void *data, int length, sqlite3_int64 offset)
{
  CauVfsFile *self = cau_vfs_file (base);
  int         result = cau_vfs_log_flush (self);

  if (result == SQLITE_OK)
    result = CAU_VFS_REAL (base, xRead, data, length, offset);
  if (result == SQLITE_OK && self->checks_pages && length == CAU_DB_PAGE_SIZE && !is_sound (self, data, offset))
    {
      self->met_damage = TRUE;
      return SQLITE_CORRUPT;
    }
  return noted (result);
}

static int
file_write (sqlite3_file *base, const void *data, int length, sqlite3_int64 offset)
{
  if (cau_vfs_file (base)->gathers)
    return noted (cau_vfs_log_write (cau_vfs_file (base), data, length, offset));
  return noted (CAU_VFS_REAL (base, xWrite, data, length, offset));
}

static int
file_truncate (sqlite3_file *base, sqlite3_int64 size)
{
  CauVfsFile *self = cau_vfs_file (base);
  int         result = cau_vfs_log_flush (self);

  /* An open transaction may have taken room behind the end that who copies the WAL knows. */
  if (result == SQLITE_OK && (self->wal == NULL || cau_vfs_is_sole_writer (self)))
    result = CAU_VFS_REAL (base, xTruncate, size);
  return noted (result);
}

/* A checkpoint that a reader keeps from the end of the WAL does not sync what it copied; the one that gets there does, for all
 * before it. When that fails Linux takes all those pages for clean, and SQLite would copy only those of the last checkpoint again before
 * the WAL starts over. So they all have to be copied again. Who syncs a database that has a WAL is in a checkpoint, and holds the locks
 * under which the number may be changed (walCheckpoint() in wal.c). */
static int
sync_database (CauVfsFile *self, int flags)
{
  int result = CAU_VFS_REAL (&self->base, xSync, flags);

  if (result != SQLITE_OK && self->index != NULL)
    g_atomic_int_set ((volatile gint *) (self->index + COPIED_AT), 0);
  return result;
}

static int
file_sync (sqlite3_file *base, int flags)
{
  CauVfsFile *self = cau_vfs_file (base);
  int         result = cau_vfs_log_flush (self);

  if (result == SQLITE_OK)
    result = self->soundness != NULL ? cau_vfs_log_sync (self, flags) : sync_database (self, flags);
  return noted (result);
}

static int
file_size (sqlite3_file *base, sqlite3_int64 *size)
{
  int result = cau_vfs_log_flush (cau_vfs_file (base));

  return noted (result == SQLITE_OK ? CAU_VFS_REAL (base, xFileSize, size) : result);
}

static int
file_lock (sqlite3_file *base, int level)
{
  int result = CAU_VFS_REAL (base, xLock, level);

  if (result == SQLITE_OK)
    cau_vfs_file (base)->level = MAX (level, cau_vfs_file (base)->level);
  return result;
}

static int
file_unlock (sqlite3_file *base, int level)
{
  cau_vfs_file (base)->level = MIN (level, cau_vfs_file (base)->level);
  return CAU_VFS_REAL (base, xUnlock, level);
}

static int
file_check_reserved_lock (sqlite3_file *base, int *reserved)
{
  return CAU_VFS_REAL (base, xCheckReservedLock, reserved);
}

static int
file_control (sqlite3_file *base, int operation, void *data)
{
  CauVfsFile *self = cau_vfs_file (base);

  if (operation == SQLITE_FCNTL_CHUNK_SIZE)
    self->chunk = *(int *) data;
  if (operation == CAU_VFS_FCNTL_CHECK_PAGES)
    {
      self->checks_pages = TRUE;
      return SQLITE_OK;
    }
  if (operation == CAU_VFS_FCNTL_MET_DAMAGE)
    {
      *(int *) data = self->met_damage = self->met_damage || *(int *) data;
      return SQLITE_OK;
    }
  if (operation == CAU_VFS_FCNTL_KEEP_ROOM)
    {
      if (self->wal != NULL)
        cau_vfs_log_keep_room (self->wal);
      return SQLITE_OK;
    }
  if (operation == SQLITE_FCNTL_SIZE_HINT && self->chunk > 0)
    return noted (grow (self, *(sqlite3_int64 *) data));
  return CAU_VFS_REAL (base, xFileControl, operation, data);
}

static int
file_sector_size (sqlite3_file *base)
{
  return CAU_VFS_REAL (base, xSectorSize);
}

static int
file_characteristics (sqlite3_file *base)
{
  return CAU_VFS_REAL (base, xDeviceCharacteristics);
}

/* The shared memory is a file that is mapped. SQLite writes to each 4096 bytes of it, so that a disk without room is met there and not
 * by a SIGBUS. Where blocks are smaller, as ext4 makes them on small disks, that is not enough. Linux before 5.14 cannot do it. */
static int
populate (void volatile *memory, int size)
{
  if (memory == NULL || madvise ((void *) memory, (gsize) size, MADV_POPULATE_WRITE) == 0 || errno != EFAULT)
    return SQLITE_OK;
  errno = ENOSPC;
  return SQLITE_IOERR_SHMSIZE;
}

static int
file_shm_map (sqlite3_file *base, int region, int size, int extend, void volatile **memory)
{
  int result = CAU_VFS_REAL (base, xShmMap, region, size, extend, memory);

  if (result == SQLITE_OK)
    result = populate (*memory, size);
  if (result != SQLITE_OK && result != SQLITE_READONLY)
    *memory = NULL;
  else if (region == 0)
    cau_vfs_file (base)->index = *memory;
  return noted (result);
}

static int
file_shm_lock (sqlite3_file *base, int offset, int n, int flags)
{
  CauVfsFile *self = cau_vfs_file (base);
  gboolean    is_writers = offset == WRITER_LOCK && (flags & SQLITE_SHM_EXCLUSIVE);
  gboolean    takes = (flags & SQLITE_SHM_LOCK) != 0;
  int         result;

  if (is_writers && !takes && self->wal != NULL)
    cau_vfs_log_forget (self->wal);
  if (is_writers && !takes)
    self->has_writer_lock = FALSE;
  result = CAU_VFS_REAL (base, xShmLock, offset, n, flags);
  if (is_writers && takes && result == SQLITE_OK)
    self->has_writer_lock = TRUE;
  return result;
}

static void
file_shm_barrier (sqlite3_file *base)
{
  CAU_VFS_REAL (base, xShmBarrier);
}

static int
file_shm_unmap (sqlite3_file *base, int remove)
{
  cau_vfs_file (base)->index = NULL;
  return CAU_VFS_REAL (base, xShmUnmap, remove);
}

static int
file_fetch (sqlite3_file *base, sqlite3_int64 offset, int length, void **data)
{
  return CAU_VFS_REAL (base, xFetch, offset, length, data);
}

static int
file_unfetch (sqlite3_file *base, sqlite3_int64 offset, void *data)
{
  return CAU_VFS_REAL (base, xUnfetch, offset, data);
}

static const sqlite3_io_methods file_methods = {
  .iVersion = 3,
  .xClose = file_close,
  .xRead = file_read,
  .xWrite = file_write,
  .xTruncate = file_truncate,
  .xSync = file_sync,
  .xFileSize = file_size,
  .xLock = file_lock,
  .xUnlock = file_unlock,
  .xCheckReservedLock = file_check_reserved_lock,
  .xFileControl = file_control,
  .xSectorSize = file_sector_size,
  .xDeviceCharacteristics = file_characteristics,
  .xShmMap = file_shm_map,
  .xShmLock = file_shm_lock,
  .xShmBarrier = file_shm_barrier,
  .xShmUnmap = file_shm_unmap,
  .xFetch = file_fetch,
  .xUnfetch = file_unfetch,
};

/* ---- the VFS ---- */

static sqlite3_vfs *
real_vfs (sqlite3_vfs *vfs)
{
  return vfs->pAppData;
}

/* SQLite does not tell the descriptor of a file, and one of our own could not be closed: all POSIX locks that the process
 * has on the file would go with it (fcntl(2)). So the calls by which the system's VFS opens are watched. */
static int (*real_open) (const char *path, int flags, int mode);
static _Thread_local int opened = -1;

static int
watched_open (const char *path, int flags, int mode)
{
  return opened = real_open (path, flags, mode);
}

static void
watch_open (sqlite3_vfs *real)
{
  real_open = (int (*) (const char *, int, int)) real->xGetSystemCall (real, "open");
  if (real_open != NULL)
    real->xSetSystemCall (real, "open", (sqlite3_syscall_ptr) watched_open);
}

/* The descriptor of the file @name that was just opened. -1: it is one that was open before, and used again. */
static int
find_descriptor (const char *name)
{
  struct stat is, wanted;

  if (opened < 0 || fstat (opened, &is) != 0 || stat (name, &wanted) != 0 || is.st_ino != wanted.st_ino
      || is.st_dev != wanted.st_dev)
    return -1;
  return opened;
}

/* Frames are gathered where SQLite writes each by two writes and nothing else, which it does for disks that keep what
 * lies beside what is written when the power fails: all, as it believes. */
static void
link_wal (CauVfsFile *self, const char *name)
{
  self->db = cau_vfs_file (sqlite3_database_file_object (name));
  self->db->wal = self;
  self->soundness = cau_soundness_ref_named (name);
  self->gathers = (file_characteristics (&self->base) & SQLITE_IOCAP_POWERSAFE_OVERWRITE) != 0;
  cau_vfs_log_forget (self);
}

static int
vfs_open (sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
  CauVfsFile *self = cau_vfs_file (base);
  int         result;

  memset (self, 0, sizeof *self);
  self->real = (sqlite3_file *) (self + 1);
  /* No database is ever attached here, so no transaction has a super-journal. A journal beside a hostile store may name any
   * file as its own, and once SQLite has opened that, it removes it (pager_delsuper() in pager.c). */
  if (flags & SQLITE_OPEN_SUPER_JOURNAL)
    return SQLITE_CANTOPEN;
  opened = -1;
  result = noted (real_vfs (vfs)->xOpen (real_vfs (vfs), name, self->real, flags, out_flags));
  /* SQLite closes what has methods, even if opening it failed. */
  if (self->real->pMethods == NULL)
    return result;
  self->base.pMethods = &file_methods;
  self->fd = result == SQLITE_OK && (flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)) ? find_descriptor (name) : -1;
  if (result == SQLITE_OK && (flags & SQLITE_OPEN_WAL))
    link_wal (self, name);
  return result;
}

static int
vfs_delete (sqlite3_vfs *vfs, const char *name, int sync_folder)
{
  return noted (real_vfs (vfs)->xDelete (real_vfs (vfs), name, sync_folder));
}

static int
vfs_access (sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
  return real_vfs (vfs)->xAccess (real_vfs (vfs), name, flags, result);
}

static int
vfs_full_pathname (sqlite3_vfs *vfs, const char *name, int size, char *path)
{
  return real_vfs (vfs)->xFullPathname (real_vfs (vfs), name, size, path);
}

static int
vfs_randomness (sqlite3_vfs *vfs, int length, char *data)
{
  return real_vfs (vfs)->xRandomness (real_vfs (vfs), length, data);
}

static int
vfs_sleep (sqlite3_vfs *vfs, int microseconds)
{
  return real_vfs (vfs)->xSleep (real_vfs (vfs), microseconds);
}

static int
vfs_current_time (sqlite3_vfs *vfs, double *days)
{
  return real_vfs (vfs)->xCurrentTime (real_vfs (vfs), days);
}

static int
vfs_current_time_int64 (sqlite3_vfs *vfs, sqlite3_int64 *milliseconds)
{
  return real_vfs (vfs)->xCurrentTimeInt64 (real_vfs (vfs), milliseconds);
}

static int
vfs_get_last_error (sqlite3_vfs *vfs, int size, char *message)
{
  return real_vfs (vfs)->xGetLastError (real_vfs (vfs), size, message);
}

static sqlite3_vfs the_vfs = {
  .iVersion = 2,
  .zName = "caufs",
  .xOpen = vfs_open,
  .xDelete = vfs_delete,
  .xAccess = vfs_access,
  .xFullPathname = vfs_full_pathname,
  .xRandomness = vfs_randomness,
  .xSleep = vfs_sleep,
  .xCurrentTime = vfs_current_time,
  .xCurrentTimeInt64 = vfs_current_time_int64,
  .xGetLastError = vfs_get_last_error,
};

const char *
cau_vfs_get_name (void)
{
  static gsize registered;

  if (g_once_init_enter (&registered))
    {
      sqlite3_vfs *real = sqlite3_vfs_find ("unix");

      watch_open (real);
      the_vfs.pAppData = real;
      the_vfs.szOsFile = (int) sizeof (CauVfsFile) + real->szOsFile;
      the_vfs.mxPathname = real->mxPathname;
      sqlite3_vfs_register (&the_vfs, FALSE);
      g_once_init_leave (&registered, 1);
    }
  return the_vfs.zName;
}
