/* SPDX-License-Identifier: MIT */
#pragma once

/* What is in the small stores that the fuzz targets start from: make-bases.c saves these versions, in this order, and what is
 * read back from a store that was damaged must be one of them. */

#include "cau-store.h"

typedef struct
{
  guint       orchestrator; /* index of base_guids */
  const char *name;
  guint32     seed; /* 0: zeros */
  gsize       size;
  gboolean    appends; /* to the version before it, whose seed is the same */
} BaseVersion;

extern const char *const base_guids[];
extern const guint       n_base_guids;
extern const BaseVersion base_versions[];
extern const guint       n_base_versions;

/* So many of the versions are saved before the log of base-wal starts. */
extern const guint n_base_checkpointed;

/* Removed after all was saved. */
extern const guint base_removed;

/* The byte at @offset of a version with @seed. */
guint8 base_byte (guint32 seed, gsize offset);

/* The bytes @from to @size of a version with @seed. */
GBytes *base_bytes (guint32 seed, gsize from, gsize size);

/* Whether @data is one of the versions that @name ever led to, in the orchestrator @guid or (NULL) in any. */
gboolean base_has_version (const CauGuid *guid, const char *name, const guint8 *data, gsize size);
