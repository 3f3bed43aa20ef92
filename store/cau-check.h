/* SPDX-License-Identifier: MIT */
#pragma once

/* Looking for damage in a store, and saving what is left of a damaged one. */

#include "cau-store.h"

G_BEGIN_DECLS
#pragma GCC visibility push(default)

typedef enum
{
  CAU_FINDING_GOOD,    /* a report reads whole; by cau_store_recover(): it was saved */
  CAU_FINDING_DAMAGED, /* a report does not; by cau_store_recover(): it was not saved */
  CAU_FINDING_STORE,   /* damage elsewhere, in what holds the reports together */
  CAU_FINDING_NOTE,    /* something to know, and no damage */
} CauFindingKind;

/* After so many stored chunks in a row that do not read, the rest of a report is taken for lost: one whose record says a size that it
 * never had would keep who looks busy for hours. */
#define CAU_CHECK_BAD_CHUNKS_MAX 1024

typedef struct
{
  guint64 offset, length;
} CauRange;

/* One thing that was found. All is borrowed for the call. */
typedef struct
{
  CauFindingKind kind;
  gboolean    has_guid; /* that the orchestrator is known; set for reports, and for what is told of an orchestrator */
  CauGuid     guid;
  const char *name;       /* of the report; NULL: it is not about one */
  guint64     version;    /* 0: not known */
  guint64     size;       /* of the report; 0 also when it is not known */
  guint64     n_chunks;   /* stored chunks, likewise */
  const char *problem;    /* one line; NULL for GOOD */
  const CauRange *ranges; /* the bytes that do not read, in order; ranges that touch are one */
  gsize           n_ranges;
} CauFinding;

typedef struct
{
  /* Each finding, once. */
  void (*found) (const CauFinding *finding, gpointer user_data);
  /* (optional): bytes of reports that are done with, of about @total; often. */
  void (*progress) (guint64 done, guint64 total, gpointer user_data);
  /* (optional), of cau_store_recover(): after the finding of a damaged report, each piece of it that is surely right, in order. */
  void (*piece) (const CauFinding *finding, guint64 offset, gconstpointer data, gsize length, gpointer user_data);
  gpointer user_data;
} CauCheckFuncs;

typedef struct
{
  guint64 n_good;          /* reports */
  guint64 n_damaged;       /* reports */
  guint64 n_store;         /* findings of the kind STORE */
  guint64 bytes;           /* of the good reports */
  guint64 n_unused_chunks; /* stored chunks that no version has; no damage */
  guint64 n_unnamed; /* versions without a name: uploads in progress, and what is still read or will be collected */
} CauCheckSummary;

/* Reads every report of the store, or with @guid those of one orchestrator, or with @names (NULL-terminated) too, these; and for the
 * whole store looks at the engine's own structures. It goes on after damage. The store may be in use; @self should be open
 * READ_ONLY: one that is open for writing keeps records that were read, and finds by those what a damaged index does not lead to.
 * Returns: FALSE when it could not be done; damage is not an error. Errors: NOT_FOUND (@guid, or one of @names). */
gboolean cau_store_verify (CauStore *self, const CauGuid *guid, const char *const *names, const CauCheckFuncs *funcs,
                           CauCheckSummary *summary, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Saves what can be read of the store file @path into the new store @new_path. @path is only read, needs no header and no
 * structure that is whole, and must not be in use. A report is saved whole, with its name, its attributes and all its times, or not;
 * that is found by its SHA-256. @new_path is there when it is complete, or not at all.
 * Returns: FALSE when there is no new store, or its name may not last. Errors: NOT_FOUND, EXISTS (@new_path), BUSY, NOT_A_STORE
 * (nothing of a store is in it), FORMAT, NO_SPACE, IO. */
gboolean cau_store_recover (const char *path, const char *new_path, const CauCheckFuncs *funcs,
                            CauCheckSummary *summary, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#pragma GCC visibility pop
G_END_DECLS
