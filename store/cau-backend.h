/* SPDX-License-Identifier: MIT */
#pragma once

/* What an engine that keeps reports must be able to do. Everything else (names, chunking, encoding,
 * checksums of content, uploads, readers) is written once, above it.
 *
 * Reads are plain calls: any thread, may wait for the disk, see a state that was committed.
 * Changes are operations (CauOp) handed in by submit(): each is done whole or not at all, those of one submitting
 * thread in their order, and finishes by one call of its done(), from any thread that is inside the backend. An operation
 * marked durable is on stable storage by then; submitting one may take as long as that, and do others' too. The
 * backend may do many in one step. done() must not wait for the backend, and may free the operation. */

#include "cau-check.h"

G_BEGIN_DECLS

/* Bytes of a stored chunk before encoding; the last one of a report may be shorter. Part of the store
 * format: see docs/design.md for the measurement behind it. */
#define CAU_STORED_CHUNK_SIZE (128u * 1024u)

/* The largest report: 2^23 stored chunks. An arbitrary bound on what a stray seek can cost. */
#define CAU_REPORT_SIZE_MAX (G_GUINT64_CONSTANT (1) << 40)

/* The highest number of a version: those of its chunks, 2^23 of them for each version, have to fit 63 bits. */
#define CAU_VERSION_MAX ((G_GUINT64_CONSTANT (1) << 40) - 1)

/* The highest id of an orchestrator. */
#define CAU_ORCHESTRATOR_MAX ((G_GUINT64_CONSTANT (1) << 62) - 1)

/* The number of stored chunks of a report of @size bytes. */
static inline guint64
cau_stored_chunks (guint64 size)
{
  return (size + CAU_STORED_CHUNK_SIZE - 1) / CAU_STORED_CHUNK_SIZE;
}

typedef struct _CauBackend CauBackend;

/* A chunk as it lies in the store. */
typedef struct
{
  guint64 number;
  GBytes *data;     /* owned; encoded, see cau-codec.h; NULL is a hole, a chunk of zeros */
  guint64 checksum; /* see cau-codec.h; a hole has one too */
} CauStoredChunk;

/* Is given a chunk that was read. Its data is the backend's, so that a large one is not copied once more: gone after the
 * call, also for who has a reference to it. Must not call the backend. */
typedef gboolean (*CauChunkFunc) (const CauStoredChunk *chunk, gpointer user_data, GError **error);

/* What a backend keeps about an upload that it was given chunks of. Made by stage_new(), only touched by
 * operations that name it, freed by stage_free() when the last of them is done. Dropping it
 * without a commit leaves what was staged to the collector. */
typedef struct _CauStage CauStage;

typedef enum
{
  CAU_OP_STAGE,
  CAU_OP_COMMIT,
  CAU_OP_CREATE_ORCHESTRATOR,
  CAU_OP_REMOVE_ORCHESTRATOR,
  CAU_OP_SET_ORCHESTRATOR_ATTRIBUTES,
  CAU_OP_RENAME,
  CAU_OP_REMOVE,
  CAU_OP_SET_REPORT_ATTRIBUTES,
  CAU_OP_COLLECT,
  CAU_OP_SYNC,
} CauOpKind;

typedef struct _CauOp CauOp;
typedef void (*CauOpDone) (CauOp *op);

struct _CauOp
{
  CauOpKind kind;
  gboolean  durable;
  CauOpDone done;
  gpointer  user_data;
  GError   *error; /* out: owned; NULL on success */
  GList     link;  /* the backend's, while it has the operation */
};

/* What a hole weighs where bytes of stored chunks are summed up to see what they take. */
#define CAU_HOLE_WEIGHT 64

/* Stores @chunks of an upload: a number stored before is replaced. First forgets what was stored from
 * number @keep on (G_MAXUINT64: nothing). */
typedef struct
{
  CauOp      op;
  CauStage  *stage;
  guint64    keep;
  GPtrArray *chunks;   /* (element-type CauStoredChunk); owned */
  guint64    released; /* out: the weight of what was replaced or forgotten */
} CauStageOp;

/* Makes a version out of what was staged, @chunks, and the chunks below @inherit of version
 * @base that neither has; and makes it what the name leads to. */
typedef struct
{
  CauOp            op;
  CauStage        *stage;
  GPtrArray       *chunks;     /* as above */
  guint64          base;       /* version to inherit from, pinned by the caller, or 0 */
  guint64          inherit;    /* number of chunks */
  gboolean         check_base; /* CONFLICT unless @base is the current version (0: there is none) */
  gboolean         no_replace; /* REFUSED when the report exists */
  gboolean         is_new;     /* EXISTS when the name is taken; not with info.report */
  CauReportInfo    info;       /* report (0: go by orchestrator and name), size, sha256, attributes */
  CauAttributeMask mask;       /* which of the attributes replace those of a report that exists */
  CauReportInfo    saved;      /* out: the report; its version was pinned for the caller before others saw it */
  gboolean         pinned;     /* out: it was */
  gboolean         removed;    /* out: info.report was given and is gone; nothing was saved */
} CauCommitOp;

typedef struct
{
  CauOp               op;
  CauAttributeMask    mask;
  CauOrchestratorInfo info; /* in: guid or id, attributes; out: all */
} CauOrchestratorOp;

typedef struct
{
  CauOp         op;
  guint64       id;
  const char   *name; /* borrowed */
  guint64       new_id;
  const char   *new_name; /* borrowed */
  CauRenameMode mode;
} CauRenameOp; /* rename and remove */

typedef struct
{
  CauOp            op;
  CauAttributeMask mask;
  CauReportInfo    info;  /* version or, when that is 0, report; attributes */
  CauReportInfo    saved; /* out, also of an operation that failed: to be cleared */
} CauReportAttributesOp;

typedef struct
{
  CauOp   op;
  guint64 n_collected; /* out */
} CauCollectOp;

/* ---- looking for damage: see cau_store_verify() ---- */

/* @guid: NULL when it is not about one orchestrator. Must not call the backend. */
typedef void (*CauProblemFunc) (CauFindingKind kind, const CauGuid *guid, const char *problem, gpointer user_data);

/* Is given what some record says, true or not; of a record whose check failed, info->damaged is set and only
 * info->version is there. May call the backend. */
typedef gboolean (*CauRecordedFunc) (const CauReportInfo *info, gpointer user_data, GError **error);

typedef struct
{
  void (*close) (CauBackend *self);
  char *(*describe_exposure) (CauBackend *self); /* as cau_store_describe_exposure() */
  gboolean (*set_max_size) (CauBackend *self, guint64 max_size, GError **error);
  gboolean (*stat) (CauBackend *self, CauStoreStat *stat, GError **error);

  /* @guid: NULL to go by @id. */
  gboolean (*get_orchestrator) (CauBackend *self, const CauGuid *guid, guint64 id, CauOrchestratorInfo *info,
                                GError **error);
  GArray *(*list_orchestrators) (CauBackend *self, const CauGuid *after, guint max, GError **error);

  /* Appends at most @max reports after the name @after to @infos (element-type CauReportInfo); a damaged record with
   * name and damaged set. */
  gboolean (*list_reports) (CauBackend *self, guint64 id, const char *after, guint max, GArray *infos, GError **error);
  gboolean (*find_report) (CauBackend *self, guint64 id, const char *name, CauReportInfo *info, GError **error);
  /* Whether a report of that name can be made. */
  gboolean (*find_name) (CauBackend *self, guint64 id, const char *name, gboolean *has_orchestrator, gboolean *is_taken,
                         GError **error);
  gboolean (*get_report) (CauBackend *self, guint64 report, CauReportInfo *info, GError **error);
  gboolean (*get_version) (CauBackend *self, guint64 version, CauReportInfo *info, GError **error);

  /* Calls @use with the chunk and @user_data, unless it fails itself. NOT_FOUND when the version has no such chunk. */
  gboolean (*read_chunk) (CauBackend *self, guint64 version, guint64 number, CauChunkFunc use, gpointer user_data,
                          GError **error);

  /* For cau_store_verify(); each goes on where damage was met, and fails for other reasons only.
   * Orchestrators that any table or index has, each once, by id: (element-type CauOrchestratorInfo), with id and guid. Where
   * these differ about the GUID it is the one that a checksum confirms, if there is one. */
  GArray *(*scan_orchestrators) (CauBackend *self, GError **error);
  /* Names, with orchestrator, name and version, that the index of the orchestrator @id has. */
  gboolean (*scan_names) (CauBackend *self, guint64 id, CauRecordedFunc use, gpointer user_data, GError **error);
  /* The records of all versions. */
  gboolean (*scan_versions) (CauBackend *self, CauRecordedFunc use, gpointer user_data, GError **error);
  /* The engine's own structures; sets n_unused_chunks of @summary. */
  gboolean (*check) (CauBackend *self, CauCheckSummary *summary, CauProblemFunc found, gpointer user_data,
                     GError **error);

  /* Keeps the collectors of all processes from @version until as many calls of unpin, or the
   * end of the process. It does not say that the version exists: look after pinning.
   * STALE when it is being collected right now. */
  gboolean (*pin) (CauBackend *self, guint64 version, GError **error);
  void (*unpin) (CauBackend *self, guint64 version);

  CauStage *(*stage_new) (CauBackend *self);
  void (*stage_free) (CauBackend *self, CauStage *stage);
  /* The version under which chunks are staged, for read_chunk; 0 before the first was. */
  guint64 (*stage_get_version) (CauBackend *self, CauStage *stage);

  void (*submit) (CauBackend *self, CauOp *op);
} CauBackendClass;

struct _CauBackend
{
  const CauBackendClass *klass;
  gboolean               read_only; /* as opened */
};

/* Opens (with CREATE: makes) a store file. */
CauBackend *cau_sqlite_open (const char *path, CauStoreOpenFlags flags, GError **error);

/* The wall clock, in nanoseconds since 1970. */
gint64 cau_now_ns (void);

/* Sets the fields of @to that @mask names from @from, and its ctime to now. */
void cau_attributes_merge (CauAttributes *to, CauAttributeMask mask, const CauAttributes *from);

void cau_stored_chunk_free (CauStoredChunk *chunk);

/* What it takes in the store, roughly. */
gsize cau_stored_chunk_weight (const CauStoredChunk *chunk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauStoredChunk, cau_stored_chunk_free)

/* Mark the calling thread as one that closing a store waits for, until it leaves or ends. Returns: whether it was marked. */
gboolean cau_backend_enter_thread (void);
void     cau_backend_leave_thread (void);

/* Whether the caller is on such a thread. */
gboolean cau_backend_is_thread (void);

/* Tells the thread's CauWaitFunc: to be called around what may wait for the disk. */
void cau_thread_begin_wait (void);
void cau_thread_end_wait (void);

/* g_cond_wait() that the thread's CauWaitFunc is told of. */
void cau_thread_wait (GCond *cond, GMutex *lock);

/* Hands in @op, waits for it, and moves its error to @error. */
gboolean cau_backend_run (CauBackend *self, CauOp *op, GError **error);

G_END_DECLS
