/* SPDX-License-Identifier: MIT */
#pragma once

/* Work on a store in a folder of its own, and the model of what the store has after it. Each operation notes when it began and when the
 * store said that it was done, so that what must be there after a crash is known. */

#include "store-model.h"

G_BEGIN_DECLS

typedef struct
{
  char       *dir; /* in memory if the machine has such a folder */
  char       *path;
  CauStore   *store;
  GRand      *rand;
  GMutex      lock;                  /* guards model and changes while several threads work */
  StoreModel *model;                 /* all that was reported done */
  GPtrArray  *changes;               /* (element-type StoreChange): those too, in that order, and what is being done */
  guint (*now) (gpointer user_data); /* the position in a log; NULL: of no interest */
  gpointer   user_data;
  guint      n_done[16]; /* by kind of operation, for who wants to know what was tried */
  CauUpload *unfinished; /* begun, staged in part, never committed */
  CauReader *reader;     /* of a version that may have lost its name */
  GBytes    *read;       /* what that has */
} StoreLoad;

StoreLoad *store_load_new (guint32 seed);
/* A load whose store has what that of @self has, which must be closed. */
StoreLoad *store_load_copy (StoreLoad *self);
void       store_load_free (StoreLoad *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (StoreLoad, store_load_free)

gboolean store_load_open (StoreLoad *self, CauStoreOpenFlags flags, GError **error);
/* Drops what the load holds, and closes the store. */
void store_load_close (StoreLoad *self);

/* Each makes the change in the store and, if that says it is done, in the model. Keys are those of the model. */
gboolean store_load_make (StoreLoad *self, const char *guid, GError **error);
gboolean store_load_remove_orchestrator (StoreLoad *self, const char *guid, GError **error);
gboolean store_load_save (StoreLoad *self, const char *key, GBytes *bytes, GError **error);
gboolean store_load_append (StoreLoad *self, const char *key, GBytes *bytes, GBytes *whole, GError **error);
gboolean store_load_remove (StoreLoad *self, const char *key, GError **error);
gboolean store_load_rename (StoreLoad *self, const char *key, const char *to, CauRenameMode mode, GError **error);
gboolean store_load_set_attributes (StoreLoad *self, const char *key, guint32 mode, guint32 uid, GError **error);

/* Saves @n reports beside @key, by a thread each: they share transactions. */
gboolean store_load_save_group (StoreLoad *self, const char *guid, guint n, GError **error);

/* Begins self->unfinished, unless there is one, with @bytes; those that do not compress are staged, a MiB at a time. */
void store_load_begin_upload (StoreLoad *self, const char *guid, GBytes *bytes);

/* Copies the WAL on a connection of its own, as SQLite does in @mode. Returns: what that returned. */
int store_load_checkpoint (StoreLoad *self, int mode);

/* One operation by chance. Nothing of it may fail. */
void store_load_step (StoreLoad *self);

/* What store_load_step() did, in a line. Returns: (transfer full). */
char *store_load_describe (StoreLoad *self);

G_END_DECLS
