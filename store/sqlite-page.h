/* SPDX-License-Identifier: MIT */
#pragma once

/* The form of the pages of a store's file (sqlite.org/fileformat.html, 1.5 to 1.8). No store reserves bytes of its pages, and all
 * have the map of pages that auto_vacuum keeps. */

#include "sqlite-db.h"

G_BEGIN_DECLS

/* The first byte of a page of a tree; on page 1 it comes after the file's header. */
#define CAU_PAGE_TABLE_LEAF 0x0d
#define CAU_PAGE_TABLE_INTERIOR 0x05
#define CAU_PAGE_INDEX_LEAF 0x0a
#define CAU_PAGE_INDEX_INTERIOR 0x02

/* The map: a page of it before every CAU_PAGE_MAP_ENTRIES others, with five bytes for each of them, the first of which is what it is. */
#define CAU_PAGE_MAP_ENTRIES ((guint32) CAU_DB_PAGE_SIZE / 5)
#define CAU_PAGE_MAP_FIRST 2
#define CAU_PAGE_MAP_ROOT 1
#define CAU_PAGE_MAP_FREE 2
#define CAU_PAGE_MAP_TREE 5

/* Big-endian numbers. */
static inline guint32
cau_get_u16 (const guint8 *at)
{
  return (guint32) at[0] << 8 | at[1];
}

static inline guint32
cau_get_u32 (const guint8 *at)
{
  return cau_get_u16 (at) << 16 | cau_get_u16 (at + 2);
}

/* Returns: the bytes that the number takes, 0 when it does not end before @end. */
gsize cau_get_varint (const guint8 *at, const guint8 *end, guint64 *value);

/* Where the header of the page begins. */
static inline guint32
cau_page_header_of (guint32 number)
{
  return number == 1 ? 100 : 0;
}

static inline gboolean
cau_page_is_interior (guint8 type)
{
  return type == CAU_PAGE_TABLE_INTERIOR || type == CAU_PAGE_INDEX_INTERIOR;
}

/* How many bytes of a record of @size bytes lie on the page itself, of @type; the others are on pages of their own. */
gsize cau_page_local_size (guint64 size, guint8 type);

/* Whether the bytes of a page that looks like one of a tree add up, as they do in each that SQLite writes: where they do not, it would
 * write over rows. Pages of other kinds are sound. */
gboolean cau_page_is_sound (const guint8 page[CAU_DB_PAGE_SIZE], guint32 number);

/* The page of the map that says what page @number is. */
guint32 cau_page_map_of (guint32 number);

/* Whether @map, that page, says that @number is of no tree. The first byte of such a page can look like that of a tree: in a file
 * of 128 GiB it can be part of a page number. */
gboolean cau_page_map_denies (const guint8 map[CAU_DB_PAGE_SIZE], guint32 number);

G_END_DECLS
