/* SPDX-License-Identifier: MIT */
#pragma once

/* The bytes of an upload before its commit: chunks that were written, over those of a base version. What was written last
 * lies raw in memory, what was finished lies there encoded, and when that grows it is staged in the
 * backend. One thread at a time. */

#include "cau-store-private.h"

G_BEGIN_DECLS

typedef struct _CauStaging CauStaging;

/* @share: borrowed, of the upload: what it takes is counted there. @base: (transfer full) (nullable): the version to start from. */
CauStaging *cau_staging_new (CauStore *store, CauShare *share, CauReader *base);
void        cau_staging_free (CauStaging *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauStaging, cau_staging_free)

/* Whether chunks are on their way to the backend, which cau_staging_free() waits for. Any thread. */
gboolean cau_staging_is_sending (CauStaging *self);

guint64    cau_staging_get_size (CauStaging *self);
CauReader *cau_staging_get_base (CauStaging *self); /* borrowed; NULL when there is none */

/* May wait for what is being staged. */
gboolean cau_staging_write (CauStaging *self, guint64 offset, const guint8 *data, gsize length, GError **error);
gboolean cau_staging_truncate (CauStaging *self, guint64 size, GError **error);
gboolean cau_staging_read (CauStaging *self, guint64 offset, guint8 *buffer, gsize length, gsize *n_read,
                           GError **error);

/* Bytes that cau_staging_prepare() will have to read and hash: none when they were written in order. */
guint64 cau_staging_get_unhashed (CauStaging *self);

/* Reads and hashes up to @most of these, ahead of cau_staging_prepare(). */
gboolean cau_staging_hash (CauStaging *self, guint64 most, GError **error);

/* Encodes what is raw, computes the SHA-256, and fills the fields of @op that say what the bytes are. They stay
 * readable here meanwhile. */
gboolean cau_staging_prepare (CauStaging *self, CauCommitOp *op, GError **error);

/* Throws all away but the size. */
void cau_staging_drop (CauStaging *self);

/* After that commit: starts over from what was saved. @saved: (transfer full). */
void cau_staging_rebase (CauStaging *self, CauReader *saved);

G_END_DECLS
