/* SPDX-License-Identifier: MIT */
#pragma once

#include "disk-log.h"

G_BEGIN_DECLS

/* The files of a store that the power can hurt. The file of pins has no bytes, and is there or not. */
enum
{
  DISK_FILE_DATABASE,
  DISK_FILE_WAL,
  DISK_FILE_JOURNAL,
  DISK_FILES
};

#define DISK_NO_INODE G_MAXUINT

extern const char *const disk_file_suffixes[DISK_FILES];

typedef enum
{
  DISK_WRITE,
  DISK_TRUNCATE,
  DISK_GROW,
  DISK_SYNC,
  DISK_LOSE, /* a sync that failed */
  DISK_MAKE,
  DISK_REMOVE,
  DISK_SYNC_FOLDER,
} DiskEventKind;

typedef struct
{
  DiskEventKind kind;
  guint         file;
  guint         inode;  /* a file that is removed and made again is another one */
  gint64        offset; /* or size */
  gsize         length;
  gsize         bytes;  /* of a write: where they begin in the log's bytes */
  guint         covers; /* of a sync: events before this one */
} DiskEvent;

struct _DiskLog
{
  char       *path;
  GMutex      lock;   /* guards all that follows while it records */
  GArray     *events; /* of DiskEvent */
  GByteArray *bytes;
  guint       inodes;
  guint       inode_of[DISK_FILES];
  gboolean    lies;
  gboolean    fails_wal_sync; /* the next one */
  gboolean    fails_database_syncs;
};

G_END_DECLS
