/* SPDX-License-Identifier: MIT */
#pragma once

/* What the uploads of a store, in this process, may take together: their number, the bytes that were staged for them and are not
 * saved yet, and the memory that they hold. Users other than root, and than the one whose process this is, get at most half
 * of the first two each, so that one cannot keep all others from saving. Thread-safe. */

#include "cau-store.h"

G_BEGIN_DECLS

typedef struct _CauShares CauShares;
typedef struct _CauShare  CauShare; /* one upload's */

/* Bytes that there is room for; G_MAXUINT64 when that cannot be found out. With no lock held. */
typedef guint64 (*CauSharesRoomFunc) (gpointer user_data);

CauShares *cau_shares_new (CauSharesRoomFunc find_room, gpointer user_data);
void       cau_shares_free (CauShares *self);

/* 0: no limit. @max_staged: may be CAU_STAGED_AS_ROOM. */
void cau_shares_set_limits (CauShares *self, guint64 max_uploads, guint64 max_staged, guint64 max_buffered);

/* Begins an upload of user @uid, and ends it. Errors: TOO_MANY. */
CauShare *cau_shares_join (CauShares *self, guint32 uid, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void      cau_share_leave (CauShare *self);
guint32   cau_share_get_uid (const CauShare *self);

/* @bytes more, or fewer, are staged. Errors: NO_SPACE when there is no more for anybody, QUOTA when there is none for this user. */
gboolean cau_share_take_staged (CauShare *self, guint64 bytes, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void     cau_share_give_staged (CauShare *self, guint64 bytes);

/* An upload that held @before bytes of memory holds @now. TRUE when all together hold too much: it should let go of them. */
gboolean cau_share_note_buffered (CauShare *self, gsize before, gsize now);

G_END_DECLS
