/* SPDX-License-Identifier: MIT */
#pragma once

/* What a store has or should have: a key for each orchestrator, its GUID, and for each report, GUID/NAME. The value is what the
 * bytes are and the attributes. A change is some keys whose values change all at once. */

#include "cau-store.h"

G_BEGIN_DECLS

typedef struct _StoreModel StoreModel;

StoreModel *store_model_new (void);
StoreModel *store_model_copy (StoreModel *self);
void        store_model_free (StoreModel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreModel, store_model_free)

/* Reads the whole of @store, all reports to their ends. Returns: (transfer full), or NULL. */
StoreModel *store_model_read (CauStore *store, GError **error);

/* @value: NULL: the key goes. */
void        store_model_set (StoreModel *self, const char *key, const char *value);
const char *store_model_get (StoreModel *self, const char *key);

/* Keys of reports, or of orchestrators. Returns: (transfer container) (element-type utf8): in order. */
GPtrArray *store_model_list (StoreModel *self, gboolean reports);

/* Returns: (transfer full): values. @bytes: NULL: an orchestrator. */
char *store_value (GBytes *bytes, guint32 mode, guint32 uid);
/* The bytes of one and the attributes of another; and other attributes. */
char *store_value_replace (const char *old, const char *bytes_of);
char *store_value_set_attributes (const char *old, guint32 mode, guint32 uid);

typedef struct
{
  guint      begin, end; /* when it began and when it was reported done: positions in a log; end: G_MAXUINT before */
  GPtrArray *keys;       /* (element-type utf8) */
  GPtrArray *values;     /* (element-type utf8), NULL for one that goes */
} StoreChange;

StoreChange *store_change_new (void);
void         store_change_free (StoreChange *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreChange, store_change_free)
void store_change_set (StoreChange *self, const char *key, const char *value);
void store_model_apply (StoreModel *self, const StoreChange *change);

/* Whether @actual is @self with each change in @maybe (element-type StoreChange), which touch different keys, either done
 * wholly or not at all. Returns: (transfer full): NULL if so, else the first difference. */
char *store_model_compare (StoreModel *self, GPtrArray *maybe, StoreModel *actual);

G_END_DECLS
