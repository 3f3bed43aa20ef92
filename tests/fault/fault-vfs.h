/* SPDX-License-Identifier: MIT */
#pragma once

/* A VFS for SQLite that stands below the store's own, between it and the system's: it shows each call on the files of one store
 * to a watcher, which may make it fail. It takes the name "unix", so it has to be installed before the first store is opened.
 *
 * The store's own calls beside SQLite's are seen as well: fallocate(2) and the open(2) of the file of pins, of which this
 * program has definitions of its own. What is in the shared memory of the WAL is lost with the power and not shown. */

#include <glib.h>

G_BEGIN_DECLS

typedef enum
{
  FAULT_CALL_OPEN,
  FAULT_CALL_READ,
  FAULT_CALL_WRITE,
  FAULT_CALL_TRUNCATE,
  FAULT_CALL_SYNC,
  FAULT_CALL_SIZE,
  FAULT_CALL_GROW, /* fallocate(2) */
  FAULT_CALL_MAP,  /* of the shared memory, which grows by it */
  FAULT_CALL_DELETE,
  FAULT_CALL_PINS, /* open(2) of the file of pins */
  FAULT_CALL_COUNT
} FaultCallKind;

const char *fault_call_get_name (FaultCallKind kind);

typedef enum
{
  FAULT_NONE,
  FAULT_IO,    /* EIO, and nothing was done */
  FAULT_FULL,  /* ENOSPC, and nothing was done */
  FAULT_QUOTA, /* EDQUOT, and nothing was done */
  FAULT_SHORT, /* ENOSPC after half of it */
  FAULT_LIE,   /* said to be done, and not done */
} Fault;

typedef struct
{
  FaultCallKind kind;
  const char   *path;
  const void   *data;          /* of a write */
  gint64        offset;        /* of a write, of room that is taken; the size for a truncation */
  gint64        length;        /* of a write, of room that is taken */
  gboolean      synced_folder; /* after a sync or a deletion */
  guint         watcher_data;  /* of before(), for after() */
} FaultCall;

/* Both are called on the thread that makes the call. */
typedef struct
{
  Fault (*before) (FaultCall *call, gpointer user_data);
  void (*after) (const FaultCall *call, gboolean ok, gpointer user_data);
} FaultWatcher;

void fault_vfs_install (void);

/* Shows calls on the file @path, and on those whose names it begins, until fault_vfs_unwatch(). */
void fault_vfs_watch (const char *path, const FaultWatcher *watcher, gpointer user_data);
void fault_vfs_unwatch (void);

/* From now on each connection that is opened has synchronous=OFF, whatever it asks for. */
void fault_vfs_set_synchronous_off (gboolean off);

G_END_DECLS
