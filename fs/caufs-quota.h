/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* How many things of a kind the users of a mount may hold together. Users other than root, and than the one who runs the
 * daemon, get at most half each, so that one cannot keep all others out. Thread-safe. */
typedef struct _CaufsQuota CaufsQuota;

/* @max: 0 is no limit. */
CaufsQuota *caufs_quota_new (guint64 max);
void        caufs_quota_free (CaufsQuota *self);

/* One more for user @uid: FALSE when there are too many. One fewer. */
gboolean caufs_quota_take (CaufsQuota *self, uid_t uid) G_GNUC_WARN_UNUSED_RESULT;
void     caufs_quota_give (CaufsQuota *self, uid_t uid);

G_END_DECLS
