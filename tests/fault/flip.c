/* SPDX-License-Identifier: MIT */
#include "flip.h"

#include "store-damage.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#define PAGE 4096
#define SECTOR 512
#define LOG_HEADER 32
#define FRAME_HEADER 24
#define FRAME (FRAME_HEADER + PAGE)

/* Places of one kind, all of the same length. */
typedef struct
{
  char    *name;
  gboolean in_log;
  gsize    length;
  GArray  *offsets; /* (element-type gsize) */
} Region;

/* What flip_write() wrote last. */
static GByteArray *last_file, *last_log;

static void
region_free (gpointer data)
{
  Region *self = data;

  g_array_unref (self->offsets);
  g_free (self->name);
  g_free (self);
}

static void
add_place (FlipSubject *self, const char *name, gboolean in_log, gsize offset, gsize length)
{
  Region *region = NULL;

  for (guint i = 0; i < self->regions->len && region == NULL; i++)
    if (g_str_equal (((Region *) self->regions->pdata[i])->name, name))
      region = self->regions->pdata[i];
  if (region == NULL)
    {
      region = g_new0 (Region, 1);
      region->name = g_strdup (name);
      region->in_log = in_log;
      region->length = length;
      region->offsets = g_array_new (FALSE, FALSE, sizeof (gsize));
      g_ptr_array_add (self->regions, region);
    }
  g_array_append_val (region->offsets, offset);
}

/* Which page is of which tree, SQLite tells; what none of them has is free, or a page of the map, which is every 820th. */
static void
add_pages (FlipSubject *self, const char *path)
{
  sqlite3           *db;
  sqlite3_stmt      *stmt;
  gsize              n_pages = g_bytes_get_size (self->file) / PAGE;
  g_autofree guint8 *known = g_malloc0 (n_pages + 2);

  assert_int_equal (sqlite3_open_v2 (path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  assert_int_equal (sqlite3_prepare_v2 (db, "SELECT name || ' ' || pagetype, pageno FROM dbstat", -1, &stmt, NULL),
                    SQLITE_OK);
  while (sqlite3_step (stmt) == SQLITE_ROW)
    {
      gsize page = (gsize) sqlite3_column_int64 (stmt, 1);

      assert_in_range (page, 1, n_pages);
      known[page] = TRUE;
      if (page > 1)
        add_place (self, (const char *) sqlite3_column_text (stmt, 0), FALSE, (page - 1) * PAGE, PAGE);
    }
  sqlite3_finalize (stmt);
  sqlite3_close (db);
  for (gsize page = 2; page <= n_pages; page++)
    if (!known[page])
      add_place (self, page % 820 == 2 ? "map" : "free", FALSE, (page - 1) * PAGE, PAGE);
  add_place (self, "header", FALSE, 0, 100);
  add_place (self, "schema", FALSE, 100, PAGE - 100);
}

static void
add_frames (FlipSubject *self)
{
  gsize size = g_bytes_get_size (self->log);

  add_place (self, "log header", TRUE, 0, LOG_HEADER);
  for (gsize at = LOG_HEADER; at + FRAME <= size; at += FRAME)
    {
      add_place (self, "log frame", TRUE, at, FRAME_HEADER);
      add_place (self, "log page", TRUE, at + FRAME_HEADER, PAGE);
    }
  for (gsize at = 0; at < g_bytes_get_size (self->file); at += PAGE)
    add_place (self, "file below a log", FALSE, at, PAGE);
}

FlipSubject *
flip_subject_new (const char *path, gboolean with_log)
{
  FlipSubject *self = g_new0 (FlipSubject, 1);

  self->regions = g_ptr_array_new_with_free_func (region_free);
  self->file = damage_read_file (path);
  if (with_log)
    {
      g_autofree char *log_path = g_strconcat (path, "-wal", NULL);

      self->log = damage_read_file (log_path);
      add_frames (self);
    }
  else
    add_pages (self, path);
  return self;
}

void
flip_subject_free (FlipSubject *self)
{
  g_bytes_unref (self->file);
  g_clear_pointer (&self->log, g_bytes_unref);
  g_ptr_array_unref (self->regions);
  g_free (self);
}

GPtrArray *
flip_list_regions (FlipSubject *self)
{
  GPtrArray *names = g_ptr_array_new ();

  for (guint i = 0; i < self->regions->len; i++)
    g_ptr_array_add (names, ((Region *) self->regions->pdata[i])->name);
  return names;
}

/* ---- what happens there ---- */

static gsize
choose (GRand *rand, gsize n)
{
  return (gsize) g_rand_int_range (rand, 0, (gint32) n);
}

/* In a page the head and the pointers to its rows are few bytes, and the most delicate. */
static gsize
choose_in (GRand *rand, const Region *region)
{
  if (region->length == PAGE && choose (rand, 3) == 0)
    return choose (rand, 64);
  return choose (rand, region->length);
}

static char *
flip_bit (GByteArray *data, gsize at, GRand *rand)
{
  guint bit = (guint) choose (rand, 8);

  data->data[at] ^= (guint8) (1u << bit);
  return g_strdup_printf ("bit %u of byte %zu", bit, at);
}

static char *
change_byte (GByteArray *data, gsize at, GRand *rand)
{
  guint8 bits = (guint8) (1 + choose (rand, 255));

  data->data[at] ^= bits;
  return g_strdup_printf ("byte %zu by %02x", at, bits);
}

static char *
fill_sector (GByteArray *data, gsize at, GRand *rand, gboolean zero)
{
  gsize from = at / SECTOR * SECTOR;

  for (gsize i = from; i < MIN (from + SECTOR, data->len); i++)
    data->data[i] = zero ? 0 : (guint8) choose (rand, 256);
  return g_strdup_printf ("%s sector at byte %zu", zero ? "zeroed" : "random", from);
}

static char *
cut_off (GByteArray *data, gsize at)
{
  g_byte_array_set_size (data, (guint) at);
  return g_strdup_printf ("cut off at byte %zu", at);
}

/* Exchanges or copies the page at @place with or over another one. */
static char *
misplace (GByteArray *data, gsize place, GRand *rand, gboolean both)
{
  gsize  base = place % PAGE, n = (data->len - base) / PAGE;
  gsize  other = base + choose (rand, MAX (n, 1)) * PAGE;
  guint8 page[PAGE];

  if (place + PAGE > data->len || other + PAGE > data->len)
    return g_strdup ("nothing"); /* a frame's page, which ends behind the last page */
  memcpy (page, data->data + place, PAGE);
  memcpy (data->data + place, data->data + other, PAGE);
  if (both)
    memcpy (data->data + other, page, PAGE);
  return g_strdup_printf ("%s of bytes %zu and %zu", both ? "pages exchanged," : "page copied,", place, other);
}

static char *
zero_page (GByteArray *data, gsize place)
{
  memset (data->data + place, 0, MIN (PAGE, data->len - place));
  return g_strdup_printf ("zeroed page at byte %zu", place);
}

static char *
do_anything_else (GByteArray *data, gsize place, gsize at, GRand *rand, FlipReach *reach)
{
  switch (choose (rand, 12))
    {
    case 0:
    case 1:
      *reach = FLIP_PAGES_MISPLACED;
      return misplace (data, place, rand, TRUE);
    case 2:
      *reach = FLIP_PAGES_MISPLACED;
      return misplace (data, place, rand, FALSE);
    case 3:
      *reach = FLIP_PAGES_LOST;
      return cut_off (data, at);
    case 4:
    case 5:
      return fill_sector (data, at, rand, TRUE);
    case 6:
      return fill_sector (data, at, rand, FALSE);
    case 7:
      return zero_page (data, place);
    default:
      return change_byte (data, at, rand);
    }
}

static GByteArray *
copy_of (GBytes *bytes)
{
  GByteArray *copy = g_byte_array_new ();

  if (bytes != NULL)
    g_byte_array_append (copy, g_bytes_get_data (bytes, NULL), (guint) g_bytes_get_size (bytes));
  return copy;
}

static void
write_array (const char *path, const GByteArray *data)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data->data, data->len);

  damage_write_file (path, bytes);
}

/* Some damages do nothing where they strike: a page that is zeroed may have been so. */
static gboolean
is_damaged (const FlipSubject *self)
{
  g_autoptr (GBytes) file = g_bytes_new_static (last_file->data, last_file->len);
  g_autoptr (GBytes) log = g_bytes_new_static (last_log->data, last_log->len);

  return !g_bytes_equal (file, self->file) || (self->log != NULL && !g_bytes_equal (log, self->log));
}

static void
choose_damage (FlipSubject *self, FlipKind kind, GRand *rand, FlipDamage *damage)
{
  const Region    *region = self->regions->pdata[choose (rand, self->regions->len)];
  gsize            place = g_array_index (region->offsets, gsize, choose (rand, region->offsets->len));
  gsize            at = place + choose_in (rand, region);
  GByteArray      *data;
  g_autofree char *what = NULL;

  g_clear_pointer (&last_file, g_byte_array_unref);
  g_clear_pointer (&last_log, g_byte_array_unref);
  last_file = copy_of (self->file);
  last_log = copy_of (self->log);
  data = region->in_log ? last_log : last_file;
  damage->reach = g_str_equal (region->name, "header") ? FLIP_PAGES_LOST : FLIP_IN_ITS_PLACE;
  if (kind == FLIP_BIT)
    what = flip_bit (data, at, rand);
  else
    what = do_anything_else (data, place, at, rand, &damage->reach);
  damage->text = g_strdup_printf ("%s: %s", region->name, what);
  damage->region = region->name;
  damage->in_log = region->in_log;
}

void
flip_damage_clear (FlipDamage *self)
{
  g_free (self->text);
  memset (self, 0, sizeof *self);
}

void
flip_write (FlipSubject *self, FlipKind kind, GRand *rand, const char *path, FlipDamage *damage)
{
  g_autofree char *log_path = g_strconcat (path, "-wal", NULL);
  g_autofree char *shm_path = g_strconcat (path, "-shm", NULL);

  do
    {
      flip_damage_clear (damage);
      choose_damage (self, kind, rand, damage);
    }
  while (!is_damaged (self));
  remove (log_path);
  remove (shm_path);
  write_array (path, last_file);
  if (self->log != NULL)
    write_array (log_path, last_log);
}

static gboolean
is_same (const char *path, const GByteArray *expected)
{
  g_autoptr (GBytes) found = damage_read_file (path);

  return g_bytes_get_size (found) == expected->len
         && memcmp (g_bytes_get_data (found, NULL), expected->data, expected->len) == 0;
}

gboolean
flip_is_unchanged (FlipSubject *self, const char *path)
{
  g_autofree char *log_path = g_strconcat (path, "-wal", NULL);

  return is_same (path, last_file) && (self->log == NULL || is_same (log_path, last_log));
}
