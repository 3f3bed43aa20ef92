/* SPDX-License-Identifier: MIT */
#include "cau-pins.h"
#include "cau-access.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

typedef struct
{
  guint    count;
  gboolean wanted; /* by the collector, once it is free */
} Pin;

struct _CauPins
{
  char       *store; /* path */
  char       *path;
  int         fd;         /* holds the shared locks; -1: the file is not there (yet), so nobody collects (yet) */
  int         collect_fd; /* holds the exclusive ones: a lock never conflicts within one description */
  GMutex      lock;       /* guards table, and the order of the locks on fd with it */
  GHashTable *table;      /* version -> Pin */
  gboolean    collecting; /* of the one who collects: there may be locks on collect_fd */
};

static gboolean
lock_byte (int fd, short type, guint64 version, guint64 length)
{
  struct flock flock = { .l_type = type, .l_whence = SEEK_SET, .l_start = (off_t) version, .l_len = (off_t) length };
  int          result;

  do
    result = fcntl (fd, F_OFD_SETLK, &flock);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

CauPins *
cau_pins_open (const char *store, gboolean read_only, GError **error)
{
  g_autofree char *path = g_strconcat (store, "-pins", NULL);
  CauPins         *self;
  int              fd = -1, collect_fd = -1;

  if (!read_only)
    {
      fd = cau_access_open_beside (store, path, O_RDWR, TRUE);
      if (fd >= 0)
        collect_fd = cau_access_open_beside (store, path, O_RDWR, FALSE);
      if (fd < 0 || collect_fd < 0)
        {
          int code = errno;

          if (fd >= 0)
            close (fd);
          g_set_error (error, CAU_STORE_ERROR, (gint) cau_store_error_from_errno (code), "cannot open %s: %s", path,
                       code == ENOTSUP ? "it is no regular file; remove it" : g_strerror (code));
          return NULL;
        }
    }

  self = g_new0 (CauPins, 1);
  self->store = g_strdup (store);
  self->path = g_steal_pointer (&path);
  self->fd = fd;
  self->collect_fd = collect_fd;
  self->table = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  g_mutex_init (&self->lock);
  return self;
}

void
cau_pins_free (CauPins *self)
{
  if (self->collect_fd >= 0)
    close (self->collect_fd);
  if (self->fd >= 0)
    close (self->fd);
  g_hash_table_unref (self->table);
  g_mutex_clear (&self->lock);
  g_free (self->path);
  g_free (self->store);
  g_free (self);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauPins, cau_pins_free)

/* Opened for reading only, we may not be able to make the file; the first writer does. What was pinned before that
 * is locked when we see it. */
static void
find_file_locked (CauPins *self)
{
  GHashTableIter iter;
  gpointer       version;

  if (self->fd >= 0)
    return;
  self->fd = cau_access_open_beside (self->store, self->path, O_RDONLY, TRUE);
  if (self->fd < 0)
    return;
  g_hash_table_iter_init (&iter, self->table);
  while (g_hash_table_iter_next (&iter, &version, NULL))
    lock_byte (self->fd, F_RDLCK, *(guint64 *) version, 1);
}

gboolean
cau_pins_pin (CauPins *self, guint64 version)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  Pin          *pin = g_hash_table_lookup (self->table, &version);

  find_file_locked (self);
  if (pin == NULL)
    {
      if (self->fd >= 0 && !lock_byte (self->fd, F_RDLCK, version, 1))
        return FALSE;
      pin = g_new0 (Pin, 1);
      g_hash_table_insert (self->table, g_memdup2 (&version, sizeof version), pin);
    }
  pin->count++;
  return TRUE;
}

void
cau_pins_renew (CauPins *self)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);

  find_file_locked (self);
}

gboolean
cau_pins_unpin (CauPins *self, guint64 version)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  Pin          *pin = g_hash_table_lookup (self->table, &version);
  gboolean      wanted;

  g_return_val_if_fail (pin != NULL, FALSE);
  if (--pin->count > 0)
    return FALSE;
  wanted = pin->wanted;
  g_hash_table_remove (self->table, &version);
  if (self->fd >= 0)
    lock_byte (self->fd, F_UNLCK, version, 1);
  return wanted;
}

gboolean
cau_pins_begin_collect (CauPins *self, guint64 version)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&self->lock);
  Pin          *pin = g_hash_table_lookup (self->table, &version);

  if (pin != NULL)
    {
      pin->wanted = TRUE;
      return FALSE;
    }
  self->collecting = TRUE;
  return lock_byte (self->collect_fd, F_WRLCK, version, 1);
}

void
cau_pins_end_collect (CauPins *self)
{
  if (self->collecting)
    lock_byte (self->collect_fd, F_UNLCK, 0, 0);
  self->collecting = FALSE;
}
