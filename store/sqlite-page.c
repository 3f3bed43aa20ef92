/* SPDX-License-Identifier: MIT */
#include "sqlite-page.h"

#define SIZE ((guint32) CAU_DB_PAGE_SIZE)

#define LOCAL_MIN ((SIZE - 12) * 32 / 255 - 23)
#define LOCAL_MAX_TABLE (SIZE - 35)
#define LOCAL_MAX_INDEX ((SIZE - 12) * 64 / 255 - 23)
#define OVERFLOW_PART (SIZE - 4)

gsize
cau_get_varint (const guint8 *at, const guint8 *end, guint64 *value)
{
  *value = 0;
  for (gsize i = 0; i < 9 && at + i < end; i++)
    {
      if (i == 8)
        {
          *value = *value << 8 | at[i];
          return 9;
        }
      *value = *value << 7 | (at[i] & 0x7f);
      if ((at[i] & 0x80) == 0)
        return i + 1;
    }
  return 0;
}

gsize
cau_page_local_size (guint64 size, guint8 type)
{
  guint64 max = type == CAU_PAGE_TABLE_LEAF ? LOCAL_MAX_TABLE : LOCAL_MAX_INDEX;
  guint64 kept = LOCAL_MIN + (size - LOCAL_MIN) % OVERFLOW_PART;

  if (size <= max)
    return (gsize) size;
  return (gsize) (kept <= max ? kept : LOCAL_MIN);
}

/* ---- the map ---- */

guint32
cau_page_map_of (guint32 number)
{
  return number - (number - CAU_PAGE_MAP_FIRST) % (CAU_PAGE_MAP_ENTRIES + 1);
}

gboolean
cau_page_map_denies (const guint8 map[CAU_DB_PAGE_SIZE], guint32 number)
{
  guint8 kind = map[5 * (number - cau_page_map_of (number) - 1)];

  return kind >= CAU_PAGE_MAP_FREE && kind < CAU_PAGE_MAP_TREE;
}

/* ---- soundness ---- */

typedef struct
{
  const guint8 *page;
  guint8        type;
  guint32       content; /* where the cells begin */
  guint32       n_taken;
  guint64       taken[SIZE / 64]; /* a bit for each byte */
  gboolean      has_key;
  gint64        key; /* of the last cell of a table */
} Audit;

/* FALSE: somebody has one of the bytes already. */
static gboolean
take (Audit *self, guint32 from, guint32 n)
{
  guint32 end = from + n;

  if (from < self->content || n > SIZE - from)
    return FALSE;
  self->n_taken += n;
  while (from < end)
    {
      guint32 bit = from % 64, k = MIN (64 - bit, end - from);
      guint64 mask = G_MAXUINT64 >> (64 - k) << bit;

      if ((self->taken[from / 64] & mask) != 0)
        return FALSE;
      self->taken[from / 64] |= mask;
      from += k;
    }
  return TRUE;
}

/* The cells of a table are in the order of their keys. */
static gboolean
take_key (Audit *self, gint64 key)
{
  gboolean is_next = !self->has_key || key > self->key;

  self->has_key = TRUE;
  self->key = key;
  return is_next;
}

static gboolean
take_cell (Audit *self, guint32 from)
{
  const guint8 *end = self->page + SIZE;
  gboolean      is_table = self->type == CAU_PAGE_TABLE_LEAF || self->type == CAU_PAGE_TABLE_INTERIOR;
  guint32       at = from + (cau_page_is_interior (self->type) ? 4 : 0);
  guint64       size = 0, key;
  gsize         n;

  if (self->type != CAU_PAGE_TABLE_INTERIOR)
    {
      n = at < SIZE ? cau_get_varint (self->page + at, end, &size) : 0;
      if (n == 0)
        return FALSE;
      at += (guint32) n;
    }
  if (is_table)
    {
      n = at < SIZE ? cau_get_varint (self->page + at, end, &key) : 0;
      if (n == 0 || !take_key (self, (gint64) key))
        return FALSE;
      at += (guint32) n;
    }
  if (self->type != CAU_PAGE_TABLE_INTERIOR)
    {
      n = cau_page_local_size (size, self->type);
      at += (guint32) n + (n < size ? 4 : 0);
    }
  /* As many as a free block needs. */
  return take (self, from, MAX (at - from, 4));
}

static gboolean
take_cells (Audit *self, guint32 header)
{
  guint32 n = cau_get_u16 (self->page + header + 3);
  guint32 pointers = header + (cau_page_is_interior (self->type) ? 12 : 8);

  if (pointers + 2 * n > self->content)
    return FALSE;
  for (guint32 i = 0; i < n; i++)
    if (!take_cell (self, cau_get_u16 (self->page + pointers + 2 * i)))
      return FALSE;
  return TRUE;
}

/* They are in the order of where they are. */
static gboolean
take_free_blocks (Audit *self, guint32 header)
{
  guint32 last = 0;

  for (guint32 at = cau_get_u16 (self->page + header + 1); at != 0; at = cau_get_u16 (self->page + at))
    {
      if (at <= last || at > SIZE - 4)
        return FALSE;
      if (cau_get_u16 (self->page + at + 2) < 4 || !take (self, at, cau_get_u16 (self->page + at + 2)))
        return FALSE;
      last = at;
    }
  return TRUE;
}

gboolean
cau_page_is_sound (const guint8 page[CAU_DB_PAGE_SIZE], guint32 number)
{
  guint32 header = cau_page_header_of (number);
  Audit   audit = { .page = page, .type = page[header], .content = cau_get_u16 (page + header + 5) };

  if (audit.type != CAU_PAGE_TABLE_LEAF && audit.type != CAU_PAGE_INDEX_LEAF && !cau_page_is_interior (audit.type))
    return TRUE;
  if (number > 1 && cau_page_map_of (number) == number)
    return TRUE;
  /* Between the pointers and the cells is the room for more; behind that, only fragments are nobody's. */
  return audit.content <= SIZE && take_cells (&audit, header) && take_free_blocks (&audit, header)
         && SIZE - audit.content == audit.n_taken + page[header + 7];
}
