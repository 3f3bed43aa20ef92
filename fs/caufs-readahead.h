/* SPDX-License-Identifier: MIT */
#pragma once

/* How far the kernel reads ahead in a report. */

#include "caufs-fuse.h"

#include <glib.h>

G_BEGIN_DECLS

/* To be called from the INIT handler, with what it was given: lets the kernel read further ahead, if this process may.
 * @mountpoint is mounted already. */
void caufs_readahead_raise (const char *mountpoint, struct fuse_conn_info *conn);

G_END_DECLS
