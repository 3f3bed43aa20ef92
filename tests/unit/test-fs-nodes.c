/* SPDX-License-Identifier: MIT */
/* The table of writers' nodes: what is kept for the kernel, and for how long. */
#include "caufs-nodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ORCHESTRATOR 7
#define MANY 5000

typedef struct
{
  CaufsNames *names;
  CaufsNodes *nodes;
} Fixture;

static int
set_up (void **state)
{
  Fixture *fixture = g_new0 (Fixture, 1);

  fixture->names = caufs_names_new ();
  fixture->nodes = caufs_nodes_new ();
  *state = fixture;
  return 0;
}

static int
tear_down (void **state)
{
  Fixture *fixture = *state;

  caufs_nodes_free (fixture->nodes);
  caufs_names_free (fixture->names);
  g_free (fixture);
  return 0;
}

/* What CREATE and RELEASE do to the table, or with a @ticket a LOOKUP that no OPEN followed. The kernel holds the node
 * when this returns. */
static guint64
use_node (Fixture *fixture, const struct stat *ticket)
{
  g_autoptr (CaufsName) name = caufs_names_get (fixture->names, ORCHESTRATOR, "report.xml");
  CaufsNode *node = caufs_nodes_add (fixture->nodes, name, NULL, ticket, NULL);
  guint64    ino = node->ino;

  caufs_node_add_lookup (node);
  caufs_node_unpin (node);
  return ino;
}

static gboolean
is_known (Fixture *fixture, guint64 ino)
{
  g_autoptr (CaufsNode) node = caufs_nodes_get (fixture->nodes, ino);

  return node != NULL;
}

static guint
count_known (Fixture *fixture, const guint64 *inos, guint n)
{
  guint known = 0;

  for (guint i = 0; i < n; i++)
    if (is_known (fixture, inos[i]))
      known++;
  return known;
}

static void
numbers_say_what_they_are_of (void **state)
{
  Fixture *fixture = *state;

  assert_int_equal (caufs_ino_get_kind (0), CAUFS_NODE_INVALID);
  assert_int_equal (caufs_ino_get_kind (1), CAUFS_NODE_ROOT);
  assert_int_equal (caufs_ino_get_kind (2), CAUFS_NODE_INVALID);
  assert_int_equal (caufs_ino_get_kind (3), CAUFS_NODE_INVALID);
  assert_int_equal (caufs_ino_of_orchestrator (CAU_STORE_ROOT_ID), 1);
  assert_int_equal (caufs_ino_get_kind (caufs_ino_of_orchestrator (5)), CAUFS_NODE_ORCHESTRATOR);
  assert_int_equal (caufs_ino_get_id (caufs_ino_of_orchestrator (5)), 5);
  assert_int_equal (caufs_ino_get_kind (caufs_ino_of_version (5)), CAUFS_NODE_VERSION);
  assert_int_equal (caufs_ino_get_id (caufs_ino_of_version (5)), 5);
  assert_int_equal (caufs_ino_get_kind (use_node (fixture, NULL)), CAUFS_NODE_WRITER);
}

/* The kernel forgets when it is short of memory: a daemon that keeps what the kernel knows grows with every save. */
static void
only_the_last_closed_nodes_are_kept (void **state)
{
  Fixture *fixture = *state;
  guint64  inos[MANY];

  for (guint i = 0; i < MANY; i++)
    inos[i] = use_node (fixture, NULL);
  assert_true (is_known (fixture, inos[MANY - 1]));
  assert_false (is_known (fixture, inos[0]));
  assert_in_range (count_known (fixture, inos, MANY), 100, MANY / 2);

  /* The kernel gives all of them up at the end. */
  for (guint i = 0; i < MANY; i++)
    caufs_nodes_forget (fixture->nodes, inos[i], 1);
}

static void
a_node_in_use_is_kept (void **state)
{
  Fixture *fixture = *state;
  guint64  used = use_node (fixture, NULL);
  g_autoptr (CaufsNode) node = caufs_nodes_get (fixture->nodes, used);

  for (guint i = 0; i < MANY; i++)
    use_node (fixture, NULL);
  assert_true (is_known (fixture, used));
  caufs_nodes_forget (fixture->nodes, used, 1);
  assert_true (is_known (fixture, used));
  g_clear_pointer (&node, caufs_node_unpin);
  assert_false (is_known (fixture, used));
}

static void
a_node_that_was_never_looked_up_goes_at_once (void **state)
{
  Fixture *fixture = *state;
  g_autoptr (CaufsName) name = caufs_names_get (fixture->names, ORCHESTRATOR, "report.xml");
  CaufsNode *node = caufs_nodes_add (fixture->nodes, name, NULL, NULL, NULL);
  guint64    ino = node->ino;

  caufs_node_unpin (node);
  assert_false (is_known (fixture, ino));
}

static void
a_ticket_waits_until_the_kernel_gives_it_up (void **state)
{
  Fixture          *fixture = *state;
  const struct stat st = { .st_ino = 42 };
  guint64           ticket = use_node (fixture, &st);

  assert_true (caufs_names_has_writer (fixture->names, ORCHESTRATOR, "report.xml"));
  for (guint i = 0; i < MANY; i++)
    use_node (fixture, NULL);
  assert_true (is_known (fixture, ticket));
  caufs_nodes_forget (fixture->nodes, ticket, 1);
  assert_false (is_known (fixture, ticket));
  assert_false (caufs_names_has_writer (fixture->names, ORCHESTRATOR, "report.xml"));
}

static void
a_ticket_is_taken_once (void **state)
{
  Fixture          *fixture = *state;
  const struct stat st = { .st_ino = 42 };
  guint64           ticket = use_node (fixture, &st);
  g_autoptr (CaufsNode) node = caufs_nodes_get (fixture->nodes, ticket);
  CauUpload *upload;

  assert_int_equal (node->st_ino, 42);
  assert_true (caufs_node_take_ticket (node, &upload));
  assert_null (upload);
  assert_false (caufs_node_take_ticket (node, &upload));
  assert_false (caufs_names_has_writer (fixture->names, ORCHESTRATOR, "report.xml"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown (numbers_say_what_they_are_of, set_up, tear_down),
    cmocka_unit_test_setup_teardown (only_the_last_closed_nodes_are_kept, set_up, tear_down),
    cmocka_unit_test_setup_teardown (a_node_in_use_is_kept, set_up, tear_down),
    cmocka_unit_test_setup_teardown (a_node_that_was_never_looked_up_goes_at_once, set_up, tear_down),
    cmocka_unit_test_setup_teardown (a_ticket_waits_until_the_kernel_gives_it_up, set_up, tear_down),
    cmocka_unit_test_setup_teardown (a_ticket_is_taken_once, set_up, tear_down),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
