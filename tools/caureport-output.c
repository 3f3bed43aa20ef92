/* SPDX-License-Identifier: MIT */
#include "caureport-output.h"

#include "caureport.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct _CaureportOutput
{
  char *path;      /* for messages; NULL: standard output */
  char *target;    /* the file to put in place; NULL when what is written goes there at once */
  char *folder;    /* that holds @target */
  char *temporary; /* in @folder; NULL while the file written has no name */
  FILE *stream;
};

void
caureport_output_free (CaureportOutput *self)
{
  if (self->stream != NULL && self->stream != stdout)
    fclose (self->stream);
  if (self->temporary != NULL)
    unlink (self->temporary);
  g_free (self->temporary);
  g_free (self->folder);
  g_free (self->target);
  g_free (self->path);
  g_free (self);
}

static gboolean
caureport_output_fail (CaureportOutput *self, GError **error)
{
  int errsv = errno;

  if (self->path != NULL)
    caureport_set_error_from_errno (error, errsv, "cannot write %s", self->path);
  else
    caureport_set_error_from_errno (error, errsv, "cannot write to standard output");
  return FALSE;
}

static char *
caureport_output_new_name (CaureportOutput *self)
{
  g_autofree char *name = g_strdup_printf (".caureport-%08x%08x", g_random_int (), g_random_int ());

  return g_build_filename (self->folder, name, NULL);
}

/* Opens a file beside the target. It gets its name, where the filesystem allows, only at the end, so
 * that a program that is killed leaves nothing behind. */
static int
caureport_output_open_temporary (CaureportOutput *self)
{
  int fd = open (self->folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);

  if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
    return fd;
  do
    {
      g_free (self->temporary);
      self->temporary = caureport_output_new_name (self);
      fd = open (self->temporary, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
    }
  while (fd < 0 && errno == EEXIST);
  if (fd < 0)
    g_clear_pointer (&self->temporary, g_free);
  return fd;
}

/* Opens what @self->path names: a file to be put in place of @existing, which may be NULL for none, or
 * what is there when it is no regular file. */
static int
caureport_output_open_path (CaureportOutput *self, const struct stat *existing)
{
  int fd;

  if (existing != NULL && !S_ISREG (existing->st_mode))
    {
      g_clear_pointer (&self->target, g_free);
      return open (self->path, O_WRONLY | O_CLOEXEC);
    }
  self->folder = g_path_get_dirname (self->target);
  fd = caureport_output_open_temporary (self);
  /* The new file takes after the one it replaces; to give it to another user takes privilege. */
  if (fd >= 0 && existing != NULL
      && (fchown (fd, existing->st_uid, existing->st_gid) != 0 || fchmod (fd, existing->st_mode & 07777) != 0)
      && fchmod (fd, existing->st_mode & 0777) != 0)
    {
      close (fd);
      return -1;
    }
  return fd;
}

CaureportOutput *
caureport_output_open (const char *path, GError **error)
{
  g_autoptr (CaureportOutput) self = g_new0 (CaureportOutput, 1);
  struct stat existing;
  int         fd;

  if (path == NULL)
    {
      self->stream = stdout;
      return g_steal_pointer (&self);
    }
  self->path = g_strdup (path);
  self->target = realpath (path, NULL);
  if (self->target == NULL)
    self->target = g_strdup (path);
  fd = caureport_output_open_path (self, stat (path, &existing) == 0 ? &existing : NULL);
  if (fd >= 0)
    self->stream = fdopen (fd, "w");
  if (self->stream == NULL)
    {
      caureport_output_fail (self, error);
      if (fd >= 0)
        close (fd);
      return NULL;
    }
  return g_steal_pointer (&self);
}

gboolean
caureport_output_write (CaureportOutput *self, const void *data, gsize length, GError **error)
{
  if (length == 0 || fwrite (data, 1, length, self->stream) == length)
    return TRUE;
  return caureport_output_fail (self, error);
}

/* Gives a name to a file that was opened without one. */
static gboolean
caureport_output_link (CaureportOutput *self)
{
  g_autofree char *by_descriptor = g_strdup_printf ("/proc/self/fd/%d", fileno (self->stream));
  g_autofree char *name = NULL;

  do
    {
      g_free (name);
      name = caureport_output_new_name (self);
      if (linkat (AT_FDCWD, by_descriptor, AT_FDCWD, name, AT_SYMLINK_FOLLOW) == 0)
        {
          self->temporary = g_steal_pointer (&name);
          return TRUE;
        }
    }
  while (errno == EEXIST);
  return FALSE;
}

static gboolean
caureport_output_sync_folder (CaureportOutput *self)
{
  int      fd = open (self->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  gboolean ok = fd >= 0 && fsync (fd) == 0;
  int      errsv = errno;

  if (fd >= 0)
    close (fd);
  errno = errsv;
  /* A folder that may be written but not read cannot be synced; nor can any on some filesystems. */
  return ok || errsv == EACCES || errsv == EINVAL;
}

gboolean
caureport_output_finish (CaureportOutput *self, GError **error)
{
  if (fflush (self->stream) != 0)
    return caureport_output_fail (self, error);
  if (self->target == NULL)
    return TRUE;
  if (fsync (fileno (self->stream)) != 0 || (self->temporary == NULL && !caureport_output_link (self)))
    return caureport_output_fail (self, error);
  if (rename (self->temporary, self->target) != 0)
    return caureport_output_fail (self, error);
  g_clear_pointer (&self->temporary, g_free);
  return caureport_output_sync_folder (self) || caureport_output_fail (self, error);
}
