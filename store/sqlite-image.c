/* SPDX-License-Identifier: MIT */
#include "sqlite-image.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The log's header and a frame's, and the numbers in them: https://www.sqlite.org/fileformat.html, 4. */
#define WAL_MAGIC 0x377f0682u
#define WAL_HEADER 32
#define FRAME_HEADER 24
#define FRAME_SIZE ((gint64) (FRAME_HEADER + CAU_DB_PAGE_SIZE))

/* Where every process that has the database open holds a lock: SHARED_FIRST and SHARED_SIZE of SQLite's os.h. */
#define SHARED_FIRST (0x40000000 + 2)
#define SHARED_SIZE 510

/* The pages that the log has: their number -> the offset of the newest frame's page + 1. */
typedef GHashTable Overlay;

struct _CauImage
{
  int      file;
  int      log; /* -1: there is none */
  gint64   log_size;
  guint32  n_in_file;
  guint32  n_pages;
  guint64  n_unread;
  Overlay *as_sqlite;
  Overlay *beyond; /* NULL: nothing is there */
  Overlay *current;
};

/* ---- the log ---- */

typedef struct
{
  guint8   salt[8];
  gboolean big_endian; /* of the checksums */
  guint32  s0, s1;     /* the running checksum */
} LogState;

static void
add_checksum (LogState *state, const guint8 *data, gsize length)
{
  for (gsize i = 0; i < length; i += 8)
    {
      guint32 a, b;

      memcpy (&a, data + i, 4);
      memcpy (&b, data + i + 4, 4);
      a = state->big_endian ? GUINT32_FROM_BE (a) : GUINT32_FROM_LE (a);
      b = state->big_endian ? GUINT32_FROM_BE (b) : GUINT32_FROM_LE (b);
      state->s0 += a + state->s1;
      state->s1 += b + state->s0;
    }
}

static gboolean
read_fully (int fd, void *buffer, gsize length, gint64 offset)
{
  for (gsize done = 0; done < length;)
    {
      gssize n = pread (fd, (guint8 *) buffer + done, length - done, offset + (gint64) done);

      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return FALSE;
      done += (gsize) n;
    }
  return TRUE;
}

/* Fills @state from the log's header. Returns: whether it is whole. If not, @state is what serves best: frames have the salt as
 * well, and the first of them may fit the checksum that the header says. */
static gboolean
read_log_header (int log, LogState *state)
{
  guint8   header[WAL_HEADER] = { 0 }, frame[FRAME_HEADER] = { 0 };
  gboolean good = read_fully (log, header, sizeof header, 0);

  memset (state, 0, sizeof *state);
  state->big_endian = cau_get_u32 (header) == (WAL_MAGIC | 1);
  add_checksum (state, header, 24);
  good = good && (cau_get_u32 (header) & ~1u) == WAL_MAGIC && cau_get_u32 (header + 8) == CAU_DB_PAGE_SIZE
         && state->s0 == cau_get_u32 (header + 24) && state->s1 == cau_get_u32 (header + 28);
  if (good)
    memcpy (state->salt, header + 16, sizeof state->salt);
  else if (read_fully (log, frame, sizeof frame, WAL_HEADER))
    memcpy (state->salt, frame + 8, sizeof state->salt);
  state->s0 = cau_get_u32 (header + 24);
  state->s1 = cau_get_u32 (header + 28);
  return good;
}

/* Whether the frame follows what @state has seen. Afterwards @state has the checksum that the frame says, right or not: what
 * follows a damaged frame can be checked as long as the damage is not in these eight bytes. */
static gboolean
check_frame (LogState *state, const guint8 *frame)
{
  gboolean good;

  add_checksum (state, frame, 8);
  add_checksum (state, frame + FRAME_HEADER, CAU_DB_PAGE_SIZE);
  good = memcmp (frame + 8, state->salt, sizeof state->salt) == 0 && state->s0 == cau_get_u32 (frame + 16)
         && state->s1 == cau_get_u32 (frame + 20);
  state->s0 = cau_get_u32 (frame + 16);
  state->s1 = cau_get_u32 (frame + 20);
  return good;
}

typedef struct
{
  guint32 page;
  gint64  offset;
} Frame;

/* Takes over the frames of transactions that are committed; those after them stay. */
static void
commit_frames (GArray *frames, Overlay *overlay)
{
  for (guint i = 0; i < frames->len; i++)
    {
      const Frame *frame = &g_array_index (frames, Frame, i);

      g_hash_table_insert (overlay, GUINT_TO_POINTER (frame->page), GSIZE_TO_POINTER ((gsize) frame->offset + 1));
    }
  g_array_set_size (frames, 0);
}

static Overlay *
overlay_copy (Overlay *overlay)
{
  Overlay       *copy = g_hash_table_new (NULL, NULL);
  GHashTableIter iter;
  gpointer       page, offset;

  g_hash_table_iter_init (&iter, overlay);
  while (g_hash_table_iter_next (&iter, &page, &offset))
    g_hash_table_insert (copy, page, offset);
  return copy;
}

static gboolean
overlay_equal (Overlay *a, Overlay *b)
{
  GHashTableIter iter;
  gpointer       page, offset;

  if (g_hash_table_size (a) != g_hash_table_size (b))
    return FALSE;
  g_hash_table_iter_init (&iter, a);
  while (g_hash_table_iter_next (&iter, &page, &offset))
    if (g_hash_table_lookup (b, page) != offset)
      return FALSE;
  return TRUE;
}

/* No page has a higher number: a file and its log have few pages that were never written. Without a bound a log of one frame
 * could have all numbers there are looked at. */
static guint32
highest_page (const CauImage *self)
{
  guint64 n_frames = (guint64) (self->log_size / FRAME_SIZE);

  return (guint32) MIN (2 * ((guint64) self->n_in_file + n_frames) + 65536, G_MAXUINT32 - 1);
}

/* Reads the frame at @at. FALSE when the disk does not give it; its head, with the checksum that the next one goes on from, may
 * be there all the same. */
static gboolean
read_frame (CauImage *self, gint64 at, guint8 *frame)
{
  if (read_fully (self->log, frame, (gsize) FRAME_SIZE, at))
    return TRUE;
  self->n_unread++;
  memset (frame, 0, (gsize) FRAME_SIZE);
  if (!read_fully (self->log, frame, FRAME_HEADER, at))
    memset (frame, 0, FRAME_HEADER);
  return FALSE;
}

/* Reads the log's frames. SQLite's view ends at the first that is not good. Old frames of the log's last round, which come after
 * the newest, have another salt. */
static void
read_log (CauImage *self)
{
  g_autofree guint8 *frame = g_malloc ((gsize) FRAME_SIZE);
  g_autoptr (GArray) pending = g_array_new (FALSE, FALSE, sizeof (Frame));
  LogState state;
  gboolean broken = !read_log_header (self->log, &state);
  guint32  max = highest_page (self);

  if (broken)
    self->beyond = overlay_copy (self->as_sqlite);
  for (gint64 at = WAL_HEADER; at + FRAME_SIZE <= self->log_size; at += FRAME_SIZE)
    {
      gboolean is_read = read_frame (self, at, frame);
      gboolean good = check_frame (&state, frame) && is_read;
      Frame    entry = { cau_get_u32 (frame), at + FRAME_HEADER };

      if (!good && !broken)
        {
          broken = TRUE;
          self->beyond = overlay_copy (self->as_sqlite);
        }
      if (!good || entry.page == 0 || entry.page > max)
        continue;
      g_array_append_val (pending, entry);
      self->n_pages = MAX (self->n_pages, entry.page);
      if (cau_get_u32 (frame + 4) != 0)
        commit_frames (pending, broken ? self->beyond : self->as_sqlite);
    }
}

/* ---- the file ---- */

static gboolean
set_error_from_errno (const char *path, int errsv, GError **error)
{
  CauStoreError code = errsv == ENOENT ? CAU_STORE_ERROR_NOT_FOUND : cau_store_error_from_errno (errsv);

  if (errsv == ENOENT)
    g_set_error (error, CAU_STORE_ERROR, (gint) code, "there is no store %s", path);
  else
    g_set_error (error, CAU_STORE_ERROR, (gint) code, "%s: %s", path, g_strerror (errsv));
  return FALSE;
}

/* SQLite holds POSIX locks, which end when their process closes any descriptor of the file: this process must not have the store open. */
static gboolean
check_unused (CauImage *self, const char *path, GError **error)
{
  struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE };

  if (fcntl (self->file, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_BUSY,
               "%s is in use by process %d; unmount it, or recover from a copy", path, (int) lock.l_pid);
  return FALSE;
}

/* Opens @path for reading. O_NONBLOCK: a pipe would wait for somebody who writes. */
static gboolean
open_file (const char *path, int *fd, struct stat *st, GError **error)
{
  *fd = open (path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (*fd < 0 || fstat (*fd, st) != 0)
    return set_error_from_errno (path, errno, error);
  if (S_ISREG (st->st_mode))
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE, "%s is not a regular file", path);
  return FALSE;
}

static gboolean
open_log (CauImage *self, const char *path, GError **error)
{
  g_autofree char *log_path = g_strconcat (path, "-wal", NULL);
  g_autoptr (GError) local = NULL;
  struct stat st;

  if (open_file (log_path, &self->log, &st, &local))
    self->log_size = st.st_size;
  else if (!g_error_matches (local, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  return TRUE;
}

static gboolean
open_files (CauImage *self, const char *path, GError **error)
{
  struct stat st;

  if (!open_file (path, &self->file, &st, error))
    return FALSE;
  if (st.st_size < CAU_DB_PAGE_SIZE)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_A_STORE, "%s is not a report store, nor the rest of one",
                   path);
      return FALSE;
    }
  /* A file cut off within a page still has that page's beginning. */
  self->n_in_file = (guint32) MIN ((guint64) (st.st_size + CAU_DB_PAGE_SIZE - 1) / CAU_DB_PAGE_SIZE, G_MAXUINT32 - 1);
  self->n_pages = self->n_in_file;
  return open_log (self, path, error) && check_unused (self, path, error);
}

CauImage *
cau_image_open (const char *path, GError **error)
{
  g_autoptr (CauImage) self = g_new0 (CauImage, 1);

  self->file = self->log = -1;
  self->as_sqlite = self->current = g_hash_table_new (NULL, NULL);
  if (!open_files (self, path, error))
    return NULL;
  if (self->log >= 0)
    read_log (self);
  if (self->beyond != NULL && overlay_equal (self->beyond, self->as_sqlite))
    g_clear_pointer (&self->beyond, g_hash_table_unref);
  return g_steal_pointer (&self);
}

void
cau_image_free (CauImage *self)
{
  if (self->file >= 0)
    close (self->file);
  if (self->log >= 0)
    close (self->log);
  g_hash_table_unref (self->as_sqlite);
  g_clear_pointer (&self->beyond, g_hash_table_unref);
  g_free (self);
}

gboolean
cau_image_has_beyond (CauImage *self)
{
  return self->beyond != NULL;
}

void
cau_image_look_beyond (CauImage *self, gboolean beyond)
{
  self->current = beyond && self->beyond != NULL ? self->beyond : self->as_sqlite;
}

guint32
cau_image_get_n_pages (CauImage *self)
{
  return self->n_pages;
}

guint64
cau_image_get_n_unread (CauImage *self)
{
  return self->n_unread;
}

/* Sector by sector: the disk that fails in one may have the others. */
static gboolean
read_what_is_there (CauImage *self, gint64 offset, guint8 *page)
{
  gsize n = 0;

  memset (page, 0, CAU_DB_PAGE_SIZE);
  for (gsize at = 0; at < CAU_DB_PAGE_SIZE; at += 512)
    n += read_fully (self->file, page + at, 512, offset + (gint64) at) ? 1 : 0;
  return n > 0;
}

gboolean
cau_image_read (CauImage *self, guint32 number, guint8 page[CAU_DB_PAGE_SIZE])
{
  gsize  in_log = GPOINTER_TO_SIZE (g_hash_table_lookup (self->current, GUINT_TO_POINTER (number)));
  gint64 offset = ((gint64) number - 1) * CAU_DB_PAGE_SIZE;

  if (in_log != 0)
    {
      if (read_fully (self->log, page, CAU_DB_PAGE_SIZE, (gint64) in_log - 1))
        return TRUE;
      self->n_unread++;
    }
  if (number == 0 || number > self->n_in_file)
    return FALSE;
  if (read_fully (self->file, page, CAU_DB_PAGE_SIZE, offset))
    return TRUE;
  self->n_unread++;
  return read_what_is_there (self, offset, page);
}
