/* SPDX-License-Identifier: MIT */
#include "caufs-daemon.h"
#include "caufs-log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child writes when all went well; an error is its text. */
#define READY '\0'

struct _CaufsDaemon
{
  int to_parent; /* write end of a pipe; -1 in the foreground, and when all was said */
};

static void
write_all (int fd, const char *data, gsize length)
{
  while (length > 0)
    {
      ssize_t n = write (fd, data, length);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return; /* the parent is gone: nobody to tell */
      data += n;
      length -= (gsize) n;
    }
}

/* Reads until the child, and whatever it started, has closed the pipe or said that it is ready. */
static void
read_answer (int fd, GString *answer)
{
  char    buffer[512];
  ssize_t n;

  do
    {
      n = read (fd, buffer, sizeof buffer);
      if (n > 0)
        g_string_append_len (answer, buffer, n);
    }
  while ((n > 0 && answer->str[0] != READY) || (n < 0 && errno == EINTR));
}

static void wait_as_parent (int fd, pid_t child) G_GNUC_NORETURN;

static void
wait_as_parent (int fd, pid_t child)
{
  g_autoptr (GString) answer = g_string_new (NULL);
  int status = 0;

  read_answer (fd, answer);
  if (answer->len > 0 && answer->str[0] == READY)
    _exit (EXIT_SUCCESS);
  if (answer->len > 0)
    fputs (answer->str, stderr);
  else if (waitpid (child, &status, 0) == child && WIFSIGNALED (status))
    fprintf (stderr, "caufs: ended by signal %d (%s) before it had mounted\n", WTERMSIG (status),
             strsignal (WTERMSIG (status)));
  else
    fprintf (stderr, "caufs: ended before it had mounted\n");
  fflush (stderr);
  _exit (EXIT_FAILURE);
}

CaufsDaemon *
caufs_daemon_start (gboolean foreground)
{
  CaufsDaemon *self = g_new0 (CaufsDaemon, 1);
  int          fds[2];
  pid_t        child;

  self->to_parent = -1;
  if (foreground)
    return self;
  /* What a shell happened to have open, a lock perhaps, is not to be held for as long as the mount lives. */
  close_range (STDERR_FILENO + 1, ~0u, 0);
  if (pipe2 (fds, O_CLOEXEC) != 0 || (child = fork ()) < 0)
    {
      fprintf (stderr, "caufs: cannot go into the background: %s; try -f\n", g_strerror (errno));
      exit (EXIT_FAILURE);
    }
  if (child > 0)
    {
      close (fds[1]);
      wait_as_parent (fds[0], child);
    }
  close (fds[0]);
  self->to_parent = fds[1];
  setsid ();
  return self;
}

static void
close_pipe (CaufsDaemon *self)
{
  if (self->to_parent >= 0)
    close (self->to_parent);
  self->to_parent = -1;
}

void
caufs_daemon_fail (CaufsDaemon *self, const char *message)
{
  if (self->to_parent < 0)
    {
      fprintf (stderr, "%s\n", message);
      return;
    }
  write_all (self->to_parent, message, strlen (message));
  write_all (self->to_parent, "\n", 1);
  close_pipe (self);
}

/* The standard streams stay open, on /dev/null, so that no file ever gets their numbers. */
static void
leave_terminal (void)
{
  int null = open ("/dev/null", O_RDWR | O_CLOEXEC);

  caufs_log_detach ();
  if (chdir ("/") != 0 || null < 0)
    caufs_log (CAUFS_LOG_WARNING, "cannot leave the terminal and the folder it was started in: %s", g_strerror (errno));
  for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
    dup2 (null, fd);
  if (null > STDERR_FILENO)
    close (null);
}

/* sd_notify(3), without its library. */
static void
notify_systemd (void)
{
  static const char  ready[] = "READY=1";
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  const char        *name = g_getenv ("NOTIFY_SOCKET");
  const gsize        length = name != NULL ? strlen (name) : 0;
  int                fd;

  if (length == 0 || length > sizeof address.sun_path)
    return;
  memcpy (address.sun_path, name, length);
  if (name[0] == '@')
    address.sun_path[0] = '\0'; /* an abstract one */
  fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0
      || sendto (fd, ready, strlen (ready), MSG_NOSIGNAL, (const struct sockaddr *) &address,
                 (socklen_t) (offsetof (struct sockaddr_un, sun_path) + length))
           < 0)
    caufs_log (CAUFS_LOG_WARNING, "systemd cannot be told that the mount is there: %s", g_strerror (errno));
  if (fd >= 0)
    close (fd);
}

void
caufs_daemon_ready (CaufsDaemon *self, const char *message)
{
  static const char ready = READY;

  notify_systemd ();
  if (self->to_parent < 0)
    {
      fprintf (stderr, "%s\n", message);
      return;
    }
  leave_terminal ();
  write_all (self->to_parent, &ready, 1);
  close_pipe (self);
}

void
caufs_daemon_free (CaufsDaemon *self)
{
  close_pipe (self);
  g_free (self);
}
