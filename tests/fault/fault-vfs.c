/* SPDX-License-Identifier: MIT */
#include "fault-vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct
{
  sqlite3_file  base;
  sqlite3_file *real; /* follows this structure */
  const char   *path; /* SQLite's, for as long as the file is open; NULL: of no interest */
} File;

static sqlite3_vfs *real_vfs;
static gboolean     synchronous_off;

/* What is watched: immutable, and kept, since threads of a store may be in a call of it when the next one comes. */
typedef struct _Watch Watch;
struct _Watch
{
  const Watch        *last;
  char               *path;
  const FaultWatcher *watcher; /* NULL: nothing is */
  gpointer            user_data;
};

static const Watch *the_watch; /* atomic */

static _Thread_local gboolean opened_folder;

const char *
fault_call_get_name (FaultCallKind kind)
{
  static const char *const names[FAULT_CALL_COUNT] = { "open", "read",      "write", "truncate", "sync",
                                                       "size", "fallocate", "map",   "delete",   "open of pins" };

  return names[kind];
}

/* The watch of the file @path, or NULL. */
static const Watch *
find_watch (const char *path)
{
  const Watch *watch = g_atomic_pointer_get (&the_watch);

  if (watch == NULL || watch->watcher == NULL || path == NULL || !g_str_has_prefix (path, watch->path))
    return NULL;
  return watch;
}

static Fault
before (FaultCall *call)
{
  const Watch *watch = find_watch (call->path);

  return watch != NULL ? watch->watcher->before (call, watch->user_data) : FAULT_NONE;
}

static void
after (const FaultCall *call, gboolean ok)
{
  const Watch *watch = find_watch (call->path);

  if (watch != NULL)
    watch->watcher->after (call, ok, watch->user_data);
}

/* Returns: @result, with errno as a call that failed leaves it. */
static int
fail_with (Fault fault, int result)
{
  errno = fault == FAULT_IO ? EIO : fault == FAULT_QUOTA ? EDQUOT : ENOSPC;
  return result;
}

/* ---- the methods of a file ---- */

static File *
file_of (sqlite3_file *base)
{
  return (File *) base;
}

#define REAL(base, method, ...) (file_of (base)->real->pMethods->method (file_of (base)->real, ##__VA_ARGS__))

static int
file_close (sqlite3_file *base)
{
  return REAL (base, xClose);
}

static int
file_read (sqlite3_file *base, void *data, int length, sqlite3_int64 offset)
{
  FaultCall call = { .kind = FAULT_CALL_READ, .path = file_of (base)->path, .offset = offset, .length = length };
  Fault     fault = before (&call);
  int       result = fault == FAULT_NONE ? REAL (base, xRead, data, length, offset) : SQLITE_IOERR_READ;

  after (&call, result == SQLITE_OK);
  return fault == FAULT_NONE ? result : fail_with (fault, result);
}

/* As the system's VFS has it: a disk that has no room for the rest gives SQLITE_FULL. */
static int
fail_write (sqlite3_file *base, const FaultCall *call, Fault fault)
{
  if (fault == FAULT_LIE)
    return SQLITE_OK;
  if (fault == FAULT_SHORT)
    REAL (base, xWrite, call->data, (int) (call->length / 2), call->offset);
  return fail_with (fault, fault == FAULT_IO || fault == FAULT_QUOTA ? SQLITE_IOERR_WRITE : SQLITE_FULL);
}

static int
file_write (sqlite3_file *base, const void *data, int length, sqlite3_int64 offset)
{
  FaultCall call = {
    .kind = FAULT_CALL_WRITE, .path = file_of (base)->path, .data = data, .offset = offset, .length = length
  };
  Fault fault = before (&call);
  int   result = fault == FAULT_NONE ? REAL (base, xWrite, data, length, offset) : fail_write (base, &call, fault);
  int   code = errno;

  after (&call, fault == FAULT_NONE && result == SQLITE_OK);
  errno = code;
  return result;
}

static int
file_truncate (sqlite3_file *base, sqlite3_int64 size)
{
  FaultCall call = { .kind = FAULT_CALL_TRUNCATE, .path = file_of (base)->path, .offset = size };
  Fault     fault = before (&call);
  int       result = fault == FAULT_NONE ? REAL (base, xTruncate, size) : SQLITE_IOERR_TRUNCATE;

  after (&call, result == SQLITE_OK);
  return fault == FAULT_NONE ? result : fail_with (fault, result);
}

static int
file_sync (sqlite3_file *base, int flags)
{
  FaultCall call = { .kind = FAULT_CALL_SYNC, .path = file_of (base)->path };
  Fault     fault = before (&call);
  int       result = SQLITE_OK;

  opened_folder = FALSE;
  if (fault == FAULT_NONE)
    result = REAL (base, xSync, flags);
  else if (fault != FAULT_LIE)
    result = SQLITE_IOERR_FSYNC;
  call.synced_folder = opened_folder;
  if (fault != FAULT_LIE)
    after (&call, result == SQLITE_OK);
  return result == SQLITE_OK || fault == FAULT_NONE ? result : fail_with (fault, result);
}

static int
file_size (sqlite3_file *base, sqlite3_int64 *size)
{
  FaultCall call = { .kind = FAULT_CALL_SIZE, .path = file_of (base)->path };
  Fault     fault = before (&call);
  int       result = fault == FAULT_NONE ? REAL (base, xFileSize, size) : SQLITE_IOERR_FSTAT;

  after (&call, result == SQLITE_OK);
  return fault == FAULT_NONE ? result : fail_with (fault, result);
}

static int
file_lock (sqlite3_file *base, int level)
{
  return REAL (base, xLock, level);
}

static int
file_unlock (sqlite3_file *base, int level)
{
  return REAL (base, xUnlock, level);
}

static int
file_check_reserved_lock (sqlite3_file *base, int *reserved)
{
  return REAL (base, xCheckReservedLock, reserved);
}

/* A pragma for which this returns SQLITE_OK is done with. */
static int
file_control (sqlite3_file *base, int operation, void *data)
{
  if (operation == SQLITE_FCNTL_PRAGMA && synchronous_off)
    {
      char **words = data;

      if (g_ascii_strcasecmp (words[1], "synchronous") == 0 && g_strcmp0 (words[2], "0") != 0)
        return SQLITE_OK;
    }
  return REAL (base, xFileControl, operation, data);
}

static int
file_sector_size (sqlite3_file *base)
{
  return REAL (base, xSectorSize);
}

static int
file_characteristics (sqlite3_file *base)
{
  return REAL (base, xDeviceCharacteristics);
}

static int
file_shm_map (sqlite3_file *base, int region, int size, int extend, void volatile **memory)
{
  FaultCall call = { .kind = FAULT_CALL_MAP, .path = file_of (base)->path };
  Fault     fault = before (&call);
  int       result;

  if (fault == FAULT_NONE)
    result = REAL (base, xShmMap, region, size, extend, memory);
  else
    {
      *memory = NULL;
      result = fail_with (fault, fault == FAULT_IO ? SQLITE_IOERR_SHMMAP : SQLITE_IOERR_SHMSIZE);
    }
  after (&call, result == SQLITE_OK);
  return fault == FAULT_NONE ? result : fail_with (fault, result);
}

static int
file_shm_lock (sqlite3_file *base, int offset, int n, int flags)
{
  return REAL (base, xShmLock, offset, n, flags);
}

static void
file_shm_barrier (sqlite3_file *base)
{
  REAL (base, xShmBarrier);
}

static int
file_shm_unmap (sqlite3_file *base, int remove)
{
  return REAL (base, xShmUnmap, remove);
}

static int
file_fetch (sqlite3_file *base, sqlite3_int64 offset, int length, void **data)
{
  return REAL (base, xFetch, offset, length, data);
}

static int
file_unfetch (sqlite3_file *base, sqlite3_int64 offset, void *data)
{
  return REAL (base, xUnfetch, offset, data);
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

static int
vfs_open (sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags, int *out_flags)
{
  FaultCall call = { .kind = FAULT_CALL_OPEN, .path = name };
  File     *self = file_of (base);
  Fault     fault = before (&call);
  int       result;

  memset (self, 0, (gsize) vfs->szOsFile);
  if (fault != FAULT_NONE)
    return fail_with (fault, SQLITE_CANTOPEN);
  self->real = (sqlite3_file *) (self + 1);
  self->path = name;
  result = real_vfs->xOpen (real_vfs, name, self->real, flags, out_flags);
  after (&call, result == SQLITE_OK);
  if (self->real->pMethods != NULL)
    self->base.pMethods = &file_methods;
  return result;
}

static int
vfs_delete (G_GNUC_UNUSED sqlite3_vfs *vfs, const char *name, int sync_folder)
{
  FaultCall call = { .kind = FAULT_CALL_DELETE, .path = name };
  Fault     fault = before (&call);
  int       result;

  if (fault != FAULT_NONE)
    return fail_with (fault, SQLITE_IOERR_DELETE);
  opened_folder = FALSE;
  result = real_vfs->xDelete (real_vfs, name, sync_folder);
  call.synced_folder = opened_folder;
  after (&call, result == SQLITE_OK);
  return result;
}

static int
vfs_access (G_GNUC_UNUSED sqlite3_vfs *vfs, const char *name, int flags, int *result)
{
  return real_vfs->xAccess (real_vfs, name, flags, result);
}

static int
vfs_full_pathname (G_GNUC_UNUSED sqlite3_vfs *vfs, const char *name, int size, char *path)
{
  return real_vfs->xFullPathname (real_vfs, name, size, path);
}

static int
vfs_randomness (G_GNUC_UNUSED sqlite3_vfs *vfs, int length, char *data)
{
  return real_vfs->xRandomness (real_vfs, length, data);
}

static int
vfs_sleep (G_GNUC_UNUSED sqlite3_vfs *vfs, int microseconds)
{
  return real_vfs->xSleep (real_vfs, microseconds);
}

static int
vfs_current_time (G_GNUC_UNUSED sqlite3_vfs *vfs, double *days)
{
  return real_vfs->xCurrentTime (real_vfs, days);
}

static int
vfs_current_time_int64 (G_GNUC_UNUSED sqlite3_vfs *vfs, sqlite3_int64 *milliseconds)
{
  return real_vfs->xCurrentTimeInt64 (real_vfs, milliseconds);
}

static int
vfs_get_last_error (G_GNUC_UNUSED sqlite3_vfs *vfs, int size, char *message)
{
  return real_vfs->xGetLastError (real_vfs, size, message);
}

static int
vfs_set_system_call (G_GNUC_UNUSED sqlite3_vfs *vfs, const char *name, sqlite3_syscall_ptr call)
{
  return real_vfs->xSetSystemCall (real_vfs, name, call);
}

static sqlite3_syscall_ptr
vfs_get_system_call (G_GNUC_UNUSED sqlite3_vfs *vfs, const char *name)
{
  return real_vfs->xGetSystemCall (real_vfs, name);
}

static const char *
vfs_next_system_call (G_GNUC_UNUSED sqlite3_vfs *vfs, const char *name)
{
  return real_vfs->xNextSystemCall (real_vfs, name);
}

static sqlite3_vfs the_vfs = {
  .iVersion = 3,
  .zName = "unix",
  .xOpen = vfs_open,
  .xDelete = vfs_delete,
  .xAccess = vfs_access,
  .xFullPathname = vfs_full_pathname,
  .xRandomness = vfs_randomness,
  .xSleep = vfs_sleep,
  .xCurrentTime = vfs_current_time,
  .xCurrentTimeInt64 = vfs_current_time_int64,
  .xGetLastError = vfs_get_last_error,
  .xSetSystemCall = vfs_set_system_call,
  .xGetSystemCall = vfs_get_system_call,
  .xNextSystemCall = vfs_next_system_call,
};

/* The system's VFS syncs the folder of a file by opening it. */
static int (*real_open_directory) (const char *path, int *fd);

static int
watched_open_directory (const char *path, int *fd)
{
  opened_folder = TRUE;
  return real_open_directory (path, fd);
}

static int
begin_connection (sqlite3 *db, G_GNUC_UNUSED char **message, G_GNUC_UNUSED const struct sqlite3_api_routines *api)
{
  return synchronous_off ? sqlite3_exec (db, "PRAGMA synchronous=0", NULL, NULL, NULL) : SQLITE_OK;
}

void
fault_vfs_install (void)
{
  real_vfs = sqlite3_vfs_find ("unix");
  g_assert_true (real_vfs != NULL && real_vfs != &the_vfs);
  real_open_directory = (int (*) (const char *, int *)) real_vfs->xGetSystemCall (real_vfs, "openDirectory");
  real_vfs->xSetSystemCall (real_vfs, "openDirectory", (sqlite3_syscall_ptr) watched_open_directory);
  the_vfs.szOsFile = (int) sizeof (File) + real_vfs->szOsFile;
  the_vfs.mxPathname = real_vfs->mxPathname;
  /* The default one comes first when a name is looked for. */
  sqlite3_vfs_register (&the_vfs, TRUE);
  g_assert_true (sqlite3_vfs_find ("unix") == &the_vfs);
  sqlite3_auto_extension ((void (*) (void)) begin_connection);
}

void
fault_vfs_watch (const char *path, const FaultWatcher *watcher, gpointer user_data)
{
  Watch *watch = g_new0 (Watch, 1);

  watch->last = g_atomic_pointer_get (&the_watch);
  watch->path = g_strdup (path);
  watch->watcher = watcher;
  watch->user_data = user_data;
  g_atomic_pointer_set (&the_watch, watch);
}

void
fault_vfs_unwatch (void)
{
  fault_vfs_watch (NULL, NULL, NULL);
}

void
fault_vfs_set_synchronous_off (gboolean off)
{
  synchronous_off = off;
}

/* ---- what the store calls itself ---- */

#pragma GCC visibility push(default)

int
fallocate (int fd, int mode, off_t offset, off_t length)
{
  g_autofree char *link = g_strdup_printf ("/proc/self/fd/%d", fd);
  char             path[PATH_MAX] = "";
  FaultCall        call = { .kind = FAULT_CALL_GROW, .path = path, .offset = offset, .length = length };
  Fault            fault;
  int              result;

  if (g_atomic_pointer_get (&the_watch) == NULL || readlink (link, path, sizeof path - 1) < 0)
    return (int) syscall (SYS_fallocate, fd, mode, offset, length);
  fault = before (&call);
  if (fault != FAULT_NONE)
    return fail_with (fault, -1);
  result = (int) syscall (SYS_fallocate, fd, mode, offset, length);
  /* Room behind the end is not a change of what the file has. */
  after (&call, result == 0 && (mode & FALLOC_FL_KEEP_SIZE) == 0);
  return result;
}

int
open (const char *path, int flags, ...)
{
  FaultCall call = { .kind = FAULT_CALL_PINS, .path = path };
  va_list   args;
  mode_t    mode;
  Fault     fault;

  va_start (args, flags);
  mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg (args, mode_t) : 0;
  va_end (args);
  if (g_str_has_suffix (path, "-pins"))
    {
      fault = before (&call);
      if (fault != FAULT_NONE)
        return fail_with (fault, -1);
    }
  return openat (AT_FDCWD, path, flags, mode);
}

#pragma GCC visibility pop
