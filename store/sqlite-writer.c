/* SPDX-License-Identifier: MIT */
#include "sqlite-backend.h"
#include "sqlite-room.h"
#include "sqlite-transaction.h"

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

/* How often a process without work looks for versions that others left behind. */
#define COLLECT_INTERVAL_US (30 * G_TIME_SPAN_SECOND)

struct _CauWriter
{
  CauSqlite *sqlite;
  GThread   *thread;
  GMutex     lock;  /* guards what follows up to max_pages_set */
  GCond      cond;  /* the writer thread's */
  GQueue     queue; /* of CauOp, by their links */
  gboolean   stop;
  gboolean   collect;       /* a pinned version was let go that the collector wanted, or it is time to look */
  gboolean   has_turn;      /* somebody has the turn */
  gboolean   is_due;        /* the writer thread has to look after the files */
  gboolean   is_copied;     /* so has it because the WAL could start over */
  gint       max_pages_set; /* atomic; pages, 0: none */

  /* Of the one who has the turn. */
  CauTransactions *transactions;
  CauDb           *db; /* theirs */
  CauRoom         *room;
};

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
      && (!cau_transactions_is_open (self->transactions) || !cau_db_run (self->db, NULL, "ROLLBACK TO op", "")))
    return FALSE;
  return cau_db_run (self->db, NULL, "RELEASE op", "");
}

/* Runs @batch as one transaction. FALSE: nothing of it was done, and *@error says why. In files that somebody removed a moment
 * ago it may have been done, but there it is of no use to anybody. */
static gboolean
run_transaction (CauWriter *self, GQueue *batch, GError **error)
{
  GList *l;

  if (!cau_identity_check (self->sqlite->identity, error)
      || !cau_transactions_begin (self->transactions, batch_is_durable (batch), error))
    return FALSE;
  for (l = batch->head; l != NULL; l = l->next)
    if (!apply_one (self, l->data, batch->length == 1))
      break;
  if (l == NULL && cau_room_reserve (self->room, error) && cau_transactions_commit (self->transactions, error))
    return cau_identity_check (self->sqlite->identity, error);

  if (l != NULL)
    {
      CauOp *failed = l->data;

      if (failed->error != NULL)
        g_propagate_error (error, g_error_copy (failed->error));
      else
        cau_db_set_error (self->db, error);
    }
  cau_transactions_rollback (self->transactions);
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
  cau_room_restart_wal (self->room, TRUE);
  collect (self);
  cau_room_restart_wal (self->room, TRUE);
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

  if (!cau_transactions_may_begin (self->transactions, &error))
    {
      fail_batch (batch, error);
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
  gint pages = g_atomic_int_exchange (&self->max_pages_set, -1);

  if (pages >= 0)
    cau_room_limit (self->room, pages);
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

  if (!has_garbage (self))
    return;
  op.op.link.data = &op;
  g_queue_push_tail_link (&batch, &op.op.link);
  run_batch (self, &batch);
  g_clear_error (&op.op.error);
}

static gboolean
is_idle (gpointer data)
{
  CauWriter *self = data;
  gboolean   idle;

  g_mutex_lock (&self->lock);
  idle = self->queue.length == 0 && !self->stop;
  g_mutex_unlock (&self->lock);
  return idle;
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
      if (duties.is_copied || cau_room_is_wal_full (self->room))
        cau_room_restart_wal (self->room, cau_room_is_wal_full (self->room));
      cau_room_note_change (self->room);
      cau_room_shrink (self->room, is_idle, self);
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
      cau_room_note_change (self->room);
      is_due = is_due || cau_room_is_wal_full (self->room);
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
  g_clear_pointer (&self->room, cau_room_free);
  cau_transactions_free (self->transactions);
  g_mutex_clear (&self->lock);
  g_cond_clear (&self->cond);
  g_free (self);
}

CauWriter *
cau_writer_new (CauSqlite *sqlite, CauDb *db, GError **error)
{
  CauWriter *self = g_new0 (CauWriter, 1);

  self->sqlite = sqlite;
  self->transactions = cau_transactions_new (sqlite->path, db);
  self->db = db;
  self->collect = TRUE;
  self->max_pages_set = -1;
  g_mutex_init (&self->lock);
  g_cond_init (&self->cond);
  g_queue_init (&self->queue);
  self->room = cau_room_new (sqlite->path, self->transactions, note_copied, self, error);
  if (self->room == NULL)
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
