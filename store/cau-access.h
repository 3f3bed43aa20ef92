/* SPDX-License-Identifier: MIT */
#pragma once

/* The store's files: who may reach them. SQLite gives the WAL and its index the mode and, for root, the owner of the database. */

#include "cau-store.h"

G_BEGIN_DECLS

/* Makes the file @path, empty, for its owner alone, unless it is there. A link that leads nowhere is not followed. */
gboolean cau_access_make (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Opens the file @path, which stands beside the store file @store, and makes it, with that one's mode and owner, if @make.
 * @access: O_RDWR or O_RDONLY. Returns a descriptor, or -1 with errno set: ENOTSUP when it is no regular file. */
int cau_access_open_beside (const char *store, const char *path, int access, gboolean make);

/* What cau_store_describe_exposure() says of the store file @path. */
char *cau_access_describe_exposure (const char *path);

G_END_DECLS
