/* SPDX-License-Identifier: MIT */
#pragma once

/* The rows in a store's file, found page by page without SQLite: neither the header, the schema nor the way down a tree is needed,
 * a page that holds rows is enough. What is found is what such a page says; whether it is true, the rows' checksums tell.
 *
 * Pages that SQLite no longer uses hold rows too, of reports that were removed. They are left out as far as the free list, the
 * map of pages that auto_vacuum keeps, and the trees let one tell: one that is damaged is outvoted by the others. */

#include "sqlite-image.h"

G_BEGIN_DECLS

#define CAU_SCAN_FIELDS_MAX 16

typedef enum
{
  CAU_FIELD_NULL,
  CAU_FIELD_INTEGER,
  CAU_FIELD_TEXT,
  CAU_FIELD_BLOB,
  CAU_FIELD_OTHER,
} CauFieldType;

typedef struct
{
  CauFieldType  type;
  gint64        integer;
  const guint8 *data;   /* of a text or blob; NULL when part of it is on other pages */
  guint64       length; /* of a text or blob */
} CauField;

typedef struct
{
  gboolean is_table; /* else of an index, or a table WITHOUT ROWID */
  gint64   rowid;    /* of a table */
  guint    n_fields;
  CauField fields[CAU_SCAN_FIELDS_MAX]; /* data: borrowed */
  guint32  page;
  guint32  offset; /* of its cell in the page */
} CauRecord;

typedef void (*CauRecordFunc) (const CauRecord *record, gpointer user_data);

/* Calls @func with each record found. Records of more than CAU_SCAN_FIELDS_MAX fields are left out. */
void cau_scan_run (CauImage *image, CauRecordFunc func, gpointer user_data);

/* Reads the record of a table at @offset of @page, with what it has on other pages, as far as they can be followed.
 * Returns: (transfer full): what the record's fields point into; NULL when there is none. */
GBytes *cau_scan_load (CauImage *image, guint32 page, guint32 offset, CauRecord *record);

G_END_DECLS
