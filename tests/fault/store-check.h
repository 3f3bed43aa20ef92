/* SPDX-License-Identifier: MIT */
#pragma once

#include "store-model.h"

G_BEGIN_DECLS

/* Looks whether the promises hold for the store @path, which nobody has open: it opens, without help; it has @model, and of
 * each change in @maybe all or nothing; what nobody needs goes; saving goes on; the file is in order. @may_be_new: it may be
 * that it was never made. Returns: (transfer full): what is wrong, or NULL. */
char *store_check (const char *path, gboolean may_be_new, StoreModel *model, GPtrArray *maybe);

/* The same of a store that is open, but for the file. */
char *store_check_open (CauStore *store, StoreModel *model, GPtrArray *maybe);

/* Whether the file of the store @path, which nobody has open, is in order, and nothing in it is unneeded. */
char *store_check_file (const char *path);

G_END_DECLS
