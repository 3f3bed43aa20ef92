/* SPDX-License-Identifier: MIT */
#pragma once

#include "caufs-fuse.h"
#include "caufs-options.h"

G_BEGIN_DECLS

/* Looks whether the mount can work, before anything is opened, and puts the real path into options->mountpoint. A
 * dead caufs mount there, which a crash left, is cleared, and *@note (out) (transfer full) says so; else it is NULL.
 * Errors: CAUFS_ERROR_FAILED; the message says why not and what to do. */
gboolean caufs_mount_prepare (CaufsOptions *options, char **note, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes the session and mounts it. Errors: as above. */
struct fuse_session *caufs_mount_start (const CaufsOptions *options, const struct fuse_lowlevel_ops *ops,
                                        size_t ops_size, gpointer user_data, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The mount at the path, from the text of /proc/PID/mountinfo: of several, the one on top. FALSE: none.
 * @type, @source: (out) (transfer full). */
gboolean caufs_mount_find (const char *mountinfo, const char *path, char **type, char **source);

G_END_DECLS
