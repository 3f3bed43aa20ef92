/* SPDX-License-Identifier: MIT */
#include "caufs-privileges.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (G_GUINT64_CONSTANT (1) << (capability))

/* To mount and unmount, and to see how another user's process ended (/proc/PID/stat, field 52). */
#define FOR_MOUNTS (BIT (CAP_SYS_ADMIN) | BIT (CAP_SYS_PTRACE))

/* To work with a store that belongs to another user. */
#define FOR_STORES (BIT (CAP_DAC_OVERRIDE) | BIT (CAP_CHOWN) | BIT (CAP_FOWNER))

/* Only the first page of a mapped program or library, by which a debugger finds its version: see core(5). */
#define DUMP_ELF_HEADERS "0x10"

/* The kernel refuses to drop a number beyond its last. */
#define MAX_CAPABILITIES 64

/* The C library has no functions for these two. */
static gboolean
get_permitted (guint64 *permitted)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct   data[_LINUX_CAPABILITY_U32S_3] = { 0 };

  if (syscall (SYS_capget, &header, data) != 0)
    return FALSE;
  *permitted = (guint64) data[1].permitted << 32 | data[0].permitted;
  return TRUE;
}

static void
set_capabilities (guint64 kept)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct   data[_LINUX_CAPABILITY_U32S_3] = { 0 };

  for (guint i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
    data[i].effective = data[i].permitted = (guint32) (kept >> (32 * i));
  /* To have fewer is always allowed. */
  syscall (SYS_capset, &header, data);
}

/* Of what the thread has, keeps what is in @kept. Programs that it starts get no more, and nothing unless they are root's. */
static void
keep_capabilities (guint64 kept)
{
  guint64 permitted;

  if (!get_permitted (&permitted))
    return;
  prctl (PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  /* Takes CAP_SETPCAP, without which there is nothing to gain either. */
  for (unsigned long i = 0; i < MAX_CAPABILITIES; i++)
    if ((kept & BIT (i)) == 0)
      prctl (PR_CAPBSET_DROP, i, 0, 0, 0);
  set_capabilities (permitted & kept);
}

static void
leave_memory_out_of_core_dumps (void)
{
  int fd = open ("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

  if (fd < 0)
    return; /* a kernel that makes no core dumps */
  (void) !write (fd, DUMP_ELF_HEADERS, sizeof DUMP_ELF_HEADERS - 1);
  close (fd);
}

gboolean
caufs_privileges_can_mount (void)
{
  guint64 permitted = 0;

  return geteuid () == 0 || (get_permitted (&permitted) && (permitted & BIT (CAP_SYS_ADMIN)) != 0);
}

void
caufs_privileges_reduce (gboolean debug)
{
  umask (S_IRWXG | S_IRWXO);
  if (!debug)
    leave_memory_out_of_core_dumps ();
  /* Other users need fusermount3, which is set-user-ID, to unmount when they end the daemon. */
  if (caufs_privileges_can_mount ())
    prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  keep_capabilities (geteuid () == 0 ? FOR_MOUNTS | FOR_STORES : FOR_MOUNTS);
}

void
caufs_privileges_end_mounting (void)
{
  if (geteuid () != 0)
    keep_capabilities (FOR_MOUNTS & ~BIT (CAP_SYS_ADMIN));
}
