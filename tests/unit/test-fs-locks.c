/* SPDX-License-Identifier: MIT */
/* Whose locks go when, without a kernel that would choose the numbers of owners. */
#include "caufs-locks.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define FIRST 100
#define SECOND 200
#define THIRD 300

typedef struct
{
  CaufsLocks    *locks;
  CaufsLockList *list; /* of one report */
  int            reader;
  int            writer; /* two open files, of which the address counts */
} Fixture;

static int
set_up (void **state)
{
  Fixture *f = g_new0 (Fixture, 1);

  f->locks = caufs_locks_new ();
  f->list = caufs_lock_list_new ();
  *state = f;
  return 0;
}

static int
tear_down (void **state)
{
  Fixture *f = *state;

  caufs_lock_list_free (f->list);
  caufs_locks_free (f->locks);
  g_free (f);
  return 0;
}

static CaufsLock
lock_of (guint64 owner, gconstpointer file, int type, guint64 start, guint64 end)
{
  return (CaufsLock){ .owner = owner, .file = file, .type = type, .start = start, .end = end };
}

static int
set (Fixture *f, CaufsLock lock)
{
  return caufs_locks_set (f->locks, f->list, CAUFS_LOCK_POSIX, &lock, NULL);
}

/* Whether somebody else could not write byte @at. */
static gboolean
is_locked (Fixture *f, guint64 at)
{
  CaufsLock wanted = lock_of (THIRD, NULL, F_WRLCK, at, at);
  CaufsLock found;

  caufs_locks_get (f->locks, f->list, &wanted, &found);
  return found.type != F_UNLCK;
}

static void
release_takes_what_was_set_through_the_file (void **state)
{
  Fixture *f = *state;

  assert_int_equal (set (f, lock_of (FIRST, &f->reader, F_RDLCK, 0, 9)), 0);
  assert_int_equal (set (f, lock_of (SECOND, &f->reader, F_RDLCK, 20, 29)), 0);
  assert_int_equal (set (f, lock_of (SECOND, &f->writer, F_WRLCK, 40, 49)), 0);
  caufs_locks_release_file (f->locks, f->list, &f->reader);
  assert_false (is_locked (f, 5));
  assert_false (is_locked (f, 25));
  assert_true (is_locked (f, 45));
}

static void
release_leaves_a_lock_of_one_who_got_the_number_of_a_dead_owner (void **state)
{
  Fixture *f = *state;

  assert_int_equal (set (f, lock_of (FIRST, &f->reader, F_RDLCK, 0, 99)), 0);
  assert_int_equal (set (f, lock_of (FIRST, &f->writer, F_WRLCK, 10, 19)), 0);
  caufs_locks_release_file (f->locks, f->list, &f->reader);
  assert_false (is_locked (f, 9));
  assert_true (is_locked (f, 10));
  assert_true (is_locked (f, 19));
  assert_false (is_locked (f, 20));
}

static void
lock_belongs_to_the_file_it_was_last_set_through (void **state)
{
  Fixture *f = *state;

  assert_int_equal (set (f, lock_of (FIRST, &f->reader, F_RDLCK, 0, 9)), 0);
  assert_int_equal (set (f, lock_of (FIRST, &f->writer, F_RDLCK, 5, 14)), 0);
  caufs_locks_release_file (f->locks, f->list, &f->reader);
  assert_true (is_locked (f, 5));
  assert_true (is_locked (f, 14));
}

static pid_t
make_dead_process (void)
{
  pid_t pid = fork ();

  if (pid == 0)
    _exit (0);
  assert_int_equal (waitpid (pid, NULL, 0), pid);
  return pid;
}

static void
lock_that_lingers_goes_alone (void **state)
{
  Fixture  *f = *state;
  CaufsLock dead = lock_of (FIRST, &f->reader, F_RDLCK, 0, 9);

  dead.pid = make_dead_process ();
  dead.may_linger = TRUE;
  assert_int_equal (set (f, dead), 0);
  assert_int_equal (set (f, lock_of (FIRST, &f->writer, F_WRLCK, 20, 29)), 0);
  assert_false (is_locked (f, 5));
  assert_true (is_locked (f, 25));
}

static void
lock_whose_end_would_be_told_outlives_the_process_that_set_it (void **state)
{
  Fixture  *f = *state;
  CaufsLock lock = lock_of (FIRST, &f->writer, F_WRLCK, 0, 9);

  lock.pid = make_dead_process ();
  assert_int_equal (set (f, lock), 0);
  assert_true (is_locked (f, 5));
  caufs_locks_release_owner (f->locks, f->list, FIRST);
  assert_false (is_locked (f, 5));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (release_takes_what_was_set_through_the_file, set_up, tear_down),
    cmocka_unit_test_setup_teardown (release_leaves_a_lock_of_one_who_got_the_number_of_a_dead_owner, set_up,
                                     tear_down),
    cmocka_unit_test_setup_teardown (lock_belongs_to_the_file_it_was_last_set_through, set_up, tear_down),
    cmocka_unit_test_setup_teardown (lock_that_lingers_goes_alone, set_up, tear_down),
    cmocka_unit_test_setup_teardown (lock_whose_end_would_be_told_outlives_the_process_that_set_it, set_up, tear_down),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
