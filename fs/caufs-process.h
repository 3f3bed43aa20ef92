/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What /proc/PID/stat says of the end of a thread. */
typedef struct
{
  gulong flags;     /* field 9: PF_*, of the kernel's include/linux/sched.h */
  glong  exit_code; /* field 52: as wait(2) gives it; 0 to who may not trace the process */
} CaufsProcessEnd;

/* Parses the text of /proc/PID/stat. FALSE when it is something else. */
gboolean caufs_process_parse_stat (const char *text, CaufsProcessEnd *end);

/* Whether a thread in that state, of a process of user @uid, is being ended by a signal; @our_uid is the
 * effective user of this process. */
gboolean caufs_process_end_is_kill (const CaufsProcessEnd *end, uid_t uid, uid_t our_uid);

/* Whether thread @tid, of a process of user @uid, is being ended by a signal now. FALSE when that is not known. */
gboolean caufs_process_is_killed (pid_t tid, uid_t uid);

/* The process that thread @tid belongs to; 0 when that is not known. */
pid_t caufs_process_of_thread (pid_t tid);

/* Whether process @pid is known to be gone. */
gboolean caufs_process_is_gone (pid_t pid);

G_END_DECLS
