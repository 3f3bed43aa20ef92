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

/* Logs one line, whatever names in it hold. When there are too many some are left out, and their number is told later. */
void caufs_log (GLogLevelFlags level, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* The last that is logged: tells what was left out. */
void caufs_log_finish (void);

/* The negative errno for @error (borrowed). What somebody should look at is logged: damage, a failing disk, a
 * full one, a store that another process does not let go. The answer to an ordinary mistake is not. @format says what was being done. */
int caufs_fail (const GError *error, const char *format, ...) G_GNUC_PRINTF (2, 3);

G_END_DECLS
