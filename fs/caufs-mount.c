/* SPDX-License-Identifier: MIT */
#include "caufs-mount.h"
#include "caufs-log.h"
#include "caufs-privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define TYPE "fuse.caufs"

static gboolean fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
fail (GError **error, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  if (error != NULL)
    *error = g_error_new_valist (CAUFS_ERROR, CAUFS_ERROR_FAILED, format, arguments);
  va_end (arguments);
  return FALSE;
}

/* ---- what is mounted ---- */

/* The fields of a line: id, parent, device, root, mountpoint, options, any number of others, "-", type, source. */
#define FIELD_MOUNTPOINT 4
#define FIELD_FIRST_OTHER 6

static gboolean
parse_line (const char *line, const char *path, char **type, char **source)
{
  g_auto (GStrv) fields = g_strsplit (line, " ", -1);
  g_autofree char *mountpoint = NULL;
  guint            n = g_strv_length (fields);
  guint            i = FIELD_FIRST_OTHER;

  if (n <= FIELD_FIRST_OTHER)
    return FALSE;
  mountpoint = g_strcompress (fields[FIELD_MOUNTPOINT]); /* \040 and the like */
  while (i < n && !g_str_equal (fields[i], "-"))
    i++;
  if (i + 2 >= n || !g_str_equal (mountpoint, path))
    return FALSE;
  g_free (*type);
  g_free (*source);
  *type = g_strdup (fields[i + 1]);
  *source = g_strcompress (fields[i + 2]);
  return TRUE;
}

gboolean
caufs_mount_find (const char *mountinfo, const char *path, char **type, char **source)
{
  g_auto (GStrv) lines = g_strsplit (mountinfo, "\n", -1);
  gboolean found = FALSE;

  *type = *source = NULL;
  for (guint i = 0; lines[i] != NULL; i++)
    found = parse_line (lines[i], path, type, source) || found;
  return found;
}

static gboolean
find_now (const char *path, char **type, char **source)
{
  g_autofree char *mountinfo = NULL;

  *type = *source = NULL;
  return g_file_get_contents ("/proc/self/mountinfo", &mountinfo, NULL, NULL)
         && caufs_mount_find (mountinfo, path, type, source);
}

/* ---- a dead mount ---- */

static gboolean
unmount_lazily (const char *path)
{
  char *argv[] = { (char *) "fusermount3", (char *) "-u", (char *) "-q", (char *) "-z",
                   (char *) "--",          (char *) path, NULL };
  int   status = 0;

  if (umount2 (path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
    return TRUE;
  return g_spawn_sync (NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, NULL, NULL,
                       &status, NULL)
         && g_spawn_check_wait_status (status, NULL);
}

/* Whether it is a FUSE mount whose daemon is gone. The kernel goes on answering stat() for it by what it remembers, for
 * attr_timeout, so it has to be told to ask. */
static gboolean
is_dead (const char *path)
{
  struct statx stx;

  return statx (AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, &stx) != 0 && errno == ENOTCONN;
}

static gboolean
clear_dead (const char *path, char **note, GError **error)
{
  g_autofree char *type = NULL;
  g_autofree char *source = NULL;

  if (!find_now (path, &type, &source) || !g_str_equal (type, TYPE))
    return fail (error, "a dead mount%s%s is there; unmount it first: fusermount3 -u %s",
                 type != NULL ? " of type " : "", type != NULL ? type : "", path);
  if (!unmount_lazily (path))
    return fail (error, "a dead caufs mount of %s is there, which this user cannot clear; as root: umount -l %s",
                 source, path);
  g_free (*note);
  *note = g_strdup_printf ("cleared a dead mount of %s, which a crash had left on %s", source, path);
  return TRUE;
}

/* ---- the mountpoint ---- */

static gboolean
check_status (const char *path, GError **error)
{
  struct stat st;
  int         errnum = stat (path, &st) == 0 ? 0 : errno;

  switch (errnum)
    {
    case 0:
      return S_ISDIR (st.st_mode) || fail (error, "the mountpoint is not a directory; name one that is");
    case ENOENT:
      return fail (error, "the mountpoint does not exist; make it first: mkdir -p %s", path);
    case ENOTDIR:
      return fail (error, "a part of the mountpoint's path is not a directory; check its spelling");
    case EACCES:
      return fail (error, "this user may not look at the mountpoint; choose another, or change its permissions");
    default:
      return fail (error, "the mountpoint cannot be used: %s", g_strerror (errnum));
    }
}

static gboolean
resolve (CaufsOptions *options, GError **error)
{
  char *real = realpath (options->mountpoint, NULL);

  if (real == NULL)
    return fail (error, "the mountpoint's path cannot be followed: %s", g_strerror (errno));
  g_free (options->mountpoint);
  options->mountpoint = g_strdup (real);
  free (real);
  return TRUE;
}

static gboolean
check_not_mounted (const char *path, GError **error)
{
  g_autofree char *type = NULL;
  g_autofree char *source = NULL;

  if (find_now (path, &type, &source) && g_str_equal (type, TYPE))
    return fail (error, "%s is mounted there already; unmount it first: fusermount3 -u %s", source, path);
  return TRUE;
}

/* The daemon would wait for itself when it opens a file of the store. */
static gboolean
check_store_is_outside (const CaufsOptions *options, GError **error)
{
  const char      *store = options->store;
  g_autofree char *folder = NULL;
  char            *real;
  gsize            n = strlen (options->mountpoint);
  gboolean         is_inside;

  if (strstr (store, "://") != NULL)
    return TRUE;
  folder = g_path_get_dirname (g_str_has_prefix (store, "sqlite:") ? store + strlen ("sqlite:") : store);
  real = realpath (folder, NULL);
  if (real == NULL)
    return TRUE; /* opening the store will say so */
  is_inside = strncmp (real, options->mountpoint, n) == 0 && (real[n] == '\0' || real[n] == '/');
  free (real);
  return !is_inside || fail (error, "the store lies inside the mountpoint, which would hide it; keep it elsewhere");
}

/* ---- FUSE ---- */

static gboolean
check_device (GError **error)
{
  int fd = open ("/dev/fuse", O_RDWR | O_CLOEXEC);
  int errnum = errno;

  if (fd >= 0)
    {
      close (fd);
      return TRUE;
    }
  if (errnum == ENOENT || errnum == ENODEV || errnum == ENXIO)
    return fail (error, "there is no /dev/fuse; as root: modprobe fuse (a container must be given the device)");
  if (errnum == EACCES && geteuid () != 0)
    return TRUE; /* fusermount3 opens it for us */
  return fail (error, "/dev/fuse cannot be opened: %s; a container must be given the device and the right to mount",
               g_strerror (errnum));
}

static gboolean
conf_allows_other (void)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents ("/etc/fuse.conf", &text, NULL, NULL))
    return FALSE;
  lines = g_strsplit (text, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_equal (g_strstrip (lines[i]), "user_allow_other"))
      return TRUE;
  return FALSE;
}

/* What an ordinary user needs: the set-user-ID program that mounts for them, which would print a line of its own. */
static gboolean
check_user (const CaufsOptions *options, GError **error)
{
  g_autofree char *helper = NULL;

  if (caufs_privileges_can_mount ())
    return TRUE;
  helper = g_find_program_in_path ("fusermount3");
  if (helper == NULL)
    return fail (error, "fusermount3, which mounts for users other than root, is missing; install the package fuse3");
  if (options->allow_others && !conf_allows_other ())
    return fail (error, "allow_other is for root, unless /etc/fuse.conf has a line user_allow_other; add it, or do "
                        "without the option");
  if (access (options->mountpoint, W_OK) != 0)
    return fail (error, "this user may not write to the mountpoint; choose another, or change its owner");
  return TRUE;
}

gboolean
caufs_mount_prepare (CaufsOptions *options, char **note, GError **error)
{
  *note = NULL;
  /* Mounts may lie on each other. */
  while (is_dead (options->mountpoint))
    if (!clear_dead (options->mountpoint, note, error))
      return FALSE;
  return check_status (options->mountpoint, error) && resolve (options, error)
         && check_not_mounted (options->mountpoint, error) && check_store_is_outside (options, error)
         && check_device (error) && check_user (options, error);
}

/* ---- mounting ---- */

/* libfuse and fusermount3 print to stderr why they fail: here it is caught, to become part of our one line. */
typedef struct
{
  int file;
  int saved; /* the real stderr */
} CaufsCapture;

static CaufsCapture
capture_begin (void)
{
  CaufsCapture capture = { .file = memfd_create ("caufs-stderr", MFD_CLOEXEC), .saved = -1 };

  if (capture.file >= 0)
    capture.saved = fcntl (STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (capture.saved >= 0)
    dup2 (capture.file, STDERR_FILENO);
  return capture;
}

/* Returns: (transfer full): the lines, joined. */
static char *
capture_end (CaufsCapture *capture)
{
  char    text[1024] = "";
  ssize_t n = 0;

  if (capture->saved >= 0)
    {
      dup2 (capture->saved, STDERR_FILENO);
      close (capture->saved);
      n = pread (capture->file, text, sizeof text - 1, 0);
    }
  if (capture->file >= 0)
    close (capture->file);
  text[MAX (n, 0)] = '\0';
  return g_strdelimit (g_strdup (g_strstrip (text)), "\n", ';');
}

static struct fuse_session *
mount_session (struct fuse_args *args, const CaufsOptions *options, const struct fuse_lowlevel_ops *ops,
               size_t ops_size, gpointer user_data)
{
  struct fuse_session *session = fuse_session_new (args, ops, ops_size, user_data);

  if (session != NULL && fuse_session_mount (session, options->mountpoint) != 0)
    {
      fuse_session_destroy (session);
      session = NULL;
    }
  return session;
}

static char *
build_mount_options (const CaufsOptions *options)
{
  g_autofree char *fsname = g_strdup_printf ("fsname=%s", options->store);
  char            *list = NULL;
  char            *result;

  /* First, so that the user's own fsname wins. */
  fuse_opt_add_opt_escaped (&list, fsname);
  fuse_opt_add_opt (&list, "subtype=caufs,default_permissions");
  if (options->debug)
    fuse_opt_add_opt (&list, "debug");
  if (options->mount_options != NULL)
    fuse_opt_add_opt (&list, options->mount_options);
  result = g_strdup (list);
  free (list);
  return result;
}

struct fuse_session *
caufs_mount_start (const CaufsOptions *options, const struct fuse_lowlevel_ops *ops, size_t ops_size,
                   gpointer user_data, GError **error)
{
  g_autofree char     *list = build_mount_options (options);
  g_autofree char     *said = NULL;
  char                *argv[] = { (char *) "caufs", (char *) "-o", list, NULL };
  struct fuse_args     args = FUSE_ARGS_INIT (3, argv);
  struct fuse_session *session;
  CaufsCapture         capture = capture_begin ();

  session = mount_session (&args, options, ops, ops_size, user_data);
  fuse_opt_free_args (&args);
  said = capture_end (&capture);
  if (session == NULL)
    fail (error, "%s", said[0] != '\0' ? said : "libfuse failed without a word");
  else if (said[0] != '\0')
    caufs_log (CAUFS_LOG_WARNING, "%s", said);
  return session;
}
