/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Sends what the daemon logs to the journal when stderr leads there, else to stderr. Once, before the first thread
 * is made. */
void caufs_log_init (void);

/* The same for what libfuse logs, which prints to stderr before. */
void caufs_log_take_libfuse (void);

/* From now on logs to syslog what would have gone to stderr: the daemon has left its terminal. */
void caufs_log_detach (void);

/* Of each kind there are so many lines in so much time. Notices and refusals are what any user of a mount can bring about: they
 * must not use up what there is for the others. */
typedef enum
{
  CAUFS_LOG_BUG,     /* logged as critical */
  CAUFS_LOG_WARNING, /* damage, a failing disk, an exposed store */
  CAUFS_LOG_REFUSAL, /* what could not be saved or done for want of space or time: a warning */
  CAUFS_LOG_NOTICE,  /* a killed writer */
  CAUFS_N_LOG_KINDS,
} CaufsLogKind;

/* Logs one line, whatever names in it hold. When there are too many some are left out, and their number is told later. */
void caufs_log (CaufsLogKind kind, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* What @error is about. */
CaufsLogKind caufs_log_kind_of (const GError *error);

/* The last that is logged: tells what was left out. */
void caufs_log_finish (void);

/* The negative errno for @error (borrowed). What somebody should look at is logged: damage, a failing disk, a
 * full one, a store that another process does not let go. The answer to an ordinary mistake is not. @format says what was being done. */
int caufs_fail (const GError *error, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
