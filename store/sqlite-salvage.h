/* SPDX-License-Identifier: MIT */
#pragma once

/* What a store's file still says: the rows that were found in its pages (sqlite-scan.h) and passed their checks, put together again. */

#include "cau-backend.h"
#include "sqlite-image.h"

G_BEGIN_DECLS

typedef struct _CauSalvage CauSalvage;

typedef struct
{
  CauOrchestratorInfo info;
  gboolean            has_guid;       /* from its record, or from the index of GUIDs */
  gboolean            has_attributes; /* its record was found */
} CauSalvagedOrchestrator;

/* What is known of a version whose record is not. */
typedef struct
{
  guint64  orchestrator;
  guint64  version;
  char    *name;
  gboolean sure; /* an index has it, and not a record that is damaged, be it there */
} CauSalvagedName;

/* Scans the pages of @image (transfer full). */
CauSalvage *cau_salvage_new (CauImage *image);
void        cau_salvage_free (CauSalvage *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauSalvage, cau_salvage_free)

/* Whether it is a store of format 1, whose chunks are kept in another way. */
gboolean cau_salvage_has_format_1 (CauSalvage *self);

/* (element-type CauSalvagedOrchestrator), by id: all that were found, and those that only reports tell of. Borrowed. */
GArray *cau_salvage_get_orchestrators (CauSalvage *self);

/* (element-type GPtrArray of CauReportInfo): for each name the versions that claim it, the newest first. Borrowed. */
GPtrArray *cau_salvage_get_reports (CauSalvage *self);

/* Whether @info, one of those, is known from before damage in the log only, though the log goes on beyond it: it may have been
 * replaced, renamed or removed there. */
gboolean cau_salvage_is_outdated (CauSalvage *self, const CauReportInfo *info);

/* (element-type CauSalvagedName): names without any version. Borrowed. */
GPtrArray *cau_salvage_get_lost (CauSalvage *self);

/* The highest id that a version had, as far as can be seen; and versions that have chunks and nothing else. */
guint64 cau_salvage_get_last_version (CauSalvage *self);
guint64 cau_salvage_get_n_nameless (CauSalvage *self);

typedef enum
{
  CAU_CHUNK_GOOD,     /* its checksum holds */
  CAU_CHUNK_DOUBTFUL, /* its bytes decode and its checksum does not hold: the SHA-256 of the report has to tell */
  CAU_CHUNK_LOST,
} CauChunkState;

/* Looks for chunk @number of @info, of @length bytes. Unless it is lost: decodes it into @raw, and sets *@chunk (transfer
 * full), with a checksum that holds. */
CauChunkState cau_salvage_read_chunk (CauSalvage *self, const CauReportInfo *info, guint64 number, guint8 *raw,
                                      gsize length, CauStoredChunk **chunk);

CauImage *cau_salvage_get_image (CauSalvage *self);

G_END_DECLS
