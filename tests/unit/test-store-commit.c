/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#define THREADS 8
#define REPORTS 25

/* What a callback saw; one commit each. */
typedef struct
{
  GMutex     lock;
  GCond      called;
  guint      n_calls; /* protected by lock, as are the next */
  gint       code;    /* -1: no error */
  guint64    size;
  CauUpload *upload; /* borrowed */
} Call;

static void
call_init (Call *self)
{
  *self = (Call){ 0 };
  g_mutex_init (&self->lock);
  g_cond_init (&self->called);
}

static void
call_clear (Call *self)
{
  g_cond_clear (&self->called);
  g_mutex_clear (&self->lock);
}

static void
call_back (CauUpload *upload, const GError *error, gpointer user_data)
{
  Call          *self = user_data;
  CauUploadState state;

  cau_upload_get_state (upload, &state);
  g_mutex_lock (&self->lock);
  self->n_calls++;
  self->code = error != NULL ? error->code : -1;
  self->size = state.size;
  self->upload = upload;
  g_cond_signal (&self->called);
  g_mutex_unlock (&self->lock);
}

static void
call_wait (Call *self)
{
  g_mutex_lock (&self->lock);
  while (self->n_calls == 0)
    g_cond_wait (&self->called, &self->lock);
  g_mutex_unlock (&self->lock);
}

/* ---- without waiting ---- */

static void
async_commit_calls_back_once (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  Call call;

  call_init (&call);
  fixture_write_text (upload, 0, "text");
  cau_upload_commit_async (upload, call_back, &call);
  call_wait (&call);
  fixture_assert_text (f->store, f->id, "a", "text");
  assert_done (cau_store_sync (f->store, &error), &error);
  assert_int_equal (call.n_calls, 1);
  assert_int_equal (call.code, -1);
  assert_ptr_equal (call.upload, upload);
  assert_int_equal (call.size, 4);
  call_clear (&call);
}

static void
async_commit_of_nothing_calls_back (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = NULL;
  guint64 version;
  Call    call;

  fixture_save_text (f->store, f->id, "a", "text");
  version = fixture_version (f->store, f->id, "a");
  upload = fixture_begin (f->store, f->id, "a", 0);
  call_init (&call);
  cau_upload_commit_async (upload, call_back, &call);
  call_wait (&call);
  assert_int_equal (call.code, -1);
  assert_int_equal (fixture_version (f->store, f->id, "a"), version);
  call_clear (&call);
}

static void
async_commit_tells_its_error (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_NO_REPLACE);
  Call call;

  fixture_write_text (upload, 0, "late");
  fixture_save_text (f->store, f->id, "a", "first");
  call_init (&call);
  cau_upload_commit_async (upload, call_back, &call);
  call_wait (&call);
  assert_int_equal (call.code, CAU_STORE_ERROR_REFUSED);
  fixture_assert_text (f->store, f->id, "a", "first");
  call_clear (&call);
}

static void
upload_dropped_after_an_async_commit_is_saved (void **state)
{
  StoreFixture  *f = *state;
  FixtureCommits commits;
  g_autoptr (GBytes) bytes = fixture_bytes (1, 5 * STORED_CHUNK + 1);
  CauUpload *upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);

  fixture_commits_init (&commits);
  fixture_write (upload, 0, bytes);
  fixture_commits_add (&commits, upload);
  cau_upload_unref (upload);
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, 1);
  fixture_assert_report (f->store, f->id, "a", bytes);
  fixture_commits_clear (&commits);
}

static void
drop_reference (CauUpload *upload, const GError *error, gpointer user_data)
{
  call_back (upload, error, user_data);
  cau_upload_unref (upload);
}

static void
callback_may_drop_the_upload (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  Call          call;

  call_init (&call);
  fixture_write_text (upload, 0, "text");
  cau_upload_commit_async (upload, drop_reference, &call);
  call_wait (&call);
  fixture_assert_text (f->store, f->id, "a", "text");
  fixture_close (f);
  call_clear (&call);
}

static void
last_reference_to_the_store_may_go_in_a_callback (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  Call          call;

  call_init (&call);
  fixture_write_text (upload, 0, "text");
  fixture_close (f);
  cau_upload_commit_async (upload, drop_reference, &call);
  call_wait (&call);
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "text");
  call_clear (&call);
}

/* An append that others were faster than is put after theirs on a thread of its own. */
static void
last_reference_to_the_store_may_go_after_a_merge (void **state)
{
  StoreFixture *f = *state;
  CauUpload    *upload;
  Call          call;

  fixture_save_text (f->store, f->id, "a", "1");
  upload = fixture_begin (f->store, f->id, "a", 0);
  fixture_append_text (upload, "3");
  fixture_save_text (f->store, f->id, "a", "12");
  call_init (&call);
  fixture_close (f);
  cau_upload_commit_async (upload, drop_reference, &call);
  call_wait (&call);
  fixture_reopen (f, 0);
  fixture_assert_text (f->store, f->id, "a", "123");
  call_clear (&call);
}

static void
async_commits_of_one_upload_keep_their_order (void **state)
{
  StoreFixture  *f = *state;
  FixtureCommits commits;
  g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, "a", CAU_UPLOAD_TRUNCATE);
  g_autoptr (GString) expected = g_string_new (NULL);

  fixture_commits_init (&commits);
  for (guint i = 0; i < 50; i++)
    {
      g_autofree char *line = g_strdup_printf ("line %u\n", i);

      fixture_write_text (upload, expected->len, line);
      g_string_append (expected, line);
      fixture_commits_add (&commits, upload);
    }
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, 50);
  fixture_assert_text (f->store, f->id, "a", expected->str);
  fixture_commits_clear (&commits);
}

static void
sync_waits_for_commits_in_hand (void **state)
{
  StoreFixture  *f = *state;
  FixtureCommits commits;
  g_autoptr (GError) error = NULL;
  CauStoreStat stat;

  fixture_commits_init (&commits);
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u", i);
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, name, CAU_UPLOAD_TRUNCATE);

      fixture_write_text (upload, 0, name);
      fixture_commits_add (&commits, upload);
    }
  assert_done (cau_store_sync (f->store, &error), &error);
  assert_done (cau_store_stat (f->store, &stat, &error), &error);
  assert_int_equal (stat.n_reports, 100);
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, 100);
  fixture_commits_clear (&commits);
}

static void
closing_the_store_finishes_commits_in_hand (void **state)
{
  StoreFixture  *f = *state;
  FixtureCommits commits;
  g_autoptr (GPtrArray) names = NULL;

  fixture_commits_init (&commits);
  for (guint i = 0; i < 100; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u", i);
      g_autoptr (CauUpload) upload = fixture_begin (f->store, f->id, name, CAU_UPLOAD_TRUNCATE);

      fixture_write_text (upload, 0, name);
      fixture_commits_add (&commits, upload);
    }
  g_clear_pointer (&f->store, cau_store_unref); /* and not fixture_close(), which waits first */
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, 100);
  f->store = fixture_open (f, 0);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, 100);
  fixture_commits_clear (&commits);
}

static void
failure_in_a_group_is_of_one_alone (void **state)
{
  StoreFixture  *f = *state;
  FixtureCommits commits;
  g_autoptr (GPtrArray) names = NULL;

  fixture_commits_init (&commits);
  for (guint i = 0; i < 20; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u", i);
      g_autoptr (CauUpload) first = fixture_begin (f->store, f->id, name, CAU_UPLOAD_NO_REPLACE);
      g_autoptr (CauUpload) second = fixture_begin (f->store, f->id, name, CAU_UPLOAD_NO_REPLACE);

      fixture_write_text (first, 0, "first");
      fixture_write_text (second, 0, "second");
      fixture_commits_add (&commits, first);
      fixture_commits_add (&commits, second);
    }
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, 20);
  assert_int_equal (commits.n_failed, 20);
  assert_int_equal (commits.last_error->code, CAU_STORE_ERROR_REFUSED);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, 20);
  for (guint i = 0; i < names->len; i++)
    fixture_assert_text (f->store, f->id, g_ptr_array_index (names, i), "first");
  fixture_commits_clear (&commits);
}

/* ---- many at once ---- */

typedef struct
{
  CauStore       *store;
  guint64         id;
  FixtureCommits *commits; /* NULL: wait for each */
  gint            next;    /* number of the next thread; atomic, as n_failed */
  gint            n_failed;
} Savers;

static void
save_one (Savers *self, const char *name, GBytes *bytes)
{
  CauAttributes attributes = { .mode = 0644 };
  g_autoptr (CauUpload) upload =
    cau_store_begin_upload (self->store, self->id, name, CAU_UPLOAD_TRUNCATE, &attributes, NULL);
  gboolean ok =
    upload != NULL && cau_upload_write (upload, 0, g_bytes_get_data (bytes, NULL), g_bytes_get_size (bytes), NULL);

  if (ok && self->commits != NULL)
    fixture_commits_add (self->commits, upload);
  else if (ok)
    ok = cau_upload_commit (upload, NULL, NULL);
  if (!ok)
    g_atomic_int_inc (&self->n_failed);
}

static gpointer
save_in_thread (gpointer user_data)
{
  Savers *self = user_data;
  guint   number = (guint) g_atomic_int_add (&self->next, 1);

  for (guint i = 0; i < REPORTS; i++)
    {
      g_autofree char *name = g_strdup_printf ("%u-%u", number, i);
      g_autoptr (GBytes) bytes = fixture_bytes (number * 100 + i, 100 + i * 6000);

      save_one (self, name, bytes);
    }
  return NULL;
}

static void
save_from_threads (StoreFixture *f, FixtureCommits *commits)
{
  Savers   savers = { .store = f->store, .id = f->id, .commits = commits };
  GThread *threads[THREADS];

  for (guint i = 0; i < THREADS; i++)
    threads[i] = g_thread_new ("saver", save_in_thread, &savers);
  for (guint i = 0; i < THREADS; i++)
    g_thread_join (threads[i]);
  if (commits != NULL)
    fixture_commits_wait (commits);
  assert_int_equal (savers.n_failed, 0);
}

static void
assert_all_saved (StoreFixture *f)
{
  g_autoptr (GPtrArray) names = fixture_list (f->store, f->id, NULL);

  assert_int_equal (names->len, THREADS * REPORTS);
  for (guint number = 0; number < THREADS; number++)
    for (guint i = 0; i < REPORTS; i++)
      {
        g_autofree char *name = g_strdup_printf ("%u-%u", number, i);
        g_autoptr (GBytes) bytes = fixture_bytes (number * 100 + i, 100 + i * 6000);

        fixture_assert_report (f->store, f->id, name, bytes);
      }
}

static void
threads_that_wait_all_save (void **state)
{
  StoreFixture *f = *state;

  save_from_threads (f, NULL);
  assert_all_saved (f);
  fixture_reopen (f, 0);
  assert_all_saved (f);
}

static void
threads_that_do_not_wait_all_save (void **state)
{
  StoreFixture  *f = *state;
  FixtureCommits commits;

  fixture_commits_init (&commits);
  save_from_threads (f, &commits);
  assert_int_equal (commits.n_done, THREADS * REPORTS);
  fixture_commits_clear (&commits);
  assert_all_saved (f);
}

static gpointer
change_names_in_thread (gpointer user_data)
{
  Savers          *self = user_data;
  guint            number = (guint) g_atomic_int_add (&self->next, 1);
  g_autofree char *name = g_strdup_printf ("from-%u", number);
  g_autofree char *new_name = g_strdup_printf ("to-%u", number);

  for (guint i = 0; i < REPORTS; i++)
    {
      g_autoptr (GBytes) bytes = fixture_bytes (i, 1000);

      save_one (self, name, bytes);
      if (!cau_store_rename_report (self->store, self->id, name, self->id, new_name, CAU_RENAME_REPLACE, NULL))
        g_atomic_int_inc (&self->n_failed);
      if (i + 1 < REPORTS && !cau_store_remove_report (self->store, self->id, new_name, NULL))
        g_atomic_int_inc (&self->n_failed);
    }
  return NULL;
}

static void
threads_see_their_own_changes_in_order (void **state)
{
  StoreFixture *f = *state;
  Savers        savers = { .store = f->store, .id = f->id };
  GThread      *threads[4];
  g_autoptr (GPtrArray) names = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    threads[i] = g_thread_new ("changer", change_names_in_thread, &savers);
  for (guint i = 0; i < G_N_ELEMENTS (threads); i++)
    g_thread_join (threads[i]);
  assert_int_equal (savers.n_failed, 0);
  names = fixture_list (f->store, f->id, NULL);
  assert_int_equal (names->len, G_N_ELEMENTS (threads));
  assert_string_equal (g_ptr_array_index (names, 0), "to-0");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (async_commit_calls_back_once),
    STORE_TEST (async_commit_of_nothing_calls_back),
    STORE_TEST (async_commit_tells_its_error),
    STORE_TEST (upload_dropped_after_an_async_commit_is_saved),
    STORE_TEST (callback_may_drop_the_upload),
    STORE_TEST (last_reference_to_the_store_may_go_in_a_callback),
    STORE_TEST (last_reference_to_the_store_may_go_after_a_merge),
    STORE_TEST (async_commits_of_one_upload_keep_their_order),
    STORE_TEST (sync_waits_for_commits_in_hand),
    STORE_TEST (closing_the_store_finishes_commits_in_hand),
    STORE_TEST (failure_in_a_group_is_of_one_alone),
    STORE_TEST (threads_that_wait_all_save),
    STORE_TEST (threads_that_do_not_wait_all_save),
    STORE_TEST (threads_see_their_own_changes_in_order),
  };

  return cmocka_run_group_tests_name ("store-commit", tests, NULL, NULL);
}
