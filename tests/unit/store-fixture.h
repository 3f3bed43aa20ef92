/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the store share: a store of its own for each test, and short words for saving a
 * report, reading it back and comparing. Every helper fails the running test when the store does;
 * none may be called from a thread other than the one that runs the test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cau-store.h"

/* Bytes of a chunk as the embedded engine stores it: slips show at its multiples. */
#define STORED_CHUNK ((gsize) 131072)

/* The orchestrator that the fixture makes. */
#define FIXTURE_GUID "0f6e1d2c-3b4a-4958-8776-a5b4c3d2e1f0"

typedef struct
{
  char     *dir;   /* temporary; the teardown removes it with all that is in it */
  char     *path;  /* of the store, in dir */
  CauStore *store; /* open for writing; a test may close it and set NULL */
  CauGuid   guid;
  guint64   id; /* of the orchestrator FIXTURE_GUID */
} StoreFixture;

int fixture_setup (void **state);
int fixture_teardown (void **state);

#define STORE_TEST(function) cmocka_unit_test_setup_teardown (function, fixture_setup, fixture_teardown)

/* Closes the fixture's store if it is open: on return its files are closed, but for what readers, uploads and
 * cursors of the test still hold. */
void fixture_close (StoreFixture *self);
/* The same, and opens it again with @flags. */
void fixture_reopen (StoreFixture *self, CauStoreOpenFlags flags);

/* Opens the fixture's store once more. Returns: (transfer full). */
CauStore *fixture_open (StoreFixture *self, CauStoreOpenFlags flags);

/* Asserts that @call succeeded and left @error alone, or that it failed with @code and a message of
 * one line, and clears @error. */
#define assert_done(call, error) fixture_assert_done ((call) ? TRUE : FALSE, (error), #call, __FILE__, __LINE__)
#define assert_failed(call, error, code) \
  fixture_assert_failed ((call) ? TRUE : FALSE, (error), (code), #call, __FILE__, __LINE__)
#define assert_bytes_equal(actual, expected) fixture_assert_bytes_equal ((actual), (expected), __FILE__, __LINE__)

void fixture_assert_done (gboolean ok, GError **error, const char *call, const char *file, int line);
void fixture_assert_failed (gboolean ok, GError **error, CauStoreError code, const char *call, const char *file,
                            int line);
void fixture_assert_bytes_equal (GBytes *actual, GBytes *expected, const char *file, int line);

/* Mode 0640, uid 1001, gid 1002. */
CauAttributes fixture_attributes (void);
CauGuid       fixture_guid (const char *text);
guint64       fixture_create_orchestrator (CauStore *store, const char *guid);

/* @length bytes that @seed decides: stretches that compress and stretches that do not. */
GBytes *fixture_bytes (guint32 seed, gsize length);
/* @length bytes that do not compress, and are stored as they are. */
GBytes *fixture_dense_bytes (guint32 seed, gsize length);
GBytes *fixture_text (const char *text);

/* The seed for a test of random operations, printed: CAU_TEST_SEED if set, else a new one. */
guint32 fixture_seed (void);

/* How much a test does: CAU_TEST_ROUNDS or CAU_TEST_SECONDS if set, else @normally. */
guint fixture_rounds (guint normally);
guint fixture_seconds (guint normally);

/* The most memory that the process has had since it was asked to forget that, in bytes. */
guint64 fixture_peak_memory (void);
void    fixture_forget_peak_memory (void);

/* What it may be more than the code under test needs: sanitizers keep what was freed for a while, to see it used. */
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define FIXTURE_MEMORY_SLACK ((guint64) 1 << 30)
#else
#define FIXTURE_MEMORY_SLACK ((guint64) 0)
#endif

/* ---- whole reports ---- */

void    fixture_save (CauStore *store, guint64 id, const char *name, GBytes *bytes);
void    fixture_save_text (CauStore *store, guint64 id, const char *name, const char *text);
GBytes *fixture_load (CauStore *store, guint64 id, const char *name);
void    fixture_remove (CauStore *store, guint64 id, const char *name);

/* The version that @name leads to. */
guint64 fixture_version (CauStore *store, guint64 id, const char *name);

/* Asserts that @name leads to @expected, and that the report's SHA-256 is theirs. */
void fixture_assert_report (CauStore *store, guint64 id, const char *name, GBytes *expected);
void fixture_assert_text (CauStore *store, guint64 id, const char *name, const char *expected);

/* Asserts that @name leads nowhere: not found, not listed. */
void fixture_assert_absent (CauStore *store, guint64 id, const char *name);

/* The names that the cursor meets after @after. Returns: (transfer full) (element-type utf8). */
GPtrArray *fixture_list (CauStore *store, guint64 id, const char *after);

/* ---- readers and uploads ---- */

CauReader *fixture_get_report (CauStore *store, guint64 id, const char *name, guint64 chunk_size);
GBytes    *fixture_read (CauReader *reader);

CauUpload *fixture_begin (CauStore *store, guint64 id, const char *name, CauUploadFlags flags);
void       fixture_write (CauUpload *upload, guint64 offset, GBytes *bytes);
void       fixture_write_text (CauUpload *upload, guint64 offset, const char *text);
void       fixture_append_text (CauUpload *upload, const char *text);
void       fixture_truncate (CauUpload *upload, guint64 size);
void       fixture_commit (CauUpload *upload);

/* What @upload reads back. */
GBytes *fixture_read_upload (CauUpload *upload);
void    fixture_assert_upload_text (CauUpload *upload, const char *expected);

/* ---- commits that nobody waits for one by one ---- */

typedef struct
{
  GMutex  lock;
  GCond   changed;
  guint   n_pending; /* commits handed in and not called back; protected by lock, as are the next */
  guint   n_done;
  guint   n_failed;
  GError *last_error; /* owned */
} FixtureCommits;

void fixture_commits_init (FixtureCommits *self);
void fixture_commits_clear (FixtureCommits *self);

/* Hands in a commit of @upload; any thread. */
void fixture_commits_add (FixtureCommits *self, CauUpload *upload);

/* Waits until all commits that were handed in called back. */
void fixture_commits_wait (FixtureCommits *self);

/* Saves the reports "report-00000" to @n - 1, each with its own name as its bytes. */
void fixture_save_many (CauStore *store, guint64 id, guint n);
