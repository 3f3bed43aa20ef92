/* SPDX-License-Identifier: MIT */
#include "cau-program.h"
#include "caufs-log.h"
#include "caufs-loop.h"
#include "caufs-mount.h"
#include "caufs-privileges.h"
#include "caufs-readahead.h"
#include "caufs-signals.h"
#include "caufs.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MAX_THREADS 16

/* What uploads may hold in memory, a thousand small ones or twenty large ones in full swing: beyond it they go to the disk sooner. */
#define MAX_UPLOAD_MEMORY ((guint64) 128 << 20)

/* After a signal, requests that the kernel had queued are still served: a close must not fail because the mount ends. But who
 * goes on writing does not keep the mount alive. */
#define DRAIN_TIME (1 * G_TIME_SPAN_SECOND)

/* ---- the session ---- */

static void
want (struct fuse_conn_info *conn, guint capability, gboolean wanted)
{
  if (wanted)
    conn->want |= conn->capable & capability;
  else
    conn->want &= ~capability;
}

static void
negotiate (const CaufsOptions *options, struct fuse_conn_info *conn)
{
  want (conn, FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS, TRUE);
  /* An open with O_TRUNC is one request, so that the upload starts empty. */
  want (conn, FUSE_CAP_ATOMIC_O_TRUNC, TRUE);
  want (conn, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, TRUE);
  want (conn, FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS, TRUE);
  /* Versions never change: their pages need no checking by size and mtime. */
  want (conn, FUSE_CAP_AUTO_INVAL_DATA, FALSE);
  /* A write must be known before the close that saves it. */
  want (conn, FUSE_CAP_WRITEBACK_CACHE, FALSE);
  /* Data comes from and goes to memory, compressed on the way: there is no file to splice. */
  want (conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, FALSE);
  want (conn, FUSE_CAP_HANDLE_KILLPRIV, FALSE);
#ifdef FUSE_CAP_DIRECT_IO_ALLOW_MMAP
  want (conn, FUSE_CAP_DIRECT_IO_ALLOW_MMAP, TRUE);
#endif
  conn->max_read = options->max_read;
}

static void
caufs_init (void *userdata, struct fuse_conn_info *conn)
{
  Caufs           *self = userdata;
  g_autofree char *message = NULL;

  negotiate (self->options, conn);
  caufs_readahead_raise (self->options->mountpoint, conn);
  message = g_strdup_printf ("caufs: %s mounted on %s", self->options->store, self->options->mountpoint);
  caufs_daemon_ready (self->daemon, message);
}

const struct fuse_lowlevel_ops caufs_ops = {
  .init = caufs_init,
  .lookup = caufs_ops_lookup,
  .forget = caufs_ops_forget,
  .forget_multi = caufs_ops_forget_multi,
  .getattr = caufs_ops_getattr,
  .setattr = caufs_ops_setattr,
  .mknod = caufs_ops_mknod,
  .mkdir = caufs_ops_mkdir,
  .unlink = caufs_ops_unlink,
  .rmdir = caufs_ops_rmdir,
  .symlink = caufs_ops_symlink,
  .link = caufs_ops_link,
  .rename = caufs_ops_rename,
  .create = caufs_ops_create,
  .open = caufs_ops_open,
  .read = caufs_ops_read,
  .write = caufs_ops_write,
  .flush = caufs_ops_flush,
  .fsync = caufs_ops_fsync,
  .release = caufs_ops_release,
  .fallocate = caufs_ops_fallocate,
  .opendir = caufs_ops_opendir,
  .readdir = caufs_ops_readdir,
  .readdirplus = caufs_ops_readdirplus,
  .releasedir = caufs_ops_releasedir,
  .statfs = caufs_ops_statfs,
  .setxattr = caufs_ops_setxattr,
  .getxattr = caufs_ops_getxattr,
  .listxattr = caufs_ops_listxattr,
  .removexattr = caufs_ops_removexattr,
  .getlk = caufs_ops_getlk,
  .setlk = caufs_ops_setlk,
  .flock = caufs_ops_flock,
};

/* A connection for each thread, and rings in place of the device's read(2) and write(2), are for libfuse's own loop only: it
 * makes the connections, and ends the threads of the rings. */
static int
run_loop_of_libfuse (const CaufsOptions *options, struct fuse_session *session)
{
  struct fuse_loop_config *config = fuse_loop_cfg_create ();
  int                      r;

  fuse_loop_cfg_set_clone_fd (config, options->clone_fd ? 1 : 0);
  fuse_loop_cfg_set_max_threads (config, MAX_THREADS);
  fuse_loop_cfg_set_idle_threads (config, MAX_THREADS);
  r = fuse_session_loop_mt (session, config);
  fuse_loop_cfg_destroy (config);
  return r;
}

static gboolean
has_request (struct fuse_session *session)
{
  struct pollfd fd = { .fd = fuse_session_fd (session), .events = POLLIN };

  return poll (&fd, 1, 0) == 1 && (fd.revents & POLLIN) && !(fd.revents & POLLERR);
}

static void
drain (struct fuse_session *session)
{
  struct fuse_buf buffer = { .mem = NULL };
  gint64          end = g_get_monotonic_time () + DRAIN_TIME;

  fuse_session_reset (session);
  while (g_get_monotonic_time () < end && has_request (session))
    {
      int r = fuse_session_receive_buf (session, &buffer);

      if (r > 0)
        fuse_session_process_buf (session, &buffer);
      else if (r != -EINTR)
        break;
    }
  free (buffer.mem);
}

static void
notify_changed (guint64 ino, gpointer user_data)
{
  Caufs *self = user_data;

  /* Attributes only, for which the kernel takes no lock of the inode. It may not know the node: no matter. */
  fuse_lowlevel_notify_inval_inode (self->session, ino, -1, 0);
}

/* ---- the process ---- */

static void
raise_file_limit (void)
{
  struct rlimit limit;

  if (getrlimit (RLIMIT_NOFILE, &limit) != 0)
    return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit (RLIMIT_NOFILE, &limit);
}

static CauStore *
open_store (const CaufsOptions *options, GError **error)
{
  CauStoreOpenFlags flags = options->read_only ? CAU_STORE_OPEN_READ_ONLY : CAU_STORE_OPEN_CREATE;
  g_autoptr (CauStore) store = cau_store_open (options->store, flags, error);

  if (store == NULL || !cau_store_set_limits (store, options->max_size, options->max_report_size, error))
    return NULL;
  cau_store_set_upload_limits (store, options->max_uploads, options->max_staged, MAX_UPLOAD_MEMORY);
  return g_steal_pointer (&store);
}

typedef struct
{
  const CaufsOptions *options;
  GError             *error;
} Opening;

static gpointer
open_in_thread (gpointer data)
{
  Opening *self = data;

  caufs_privileges_end_mounting ();
  return open_store (self->options, &self->error);
}

/* The store's threads, and what reads its file, never have the right to mount: they get the capabilities of the thread that
 * opens it. */
static CauStore *
open_store_without_privilege (const CaufsOptions *options, GError **error)
{
  Opening   opening = { .options = options };
  GThread  *thread = g_thread_new ("open-store", open_in_thread, &opening);
  CauStore *store = g_thread_join (thread);

  if (store == NULL)
    g_propagate_error (error, opening.error);
  return store;
}

static void
warn_of_exposure (CauStore *store)
{
  g_autofree char *line = cau_store_describe_exposure (store);

  if (line != NULL)
    caufs_log (CAUFS_LOG_WARNING, "%s", line);
}

/* Serves the mount until it ends. Only what is answered by then is in the store. */
static int
serve (Caufs *self)
{
  CaufsSignals *signals = caufs_signals_start (self->session);
  gboolean      needs_libfuse = self->options->clone_fd || self->options->io_uring;
  int           r = needs_libfuse ? run_loop_of_libfuse (self->options, self->session) : caufs_loop_run (self->session);
  gboolean      is_signalled = caufs_signals_stop (signals);

  /* So fails a read(2) that was taking in a request when the mount was taken away (fs/fuse/dev.c, fuse_dev_do_read(), Linux 6.18). */
  if (r == -ECONNABORTED)
    r = 0;
  if (is_signalled)
    drain (self->session);
  caufs_locks_shut_down (self->view->locks, -ENOTCONN);
  caufs_view_finish (self->view, !is_signalled);
  fuse_session_unmount (self->session);
  fuse_session_destroy (self->session);
  if (r < 0 && !is_signalled)
    caufs_log (CAUFS_LOG_WARNING, "the connection to the kernel failed: %s", g_strerror (-r));
  caufs_log_finish ();
  return r < 0 && !is_signalled ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int
fail_to_start (CaufsDaemon *daemon, const CaufsOptions *options, const GError *error)
{
  g_autofree char *text =
    g_strdup_printf ("caufs: cannot mount %s on %s: %s", options->store, options->mountpoint, error->message);
  g_autofree char *message = cau_program_make_line (text);

  if (daemon != NULL)
    caufs_daemon_fail (daemon, message);
  else
    fprintf (stderr, "%s\n", message);
  return EXIT_FAILURE;
}

static int
mount_and_serve (CaufsOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CaufsDaemon) daemon = caufs_daemon_start (options->foreground);
  g_autoptr (CaufsView) view = NULL;
  Caufs     self = { .options = options, .daemon = daemon };
  CauStore *store;

  caufs_privileges_reduce (options->debug);
  caufs_log_init ();
  caufs_signals_block ();
  raise_file_limit ();
  store = open_store_without_privilege (options, &error);
  if (store == NULL)
    return fail_to_start (daemon, options, error);
  warn_of_exposure (store);
  self.view = view = caufs_view_new (store, options, notify_changed, &self);
  self.session = caufs_mount_start (options, &caufs_ops, sizeof caufs_ops, &self, &error);
  if (self.session == NULL)
    return fail_to_start (daemon, options, error);
  caufs_privileges_end_mounting ();
  caufs_log_take_libfuse ();
  return serve (&self);
}

static int
prepare_and_mount (CaufsOptions *options)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *note = NULL;
  gboolean         ok = caufs_mount_prepare (options, &note, &error);

  if (note != NULL)
    fprintf (stderr, "caufs: %s\n", note);
  return ok ? mount_and_serve (options) : fail_to_start (NULL, options, error);
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CaufsOptions) options = NULL;

  cau_program_keep_standard_streams ();
  if (argc < 2)
    {
      fputs (caufs_options_usage, stderr);
      return 2;
    }
  options = caufs_options_parse (argc, argv, &error);
  if (options == NULL)
    {
      g_autofree char *line = cau_program_make_line (error->message);

      fprintf (stderr, "caufs: %s\n", line);
      return 2;
    }
  switch (options->mode)
    {
    case CAUFS_MODE_HELP:
      fputs (caufs_options_help, stdout);
      return EXIT_SUCCESS;
    case CAUFS_MODE_VERSION:
      printf ("caufs %s (libfuse %s)\n", CAUFS_VERSION, fuse_pkgversion ());
      return EXIT_SUCCESS;
    case CAUFS_MODE_MOUNT:
      break;
    }
  return prepare_and_mount (options);
}
