/* SPDX-License-Identifier: MIT */
#include "disk-log-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512

typedef struct
{
  GByteArray *bytes;   /* that are surely on the disk */
  GArray     *pending; /* of guint: events that may be */
} Inode;

struct _Disk
{
  DiskLog *log;
  guint    skipped;
  guint    at;
  Inode   *inodes;
  guint    folder[DISK_FILES]; /* the inodes that the names surely lead to */
  GArray  *pending;            /* of guint: changes of names that may be there */
};

static const DiskEvent *
get_event (Disk *self, guint index)
{
  return &g_array_index (self->log->events, DiskEvent, index);
}

static guint
get_pending (const GArray *pending, guint i)
{
  return g_array_index (pending, guint, i);
}

Disk *
disk_new (DiskLog *log, guint skipped)
{
  Disk *self = g_new0 (Disk, 1);

  self->log = log;
  self->skipped = skipped;
  self->inodes = g_new0 (Inode, log->inodes);
  for (guint i = 0; i < log->inodes; i++)
    {
      self->inodes[i].bytes = g_byte_array_new ();
      self->inodes[i].pending = g_array_new (FALSE, FALSE, sizeof (guint));
    }
  for (guint i = 0; i < DISK_FILES; i++)
    self->folder[i] = DISK_NO_INODE;
  self->pending = g_array_new (FALSE, FALSE, sizeof (guint));
  return self;
}

void
disk_free (Disk *self)
{
  for (guint i = 0; i < self->log->inodes; i++)
    {
      g_byte_array_unref (self->inodes[i].bytes);
      g_array_unref (self->inodes[i].pending);
    }
  g_array_unref (self->pending);
  g_free (self->inodes);
  g_free (self);
}

/* ---- bytes ---- */

static void
set_size (GByteArray *bytes, gsize size)
{
  guint old = bytes->len;

  g_byte_array_set_size (bytes, (guint) size);
  if (size > old)
    memset (bytes->data + old, 0, size - old);
}

/* What the event does to the size of the file. */
static void
apply_size (const DiskEvent *event, GByteArray *bytes)
{
  gsize offset = (gsize) event->offset;

  if (event->kind == DISK_TRUNCATE)
    set_size (bytes, offset);
  else if (event->kind == DISK_GROW && offset > bytes->len)
    set_size (bytes, offset);
  else if (event->kind == DISK_WRITE && offset + event->length > bytes->len)
    set_size (bytes, offset + event->length);
}

/* Writes the bytes of @event from @start to @end, as far as the file has room for them. */
static void
apply_bytes (Disk *self, const DiskEvent *event, gsize start, gsize end, GByteArray *bytes)
{
  gsize offset = (gsize) event->offset;

  end = MIN (end, bytes->len);
  if (start < end)
    memcpy (bytes->data + start, self->log->bytes->data + event->bytes + (start - offset), end - start);
}

static void
apply_all_bytes (Disk *self, const DiskEvent *event, GByteArray *bytes)
{
  if (event->kind == DISK_WRITE)
    apply_bytes (self, event, (gsize) event->offset, (gsize) event->offset + event->length, bytes);
}

/* Of the sectors of a write some are there: the first, the last, or any. */
static void
apply_torn (Disk *self, const DiskEvent *event, GRand *rand, GByteArray *bytes)
{
  gsize offset = (gsize) event->offset, end = offset + event->length;
  gsize first = offset / SECTOR, last = (end - 1) / SECTOR;
  gsize cut = first + (gsize) g_rand_int_range (rand, 0, (gint32) (last - first + 2));
  gint  how = g_rand_int_range (rand, 0, 3);

  for (gsize sector = first; sector <= last; sector++)
    if (how == 0 ? sector < cut : how == 1 ? sector >= cut : g_rand_boolean (rand))
      apply_bytes (self, event, MAX (offset, sector * SECTOR), MIN (end, (sector + 1) * SECTOR), bytes);
}

static void
apply_some_bytes (Disk *self, const DiskEvent *event, GRand *rand, GByteArray *bytes)
{
  gint how = g_rand_int_range (rand, 0, 3);

  if (event->kind != DISK_WRITE || event->length == 0 || how == 0)
    return;
  if (how == 1)
    apply_all_bytes (self, event, bytes);
  else
    apply_torn (self, event, rand, bytes);
}

/* ---- events ---- */

/* What of @pending came before @covers goes to the disk; @lost: its bytes do not, and never will. */
static void
settle_inode (Disk *self, Inode *inode, guint covers, gboolean lost)
{
  guint done = 0;

  for (; done < inode->pending->len && get_pending (inode->pending, done) < covers; done++)
    {
      const DiskEvent *event = get_event (self, get_pending (inode->pending, done));

      apply_size (event, inode->bytes);
      if (!lost)
        apply_all_bytes (self, event, inode->bytes);
    }
  g_array_remove_range (inode->pending, 0, done);
}

static void
apply_name (Disk *self, guint index, guint *folder)
{
  const DiskEvent *event = get_event (self, index);

  folder[event->file] = event->kind == DISK_MAKE ? event->inode : DISK_NO_INODE;
}

static void
settle_folder (Disk *self, guint covers)
{
  guint done = 0;

  for (; done < self->pending->len && get_pending (self->pending, done) < covers; done++)
    apply_name (self, get_pending (self->pending, done), self->folder);
  g_array_remove_range (self->pending, 0, done);
}

static void
apply_event (Disk *self, guint index)
{
  const DiskEvent *event = get_event (self, index);
  Inode           *inode = &self->inodes[event->inode];

  switch (event->kind)
    {
    case DISK_WRITE:
    case DISK_TRUNCATE:
    case DISK_GROW:
      g_array_append_val (inode->pending, index);
      break;
    case DISK_MAKE:
    case DISK_REMOVE:
      g_array_append_val (self->pending, index);
      break;
    case DISK_SYNC:
    case DISK_LOSE:
      if (index != self->skipped)
        settle_inode (self, inode, event->covers, event->kind == DISK_LOSE);
      break;
    case DISK_SYNC_FOLDER:
      settle_folder (self, event->covers);
      break;
    }
}

void
disk_go_on (Disk *self, guint to)
{
  for (; self->at < to; self->at++)
    apply_event (self, self->at);
}

gboolean
disk_is_unsure (Disk *self)
{
  gboolean unsure = self->pending->len > 0;

  for (guint i = 0; i < self->log->inodes; i++)
    unsure = unsure || self->inodes[i].pending->len > 0;
  return unsure;
}

/* ---- images ---- */

/* How many of @n changes of sizes or names are there. */
static guint
choose_prefix (DiskKeeps keeps, GRand *rand, guint n)
{
  if (keeps == DISK_KEEPS_SOME)
    return (guint) g_rand_int_range (rand, 0, (gint32) n + 1);
  return keeps == DISK_KEEPS_ALL || keeps == DISK_KEEPS_SIZES ? n : 0;
}

static GByteArray *
make_bytes (Disk *self, const Inode *inode, DiskKeeps keeps, GRand *rand)
{
  GByteArray *bytes = g_byte_array_sized_new (inode->bytes->len + 65536);
  guint       sizes = choose_prefix (keeps, rand, inode->pending->len);

  g_byte_array_append (bytes, inode->bytes->data, inode->bytes->len);
  for (guint i = 0; i < inode->pending->len; i++)
    {
      const DiskEvent *event = get_event (self, get_pending (inode->pending, i));

      if (i < sizes)
        apply_size (event, bytes);
      if (keeps == DISK_KEEPS_ALL || keeps == DISK_KEEPS_BYTES)
        apply_all_bytes (self, event, bytes);
      else if (keeps == DISK_KEEPS_SOME)
        apply_some_bytes (self, event, rand, bytes);
    }
  return bytes;
}

static void
write_file (const char *path, const guint8 *data, gsize length)
{
  int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

  g_assert_no_errno (fd);
  while (length > 0)
    {
      gssize n = write (fd, data, length);

      g_assert_no_errno ((int) MIN (n, 0));
      data += n;
      length -= (gsize) n;
    }
  close (fd);
}

static void
remove_file (const char *path)
{
  if (unlink (path) != 0)
    g_assert_true (errno == ENOENT);
}

static void
write_pins (const char *path, gboolean is_there)
{
  g_autofree char *pins = g_strconcat (path, "-pins", NULL);
  g_autofree char *shm = g_strconcat (path, "-shm", NULL);

  remove_file (shm);
  remove_file (pins);
  if (is_there)
    write_file (pins, NULL, 0);
}

void
disk_write_image (Disk *self, DiskKeeps keeps, GRand *rand, const char *path)
{
  guint names = choose_prefix (keeps, rand, self->pending->len);
  guint folder[DISK_FILES];

  memcpy (folder, self->folder, sizeof folder);
  for (guint i = 0; i < names; i++)
    apply_name (self, get_pending (self->pending, i), folder);
  for (guint file = 0; file < DISK_FILES; file++)
    {
      g_autofree char *name = g_strconcat (path, disk_file_suffixes[file], NULL);
      g_autoptr (GByteArray) bytes = NULL;

      if (folder[file] == DISK_NO_INODE)
        {
          remove_file (name);
          continue;
        }
      bytes = make_bytes (self, &self->inodes[folder[file]], keeps, rand);
      write_file (name, bytes->data, bytes->len);
    }
  write_pins (path, keeps == DISK_KEEPS_SOME ? g_rand_boolean (rand) : keeps != DISK_KEEPS_NONE);
}
