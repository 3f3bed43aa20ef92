/* SPDX-License-Identifier: MIT */
#include "sqlite-scan.h"

#include <string.h>

/* No record of a store is larger: a chunk that did not shrink, and its head. */
#define PAYLOAD_MAX (131072 + 64)

/* ---- records ---- */

static gint64
get_integer (const guint8 *at, gsize length)
{
  guint64 value = (at[0] & 0x80) != 0 ? G_MAXUINT64 : 0;

  for (gsize i = 0; i < length; i++)
    value = value << 8 | at[i];
  return (gint64) value;
}

/* Sets what the serial type @type says, but for the value. */
static gboolean
begin_field (CauField *field, guint64 type)
{
  static const guint8 lengths[] = { 0, 1, 2, 3, 4, 6, 8, 8, 0, 0 };

  memset (field, 0, sizeof *field);
  if (type >= 12)
    {
      field->type = type % 2 == 0 ? CAU_FIELD_BLOB : CAU_FIELD_TEXT;
      field->length = (type - 12) / 2;
      return TRUE;
    }
  if (type >= G_N_ELEMENTS (lengths))
    return FALSE;
  field->type = type == 0 ? CAU_FIELD_NULL : type == 7 ? CAU_FIELD_OTHER : CAU_FIELD_INTEGER;
  field->integer = type == 9 ? 1 : 0;
  field->length = lengths[type];
  return TRUE;
}

/* Takes apart the record that begins at @data, of which @n_local bytes are there. */
static gboolean
parse_record (const guint8 *data, gsize n_local, CauRecord *record)
{
  const guint8 *end = data + n_local;
  guint64       head, type;
  gsize         at = cau_get_varint (data, end, &head);
  guint64       body = head;

  record->n_fields = 0;
  if (at == 0 || head > n_local || head < at)
    return FALSE;
  while (at < head)
    {
      CauField *field = &record->fields[record->n_fields];
      gsize     n = record->n_fields < CAU_SCAN_FIELDS_MAX ? cau_get_varint (data + at, data + head, &type) : 0;

      if (n == 0 || !begin_field (field, type) || field->length > PAYLOAD_MAX)
        return FALSE;
      if (body + field->length <= n_local)
        field->data = data + body;
      if (field->type == CAU_FIELD_INTEGER && field->length > 0)
        {
          if (field->data == NULL)
            return FALSE;
          field->integer = get_integer (field->data, (gsize) field->length);
        }
      body += field->length;
      at += n;
      record->n_fields++;
    }
  return record->n_fields > 0;
}

/* ---- cells ---- */

typedef struct
{
  gint64        rowid;
  guint64       size;  /* of the record */
  const guint8 *local; /* the part of it that is on this page */
  gsize         n_local;
  guint32       overflow; /* the page with the rest; 0: there is none */
} Cell;

static gboolean
parse_cell (const guint8 *page, guint8 type, guint32 offset, Cell *cell)
{
  const guint8 *end = page + CAU_DB_PAGE_SIZE;
  const guint8 *at = page + offset + (type == CAU_PAGE_INDEX_INTERIOR ? 4 : 0);
  guint64       rowid = 0;
  gsize         n = at < end ? cau_get_varint (at, end, &cell->size) : 0;

  if (n == 0 || cell->size == 0)
    return FALSE;
  at += n;
  if (type == CAU_PAGE_TABLE_LEAF)
    {
      n = cau_get_varint (at, end, &rowid);
      if (n == 0)
        return FALSE;
      at += n;
    }
  cell->rowid = (gint64) rowid;
  cell->local = at;
  cell->n_local = cau_page_local_size (cell->size, type);
  cell->overflow = 0;
  if (cell->n_local < cell->size && cell->n_local + 4 <= (gsize) (end - at))
    cell->overflow = cau_get_u32 (at + cell->n_local);
  /* A size that was hit may say more than there is, and what is there be right. */
  cell->n_local = MIN (cell->n_local, (gsize) (end - at));
  return cell->n_local > 0;
}

/* Calls @use with the place of each cell of a page, as a page of @type. */
static void
each_cell (const guint8 *page, guint32 number, guint8 type, void (*use) (guint32 offset, gpointer data), gpointer data)
{
  guint32 header = cau_page_header_of (number);
  guint32 pointers = header + (cau_page_is_interior (type) ? 12 : 8);
  guint32 n_cells = cau_get_u16 (page + header + 3);

  for (guint32 i = 0; i < n_cells && pointers + 2 * i + 2 <= CAU_DB_PAGE_SIZE; i++)
    {
      /* SQLite takes no more bits of it either. */
      guint32 offset = cau_get_u16 (page + pointers + 2 * i) & (CAU_DB_PAGE_SIZE - 1);

      if (offset >= pointers && offset + 4 <= CAU_DB_PAGE_SIZE)
        use (offset, data);
    }
}

typedef struct
{
  const guint8 *bytes;
  guint32       number;
  guint8        type;
  CauRecordFunc func;
  gpointer      user_data;
} PageScan;

static void
scan_cell (guint32 offset, gpointer data)
{
  PageScan *scan = data;
  CauRecord record = { .page = scan->number, .offset = offset };
  Cell      cell;

  if (!parse_cell (scan->bytes, scan->type, offset, &cell) || !parse_record (cell.local, cell.n_local, &record))
    return;
  record.is_table = scan->type == CAU_PAGE_TABLE_LEAF;
  record.rowid = cell.rowid;
  scan->func (&record, scan->user_data);
}

static void
scan_page (const guint8 *bytes, guint32 number, guint8 type, CauRecordFunc func, gpointer user_data)
{
  PageScan scan = { bytes, number, type, func, user_data };

  each_cell (bytes, number, type, scan_cell, &scan);
}

/* ---- which pages are in use ---- */

typedef struct
{
  CauImage *image;
  guint32   n_pages;
  guint8   *map;     /* for each page: what the map says of it, 0 when it says nothing that can be */
  guint8   *is_free; /* in the free list */
  guint8   *has_parent;
  GArray   *rows; /* (element-type guint32): pages that may hold rows */
} Survey;

static void
survey_map (Survey *self)
{
  guint8 page[CAU_DB_PAGE_SIZE];

  for (guint64 at = CAU_PAGE_MAP_FIRST; at <= self->n_pages; at += CAU_PAGE_MAP_ENTRIES + 1)
    {
      if (!cau_image_read (self->image, (guint32) at, page))
        continue;
      for (guint32 i = 0; i < CAU_PAGE_MAP_ENTRIES && at + 1 + i <= self->n_pages; i++)
        self->map[at + 1 + i] = page[5 * i] <= CAU_PAGE_MAP_TREE ? page[5 * i] : 0;
    }
}

static void
survey_free_list (Survey *self)
{
  guint8  page[CAU_DB_PAGE_SIZE];
  guint32 trunk;

  if (!cau_image_read (self->image, 1, page))
    return;
  trunk = cau_get_u32 (page + 32);
  while (trunk > 0 && trunk <= self->n_pages && !self->is_free[trunk] && cau_image_read (self->image, trunk, page))
    {
      guint32 n_leaves = MIN (cau_get_u32 (page + 4), CAU_DB_PAGE_SIZE / 4 - 2);

      self->is_free[trunk] = TRUE;
      for (guint32 i = 0; i < n_leaves; i++)
        {
          guint32 leaf = cau_get_u32 (page + 8 + 4 * i);

          if (leaf <= self->n_pages)
            self->is_free[leaf] = TRUE;
        }
      trunk = cau_get_u32 (page);
    }
}

typedef struct
{
  Survey       *survey;
  const guint8 *page;
} Children;

static void
note_child (Survey *self, guint32 child)
{
  if (child > 0 && child <= self->n_pages)
    self->has_parent[child] = TRUE;
}

static void
note_child_of_cell (guint32 offset, gpointer data)
{
  Children *children = data;

  note_child (children->survey, cau_get_u32 (children->page + offset));
}

/* A row of the schema says where a tree begins. */
static void
note_root (const CauRecord *record, gpointer survey)
{
  if (record->n_fields == 5 && record->fields[3].type == CAU_FIELD_INTEGER && record->fields[3].integer > 0
      && record->fields[3].integer <= G_MAXUINT32)
    note_child (survey, (guint32) record->fields[3].integer);
}

static void
survey_page (Survey *self, guint32 number)
{
  guint8   page[CAU_DB_PAGE_SIZE];
  guint8   type, map = self->map[number];
  Children children = { self, page };

  if (!cau_image_read (self->image, number, page))
    return;
  type = page[cau_page_header_of (number)];
  if (cau_page_is_interior (type) && map != CAU_PAGE_MAP_FREE)
    {
      each_cell (page, number, type, note_child_of_cell, &children);
      note_child (self, cau_get_u32 (page + cau_page_header_of (number) + 8));
    }
  if (number == 1)
    scan_page (page, 1, CAU_PAGE_TABLE_LEAF, note_root, self);
  /* A page of a tree whose first byte was hit is tried as if it were a leaf. */
  else if (type == CAU_PAGE_TABLE_LEAF || type == CAU_PAGE_INDEX_LEAF || type == CAU_PAGE_INDEX_INTERIOR
           || map == CAU_PAGE_MAP_TREE || map == CAU_PAGE_MAP_ROOT)
    g_array_append_val (self->rows, number);
}

static gboolean
is_in_use (Survey *self, guint32 number)
{
  return self->has_parent[number] || (self->map[number] != CAU_PAGE_MAP_FREE && !self->is_free[number]);
}

static void
survey_run (Survey *self, CauImage *image)
{
  self->image = image;
  self->n_pages = cau_image_get_n_pages (image);
  self->map = g_malloc0 ((gsize) self->n_pages + 1);
  self->is_free = g_malloc0 ((gsize) self->n_pages + 1);
  self->has_parent = g_malloc0 ((gsize) self->n_pages + 1);
  self->rows = g_array_new (FALSE, FALSE, sizeof (guint32));
  survey_map (self);
  survey_free_list (self);
  for (guint32 number = 1; number <= self->n_pages; number++)
    survey_page (self, number);
}

static void
survey_clear (Survey *self)
{
  g_free (self->map);
  g_free (self->is_free);
  g_free (self->has_parent);
  g_array_unref (self->rows);
}

void
cau_scan_run (CauImage *image, CauRecordFunc func, gpointer user_data)
{
  guint8 page[CAU_DB_PAGE_SIZE];
  Survey survey;

  survey_run (&survey, image);
  for (guint i = 0; i < survey.rows->len; i++)
    {
      guint32 number = g_array_index (survey.rows, guint32, i);
      guint8  type;

      if (!is_in_use (&survey, number) || !cau_image_read (image, number, page))
        continue;
      type = page[0];
      if (type == CAU_PAGE_TABLE_LEAF || type == CAU_PAGE_INDEX_LEAF || type == CAU_PAGE_INDEX_INTERIOR)
        scan_page (page, number, type, func, user_data);
      else if (type != CAU_PAGE_TABLE_INTERIOR)
        {
          scan_page (page, number, CAU_PAGE_TABLE_LEAF, func, user_data);
          scan_page (page, number, CAU_PAGE_INDEX_LEAF, func, user_data);
        }
    }
  survey_clear (&survey);
}

/* ---- rows that go on on other pages ---- */

/* Reads up to @size bytes of the record. Returns: how many there were. */
static gsize
follow (CauImage *image, const Cell *cell, guint8 *payload, gsize size)
{
  guint8  page[CAU_DB_PAGE_SIZE];
  gsize   done = MIN (cell->n_local, size);
  guint32 next = cell->overflow;

  memcpy (payload, cell->local, done);
  while (done < size && cau_image_read (image, next, page))
    {
      gsize part = MIN (size - done, (gsize) CAU_DB_PAGE_SIZE - 4);

      memcpy (payload + done, page + 4, part);
      done += part;
      next = cau_get_u32 (page);
    }
  return done;
}

GBytes *
cau_scan_load (CauImage *image, guint32 page, guint32 offset, CauRecord *record)
{
  guint8             bytes[CAU_DB_PAGE_SIZE];
  g_autofree guint8 *payload = NULL;
  gsize              size;
  Cell               cell;

  if (!cau_image_read (image, page, bytes) || !parse_cell (bytes, CAU_PAGE_TABLE_LEAF, offset, &cell))
    return NULL;
  size = (gsize) MIN (cell.size, PAYLOAD_MAX);
  payload = g_malloc (size);
  size = follow (image, &cell, payload, size);
  if (!parse_record (payload, size, record))
    return NULL;
  record->is_table = TRUE;
  record->rowid = cell.rowid;
  record->page = page;
  record->offset = offset;
  return g_bytes_new_take (g_steal_pointer (&payload), size);
}
