/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include "scratch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the store of a test ---- */

int
fixture_setup (void **state)
{
  StoreFixture *self = g_new0 (StoreFixture, 1);
  g_autoptr (GError) error = NULL;

  g_log_set_always_fatal (G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING);
  self->dir = g_dir_make_tmp ("cau-store-XXXXXX", &error);
  assert_non_null (self->dir);
  self->path = g_build_filename (self->dir, "store.db", NULL);
  self->store = fixture_open (self, CAU_STORE_OPEN_CREATE);
  self->guid = fixture_guid (FIXTURE_GUID);
  self->id = fixture_create_orchestrator (self->store, FIXTURE_GUID);
  *state = self;
  return 0;
}

int
fixture_teardown (void **state)
{
  StoreFixture *self = *state;
  gboolean      ok;

  fixture_close (self);
  ok = scratch_remove (self->dir);
  g_free (self->path);
  g_free (self->dir);
  g_free (self);
  return ok ? 0 : -1;
}

void
fixture_close (StoreFixture *self)
{
  g_autoptr (GError) error = NULL;

  if (self->store == NULL)
    return;
  assert_done (cau_store_sync (self->store, &error), &error);
  g_clear_pointer (&self->store, cau_store_unref);
}

void
fixture_reopen (StoreFixture *self, CauStoreOpenFlags flags)
{
  fixture_close (self);
  self->store = fixture_open (self, flags);
}

CauStore *
fixture_open (StoreFixture *self, CauStoreOpenFlags flags)
{
  g_autoptr (GError) error = NULL;
  CauStore *store = cau_store_open (self->path, flags, &error);

  assert_done (store != NULL, &error);
  return store;
}

/* ---- assertions ---- */

void
fixture_assert_done (gboolean ok, GError **error, const char *call, const char *file, int line)
{
  if (ok && *error == NULL)
    return;
  if (ok)
    print_error ("%s succeeded and set an error: %s\n", call, (*error)->message);
  else
    print_error ("%s failed: %s\n", call, *error != NULL ? (*error)->message : "no error was set");
  _fail (file, line);
}

void
fixture_assert_failed (gboolean ok, GError **error, CauStoreError code, const char *call, const char *file, int line)
{
  if (ok || *error == NULL)
    {
      print_error ("%s %s, where the error %d was due\n", call, ok ? "succeeded" : "set no error", (int) code);
      _fail (file, line);
    }
  else if (!g_error_matches (*error, CAU_STORE_ERROR, (gint) code))
    {
      print_error ("%s failed with %s %d, not %d: %s\n", call, g_quark_to_string ((*error)->domain), (*error)->code,
                   (int) code, (*error)->message);
      _fail (file, line);
    }
  else if ((*error)->message[0] == '\0' || strchr ((*error)->message, '\n') != NULL)
    {
      print_error ("%s: the message is not one line: \"%s\"\n", call, (*error)->message);
      _fail (file, line);
    }
  g_clear_error (error);
}

static gsize
first_difference (const guint8 *a, const guint8 *b, gsize length)
{
  gsize i = 0;

  while (i < length && a[i] == b[i])
    i++;
  return i;
}

void
fixture_assert_bytes_equal (GBytes *actual, GBytes *expected, const char *file, int line)
{
  gsize         actual_size, expected_size;
  const guint8 *a = g_bytes_get_data (actual, &actual_size);
  const guint8 *b = g_bytes_get_data (expected, &expected_size);

  if (g_bytes_equal (actual, expected))
    return;
  print_error ("%zu bytes where %zu were due; they differ from byte %zu on\n", actual_size, expected_size,
               first_difference (a, b, MIN (actual_size, expected_size)));
  _fail (file, line);
}

/* ---- values ---- */

CauAttributes
fixture_attributes (void)
{
  return (CauAttributes){ .mode = 0640, .uid = 1001, .gid = 1002 };
}

CauGuid
fixture_guid (const char *text)
{
  g_autoptr (GError) error = NULL;
  CauGuid guid;

  assert_done (cau_guid_parse (text, &guid, &error), &error);
  return guid;
}

guint64
fixture_create_orchestrator (CauStore *store, const char *guid)
{
  g_autoptr (GError) error = NULL;
  CauGuid             key = fixture_guid (guid);
  CauAttributes       attributes = fixture_attributes ();
  CauOrchestratorInfo info;

  assert_done (cau_store_create_orchestrator (store, &key, &attributes, &info, &error), &error);
  return info.id;
}

GBytes *
fixture_bytes (guint32 seed, gsize length)
{
  guint8 *data = g_malloc (length);
  guint32 x = seed * 2654435761U + 1;

  for (gsize i = 0; i < length; i++)
    {
      x = x * 1664525U + 1013904223U;
      data[i] = (i / 4096) % 2 == 0 ? (guint8) (x >> 24) : (guint8) (i / 64 + seed);
    }
  return g_bytes_new_take (data, length);
}

GBytes *
fixture_dense_bytes (guint32 seed, gsize length)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (seed);
  gsize    words = length / sizeof (guint32) + 1;
  guint32 *data = g_new (guint32, words);

  for (gsize i = 0; i < words; i++)
    data[i] = g_rand_int (rand);
  return g_bytes_new_take (data, length);
}

GBytes *
fixture_text (const char *text)
{
  return g_bytes_new (text, strlen (text));
}

guint32
fixture_seed (void)
{
  const char *text = g_getenv ("CAU_TEST_SEED");
  guint32     seed = text != NULL ? (guint32) g_ascii_strtoull (text, NULL, 0) : g_random_int ();

  print_message ("# CAU_TEST_SEED=%u\n", seed);
  return seed;
}

static guint
number_of_environment (const char *name, guint normally)
{
  const char *text = g_getenv (name);

  return text != NULL && *text != '\0' ? (guint) g_ascii_strtoull (text, NULL, 10) : normally;
}

guint
fixture_rounds (guint normally)
{
  return number_of_environment ("CAU_TEST_ROUNDS", normally);
}

guint
fixture_seconds (guint normally)
{
  return number_of_environment ("CAU_TEST_SECONDS", normally);
}

/* ---- whole reports ---- */

void
fixture_save (CauStore *store, guint64 id, const char *name, GBytes *bytes)
{
  g_autoptr (CauUpload) upload = fixture_begin (store, id, name, CAU_UPLOAD_TRUNCATE);

  fixture_write (upload, 0, bytes);
  fixture_commit (upload);
}

void
fixture_save_text (CauStore *store, guint64 id, const char *name, const char *text)
{
  g_autoptr (GBytes) bytes = fixture_text (text);

  fixture_save (store, id, name, bytes);
}

GBytes *
fixture_load (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (CauReader) reader = fixture_get_report (store, id, name, STORED_CHUNK);

  return fixture_read (reader);
}

void
fixture_remove (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_store_remove_report (store, id, name, &error), &error);
}

guint64
fixture_version (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;

  assert_done (cau_store_find_report (store, id, name, &info, &error), &error);
  return info.version;
}

static void
assert_digest (const CauReportInfo *info, GBytes *bytes)
{
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  guint8 digest[CAU_SHA256_LEN];
  gsize  length = sizeof digest;

  g_checksum_update (checksum, g_bytes_get_data (bytes, NULL), (gssize) g_bytes_get_size (bytes));
  g_checksum_get_digest (checksum, digest, &length);
  assert_memory_equal (info->sha256, digest, sizeof digest);
}

void
fixture_assert_report (CauStore *store, guint64 id, const char *name, GBytes *expected)
{
  g_autoptr (CauReader) reader = fixture_get_report (store, id, name, STORED_CHUNK);
  g_autoptr (GBytes) actual = fixture_read (reader);

  assert_bytes_equal (actual, expected);
  assert_digest (cau_reader_get_info (reader), expected);
}

void
fixture_assert_text (CauStore *store, guint64 id, const char *name, const char *expected)
{
  g_autoptr (GBytes) bytes = fixture_text (expected);

  fixture_assert_report (store, id, name, bytes);
}

void
fixture_assert_absent (CauStore *store, guint64 id, const char *name)
{
  g_autoptr (GError) error = NULL;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  g_autoptr (GPtrArray) names = fixture_list (store, id, NULL);

  assert_failed (cau_store_find_report (store, id, name, &info, &error), &error, CAU_STORE_ERROR_NOT_FOUND);
  assert_false (g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL));
}

GPtrArray *
fixture_list (CauStore *store, guint64 id, const char *after)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, id, after, &error);
  GPtrArray           *names = g_ptr_array_new_with_free_func (g_free);
  const CauReportInfo *info;

  assert_done (ids != NULL, &error);
  while ((info = cau_report_ids_next (ids, &error)) != NULL)
    g_ptr_array_add (names, g_strdup (info->name));
  assert_done (info == NULL, &error);
  return names;
}

/* ---- readers and uploads ---- */

CauReader *
fixture_get_report (CauStore *store, guint64 id, const char *name, guint64 chunk_size)
{
  g_autoptr (GError) error = NULL;
  CauReader *reader = cau_store_get_report (store, id, name, chunk_size, &error);

  assert_done (reader != NULL, &error);
  return reader;
}

GBytes *
fixture_read (CauReader *reader)
{
  g_autoptr (GError) error = NULL;
  gsize              size = (gsize) cau_reader_get_info (reader)->size;
  g_autofree guint8 *data = g_malloc (size + 1);
  gsize              n_read = 0;

  assert_done (cau_reader_read (reader, 0, data, size + 1, &n_read, &error), &error);
  return g_bytes_new (data, n_read);
}

CauUpload *
fixture_begin (CauStore *store, guint64 id, const char *name, CauUploadFlags flags)
{
  g_autoptr (GError) error = NULL;
  CauAttributes attributes = fixture_attributes ();
  CauUpload    *upload = cau_store_begin_upload (store, id, name, flags, &attributes, &error);

  assert_done (upload != NULL, &error);
  return upload;
}

void
fixture_write (CauUpload *upload, guint64 offset, GBytes *bytes)
{
  g_autoptr (GError) error = NULL;
  gsize       length;
  const void *data = g_bytes_get_data (bytes, &length);

  assert_done (cau_upload_write (upload, offset, data, length, &error), &error);
}

void
fixture_write_text (CauUpload *upload, guint64 offset, const char *text)
{
  g_autoptr (GBytes) bytes = fixture_text (text);

  fixture_write (upload, offset, bytes);
}

void
fixture_append_text (CauUpload *upload, const char *text)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_upload_append (upload, text, strlen (text), &error), &error);
}

void
fixture_truncate (CauUpload *upload, guint64 size)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_upload_truncate (upload, size, &error), &error);
}

void
fixture_commit (CauUpload *upload)
{
  g_autoptr (GError) error = NULL;

  assert_done (cau_upload_commit (upload, NULL, &error), &error);
}

GBytes *
fixture_read_upload (CauUpload *upload)
{
  g_autoptr (GError) error = NULL;
  CauUploadState     state;
  g_autofree guint8 *data = NULL;
  gsize              n_read = 0;

  cau_upload_get_state (upload, &state);
  data = g_malloc ((gsize) state.size + 1);
  assert_done (cau_upload_read (upload, 0, data, (gsize) state.size + 1, &n_read, &error), &error);
  assert_int_equal (n_read, state.size);
  return g_bytes_new (data, n_read);
}

void
fixture_assert_upload_text (CauUpload *upload, const char *expected)
{
  g_autoptr (GBytes) bytes = fixture_text (expected);
  g_autoptr (GBytes) actual = fixture_read_upload (upload);

  assert_bytes_equal (actual, bytes);
}

/* ---- commits that nobody waits for one by one ---- */

void
fixture_commits_init (FixtureCommits *self)
{
  memset (self, 0, sizeof *self);
  g_mutex_init (&self->lock);
  g_cond_init (&self->changed);
}

void
fixture_commits_clear (FixtureCommits *self)
{
  g_clear_error (&self->last_error);
  g_cond_clear (&self->changed);
  g_mutex_clear (&self->lock);
}

static void
commit_called_back (CauUpload *upload G_GNUC_UNUSED, const GError *error, gpointer user_data)
{
  FixtureCommits *self = user_data;

  g_mutex_lock (&self->lock);
  self->n_pending--;
  if (error == NULL)
    self->n_done++;
  else
    {
      self->n_failed++;
      g_clear_error (&self->last_error);
      self->last_error = g_error_copy (error);
    }
  g_cond_broadcast (&self->changed);
  g_mutex_unlock (&self->lock);
}

void
fixture_commits_add (FixtureCommits *self, CauUpload *upload)
{
  g_mutex_lock (&self->lock);
  self->n_pending++;
  g_mutex_unlock (&self->lock);
  cau_upload_commit_async (upload, commit_called_back, self);
}

void
fixture_commits_wait (FixtureCommits *self)
{
  g_mutex_lock (&self->lock);
  while (self->n_pending > 0)
    g_cond_wait (&self->changed, &self->lock);
  g_mutex_unlock (&self->lock);
}

void
fixture_save_many (CauStore *store, guint64 id, guint n)
{
  FixtureCommits commits;

  fixture_commits_init (&commits);
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%05u", i);
      g_autoptr (CauUpload) upload = fixture_begin (store, id, name, CAU_UPLOAD_TRUNCATE);

      fixture_write_text (upload, 0, name);
      fixture_commits_add (&commits, upload);
    }
  fixture_commits_wait (&commits);
  assert_int_equal (commits.n_done, n);
  fixture_commits_clear (&commits);
}

/* ---- memory ---- */

/* See proc(5), clear_refs. */
guint64
fixture_peak_memory (void)
{
  g_autofree char *status = NULL;
  const char      *found;

  assert_true (g_file_get_contents ("/proc/self/status", &status, NULL, NULL));
  found = strstr (status, "VmHWM:");
  assert_non_null (found);
  return g_ascii_strtoull (found + strlen ("VmHWM:"), NULL, 10) * 1024;
}

void
fixture_forget_peak_memory (void)
{
  FILE *file = fopen ("/proc/self/clear_refs", "w");

  assert_non_null (file);
  assert_true (fputs ("5", file) >= 0);
  assert_int_equal (fclose (file), 0);
}
