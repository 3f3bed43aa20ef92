/* SPDX-License-Identifier: MIT */
#pragma once

/* What caufs-handle.c, which opens, reads and writes, has for caufs-handle-close.c, which saves. */

#include "caufs-handle.h"

G_BEGIN_DECLS

/* The errno of what lost the handle's bytes, or 0. */
int caufs_handle_get_failed (CaufsHandle *self);

/* From now on that of @error, which is logged if it is the first: "REPORT @what_failed". Returns its negative. */
int caufs_handle_fail (CaufsHandle *self, const GError *error, const char *what_failed);

/* The file is open no more. Drops the kernel's reference. */
void caufs_handle_close (CaufsHandle *self);

G_END_DECLS
