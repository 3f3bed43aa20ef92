/* SPDX-License-Identifier: MIT */
/* Each call that the store makes on its files fails, one at a time, once or until the disk recovers. Who asked for
 * something hears of it, what was there stays, and the same store goes on when the disk does. */
#include "../unit/store-fixture.h"

#include "fault-vfs.h"
#include "store-check.h"
#include "store-load.h"

#include <string.h>

/* ---- the call that fails ---- */

typedef struct
{
  FaultCallKind kind;
  Fault         fault;
  gint          n;     /* which call of this kind, from 0 */
  gboolean      stays; /* all after it fail too */
} Plan;

static Plan plan;
static gint n_calls;  /* atomic; of the plan's kind */
static gint n_failed; /* atomic */
static gint is_armed; /* atomic */

static Fault
before (FaultCall *call, gpointer user_data G_GNUC_UNUSED)
{
  gint n;

  if (!g_atomic_int_get (&is_armed) || call->kind != plan.kind)
    return FAULT_NONE;
  n = g_atomic_int_add (&n_calls, 1);
  if (n < plan.n || (n > plan.n && !plan.stays))
    return FAULT_NONE;
  g_atomic_int_inc (&n_failed);
  return plan.fault;
}

static void
after (const FaultCall *call G_GNUC_UNUSED, gboolean ok G_GNUC_UNUSED, gpointer user_data G_GNUC_UNUSED)
{
}

static const FaultWatcher watcher = { before, after };

static void
arm (const Plan *new_plan)
{
  plan = *new_plan;
  g_atomic_int_set (&n_calls, 0);
  g_atomic_int_set (&n_failed, 0);
  g_atomic_int_set (&is_armed, 1);
}

/* The disk recovers. Returns: how many calls failed. */
static gint
disarm (void)
{
  g_atomic_int_set (&is_armed, 0);
  return g_atomic_int_get (&n_failed);
}

/* ---- the load ---- */

#define GUID "0f6e1d2c-3b4a-4958-8776-a5b4c3d2e1f0"
#define OTHER_GUID "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"

typedef struct
{
  GBytes *small;
  GBytes *old;
  GBytes *both;  /* old and small */
  GBytes *large; /* of three chunks */
  GBytes *dense; /* staged before its commit */
} Contents;

static Contents   contents;
static StoreLoad *prepared;
static StoreLoad *load; /* what is tried; a test that fails leaves it to its teardown */

static void
make_contents (void)
{
  GByteArray *both = g_byte_array_new ();

  contents.small = fixture_bytes (1, 3000);
  contents.old = fixture_bytes (2, STORED_CHUNK + 500);
  contents.large = fixture_bytes (3, 2 * STORED_CHUNK + 1000);
  contents.dense = fixture_dense_bytes (4, 9 * STORED_CHUNK);
  g_byte_array_append (both, g_bytes_get_data (contents.old, NULL), (guint) g_bytes_get_size (contents.old));
  g_byte_array_append (both, g_bytes_get_data (contents.small, NULL), (guint) g_bytes_get_size (contents.small));
  contents.both = g_byte_array_free_to_bytes (both);
}

static void
clear_contents (void)
{
  g_bytes_unref (contents.small);
  g_bytes_unref (contents.old);
  g_bytes_unref (contents.both);
  g_bytes_unref (contents.large);
  g_bytes_unref (contents.dense);
}

/* What is there before anything fails. */
static int
prepare (void **state G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;

  prepared = store_load_new (1);
  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
  make_contents ();
  assert_done (store_load_open (prepared, CAU_STORE_OPEN_CREATE, &error), &error);
  assert_done (store_load_make (prepared, GUID, &error), &error);
  for (guint i = 0; i < 5; i++)
    {
      g_autofree char *key = g_strdup_printf (GUID "/old-%u", i);

      assert_done (store_load_save (prepared, key, contents.old, &error), &error);
    }
  store_load_close (prepared);
  return 0;
}

static int
unprepare (void **state G_GNUC_UNUSED)
{
  store_load_free (prepared);
  clear_contents ();
  return 0;
}

static gboolean
collect (GError **error)
{
  return cau_store_collect (load->store, NULL, error);
}

static gboolean
sync_store (GError **error)
{
  return cau_store_sync (load->store, error);
}

static gboolean
make (GError **error)
{
  return store_load_make (load, OTHER_GUID, error);
}

static gboolean
save_small (GError **error)
{
  return store_load_save (load, GUID "/small", contents.small, error);
}

static gboolean
save_large (GError **error)
{
  return store_load_save (load, GUID "/large", contents.large, error);
}

static gboolean
save_staged (GError **error)
{
  return store_load_save (load, GUID "/dense", contents.dense, error);
}

static gboolean
replace (GError **error)
{
  return store_load_save (load, GUID "/old-0", contents.large, error);
}

static gboolean
append (GError **error)
{
  return store_load_append (load, GUID "/old-1", contents.small, contents.both, error);
}

static gboolean
rename_report (GError **error)
{
  return store_load_rename (load, GUID "/old-2", GUID "/new-2", CAU_RENAME_REPLACE, error);
}

static gboolean
exchange (GError **error)
{
  return store_load_rename (load, GUID "/old-3", GUID "/old-4", CAU_RENAME_EXCHANGE, error);
}

static gboolean
remove_report (GError **error)
{
  return store_load_remove (load, GUID "/old-4", error);
}

static gboolean
set_attributes (GError **error)
{
  return store_load_set_attributes (load, GUID "/old-3", 0444, 77, error);
}

static gboolean
save_at_once (GError **error)
{
  return store_load_save_group (load, GUID, 4, error);
}

static gboolean
read_all (GError **error)
{
  g_autoptr (StoreModel) actual = store_model_read (load->store, error);

  return actual != NULL;
}

static gboolean
reopen (GError **error)
{
  store_load_close (load);
  return store_load_open (load, 0, error);
}

static gboolean (*const operations[]) (GError **error) = {
  save_small, save_staged,    make,         replace, append, rename_report, exchange,   remove_report,
  read_all,   set_attributes, save_at_once, collect, reopen, save_large,    sync_store, remove_report,
};

/* ---- trying ---- */

typedef struct
{
  guint runs;
  guint calls;  /* that failed */
  guint errors; /* that operations reported */
} Figures;

static gboolean
is_expected (const GError *error)
{
  if (plan.fault == FAULT_FULL || plan.fault == FAULT_SHORT)
    return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NO_SPACE);
  if (plan.fault == FAULT_QUOTA)
    return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_QUOTA);
  return g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO);
}

static char *
describe_plan (void)
{
  static const char *const faults[] = { "no", "EIO", "ENOSPC", "EDQUOT", "a short write" };

  return g_strdup_printf ("%s %d fails with %s%s", fault_call_get_name (plan.kind), plan.n, faults[plan.fault],
                          plan.stays ? ", as do all after it" : "");
}

/* What was removed before cannot be removed again. */
static gboolean
was_removed (guint i, const GError *error)
{
  return operations[i] == remove_report && store_model_get (load->model, GUID "/old-4") == NULL
         && g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND);
}

/* One operation, whose like may have failed before it. */
static void
try_operation (guint i, Figures *figures)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *what = NULL;

  if (load->store == NULL || operations[i](&error) || was_removed (i, error))
    return;
  figures->errors++;
  what = describe_plan ();
  if (error == NULL)
    fail_msg ("%s: operation %u failed and set no error", what, i);
  if (!is_expected (error))
    fail_msg ("%s: operation %u failed with %d: %s", what, i, error->code, error->message);
}

static void
assert_right (char *problem)
{
  g_autofree char *found = problem;
  g_autofree char *what = describe_plan ();

  if (found != NULL)
    fail_msg ("%s: %s", what, found);
}

/* Returns: how many calls of that kind there were. */
static gint
try_plan (const Plan *new_plan, Figures *figures)
{
  g_autoptr (GError) error = NULL;
  gint failed;

  load = store_load_copy (prepared);
  assert_done (store_load_open (load, 0, &error), &error);
  fault_vfs_watch (load->path, &watcher, NULL);
  arm (new_plan);
  for (guint i = 0; i < G_N_ELEMENTS (operations); i++)
    try_operation (i, figures);
  failed = disarm ();
  figures->calls += (guint) failed;
  figures->runs++;
  if (load->store == NULL)
    assert_done (store_load_open (load, 0, &error), &error);
  assert_right (store_check_open (load->store, load->model, NULL));
  store_load_close (load);
  assert_right (store_check (load->path, FALSE, load->model, NULL));
  fault_vfs_unwatch ();
  g_clear_pointer (&load, store_load_free);
  return g_atomic_int_get (&n_calls);
}

static int
teardown (void **state G_GNUC_UNUSED)
{
  disarm ();
  fault_vfs_unwatch ();
  g_clear_pointer (&load, store_load_free);
  return 0;
}

/* Whether somebody has to hear of such a call that failed. Nobody waits for the others. */
static gboolean
is_heard (FaultCallKind kind)
{
  return kind != FAULT_CALL_TRUNCATE && kind != FAULT_CALL_DELETE && kind != FAULT_CALL_GROW;
}

/* Each call of the load, or every so many of them; in any case all of them. */
static void
fail_each (FaultCallKind kind, Fault fault)
{
  Figures figures = { 0 };
  Plan    none = { .kind = kind, .n = G_MAXINT };
  gint    total = try_plan (&none, &figures), most = (gint) fixture_rounds (30);
  gint    step = (total + most - 1) / most;

  for (gint stays = 0; stays < 2; stays++)
    for (gint n = stays ? 0 : g_random_int_range (0, step); n < total; n += step)
      {
        Plan next = { .kind = kind, .fault = fault, .n = n, .stays = stays };

        try_plan (&next, &figures);
      }
  print_message ("# %s, %d in the load: %u runs, %u calls failed, %u operations reported it\n",
                 fault_call_get_name (kind), total, figures.runs, figures.calls, figures.errors);
  assert_true (figures.calls > 0);
  assert_true (figures.errors > 0 || !is_heard (kind));
}

/* ---- tests ---- */

static void
write_fails_with_an_error (void **state)
{
  fail_each (FAULT_CALL_WRITE, FAULT_IO);
}

static void
write_finds_no_room (void **state)
{
  fail_each (FAULT_CALL_WRITE, FAULT_FULL);
}

static void
write_meets_the_quota (void **state)
{
  fail_each (FAULT_CALL_WRITE, FAULT_QUOTA);
}

static void
taking_room_meets_the_quota (void **state)
{
  fail_each (FAULT_CALL_GROW, FAULT_QUOTA);
}

static void
write_is_short (void **state)
{
  fail_each (FAULT_CALL_WRITE, FAULT_SHORT);
}

static void
sync_fails (void **state)
{
  fail_each (FAULT_CALL_SYNC, FAULT_IO);
}

static void
sync_finds_no_room (void **state)
{
  fail_each (FAULT_CALL_SYNC, FAULT_FULL);
}

static void
open_fails (void **state)
{
  fail_each (FAULT_CALL_OPEN, FAULT_IO);
}

static void
open_finds_no_room (void **state)
{
  fail_each (FAULT_CALL_OPEN, FAULT_FULL);
}

static void
truncation_fails (void **state)
{
  fail_each (FAULT_CALL_TRUNCATE, FAULT_IO);
}

static void
room_for_the_database_is_not_there (void **state)
{
  fail_each (FAULT_CALL_GROW, FAULT_FULL);
}

static void
taking_room_fails (void **state)
{
  fail_each (FAULT_CALL_GROW, FAULT_IO);
}

static void
shared_memory_cannot_grow (void **state)
{
  fail_each (FAULT_CALL_MAP, FAULT_FULL);
}

static void
shared_memory_cannot_be_mapped (void **state)
{
  fail_each (FAULT_CALL_MAP, FAULT_IO);
}

static void
read_fails (void **state)
{
  fail_each (FAULT_CALL_READ, FAULT_IO);
}

static void
size_cannot_be_had (void **state)
{
  fail_each (FAULT_CALL_SIZE, FAULT_IO);
}

static void
deletion_fails (void **state)
{
  fail_each (FAULT_CALL_DELETE, FAULT_IO);
}

static void
pins_cannot_be_opened (void **state)
{
  fail_each (FAULT_CALL_PINS, FAULT_FULL);
  fail_each (FAULT_CALL_PINS, FAULT_IO);
}

#define CALLS_TEST(function) cmocka_unit_test_teardown (function, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    CALLS_TEST (write_fails_with_an_error),
    CALLS_TEST (write_finds_no_room),
    CALLS_TEST (write_meets_the_quota),
    CALLS_TEST (write_is_short),
    CALLS_TEST (sync_fails),
    CALLS_TEST (sync_finds_no_room),
    CALLS_TEST (open_fails),
    CALLS_TEST (open_finds_no_room),
    CALLS_TEST (truncation_fails),
    CALLS_TEST (room_for_the_database_is_not_there),
    CALLS_TEST (taking_room_fails),
    CALLS_TEST (taking_room_meets_the_quota),
    CALLS_TEST (shared_memory_cannot_grow),
    CALLS_TEST (shared_memory_cannot_be_mapped),
    CALLS_TEST (read_fails),
    CALLS_TEST (size_cannot_be_had),
    CALLS_TEST (deletion_fails),
    CALLS_TEST (pins_cannot_be_opened),
  };

  fault_vfs_install ();
  return cmocka_run_group_tests_name ("calls", tests, prepare, unprepare);
}
