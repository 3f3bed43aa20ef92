/* SPDX-License-Identifier: MIT */
#pragma once

/* Which files a store consists of. SQLite goes on with the files that it has open when somebody removes them or puts others
 * in their place: what is saved then is gone when the store is closed. So who says that something is saved looks whether
 * the files are still those that it has open. */

#include "sqlite-db.h"

G_BEGIN_DECLS

typedef struct _CauIdentity CauIdentity; /* opaque; immutable, so any thread may use it */

/* The files of the store @path, which @db, the first connection to it, and the pins have open. @read_only: the database alone,
 * because another process may take the others away. */
CauIdentity *cau_identity_new (const char *path, CauDb *db, gboolean read_only, GError **error);
void         cau_identity_free (CauIdentity *self);

/* Errors: IO when one of them was removed or replaced. */
gboolean cau_identity_check (CauIdentity *self, GError **error);

G_END_DECLS
