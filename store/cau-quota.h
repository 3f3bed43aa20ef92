/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* How much of something the users hold together. Users other than root, and than the one whose process this is, get at most
 * half each, so that one cannot keep all others out. Thread-safe. */
typedef struct _CauQuota CauQuota;

typedef enum
{
  CAU_QUOTA_OK,
  CAU_QUOTA_USED_UP,         /* there is no more for anybody */
  CAU_QUOTA_USED_UP_BY_USER, /* the user has half of it */
} CauQuotaResult;

/* @max: 0 is no limit. */
CauQuota *cau_quota_new (guint64 max);
void      cau_quota_free (CauQuota *self);
void      cau_quota_set_max (CauQuota *self, guint64 max);
guint64   cau_quota_get_max (CauQuota *self);

/* Makes the limit what is held now, and @room besides. */
void cau_quota_set_room (CauQuota *self, guint64 room);

/* What user @uid can have of @max, a limit of whatever kind. */
guint64 cau_quota_share_of (const CauQuota *self, guint32 uid, guint64 max);

/* @n more for user @uid, or none of them; @n fewer. */
CauQuotaResult cau_quota_take (CauQuota *self, guint32 uid, guint64 n) G_GNUC_WARN_UNUSED_RESULT;
void           cau_quota_give (CauQuota *self, guint32 uid, guint64 n);

G_END_DECLS
