/* SPDX-License-Identifier: MIT */
#include "caufs-process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* include/linux/sched.h; shown as they are in /proc since 2.6. */
#define PF_EXITING 0x00000004ul
#define PF_SIGNALED 0x00000400ul

/* Fields of /proc/PID/stat, from 1, as in proc(5). */
#define FIELD_STATE 3
#define FIELD_FLAGS 9
#define FIELD_EXIT_CODE 52

/* The start of field @number in @text, which starts at FIELD_STATE. */
static const char *
find_field (const char *text, int number)
{
  for (int i = FIELD_STATE; i < number && text != NULL; i++)
    {
      text = strchr (text, ' ');
      if (text != NULL)
        text++;
    }
  return text;
}

gboolean
caufs_process_parse_stat (const char *text, CaufsProcessEnd *end)
{
  /* The command's name, field 2, stands in parentheses and may hold any byte, also ") ". */
  const char *state = strrchr (text, ')');
  const char *flags;
  const char *exit_code;

  if (state == NULL || state[1] != ' ')
    return FALSE;
  flags = find_field (state + 2, FIELD_FLAGS);
  exit_code = flags != NULL ? find_field (state + 2, FIELD_EXIT_CODE) : NULL;
  if (exit_code == NULL)
    return FALSE;
  end->flags = strtoul (flags, NULL, 10);
  end->exit_code = strtol (exit_code, NULL, 10);
  return TRUE;
}

/* When a process with several threads calls exit(), the kernel ends its other threads by SIGKILL, so that they carry
 * PF_SIGNALED as well; but their exit code is that of the whole process, whose low seven bits are the signal. */
gboolean
caufs_process_end_is_kill (const CaufsProcessEnd *end, uid_t uid, uid_t our_uid)
{
  if ((end->flags & (PF_EXITING | PF_SIGNALED)) != (PF_EXITING | PF_SIGNALED))
    return FALSE;
  if ((end->exit_code & 0x7f) != 0)
    return TRUE;
  return end->exit_code == 0 && our_uid != 0 && uid != our_uid;
}

/* Reads the start of /proc/@tid/@file. */
static gboolean
read_proc (pid_t tid, const char *file, char *text, gsize size)
{
  char    path[32];
  ssize_t n;
  int     fd;

  if (tid <= 0)
    return FALSE;
  g_snprintf (path, sizeof path, "/proc/%d/%s", (int) tid, file);
  fd = open (path, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return FALSE;
  n = read (fd, text, size - 1);
  close (fd);
  text[MAX (n, 0)] = '\0';
  return n > 0;
}

/* A thread that ends has given up its memory before it closes its files (do_exit()): all of /proc/TID/statm is 0 then. */
static gboolean
has_no_memory (pid_t tid)
{
  char text[128];

  return read_proc (tid, "statm", text, sizeof text) && g_str_has_prefix (text, "0 ");
}

/* A thread in execve(2) closes its files too, and holds the lock that reading its stat waits for (exec_update_lock,
 * seen in Linux 6.18): the kernel would wait for our answer and we for the kernel, and so would ps(1). Reading statm
 * waits for nothing. */
gboolean
caufs_process_is_killed (pid_t tid, uid_t uid)
{
  char            text[1024];
  CaufsProcessEnd end;

  return has_no_memory (tid) && read_proc (tid, "stat", text, sizeof text) && caufs_process_parse_stat (text, &end)
         && caufs_process_end_is_kill (&end, uid, geteuid ());
}

pid_t
caufs_process_of_thread (pid_t tid)
{
  static const char field[] = "\nTgid:";
  char              text[512];
  const char       *found;

  if (!read_proc (tid, "status", text, sizeof text))
    return 0;
  found = strstr (text, field);
  return found != NULL ? (pid_t) strtol (found + strlen (field), NULL, 10) : 0;
}

gboolean
caufs_process_is_gone (pid_t pid)
{
  return pid > 0 && kill (pid, 0) != 0 && errno == ESRCH;
}
