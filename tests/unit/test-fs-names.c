/* SPDX-License-Identifier: MIT */
#include "caufs-names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ORCHESTRATOR 1
#define USER 1001

#define MANY 20
#define TRIES 50

/* Files that are closed one after the other, for far longer than anybody waits for one of them. */
#define CLOSES 300
#define PAUSE (10 * G_TIME_SPAN_MILLISECOND)

typedef struct
{
  CaufsName  *name;
  CaufsSettle settles[CLOSES];
  gint        n_closed; /* atomic */
} Closer;

static gpointer
close_one_after_the_other (gpointer data)
{
  Closer *self = data;

  for (guint i = 0; i < CLOSES; i++)
    {
      caufs_settle_note (&self->settles[i], self->name);
      g_atomic_int_inc (&self->n_closed);
      g_usleep (PAUSE);
    }
  return NULL;
}

static void
wait_for_a_close_ends_when_its_release_comes (void **state)
{
  g_autoptr (CaufsNames) names = caufs_names_new ();
  CaufsName  *name = caufs_names_get (names, ORCHESTRATOR, "a");
  CaufsSettle settle = { 0 };

  caufs_settle_note (&settle, name);
  caufs_settle_end (&settle, name);
  caufs_names_wait_settled (names, USER, ORCHESTRATOR, "a");
  assert_false (settle.is_spent);
  caufs_name_unref (name);
}

static void
close_without_a_release_is_waited_for_once (void **state)
{
  g_autoptr (CaufsNames) names = caufs_names_new ();
  CaufsName  *name = caufs_names_get (names, ORCHESTRATOR, "a");
  CaufsSettle settle = { 0 };

  caufs_settle_note (&settle, name);
  caufs_names_wait_settled (names, USER, ORCHESTRATOR, "b");
  assert_false (settle.is_spent);
  caufs_names_wait_settled (names, USER, ORCHESTRATOR, NULL);
  assert_true (settle.is_spent);
  caufs_settle_note (&settle, name);
  assert_false (settle.is_noted);
  caufs_name_unref (name);
}

static void
closes_that_come_later_are_not_waited_for (void **state)
{
  g_autoptr (CaufsNames) names = caufs_names_new ();
  g_autofree Closer *closer = g_new0 (Closer, 1);
  GThread           *thread;

  closer->name = caufs_names_get (names, ORCHESTRATOR, "a");
  thread = g_thread_new ("closer", close_one_after_the_other, closer);
  while (g_atomic_int_get (&closer->n_closed) == 0)
    g_thread_yield ();
  caufs_names_wait_settled (names, USER, ORCHESTRATOR, NULL);
  assert_true (closer->settles[0].is_spent);
  assert_true (g_atomic_int_get (&closer->n_closed) < CLOSES);

  g_thread_join (thread);
  for (guint i = 0; i < CLOSES; i++)
    caufs_settle_end (&closer->settles[i], closer->name);
  caufs_name_unref (closer->name);
}

typedef struct
{
  CaufsNames *names;
  uid_t       uid;
  gint        n_done; /* atomic */
} Askers;

static gpointer
ask (gpointer data)
{
  Askers *self = data;

  caufs_names_wait_settled (self->names, self->uid, ORCHESTRATOR, "a");
  g_atomic_int_inc (&self->n_done);
  return NULL;
}

static void
start_askers (Askers *askers, GThread **threads, guint n)
{
  for (guint i = 0; i < n; i++)
    threads[i] = g_thread_new ("asker", ask, askers);
}

static void
join_all (GThread **threads, guint n)
{
  for (guint i = 0; i < n; i++)
    g_thread_join (threads[i]);
}

/* Whether one of MANY askers is answered before the close expires, while an asker of another user is not. */
static gboolean
try_to_hold_all_threads (CaufsNames *names, CaufsName *name)
{
  CaufsSettle settle = { 0 };
  Askers      mine = { .names = names, .uid = USER }, other = { .names = names, .uid = USER + 1 };
  GThread    *threads[MANY], *other_thread[1];
  gboolean    is_answered;
  gint        n_others;

  caufs_settle_note (&settle, name);
  start_askers (&mine, threads, MANY);
  start_askers (&other, other_thread, 1);
  while (g_atomic_int_get (&mine.n_done) == 0)
    g_thread_yield ();
  n_others = g_atomic_int_get (&other.n_done);
  is_answered = g_get_monotonic_time () < settle.deadline;
  if (is_answered)
    assert_int_equal (n_others, 0);
  join_all (threads, MANY);
  join_all (other_thread, 1);
  caufs_settle_end (&settle, name);
  return is_answered;
}

static void
one_user_cannot_hold_all_threads (void **state)
{
  g_autoptr (CaufsNames) names = caufs_names_new ();
  CaufsName *name = caufs_names_get (names, ORCHESTRATOR, "a");
  gboolean   is_answered = FALSE;

  /* On a machine that takes longer to start threads than a close is waited for nothing is seen. */
  for (guint i = 0; i < TRIES && !is_answered; i++)
    is_answered = try_to_hold_all_threads (names, name);
  assert_true (is_answered);
  caufs_name_unref (name);
}

static void
closes_that_expired_slow_down_nobody (void **state)
{
  g_autoptr (CaufsNames) names = caufs_names_new ();
  CaufsName  *name = caufs_names_get (names, ORCHESTRATOR, "a");
  CaufsSettle settle = { 0 };

  caufs_settle_note (&settle, name);
  settle.deadline = g_get_monotonic_time ();
  caufs_names_wait_settled (names, USER, ORCHESTRATOR, "b");
  assert_false (settle.is_noted);
  assert_false (settle.is_spent);
  caufs_name_unref (name);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (wait_for_a_close_ends_when_its_release_comes),
    cmocka_unit_test (close_without_a_release_is_waited_for_once),
    cmocka_unit_test (closes_that_come_later_are_not_waited_for),
    cmocka_unit_test (closes_that_expired_slow_down_nobody),
    cmocka_unit_test (one_user_cannot_hold_all_threads),
  };

  return cmocka_run_group_tests_name ("fs-names", tests, NULL, NULL);
}
