/* SPDX-License-Identifier: MIT */
#pragma once

/* What was done to the files of a store, in order, and what the disk may have of it when the power fails.
 *
 * What was synced is there. Of each write that was not, each sector of 512 bytes is there or not, whatever came after it. The size of a
 * file and the names in the folder are the filesystem's: of what changed them and was not synced some is there, from the
 * first on, and no more. A file that grew without its bytes has zeros there. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _DiskLog DiskLog;

/* Records what is done to the store @path until disk_log_stop(). There must be none yet. */
DiskLog *disk_log_start (const char *path);
void     disk_log_stop (DiskLog *self);
void     disk_log_go_on (DiskLog *self);
void     disk_log_free (DiskLog *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DiskLog, disk_log_free)

/* How many events there are so far; any thread. An event is a write, a sync and the like. */
guint disk_log_get_length (DiskLog *self);

/* How many syncs, of them of the WAL, and bytes written. */
typedef struct
{
  guint   writes;
  guint   syncs;
  guint   lost; /* syncs that failed */
  guint   wal_syncs;
  guint   truncations;
  guint   grown;
  guint   names; /* made or removed */
  guint64 bytes;
} DiskCounts;

void disk_log_count (DiskLog *self, DiskCounts *counts);

/* From now on syncs are said to be done, and are not: nothing is ever surely on the disk. */
void disk_log_set_lies (DiskLog *self, gboolean lies);

/* The next sync of the WAL fails, and what it should have written is lost, as Linux has it: later syncs know nothing of it. */
void disk_log_fail_next_wal_sync (DiskLog *self);

/* From now on those of the database fail in the same way, or no longer do. */
void disk_log_fail_database_syncs (DiskLog *self, gboolean fail);

/* Whether the event @index is a sync of the WAL, of the database. */
gboolean disk_log_is_wal_sync (DiskLog *self, guint index);
gboolean disk_log_is_database_sync (DiskLog *self, guint index);

/* ---- the disk ---- */

typedef struct _Disk Disk;

/* A disk that has had none of the events yet. @skipped: a sync that it says it did, and did not; G_MAXUINT: none. */
Disk *disk_new (DiskLog *log, guint skipped);
void  disk_free (Disk *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Disk, disk_free)

/* Goes on to just before the event @to. */
void disk_go_on (Disk *self, guint to);

/* Whether anything is not surely on the disk. */
gboolean disk_is_unsure (Disk *self);

typedef enum
{
  DISK_KEEPS_NONE, /* of what was not synced */
  DISK_KEEPS_ALL,
  DISK_KEEPS_BYTES, /* as all, but of the sizes and names that were not synced none */
  DISK_KEEPS_SIZES, /* the other way round */
  DISK_KEEPS_SOME,  /* by chance */
  DISK_KEEPS_COUNT
} DiskKeeps;

/* Writes what the disk may have to the files of the store @path. */
void disk_write_image (Disk *self, DiskKeeps keeps, GRand *rand, const char *path);

G_END_DECLS
