/* SPDX-License-Identifier: MIT */
#pragma once

/* libcaustore: the report helper of Cluster-Aware Updating, MSFT_CAUReportHelper, on Linux.
 *
 * A store holds orchestrators (one per Update Coordinator, named by a GUID), an orchestrator holds
 * reports (named by their ID), and a report's name leads to one immutable version: its bytes and
 * what is known of them. A version is written as an upload and becomes the report in one atomic step,
 * the commit. Reading pins the version: it stays readable, in every process, until the reader goes.
 *
 * Every function may be called from any thread unless it says otherwise; one CauReader or CauUpload
 * may be used by several threads at once. Functions may wait for the disk: hold no lock that
 * another needs. Errors are in the domain CAU_STORE_ERROR, see cau-error.h; the codes named at a
 * function are those a caller may want to tell apart, and any function can also report IO, CORRUPT
 * and BUSY (another process held the store for longer than 30 seconds). */

#include "cau-datetime.h"
#include "cau-error.h"
#include "cau-guid.h"
#include "cau-report-name.h"

G_BEGIN_DECLS
#pragma GCC visibility push(default)

typedef struct _CauStore     CauStore;     /* opaque; counted */
typedef struct _CauReportIds CauReportIds; /* opaque; a cursor over the names of one orchestrator */
typedef struct _CauReader    CauReader;    /* opaque; counted; one pinned version */
typedef struct _CauUpload    CauUpload;    /* opaque; counted; one version being written */

/* What POSIX keeps about a file. Times are nanoseconds since 1970-01-01T00:00:00Z. */
typedef struct
{
  guint32 mode; /* permission bits, 07777 at most; no file type */
  guint32 uid;
  guint32 gid;
  gint64  atime; /* set by utimens only; reading does not change it */
  gint64  mtime;
  gint64  ctime;
} CauAttributes;

/* Which fields of a CauAttributes a call sets. ctime is never set by a caller. */
typedef enum
{
  CAU_ATTRIBUTE_MODE = 1 << 0,
  CAU_ATTRIBUTE_UID = 1 << 1,
  CAU_ATTRIBUTE_GID = 1 << 2,
  CAU_ATTRIBUTE_ATIME = 1 << 3,
  CAU_ATTRIBUTE_MTIME = 1 << 4,
} CauAttributeMask;

/* ---- threads ---- */

/* Called on the thread that called a function of this library, when it begins (@begins) and ends to wait there for the disk or
 * for another thread: a program of few threads can let another one work meanwhile. Locks of the library may be held, so it must
 * not call the library, and not wait. */
typedef void (*CauWaitFunc) (gboolean begins, gpointer user_data);

/* Sets the function for the calling thread. */
void cau_thread_set_wait_func (CauWaitFunc func, gpointer user_data);

/* ---- the store ---- */

typedef enum
{
  CAU_STORE_OPEN_CREATE = 1 << 0,    /* make the store when there is none */
  CAU_STORE_OPEN_READ_ONLY = 1 << 1, /* change nothing; a store on read-only media is fine */
} CauStoreOpenFlags;

/* Opens the store @uri: a path, sqlite:PATH, or rados://POOL[/NAMESPACE]. Uploads that no living
 * process works on, and versions that nobody reads any more, are collected.
 * Returns: (transfer full): the store, or NULL. Errors: NOT_FOUND (and CREATE was not given),
 * NOT_A_STORE, FORMAT, CORRUPT, PERMISSION, READ_ONLY, UNSUPPORTED (a network filesystem, or an engine
 * that this build lacks), INVALID. Each message names the store and says what to do. */
CauStore *cau_store_open (const char *uri, CauStoreOpenFlags flags, GError **error) G_GNUC_WARN_UNUSED_RESULT;
CauStore *cau_store_ref (CauStore *self);

/* Drops a reference; the last one waits for the changes in hand, then closes the store. Readers,
 * uploads and cursors hold references of their own. */
void cau_store_unref (CauStore *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauStore, cau_store_unref)

/* Limits that this process puts on what it saves, in bytes; 0 is none, and the default.
 * @max_size: of the store's file, beyond which saves fail with NO_SPACE. @max_report_size: of one
 * report, beyond which writes fail with TOO_BIG. Call it before the store is used by other threads. */
gboolean cau_store_set_limits (CauStore *self, guint64 max_size, guint64 max_report_size,
                               GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* For @max_staged: what there is room for at the time, in the filesystem and below @max_size. */
#define CAU_STAGED_AS_ROOM G_MAXUINT64

/* Limits on what the uploads of this process may take together; 0 is none, and the default. @max_uploads: their number, beyond
 * which begin_upload() fails with TOO_MANY. @max_staged: bytes, as stored, that lie in the store and are not saved yet, beyond
 * which writes fail with NO_SPACE. @max_buffered: bytes in memory, beyond which what is written goes to the store at once.
 * Users other than root and the one of this process get half of the first two each, beyond which writes fail
 * with QUOTA. Call it before the store is used by other threads. */
void cau_store_set_upload_limits (CauStore *self, guint64 max_uploads, guint64 max_staged, guint64 max_buffered);

/* From now on commits, those in hand too, fail with IO when they still have seconds of computing before them: a process that has to
 * end would wait for them. */
void cau_store_end_long_commits (CauStore *self);

/* The path or URI that the store was opened by, for messages. Borrowed, never NULL. */
const char *cau_store_get_uri (CauStore *self);
gboolean    cau_store_is_read_only (CauStore *self);

/* Whether users can reach the reports past their permissions, because the store's files or their folder are open to others than
 * their owner. A store that is made here is not. Returns: (transfer full) (nullable): one line that says how, and what to do. */
char *cau_store_describe_exposure (CauStore *self);

typedef struct
{
  guint64 block_size; /* bytes; the unit of the block counts */
  guint64 blocks;     /* of the filesystem or pool that holds the store, or of max_size */
  guint64 blocks_free;
  guint64 blocks_available; /* to a process without privilege */
  guint64 n_reports;
} CauStoreStat;

gboolean cau_store_stat (CauStore *self, CauStoreStat *stat, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Collects uploads without a living writer and versions without a name or a reader, of all
 * processes. It also happens when a store is opened and, in a process that writes, as it goes on.
 * @n_collected: (optional): how many versions went. */
gboolean cau_store_collect (CauStore *self, guint64 *n_collected, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Waits until every change handed in before the call, by any thread, is on stable storage. */
gboolean cau_store_sync (CauStore *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- orchestrators ---- */

/* The id that stands for the store itself where an orchestrator's is asked for: its attributes are
 * those of the mount's root. */
#define CAU_STORE_ROOT_ID 0

typedef struct
{
  guint64       id; /* never used again in this store; below 2^62 */
  CauGuid       guid;
  CauAttributes attributes; /* mtime: the last time a name was added, replaced or removed */
  guint64       n_reports;
} CauOrchestratorInfo;

/* Errors: EXISTS, READ_ONLY, NO_SPACE. @attributes: mode, uid and gid are taken; the times are now. */
gboolean cau_store_create_orchestrator (CauStore *self, const CauGuid *guid, const CauAttributes *attributes,
                                        CauOrchestratorInfo *info, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: NOT_FOUND, NOT_EMPTY (reports, or uploads of this process not yet committed), READ_ONLY. */
gboolean cau_store_remove_orchestrator (CauStore *self, const CauGuid *guid, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Errors: NOT_FOUND. */
gboolean cau_store_find_orchestrator (CauStore *self, const CauGuid *guid, CauOrchestratorInfo *info,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean cau_store_get_orchestrator (CauStore *self, guint64 id, CauOrchestratorInfo *info,
                                     GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Lists orchestrators in the order of their GUIDs, from the first one after @after (NULL: from the
 * start), at most @max of them. Returns: (transfer full) (element-type CauOrchestratorInfo): an
 * array of values, empty at the end, or NULL. */
GArray *cau_store_list_orchestrators (CauStore *self, const CauGuid *after, guint max,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @id may be CAU_STORE_ROOT_ID. @info: (optional): as it is afterwards. Errors: NOT_FOUND, READ_ONLY. */
gboolean cau_store_set_orchestrator_attributes (CauStore *self, guint64 id, CauAttributeMask mask,
                                                const CauAttributes *attributes, CauOrchestratorInfo *info,
                                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* ---- reports ---- */

#define CAU_SHA256_LEN 32

/* A report as its name leads to it: filled by the calls below, emptied by cau_report_info_clear().
 * It starts as CAU_REPORT_INFO_INIT. */
typedef struct
{
  guint64       version;      /* of these bytes; never used again in this store; below 2^62 */
  guint64       report;       /* the same through replacements and renames */
  guint64       orchestrator; /* id; 0 once the name leads elsewhere or nowhere */
  char         *name;         /* owned; NULL likewise */
  CauDatetime   timestamp;    /* of the run: from the name, else the time of the save */
  CauDatetime   saved;        /* when the version was committed */
  guint64       size;         /* bytes of the report */
  guint64       stored_size;  /* bytes of its chunks as stored */
  guint64       n_chunks;     /* as stored; 0 when empty */
  guint8        sha256[CAU_SHA256_LEN];
  guint64       seed; /* of the checksums of its chunks as stored */
  CauAttributes attributes;
  gboolean      damaged; /* in a listing: the record fails its check, only orchestrator and name are set */
} CauReportInfo;

/* clang-format off */
#define CAU_REPORT_INFO_INIT { 0, 0, 0, NULL, 0, 0, 0, 0, 0, { 0 }, 0, { 0, 0, 0, 0, 0, 0 }, FALSE }
/* clang-format on */

void cau_report_info_clear (CauReportInfo *info);
void cau_report_info_copy (const CauReportInfo *info, CauReportInfo *copy);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CauReportInfo, cau_report_info_clear)

/* GetReportIDs: a cursor over the reports of the orchestrator @id in the order of their names' bytes,
 * from the first one after @after (NULL: from the start). It reads ahead a few hundred at a time: a name
 * that is there all the while is met once, one that comes or goes meanwhile may or may not be met.
 * Returns: (transfer full). Errors: NOT_FOUND when there is no such orchestrator. */
CauReportIds *cau_store_get_report_ids (CauStore *self, guint64 id, const char *after,
                                        GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The next report, or NULL at the end and, with @error set, on failure. Borrowed until the next call
 * or the end of the cursor; one thread at a time. */
const CauReportInfo *cau_report_ids_next (CauReportIds *self, GError **error);

/* Reads now what later calls of next() would have to wait for; what that gave last stays valid. */
void cau_report_ids_read_ahead (CauReportIds *self);
void cau_report_ids_free (CauReportIds *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauReportIds, cau_report_ids_free)

/* Errors: NOT_FOUND. What @info held before is cleared, also on failure. */
gboolean cau_store_find_report (CauStore *self, guint64 id, const char *name, CauReportInfo *info,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What is known of @version, be it current or one that this process still reads.
 * Errors: STALE when it is neither. */
gboolean cau_store_get_version (CauStore *self, guint64 version, CauReportInfo *info,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef enum
{
  CAU_RENAME_REPLACE = 0,
  CAU_RENAME_NO_REPLACE, /* EXISTS when the new name is taken */
  CAU_RENAME_EXCHANGE,   /* both names exist, and change places */
} CauRenameMode;

/* Renames a report, within or across orchestrators, atomically. An upload of this process that has the
 * name and was never committed is renamed as well: its commit follows the name.
 * Errors: NOT_FOUND, EXISTS, INVALID, NAME_TOO_LONG, READ_ONLY, NO_SPACE. */
gboolean cau_store_rename_report (CauStore *self, guint64 id, const char *name, guint64 new_id, const char *new_name,
                                  CauRenameMode mode, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Removes a report; who reads it goes on reading. Uploads of it save nothing any more.
 * Errors: NOT_FOUND, READ_ONLY. */
gboolean cau_store_remove_report (CauStore *self, guint64 id, const char *name,
                                  GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Sets attributes of the report that @version is, or was. A version that this process still reads counts as set just before it
 * was replaced: what the replacing by writing keeps, all but mtime, is set of the report, and when the report is gone that is no
 * error. @info: (optional): @version with its attributes as they are afterwards. Errors: STALE when @version is not current and nobody
 * reads it, or when the report was given to another user since; READ_ONLY. */
gboolean cau_store_set_report_attributes (CauStore *self, guint64 version, CauAttributeMask mask,
                                          const CauAttributes *attributes, CauReportInfo *info,
                                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The version of CauReportInfo.report that its name leads to now; 0 when it is gone. */
guint64 cau_store_get_current_version (CauStore *self, guint64 report);

/* ---- reading: GetReport ---- */

/* MSFT_CAURun_Report_Chunk. */
typedef struct
{
  CauDatetime timestamp;       /* of the report */
  guint32     sequence_number; /* from 0 */
  GBytes     *data;            /* owned; the bytes themselves, not base64 */
} CauChunk;

CauChunk *cau_chunk_new (CauDatetime timestamp, guint32 sequence_number, GBytes *data);
void      cau_chunk_free (CauChunk *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauChunk, cau_chunk_free)

/* GetReport: opens the version that @name leads to now, to be read in chunks of @chunk_size bytes, however
 * they are stored. Returns: (transfer full). Errors: NOT_FOUND; INVALID when @chunk_size is 0;
 * TOO_BIG when it would take more than 2^32 chunks. */
CauReader *cau_store_get_report (CauStore *self, guint64 id, const char *name, guint64 chunk_size,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Opens @version itself; @chunk_size as above. Errors: STALE when it was collected. */
CauReader *cau_store_open_version (CauStore *self, guint64 version, guint64 chunk_size,
                                   GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The next chunk in order: all of @chunk_size bytes but the last; an empty report is one empty
 * chunk. Returns: (transfer full): NULL at the end and, with @error set, on failure.
 * Errors: CORRUPT when a check fails: what is returned is right or not returned. */
CauChunk *cau_reader_next_chunk (CauReader *self, GError **error);

/* Reads up to @length bytes at @offset into @buffer; *@n_read is less only at the report's end.
 * Errors: CORRUPT, as above. */
gboolean cau_reader_read (CauReader *self, guint64 offset, void *buffer, gsize length, gsize *n_read,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* As it was when the reader was opened. Borrowed. */
const CauReportInfo *cau_reader_get_info (CauReader *self);
CauReader           *cau_reader_ref (CauReader *self);
void                 cau_reader_unref (CauReader *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauReader, cau_reader_unref)

/* ---- writing: PutReport, and the upload under it ---- */

typedef enum
{
  CAU_UPLOAD_TRUNCATE = 1 << 0,   /* start empty; else from the bytes that the report has now */
  CAU_UPLOAD_EXCLUSIVE = 1 << 1,  /* EXISTS when the name is taken, by an upload of this process too */
  CAU_UPLOAD_NO_REPLACE = 1 << 2, /* worm: may only make the report, once; REFUSED else */
  CAU_UPLOAD_EXISTING = 1 << 3,   /* may only change a report that is saved; NOT_FOUND else */
  CAU_UPLOAD_NEW = 1 << 4,        /* the first commit fails with EXISTS if another process made the report meanwhile */
} CauUploadFlags;

/* Begins an upload of the report @name of the orchestrator @id. Nothing is seen of it before its
 * commit, and with no commit nothing is saved. It belongs to the report, not to the name: renamed
 * meanwhile, the commit goes to the new name; removed or replaced by a rename, it saves nothing.
 * @attributes: mode, uid and gid for a report that is new; a replaced one keeps its own, and so does a name that
 * another upload of this process has. The uid is also the user to whom the upload counts, see
 * cau_store_set_upload_limits().
 * Returns: (transfer full). Errors: NOT_FOUND (the orchestrator, or EXISTING), EXISTS, REFUSED, INVALID,
 * NAME_TOO_LONG, READ_ONLY. */
CauUpload *cau_store_begin_upload (CauStore *self, guint64 id, const char *name, CauUploadFlags flags,
                                   const CauAttributes *attributes, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What an upload is for: a report, or a name that only uploads of this process have. It has to be let go before the
 * store is. Thread-safe. */
typedef struct _CauTarget CauTarget;

/* Returns: (transfer full). */
CauTarget *cau_upload_get_target (CauUpload *self) G_GNUC_WARN_UNUSED_RESULT;
CauTarget *cau_target_ref (CauTarget *self);
void       cau_target_unref (CauTarget *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauTarget, cau_target_unref)

/* As cau_store_begin_upload(), of @target and of nothing that has its name by now. @id, @name: (nullable): where it is
 * when it is saved. @flags: TRUNCATE, NO_REPLACE. NOT_FOUND when it was removed, or is not there. */
CauUpload *cau_store_begin_upload_of (CauStore *self, CauTarget *target, guint64 id, const char *name,
                                      CauUploadFlags flags, const CauAttributes *attributes,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Writes at @offset; a gap before it reads as zeros. Large uploads are staged in the store as they
 * grow. After an error that lost data (NO_SPACE, IO…) the upload is dead: each later write and
 * commit fails with that error. Errors: TOO_BIG, NO_SPACE, QUOTA, REFUSED (NO_REPLACE and already
 * committed). */
gboolean cau_upload_write (CauUpload *self, guint64 offset, const void *data, gsize length,
                           GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Writes at the end. While an upload has been appended to and nothing else, its commit puts what was
 * appended after the bytes that the report has then, whoever wrote them. */
gboolean cau_upload_append (CauUpload *self, const void *data, gsize length, GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean cau_upload_truncate (CauUpload *self, guint64 size, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reads back what a commit would save, as cau_reader_read(). */
gboolean cau_upload_read (CauUpload *self, guint64 offset, void *buffer, gsize length, gsize *n_read,
                          GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Sets attributes of the report that the upload makes or changes; an mtime counts until the next write.
 * They are saved by the next commit, or, if there is nothing to commit and the report exists, at once. @version: (out)
 * (optional): in the latter case CauReportInfo.version of the report, else 0. */
gboolean cau_upload_set_attributes (CauUpload *self, CauAttributeMask mask, const CauAttributes *attributes,
                                    guint64 *version, GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct
{
  guint64       size;       /* that a commit would save */
  CauAttributes attributes; /* likewise */
  gboolean      dirty;      /* written or truncated since it began or was last committed */
  gboolean      committed;  /* the report exists: it did before, or was committed */
  guint64       report;     /* CauReportInfo.report, 0 until committed */
} CauUploadState;

void cau_upload_get_state (CauUpload *self, CauUploadState *state);

/* FALSE: the report was removed, or replaced by a rename, and a commit saves nothing. */
gboolean cau_upload_has_name (CauUpload *self);

/* Commits all that was written so far: on success it is on stable storage, and what the name leads to.
 * With nothing written since the last commit it does nothing, unless the report does not exist yet: then it
 * saves an empty one. The upload can be written and committed again. If the report was removed
 * meanwhile nothing is saved and that is no error. @info: (optional): the report as saved; its
 * version is 0 when nothing was saved because it was removed. Errors: NO_SPACE, QUOTA, TOO_BIG, REFUSED,
 * EXISTS (NEW), NOT_FOUND (the orchestrator went). */
gboolean cau_upload_commit (CauUpload *self, CauReportInfo *info, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* @error: NULL on success; borrowed. Called once, from any thread (the caller's as well, before
 * cau_upload_commit_async() returns). Until it returns, other calls on @upload wait, so it must make none but
 * cau_upload_get_state(), ref and unref. */
typedef void (*CauCommitCallback) (CauUpload *upload, const GError *error, gpointer user_data);

/* As above, but when others are being committed already it does not wait for them: those that come together share one
 * write to stable storage. */
void cau_upload_commit_async (CauUpload *self, CauCommitCallback callback, gpointer user_data);

/* Throws away what was not committed; later writes fail with INVALID. Dropping the last reference
 * without a commit does the same. */
void       cau_upload_abandon (CauUpload *self);
CauUpload *cau_upload_ref (CauUpload *self);
void       cau_upload_unref (CauUpload *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauUpload, cau_upload_unref)

/* The upload, of this process, that has the name and was never committed (of several, the newest):
 * (transfer full), or NULL. */
CauUpload *cau_store_find_upload (CauStore *self, guint64 id, const char *name);

/* The upload will not be written or committed any more: it does not count for cau_store_has_upload(), even while
 * somebody still holds it. */
void cau_upload_retire (CauUpload *self);

/* Whether this process has uploads of the report CauReportInfo.report. */
gboolean cau_store_has_upload (CauStore *self, guint64 report);

/* PutReport: puts @chunk (borrowed) of @upload, which was begun with TRUNCATE and is written by
 * nothing else. Chunk 0 comes first; then the next number, or a number already put, which replaces
 * that chunk (a retry). With @last_chunk the sum of the chunks' sizes must be @report_size and what was put
 * is committed: TRUE is on stable storage. Errors: INCOMPLETE for a gap, or a sum that differs
 * (the message says both figures; nothing is saved); TOO_BIG, NO_SPACE, as for write and commit. */
gboolean cau_store_put_report (CauStore *self, CauUpload *upload, guint64 report_size, const CauChunk *chunk,
                               gboolean last_chunk, GError **error) G_GNUC_WARN_UNUSED_RESULT;

#pragma GCC visibility pop
G_END_DECLS
