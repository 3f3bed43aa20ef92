/* SPDX-License-Identifier: MIT */
#pragma once

/* What sqlite-salvage.c (rows) and sqlite-salvage-chunks.c share. */

#include "cau-check-private.h"
#include "sqlite-salvage.h"

G_BEGIN_DECLS

/* Of a chunk's id: the version that it was written for is above these bits, its number in them. */
#define NUMBER_BITS 23
#define NUMBER_MASK ((G_GUINT64_CONSTANT (1) << NUMBER_BITS) - 1)

typedef struct
{
  guint64 id;
  guint32 page;
  guint16 offset;
  guint16 beyond; /* which way to look at the image */
} ChunkRow;

typedef struct
{
  guint64 version, number, chunk;
} InheritedRow;

/* A record whose checksum does not hold for all that it says. */
typedef struct
{
  CauReportInfo info;
  gint64        checksum;
  gboolean      beyond;
} DoubtfulVersion;

struct _CauSalvage
{
  CauImage   *image;
  gboolean    beyond;   /* while the image is scanned */
  GHashTable *by_id;    /* version -> CauReportInfo */
  GPtrArray  *doubtful; /* (element-type DoubtfulVersion) */
  GHashTable *latest;   /* the versions that are there beyond damage in the log; NULL: there is nothing */
  GArray     *chunks;
  GArray     *inherited;
  GArray     *shared; /* of sqlite-salvage-chunks.c; NULL: it was not needed yet */
  GPtrArray  *names;  /* (element-type CauSalvagedName): what indexes and damaged records say */
  GHashTable *orchestrators_by_id;
  GArray     *orchestrators;
  GHashTable *guids; /* id -> CauGuid, from the index */
  GPtrArray  *reports;
  GPtrArray  *lost; /* those of them that were not found otherwise */
  guint64     last_version;
  gboolean    has_format_1;
};

/* When all rows are there: before any chunk is looked for. */
void cau_salvage_sort_chunks (CauSalvage *self);

G_END_DECLS
