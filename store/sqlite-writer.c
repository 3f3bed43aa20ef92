/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "sqlite-checkpoint.h"
#include "sqlite-rows.h"
#include "sqlite-vfs.h"

#include <string.h>
#include <sys/stat.h>

/* Group commit. Operations that arrive while a transaction is written to stable storage wait in the queue, and then
 * share the next one: with N writers closing at once the disk is waited for about once in N closes.
 *
 * Whoever runs a transaction has the turn. A thread that submits a durable operation takes it when it is free, since waking
 * another thread to wait for the disk in its place would take longer, and goes on while others queue up behind it. The writer
 * thread takes it for all else: what need not be waited for, garbage, the end of a checkpoint.
 *
 * A transaction that nobody must be able to rely on yet (chunks staged for an upload) is not synced: the sync of the next
 * durable one covers it, since the WAL is written in order. */

/* Bounds of one transaction, so that a small commit does not wait for a gigabyte that is being staged. */
#define BATCH_MAX_OPS 256
#define BATCH_MAX_BYTES (4 * 1024 * 1024)

/* Pages in the WAL (512 MiB) from which a writer waits until they are copied into the database. */
#define WAL_MAX_PAGES (128 * 1024)

/* How often a process without work looks for versions that others left behind. */
#define COLLECT_INTERVAL_US (30 * G_TIME_SPAN_SECOND)

/* Free pages (16 MiB) from which the file is made smaller, a step (1 MiB) at a time, when there is nothing else to do. */
#define VACUUM_MIN_PAGES 4096
#define VACUUM_STEP "PRAGMA incremental_vacuum(256)"

struct _CauWriter
{
  CauSqlite       *sqlite;
  CauCheckpointer *checkpointer;
  GThread         *thread;
  GMutex           lock;  /* guards what follows up to max_pages_set */
  GCond            cond;  /* the writer thread's */
  GQueue           queue; /* of CauOp, by their links */
  gboolean         stop;
  gboolean         collect;       /* a pinned version was let go that the collector wanted, or it is time to look */
  gboolean         has_turn;      /* somebody has the turn */
  gboolean         is_due;        /* the writer thread has to look after the files */
  gboolean         is_copied;     /* so has it because the WAL could start over */
  gint             max_pages_set; /* atomic; pages, 0: none */

  /* Of the one who has the turn. */
  CauDb   *db;
  gboolean durable;  /* what synchronous is */
  int      wal_pages;
  gboolean may_shrink; /* free pages may have come since the last look */
  gboolean has_shrunk; /* the database, but not its file yet */
  GError  *damaged;    /* why nothing is changed any more */
};

static int
note_wal_size (gpointer data, G_GNUC_UNUSED sqlite3 *handle, G_GNUC_UNUSED const char *name, int pages)
{
  CauWriter *self = data;

  self->wal_pages = pages;
  return SQLITE_OK;
}

static gsize
op_bytes (const CauOp *op)
{
  const GPtrArray *chunks = NULL;
  gsize            total = 0;

  if (op->kind == CAU_OP_STAGE)
    chunks = ((const CauStageOp *) op)->chunks;
  else if (op->kind == CAU_OP_COMMIT)
    chunks = ((const CauCommitOp *) op)->chunks;
  for (guint i = 0; chunks != NULL && i < chunks->len; i++)
    {
      const CauStoredChunk *chunk = g_ptr_array_index (chunks, i);

      total += chunk->data != NULL ? g_bytes_get_size (chunk->data) : 64;
    }
  return total;
}

static void
pop_batch_locked (CauWriter *self, GQueue *batch)
{
  gsize bytes = 0;

  while (self->queue.length > 0 && batch->length < BATCH_MAX_OPS && bytes < BATCH_MAX_BYTES)
    {
      GList *link = g_queue_pop_head_link (&self->queue);

      bytes += op_bytes (link->data);
      g_queue_push_tail_link (batch, link);
    }
}

/* What the writer thread has to do, besides a batch, or without one. */
typedef struct
{
  gboolean collect;
  gboolean is_copied;
} Duties;

/* Waits for work, and takes the turn. FALSE: there is none, and the writer shall end. */
static gboolean
take_batch (CauWriter *self, GQueue *batch, Duties *duties)
{
  gint64   until = g_get_monotonic_time () + COLLECT_INTERVAL_US;
  gboolean has_work;

  g_mutex_lock (&self->lock);
  while (self->has_turn || (self->queue.length == 0 && !self->stop && !self->collect && !self->is_due))
    if (self->collect)
      g_cond_wait (&self->cond, &self->lock);
    else if (!g_cond_wait_until (&self->cond, &self->lock, until))
      self->collect = TRUE;
  pop_batch_locked (self, batch);
  duties->collect = batch->length == 0 && self->collect;
  if (duties->collect)
    self->collect = FALSE;
  duties->is_copied = self->is_copied;
  has_work = batch->length > 0 || duties->collect || self->is_due;
  self->is_due = self->is_copied = FALSE;
  self->has_turn = has_work;
  g_mutex_unlock (&self->lock);
  return has_work;
}

static void
end_turn (CauWriter *self)
{
  g_mutex_lock (&self->lock);
  self->has_turn = FALSE;
  g_mutex_unlock (&self->lock);
}

static gboolean
batch_is_durable (const GQueue *batch)
{
  for (const GList *l = batch->head; l != NULL; l = l->next)
    if (((const CauOp *) l->data)->durable)
      return TRUE;
  return FALSE;
}

/* This pragma acts when it is compiled, so it cannot be a prepared statement. */
static gboolean
set_durable (CauWriter *self, gboolean durable, GError **error)
{
  if (self->durable == durable)
    return TRUE;
  if (!cau_db_exec (self->db, durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", error))
    return FALSE;
  self->durable = durable;
  return TRUE;
}

static gboolean
begin (CauWriter *self, gboolean durable, GError **error)
{
  return set_durable (self, durable, error) && cau_db_run (self->db, error, "BEGIN IMMEDIATE", "");
}

static gboolean
in_transaction (CauWriter *self)
{
  return sqlite3_get_autocommit (cau_db_get_handle (self->db)) == 0;
}

static void
rollback (CauWriter *self)
{
  /* Some failures have rolled back already. */
  if (in_transaction (self))
    cau_db_run (self->db, NULL, "ROLLBACK", "");
}

/* Writing on into a damaged tree could spread the damage, so the file is only read from the first that is met. SQLite itself does not
 * commit a transaction in which it met some. */
static gboolean
is_damaged (CauWriter *self)
{
  if (self->damaged == NULL && cau_db_met_damage (self->db))
    self->damaged = g_error_new (
      CAU_STORE_ERROR, CAU_STORE_ERROR_READ_ONLY,
      "%s is damaged and only read from now on; make a sound one of it with caureport recover", self->sqlite->path);
  return self->damaged != NULL;
}

/* Applies @op so that its failure leaves no trace. FALSE: the transaction itself is lost; it must be for one that is @alone
 * in it. */
static gboolean
apply_one (CauWriter *self, CauOp *op, gboolean alone)
{
  if (alone)
    return cau_sqlite_apply (self->sqlite, self->db, op, &op->error);
  if (!cau_db_run (self->db, &op->error, "SAVEPOINT op", ""))
    return FALSE;
  if (!cau_sqlite_apply (self->sqlite, self->db, op, &op->error)
      && (!in_transaction (self) || !cau_db_run (self->db, NULL, "ROLLBACK TO op", "")))
    return FALSE;
  return cau_db_run (self->db, NULL, "RELEASE op", "");
}

static gint64
pragma_number (CauWriter *self, const char *sql)
{
  g_autoptr (CauStmt) stmt = cau_db_bind (self->db, NULL, sql, "");
  gboolean done = TRUE;

  if (stmt == NULL || !cau_stmt_step (stmt, &done, NULL) || done)
    return 0;
  return sqlite3_column_int64 (stmt, 0);
}

/* Takes the room in the database file that the pages of the open transaction will need when they are copied there. Without it a
 * full disk could stop every checkpoint; the WAL could then not start over, and removing reports would have no room to be
 * written. */
static gboolean
reserve (CauWriter *self, GError **error)
{
  return cau_db_take_room (self->db, pragma_number (self, "PRAGMA page_count") * CAU_DB_PAGE_SIZE, error);
}

/* A transaction that writes one page, as it is. */
static gboolean
write_a_page (CauWriter *self)
{
  if (is_damaged (self))
    return FALSE;
  if (begin (self, FALSE, NULL) && cau_row_write_again (self->db, NULL) && cau_db_run (self->db, NULL, "COMMIT", ""))
    return TRUE;
  rollback (self);
  return FALSE;
}

/* SQLite makes the file smaller when it copies the last page of the WAL on this connection, so there has to be one. */
static void
cut_file (CauWriter *self)
{
  gint64      size = pragma_number (self, "PRAGMA page_count") * CAU_DB_PAGE_SIZE;
  struct stat st;

  if (stat (self->sqlite->path, &st) == 0 && st.st_size > size + 2 * CAU_DB_GROW_BYTES && write_a_page (self))
    cau_checkpointer_finish (self->checkpointer, self->db, TRUE);
}

static void
keep_room (CauWriter *self)
{
  sqlite3_file_control (cau_db_get_handle (self->db), "main", CAU_VFS_FCNTL_KEEP_ROOM, NULL);
}

/* Copies what is left of the WAL, which then starts over, unless somebody else is at it and need not be waited for, or
 * somebody reads from it. */
static void
restart_wal (CauWriter *self, gboolean wait)
{
  if (!cau_checkpointer_finish (self->checkpointer, self->db, wait))
    return;
  cut_file (self);
  keep_room (self);
  self->wal_pages = 0;
}

/* When the disk cannot sync it, a transaction that failed has all its frames in the WAL, behind the end that is known: who opens the
 * store after a crash would take it for committed. So something else is written in their place. */
static gboolean
commit (CauWriter *self, GError **error)
{
  if (cau_db_run (self->db, error, "COMMIT", ""))
    return TRUE;
  rollback (self);
  write_a_page (self);
  return FALSE;
}

/* Runs @batch as one transaction. FALSE: nothing of it was done, and *@error says why. In files that somebody removed a moment
 * ago it may have been done, but there it is of no use to anybody. */
static gboolean
run_transaction (CauWriter *self, GQueue *batch, GError **error)
{
  GList *l;

  if (!cau_files_check (self->sqlite->files, error) || !begin (self, batch_is_durable (batch), error))
    return FALSE;
  for (l = batch->head; l != NULL; l = l->next)
    if (!apply_one (self, l->data, batch->length == 1))
      break;
  if (l == NULL && reserve (self, error) && commit (self, error))
    return cau_files_check (self->sqlite->files, error);

  if (l != NULL)
    {
      CauOp *failed = l->data;

      if (failed->error != NULL)
        g_propagate_error (error, g_error_copy (failed->error));
      else
        cau_db_set_error (self->db, error);
    }
  rollback (self);
  return FALSE;
}

static void
settle_batch (CauWriter *self, GQueue *batch, gboolean committed)
{
  for (GList *l = batch->head; l != NULL; l = l->next)
    cau_sqlite_settle (self->sqlite, l->data, committed);
  cau_pins_end_collect (self->sqlite->pins);
}

/* A commit may be waiting already that relies on what was to be staged. */
static void
lose_stage (CauStage *stage, const GError *error)
{
  stage->is_lost = TRUE;
  if (stage->failed == NULL)
    stage->failed = g_error_copy (error);
}

static void
finish (GQueue *batch)
{
  GList *link;

  while ((link = g_queue_pop_head_link (batch)) != NULL)
    {
      CauOp *op = link->data;

      if (op->kind == CAU_OP_STAGE && op->error != NULL)
        lose_stage (((CauStageOp *) op)->stage, op->error);
      op->done (op);
    }
}

static void run_batch (CauWriter *self, GQueue *batch);

/* One operation can fail the whole transaction (a full disk); the others must not pay for it. */
static void
run_one_by_one (CauWriter *self, GQueue *batch)
{
  GList *link;

  while ((link = g_queue_pop_head_link (batch)) != NULL)
    {
      GQueue one = G_QUEUE_INIT;

      g_clear_error (&((CauOp *) link->data)->error);
      g_queue_push_tail_link (&one, link);
      run_batch (self, &one);
    }
}

static gboolean
try_batch (CauWriter *self, GQueue *batch, GError **error)
{
  gboolean committed = run_transaction (self, batch, error);

  settle_batch (self, batch, committed);
  return committed;
}

static void
fail_batch (GQueue *batch, const GError *error)
{
  for (GList *l = batch->head; l != NULL; l = l->next)
    {
      CauOp *op = l->data;

      if (op->error == NULL)
        op->error = g_error_copy (error);
    }
}

static void collect (CauWriter *self);

/* A WAL that was copied starts over in the room it has, and what nobody needs gives up its pages. */
static void
make_room (CauWriter *self)
{
  restart_wal (self, TRUE);
  collect (self);
  restart_wal (self, TRUE);
}

static gboolean
may_try_again (const CauOp *op, gboolean committed, const GError *error)
{
  const GError *why = committed ? op->error : error;

  if (!g_error_matches (why, CAU_STORE_ERROR, CAU_STORE_ERROR_NO_SPACE)
      && !g_error_matches (why, CAU_STORE_ERROR, CAU_STORE_ERROR_QUOTA))
    return FALSE;
  /* Collecting is how room is made. Chunks that were not staged are missed by what followed them. */
  return op->kind != CAU_OP_COLLECT && (op->kind != CAU_OP_STAGE || !committed);
}

static void
run_batch (CauWriter *self, GQueue *batch)
{
  g_autoptr (GError) error = NULL;
  CauOp   *first = batch->head->data;
  gboolean committed;

  if (is_damaged (self))
    {
      fail_batch (batch, self->damaged);
      finish (batch);
      return;
    }
  committed = try_batch (self, batch, &error);
  if (!committed && batch->length > 1)
    {
      run_one_by_one (self, batch);
      return;
    }
  if (batch->length == 1 && may_try_again (first, committed, error))
    {
      make_room (self);
      g_clear_error (&error);
      g_clear_error (&first->error);
      committed = try_batch (self, batch, &error);
    }
  if (!committed)
    fail_batch (batch, error);
  finish (batch);
}

static void
apply_max_size (CauWriter *self)
{
  gint             pages = g_atomic_int_exchange (&self->max_pages_set, -1);
  g_autofree char *sql = g_strdup_printf ("PRAGMA max_page_count=%d", pages > 0 ? pages : G_MAXINT);

  if (pages >= 0)
    sqlite3_exec (cau_db_get_handle (self->db), sql, NULL, NULL, NULL);
}

static gboolean
has_garbage (CauWriter *self)
{
  g_autoptr (CauStmt) stmt =
    cau_db_bind (self->db, NULL, "SELECT 1 FROM versions WHERE orchestrator IS NULL LIMIT 1", "");
  gboolean done = TRUE;

  return stmt != NULL && cau_stmt_step (stmt, &done, NULL) && !done;
}

static void
op_ignore (G_GNUC_UNUSED CauOp *op)
{
}

static void
collect (CauWriter *self)
{
  CauCollectOp op = { .op = { .kind = CAU_OP_COLLECT, .done = op_ignore } };
  GQueue       batch = G_QUEUE_INIT;

  if (is_damaged (self) || !has_garbage (self))
    return;
  op.op.link.data = &op;
  g_queue_push_tail_link (&batch, &op.op.link);
  run_batch (self, &batch);
  g_clear_error (&op.op.error);
}

static gboolean
is_idle (CauWriter *self)
{
  gboolean idle;

  g_mutex_lock (&self->lock);
  idle = self->queue.length == 0 && !self->stop;
  g_mutex_unlock (&self->lock);
  return idle;
}

/* Gives free pages back to the filesystem while nobody waits. Some are kept for the next saves. */
static void
shrink (CauWriter *self)
{
  while (self->may_shrink && !is_damaged (self) && is_idle (self))
    {
      gint64 unused = pragma_number (self, "PRAGMA freelist_count");

      self->may_shrink = unused > VACUUM_MIN_PAGES && unused > pragma_number (self, "PRAGMA page_count") / 4
                         && cau_db_exec (self->db, VACUUM_STEP, NULL);
      self->has_shrunk = self->has_shrunk || self->may_shrink;
    }
  /* Only then the file gets smaller. */
  if (self->has_shrunk && is_idle (self))
    {
      restart_wal (self, TRUE);
      self->has_shrunk = FALSE;
    }
}

static gpointer
writer_run (gpointer data)
{
  CauWriter *self = data;
  GQueue     batch = G_QUEUE_INIT;
  Duties     duties;

  cau_backend_enter_thread ();
  while (take_batch (self, &batch, &duties))
    {
      apply_max_size (self);
      if (batch.length > 0)
        run_batch (self, &batch);
      if (duties.collect)
        collect (self);
      if (duties.is_copied || self->wal_pages >= WAL_MAX_PAGES)
        restart_wal (self, self->wal_pages >= WAL_MAX_PAGES);
      self->may_shrink = TRUE;
      shrink (self);
      cau_checkpointer_note (self->checkpointer, self->wal_pages);
      end_turn (self);
    }
  return NULL;
}

/* Goes on with what came meanwhile, or gives the turn up, and wakes the writer thread if it waits for it. When this returns FALSE,
 * @self may be gone. */
static gboolean
keep_turn (CauWriter *self, GQueue *batch, gboolean is_due)
{
  gboolean keeps;

  g_mutex_lock (&self->lock);
  self->is_due = self->is_due || is_due;
  keeps = self->queue.length > 0 && !self->is_due;
  if (keeps)
    pop_batch_locked (self, batch);
  else
    {
      self->has_turn = FALSE;
      if (self->queue.length > 0 || self->is_due || self->collect || self->stop)
        g_cond_signal (&self->cond);
    }
  g_mutex_unlock (&self->lock);
  return keeps;
}

/* Removals leave free pages. */
static gboolean
frees_pages (const GQueue *batch)
{
  for (const GList *l = batch->head; l != NULL; l = l->next)
    if (((const CauOp *) l->data)->kind != CAU_OP_COMMIT)
      return TRUE;
  return FALSE;
}

/* Runs @batch, and what comes meanwhile, on the calling thread, which has taken the turn. */
static void
run_here (CauWriter *self, GQueue *batch)
{
  gboolean was_inside, is_due;

  was_inside = cau_backend_enter_thread ();
  cau_thread_begin_wait ();
  do
    {
      is_due = frees_pages (batch);
      apply_max_size (self);
      if (batch->length > 0)
        run_batch (self, batch);
      self->may_shrink = TRUE;
      cau_checkpointer_note (self->checkpointer, self->wal_pages);
      is_due = is_due || self->wal_pages >= WAL_MAX_PAGES;
    }
  while (keep_turn (self, batch, is_due));
  cau_thread_end_wait ();
  if (!was_inside)
    cau_backend_leave_thread ();
}

/* From the checkpointer's thread. */
static void
note_copied (gpointer data)
{
  CauWriter *self = data;

  g_mutex_lock (&self->lock);
  self->is_due = self->is_copied = TRUE;
  if (!self->has_turn)
    g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

static void
writer_clear (CauWriter *self)
{
  g_clear_pointer (&self->checkpointer, cau_checkpointer_free);
  cau_db_close (self->db);
  g_clear_error (&self->damaged);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

CauWriter *
cau_writer_new (CauSqlite *sqlite, CauDb *db, GError **error)
{
  CauWriter *self = g_new0 (CauWriter, 1);
  int        grow = CAU_DB_GROW_BYTES;

  self->sqlite = sqlite;
  self->db = db;
  self->collect = TRUE;
  self->durable = TRUE; /* as cau_db_open() leaves it */
  self->max_pages_set = -1;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  g_queue_init (&self->queue);
  sqlite3_wal_hook (cau_db_get_handle (db), note_wal_size, self);
  sqlite3_file_control (cau_db_get_handle (db), "main", SQLITE_FCNTL_CHUNK_SIZE, &grow);
  sqlite3_file_control (cau_db_get_handle (db), "main", CAU_VFS_FCNTL_CHECK_PAGES, NULL);
  keep_room (self);
  self->checkpointer = cau_checkpointer_new (sqlite->path, note_copied, self, error);
  if (self->checkpointer == NULL)
    {
      writer_clear (self);
      return NULL;
    }
  self->thread = g_thread_new ("cau-writer", writer_run, self);
  return self;
}

void
cau_writer_submit (CauWriter *self, CauOp *op)
{
  GQueue   batch = G_QUEUE_INIT;
  gboolean is_ours;

  op->link.data = op;
  op->link.next = op->link.prev = NULL;
  g_mutex_lock (&self->lock);
  g_queue_push_tail_link (&self->queue, &op->link);
  is_ours = op->durable && !self->has_turn;
  if (is_ours)
    {
      self->has_turn = TRUE;
      pop_batch_locked (self, &batch);
    }
  else if (!self->has_turn)
    g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  /* If it is not our turn, the operation may be done by now, and the store closed. */
  if (is_ours)
    run_here (self, &batch);
}

void
cau_writer_collect_soon (CauWriter *self)
{
  g_mutex_lock (&self->lock);
  self->collect = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
}

void
cau_writer_set_max_size (CauWriter *self, guint64 max_size)
{
  /* At least one page: 0 would be no limit. */
  guint64 pages = max_size == 0 ? 0 : MAX (max_size / CAU_DB_PAGE_SIZE, 1);

  g_atomic_int_set (&self->max_pages_set, (gint) MIN (pages, G_MAXINT - 1));
}

void
cau_writer_free (CauWriter *self)
{
  g_mutex_lock (&self->lock);
  self->stop = TRUE;
  g_cond_signal (&self->cond);
  g_mutex_unlock (&self->lock);
  g_thread_join (self->thread);
  writer_clear (self);
}
