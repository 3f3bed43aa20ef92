/* SPDX-License-Identifier: MIT */
#include "cau-access.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHERS (S_IRWXG | S_IRWXO)

/* By mknod(2), because closing a descriptor of the file would drop the locks that another thread has on it by then. Some
 * filesystems cannot (EPERM). Neither follows a link. */
static gboolean
make_file (const char *path)
{
  int fd;

  if (mknod (path, S_IFREG | S_IRUSR | S_IWUSR, 0) == 0)
    return TRUE;
  if (errno != EPERM)
    return FALSE;
  fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd >= 0)
    close (fd);
  return fd >= 0;
}

gboolean
cau_access_make (const char *path, GError **error)
{
  struct stat st;

  if (make_file (path))
    return TRUE;
  if (errno != EEXIST)
    {
      g_set_error (error, CAU_STORE_ERROR, (gint) cau_store_error_from_errno (errno), "cannot make the store %s: %s",
                   path, g_strerror (errno));
      return FALSE;
    }
  if (lstat (path, &st) != 0 || !S_ISLNK (st.st_mode))
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE,
               "%s is a symbolic link that leads nowhere; remove it, or name the store itself", path);
  return FALSE;
}

/* Of a file that was made by us just now: only that may be given away. One that was there could be a link to anything. */
static void
take_after (int fd, const struct stat *store)
{
  if (fchmod (fd, store->st_mode & (S_IRWXU | OTHERS)) == 0 && geteuid () == 0)
    /* Its owner could not use the store any more if this failed, and would be told so. */
    (void) !fchown (fd, store->st_uid, store->st_gid);
}

static int
make_beside (const char *store, const char *path, int access)
{
  struct stat st;
  int         fd;

  if (stat (store, &st) != 0)
    return -1;
  fd = open (path, access | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (fd >= 0)
    take_after (fd, &st);
  return fd;
}

/* Who can read a file can lock it, too, so it must not be open to more users than the store. */
static void
close_to_others (int fd, const struct stat *st, const char *store)
{
  struct stat wanted;

  if (st->st_nlink == 1 && stat (store, &wanted) == 0 && (st->st_mode & ~wanted.st_mode & OTHERS) != 0)
    /* If it is somebody else's file, they decide. */
    (void) !fchmod (fd, st->st_mode & wanted.st_mode & (S_IRWXU | OTHERS));
}

int
cau_access_open_beside (const char *store, const char *path, int access, gboolean make)
{
  /* O_NONBLOCK: opening a pipe would wait. */
  int         fd = open (path, access | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  struct stat st;

  if (fd < 0 && errno == ENOENT && make)
    {
      fd = make_beside (store, path, access);
      if (fd < 0 && errno == EEXIST)
        fd = open (path, access | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    }
  if (fd < 0)
    return -1;
  if (fstat (fd, &st) != 0 || !S_ISREG (st.st_mode))
    {
      close (fd);
      errno = ENOTSUP;
      return -1;
    }
  close_to_others (fd, &st, store);
  return fd;
}

char *
cau_access_describe_exposure (const char *path)
{
  g_autofree char *folder = g_path_get_dirname (path);
  struct stat      st;

  if (stat (path, &st) == 0 && (st.st_mode & OTHERS) != 0)
    return g_strdup_printf ("%s has mode %04o: users other than its owner reach all reports in it, whatever the"
                            " permissions of these; chmod 600 %s",
                            path, st.st_mode & 07777, path);
  if (stat (folder, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
    return g_strdup_printf ("%s has mode %04o: users other than its owner can put files in the place of the store's;"
                            " chmod go-w %s, or keep the store in a folder of its own",
                            folder, st.st_mode & 07777, folder);
  return NULL;
}
