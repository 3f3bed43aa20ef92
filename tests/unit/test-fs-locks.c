/* SPDX-License-Identifier: MIT */
/* Whose locks go when, without a kernel that would choose the numbers of owners. */
#include "caufs-locks.h"

#include <errno.h>
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

#define USER 1001

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

/* Locks that do not touch, of user @uid, until there are too many; how many could be set. */
static guint
set_many (Fixture *f, uid_t uid, guint64 owner, guint max)
{
  guint n = 0;

  while (n < max)
    {
      CaufsLock lock = lock_of (owner, &f->reader, F_RDLCK, 2 * n, 2 * n);

      lock.uid = uid;
      if (set (f, lock) != 0)
        return n;
      n++;
    }
  return n;
}

static void
one_user_gets_half_of_the_locks_of_a_report (void **state)
{
  Fixture *f = *state;

  assert_int_equal (set_many (f, USER, FIRST, 2000), 512);
  assert_int_equal (set_many (f, 0, SECOND, 2000), 512);
  caufs_locks_release_owner (f->locks, f->list, FIRST);
  assert_int_equal (set_many (f, 0, SECOND, 2000), 1024);
}

static void
one_user_gets_half_of_all_locks (void **state)
{
  Fixture       *f = *state;
  CaufsLockList *first = f->list;
  CaufsLockList *lists[65];
  guint          n = 0;

  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    {
      f->list = lists[i] = caufs_lock_list_new ();
      n += set_many (f, USER, FIRST, 512);
    }
  assert_int_equal (n, 32768);
  assert_int_equal (set_many (f, 0, SECOND, 10), 10);
  /* What goes with its report counts no more. */
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    caufs_lock_list_free (lists[i]);
  f->list = first;
  assert_int_equal (set_many (f, USER, FIRST, 2000), 512);
}

static void
locks_count_to_who_set_them_last (void **state)
{
  Fixture  *f = *state;
  CaufsLock all = lock_of (FIRST, &f->reader, F_WRLCK, 0, 5000);
  CaufsLock middle = lock_of (FIRST, &f->reader, F_UNLCK, 100, 200);

  assert_int_equal (set_many (f, USER, FIRST, 512), 512);
  assert_int_equal (set (f, all), 0);
  middle.uid = USER;
  assert_int_equal (set (f, middle), 0);
  caufs_locks_release_owner (f->locks, f->list, FIRST);
  assert_int_equal (set_many (f, USER, FIRST, 2000), 512);
  assert_int_equal (set_many (f, 0, SECOND, 2000), 512);
}

static void
forget_wait (CaufsLockWait *wait, int result)
{
  wait->result = result;
}

static void
one_user_gets_half_of_what_may_wait (void **state)
{
  Fixture                  *f = *state;
  CaufsLock                 wanted = lock_of (SECOND, &f->reader, F_WRLCK, 0, 0);
  g_autofree CaufsLockWait *waits = g_new0 (CaufsLockWait, 4096);
  guint                     n = 0;

  assert_int_equal (set (f, lock_of (FIRST, &f->writer, F_WRLCK, 0, 0)), 0);
  wanted.uid = USER;
  for (guint i = 0; i < 4096; i++)
    waits[i].done = forget_wait;
  while (n < 4096 && caufs_locks_set (f->locks, f->list, CAUFS_LOCK_POSIX, &wanted, &waits[n]) == CAUFS_LOCK_WAITS)
    n++;
  assert_int_equal (n, 2048);
  wanted.uid = 0;
  assert_int_equal (caufs_locks_set (f->locks, f->list, CAUFS_LOCK_POSIX, &wanted, &waits[n]), CAUFS_LOCK_WAITS);
  assert_true (caufs_locks_cancel (f->locks, &waits[0]));
  wanted.uid = USER;
  assert_int_equal (caufs_locks_set (f->locks, f->list, CAUFS_LOCK_POSIX, &wanted, &waits[n + 1]), CAUFS_LOCK_WAITS);
  caufs_locks_shut_down (f->locks, -ENOTCONN);
  assert_int_equal (waits[n].result, -ENOTCONN);
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
    cmocka_unit_test_setup_teardown (one_user_gets_half_of_the_locks_of_a_report, set_up, tear_down),
    cmocka_unit_test_setup_teardown (one_user_gets_half_of_all_locks, set_up, tear_down),
    cmocka_unit_test_setup_teardown (locks_count_to_who_set_them_last, set_up, tear_down),
    cmocka_unit_test_setup_teardown (one_user_gets_half_of_what_may_wait, set_up, tear_down),
    cmocka_unit_test_setup_teardown (lock_that_lingers_goes_alone, set_up, tear_down),
    cmocka_unit_test_setup_teardown (lock_whose_end_would_be_told_outlives_the_process_that_set_it, set_up, tear_down),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
