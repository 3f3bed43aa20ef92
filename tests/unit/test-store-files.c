/* SPDX-License-Identifier: MIT */
#include "store-fixture.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *
beside (StoreFixture *f, const char *suffix)
{
  return g_strconcat (f->dir, "/new.db", suffix, NULL);
}

static mode_t
mode_of (const char *path)
{
  struct stat st;

  if (lstat (path, &st) != 0)
    fail_msg ("%s is not there", path);
  return st.st_mode & 07777;
}

/* Opens the store new.db, which must work, and saves a report. */
static CauStore *
open_new (StoreFixture *f)
{
  g_autofree char *path = beside (f, "");
  g_autoptr (GError) error = NULL;
  CauStore *store = cau_store_open (path, CAU_STORE_OPEN_CREATE, &error);

  assert_done (store != NULL, &error);
  return store;
}

static void
save_one (CauStore *store)
{
  guint64 id = fixture_create_orchestrator (store, FIXTURE_GUID);

  fixture_save_text (store, id, "a", "text");
}

static void
assert_refused (StoreFixture *f, CauStoreOpenFlags flags, const char *word)
{
  g_autofree char *path = beside (f, "");
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (path, flags, &error);

  assert_null (store);
  assert_non_null (error);
  if (strstr (error->message, word) == NULL)
    fail_msg ("'%s' does not say '%s'", error->message, word);
}

/* ---- modes ---- */

static void
new_store_is_for_its_owner_alone_whatever_the_umask (void **state)
{
  static const char *const suffixes[] = { "", "-wal", "-shm", "-pins" };
  const mode_t             old = umask (0);
  g_autoptr (CauStore) store = open_new (*state);

  save_one (store);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = beside (*state, suffixes[i]);

      assert_int_equal (mode_of (path), 0600);
    }
  umask (old);
}

static void
other_files_take_after_a_store_that_is_shared (void **state)
{
  g_autofree char *path = beside (*state, ""), *pins = beside (*state, "-pins"), *wal = beside (*state, "-wal");
  CauStore        *store = open_new (*state);

  cau_store_unref (store);
  assert_int_equal (chmod (path, 0660), 0);
  assert_int_equal (unlink (pins), 0);
  store = open_new (*state);
  save_one (store);
  assert_int_equal (mode_of (pins), 0660);
  assert_int_equal (mode_of (wal), 0660);
  cau_store_unref (store);
}

/* Who can read the pins can lock them, and nothing would ever be collected. */
static void
pins_that_are_open_to_more_users_than_the_store_are_closed (void **state)
{
  g_autofree char *pins = beside (*state, "-pins");

  cau_store_unref (open_new (*state));
  assert_int_equal (chmod (pins, 0644), 0);
  cau_store_unref (open_new (*state));
  assert_int_equal (mode_of (pins), 0600);
}

static void
root_leaves_a_users_store_to_the_user (void **state)
{
  static const char *const suffixes[] = { "-wal", "-shm", "-pins" };
  g_autofree char         *path = beside (*state, ""), *pins = beside (*state, "-pins");
  g_autoptr (CauStore) store = NULL;

  if (geteuid () != 0)
    return; /* only root can be in the way of a user */
  cau_store_unref (open_new (*state));
  assert_int_equal (unlink (pins), 0);
  assert_int_equal (chown (path, 65534, 65534), 0);
  store = open_new (*state);
  save_one (store);
  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *other = beside (*state, suffixes[i]);
      struct stat      st;

      assert_int_equal (stat (other, &st), 0);
      assert_int_equal (st.st_uid, 65534);
      assert_int_equal (st.st_gid, 65534);
    }
}

/* ---- what somebody put there before ---- */

static void
store_is_not_made_through_a_link (void **state)
{
  g_autofree char *path = beside (*state, ""), *elsewhere = beside (*state, "-elsewhere");

  assert_int_equal (symlink (elsewhere, path), 0);
  assert_refused (*state, CAU_STORE_OPEN_CREATE, "symbolic link");
  assert_false (g_file_test (elsewhere, G_FILE_TEST_EXISTS));
}

static void
other_files_are_not_made_through_links (void **state)
{
  static const char *const suffixes[] = { "-wal", "-shm", "-pins" };

  for (guint i = 0; i < G_N_ELEMENTS (suffixes); i++)
    {
      g_autofree char *path = beside (*state, suffixes[i]), *elsewhere = beside (*state, "-elsewhere");

      cau_store_unref (open_new (*state));
      unlink (path);
      assert_int_equal (symlink (elsewhere, path), 0);
      assert_refused (*state, CAU_STORE_OPEN_CREATE, "new.db");
      assert_false (g_file_test (elsewhere, G_FILE_TEST_EXISTS));
      assert_int_equal (unlink (path), 0);
    }
}

static void
pins_that_are_a_pipe_are_refused_without_waiting (void **state)
{
  g_autofree char *pins = beside (*state, "-pins"), *path = beside (*state, "");
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = open_new (*state);
  CauStore *reader;
  g_autoptr (GArray) list = NULL;
  CauOrchestratorInfo info;

  save_one (store);
  g_clear_pointer (&store, cau_store_unref);
  assert_int_equal (unlink (pins), 0);
  assert_int_equal (mkfifo (pins, 0600), 0);
  assert_refused (*state, CAU_STORE_OPEN_CREATE, "no regular file");

  /* For reading a store needs no pins' file. */
  reader = cau_store_open (path, CAU_STORE_OPEN_READ_ONLY, &error);
  assert_done (reader != NULL, &error);
  list = cau_store_list_orchestrators (reader, NULL, 1, &error);
  assert_done (list != NULL, &error);
  info = g_array_index (list, CauOrchestratorInfo, 0);
  fixture_assert_text (reader, info.id, "a", "text");
  cau_store_unref (reader);
}

/* ---- the warning ---- */

static void
assert_exposure (CauStore *store, const char *word)
{
  g_autofree char *line = cau_store_describe_exposure (store);

  if (word == NULL)
    assert_null (line);
  else
    {
      assert_non_null (line);
      assert_non_null (strstr (line, word));
      assert_null (strchr (line, '\n'));
    }
}

static void
exposure_of_a_laxer_store_or_folder_is_described (void **state)
{
  StoreFixture    *f = *state;
  g_autofree char *path = beside (f, "");
  g_autoptr (CauStore) store = open_new (f);

  assert_int_equal (chmod (f->dir, 0755), 0);
  assert_exposure (store, NULL);
  assert_int_equal (chmod (path, 0604), 0);
  assert_exposure (store, "mode 0604");
  assert_int_equal (chmod (path, 0640), 0);
  assert_exposure (store, "mode 0640");
  assert_int_equal (chmod (path, 0600), 0);
  assert_int_equal (chmod (f->dir, 01777), 0);
  assert_exposure (store, "mode 1777");
  assert_int_equal (chmod (f->dir, 0700), 0);
  assert_exposure (store, NULL);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (new_store_is_for_its_owner_alone_whatever_the_umask),
    STORE_TEST (other_files_take_after_a_store_that_is_shared),
    STORE_TEST (pins_that_are_open_to_more_users_than_the_store_are_closed),
    STORE_TEST (root_leaves_a_users_store_to_the_user),
    STORE_TEST (store_is_not_made_through_a_link),
    STORE_TEST (other_files_are_not_made_through_links),
    STORE_TEST (pins_that_are_a_pipe_are_refused_without_waiting),
    STORE_TEST (exposure_of_a_laxer_store_or_folder_is_described),
  };

  return cmocka_run_group_tests_name ("store-files", tests, NULL, NULL);
}
