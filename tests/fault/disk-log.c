/* SPDX-License-Identifier: MIT */
#include "disk-log-private.h"

#include "fault-vfs.h"

#include <string.h>

const char *const disk_file_suffixes[DISK_FILES] = { "", "-wal", "-journal" };

/* DISK_FILES: it is none of them. */
static guint
file_of_path (DiskLog *self, const char *path)
{
  guint file = 0;

  while (file < DISK_FILES && strcmp (path + strlen (self->path), disk_file_suffixes[file]) != 0)
    file++;
  return file;
}

static DiskEvent *
add_locked (DiskLog *self, DiskEventKind kind, guint file)
{
  DiskEvent event = { .kind = kind, .file = file, .inode = self->inode_of[file] };

  g_array_append_val (self->events, event);
  return &g_array_index (self->events, DiskEvent, self->events->len - 1);
}

static Fault
before (FaultCall *call, gpointer user_data)
{
  DiskLog *self = user_data;
  guint    file = file_of_path (self, call->path);
  Fault    fault = FAULT_NONE;

  if (call->kind != FAULT_CALL_SYNC || file == DISK_FILES)
    return FAULT_NONE;
  g_mutex_lock (&self->lock);
  call->watcher_data = self->events->len;
  if (self->lies)
    fault = FAULT_LIE;
  if (file == DISK_FILE_WAL && self->fails_wal_sync)
    {
      self->fails_wal_sync = FALSE;
      fault = FAULT_IO;
    }
  if (file == DISK_FILE_DATABASE && self->fails_database_syncs)
    fault = FAULT_IO;
  g_mutex_unlock (&self->lock);
  return fault;
}

static void
add_write_locked (DiskLog *self, const FaultCall *call, guint file)
{
  DiskEvent *event = add_locked (self, DISK_WRITE, file);

  event->offset = call->offset;
  event->length = (gsize) call->length;
  event->bytes = self->bytes->len;
  g_byte_array_append (self->bytes, call->data, (guint) call->length);
}

static void
add_sync_locked (DiskLog *self, const FaultCall *call, guint file, gboolean ok)
{
  add_locked (self, ok ? DISK_SYNC : DISK_LOSE, file)->covers = call->watcher_data;
}

static void
add_call_locked (DiskLog *self, const FaultCall *call, guint file, gboolean ok)
{
  if (call->kind == FAULT_CALL_SYNC)
    add_sync_locked (self, call, file, ok);
  else if (!ok)
    return;
  if (call->kind == FAULT_CALL_OPEN && self->inode_of[file] == DISK_NO_INODE)
    {
      /* SQLite made it, or the store did before. */
      self->inode_of[file] = self->inodes++;
      add_locked (self, DISK_MAKE, file);
    }
  else if (call->kind == FAULT_CALL_WRITE)
    add_write_locked (self, call, file);
  else if (call->kind == FAULT_CALL_TRUNCATE)
    add_locked (self, DISK_TRUNCATE, file)->offset = call->offset;
  else if (call->kind == FAULT_CALL_GROW)
    add_locked (self, DISK_GROW, file)->offset = call->offset + call->length;
  else if (call->kind == FAULT_CALL_DELETE && self->inode_of[file] != DISK_NO_INODE)
    {
      add_locked (self, DISK_REMOVE, file);
      self->inode_of[file] = DISK_NO_INODE;
    }
  if (call->synced_folder)
    {
      guint covers = self->events->len;

      add_locked (self, DISK_SYNC_FOLDER, file)->covers = covers;
    }
}

/* Noted when it is done: what a sync that began meanwhile may not have seen is not taken for synced. */
static void
after (const FaultCall *call, gboolean ok, gpointer user_data)
{
  DiskLog *self = user_data;
  guint    file = file_of_path (self, call->path);

  if (file == DISK_FILES)
    return;
  g_mutex_lock (&self->lock);
  add_call_locked (self, call, file, ok);
  g_mutex_unlock (&self->lock);
}

static const FaultWatcher watcher = { before, after };

DiskLog *
disk_log_start (const char *path)
{
  DiskLog *self = g_new0 (DiskLog, 1);

  self->path = g_strdup (path);
  self->events = g_array_new (FALSE, FALSE, sizeof (DiskEvent));
  self->bytes = g_byte_array_new ();
  for (guint i = 0; i < DISK_FILES; i++)
    self->inode_of[i] = DISK_NO_INODE;
  g_mutex_init (&self->lock);
  disk_log_go_on (self);
  return self;
}

void
disk_log_go_on (DiskLog *self)
{
  fault_vfs_watch (self->path, &watcher, self);
}

void
disk_log_stop (G_GNUC_UNUSED DiskLog *self)
{
  fault_vfs_unwatch ();
}

void
disk_log_free (DiskLog *self)
{
  g_array_unref (self->events);
  g_byte_array_unref (self->bytes);
  g_mutex_clear (&self->lock);
  g_free (self->path);
  g_free (self);
}

guint
disk_log_get_length (DiskLog *self)
{
  guint length;

  g_mutex_lock (&self->lock);
  length = self->events->len;
  g_mutex_unlock (&self->lock);
  return length;
}

void
disk_log_count (DiskLog *self, DiskCounts *counts)
{
  for (guint i = 0; i < self->events->len; i++)
    {
      const DiskEvent *event = &g_array_index (self->events, DiskEvent, i);

      counts->writes += event->kind == DISK_WRITE ? 1 : 0;
      counts->bytes += event->kind == DISK_WRITE ? event->length : 0;
      counts->syncs += event->kind == DISK_SYNC ? 1 : 0;
      counts->lost += event->kind == DISK_LOSE ? 1 : 0;
      counts->wal_syncs += disk_log_is_wal_sync (self, i) ? 1 : 0;
      counts->truncations += event->kind == DISK_TRUNCATE ? 1 : 0;
      counts->grown += event->kind == DISK_GROW ? 1 : 0;
      counts->names += event->kind == DISK_MAKE || event->kind == DISK_REMOVE ? 1 : 0;
    }
}

void
disk_log_set_lies (DiskLog *self, gboolean lies)
{
  g_mutex_lock (&self->lock);
  self->lies = lies;
  g_mutex_unlock (&self->lock);
}

void
disk_log_fail_next_wal_sync (DiskLog *self)
{
  g_mutex_lock (&self->lock);
  self->fails_wal_sync = TRUE;
  g_mutex_unlock (&self->lock);
}

void
disk_log_fail_database_syncs (DiskLog *self, gboolean fail)
{
  g_mutex_lock (&self->lock);
  self->fails_database_syncs = fail;
  g_mutex_unlock (&self->lock);
}

static gboolean
is_sync (DiskLog *self, guint index, guint file)
{
  const DiskEvent *event = &g_array_index (self->events, DiskEvent, index);

  return event->kind == DISK_SYNC && event->file == file;
}

gboolean
disk_log_is_wal_sync (DiskLog *self, guint index)
{
  return is_sync (self, index, DISK_FILE_WAL);
}

gboolean
disk_log_is_database_sync (DiskLog *self, guint index)
{
  return is_sync (self, index, DISK_FILE_DATABASE);
}
