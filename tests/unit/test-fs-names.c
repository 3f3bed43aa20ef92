/* SPDX-License-Identifier: MIT */
#include "caufs-names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ORCHESTRATOR 1

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
  caufs_names_wait_settled (names, ORCHESTRATOR, "a");
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
  caufs_names_wait_settled (names, ORCHESTRATOR, "b");
  assert_false (settle.is_spent);
  caufs_names_wait_settled (names, ORCHESTRATOR, NULL);
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
  caufs_names_wait_settled (names, ORCHESTRATOR, NULL);
  assert_true (closer->settles[0].is_spent);
  assert_true (g_atomic_int_get (&closer->n_closed) < CLOSES);

  g_thread_join (thread);
  for (guint i = 0; i < CLOSES; i++)
    caufs_settle_end (&closer->settles[i], closer->name);
  caufs_name_unref (closer->name);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (wait_for_a_close_ends_when_its_release_comes),
    cmocka_unit_test (close_without_a_release_is_waited_for_once),
    cmocka_unit_test (closes_that_come_later_are_not_waited_for),
  };

  return cmocka_run_group_tests_name ("fs-names", tests, NULL, NULL);
}
