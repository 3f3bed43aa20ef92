/* SPDX-License-Identifier: MIT */
/* Store files whose index of names is in an order that it must not have: SQLite, which believes in it, finds other places than it
 * looks for. A listing must end all the same, and show what it can. */
#include "store-damage.h"

#include <string.h>

#define PAGE ((gsize) 4096)

/* The first byte of a page of an index; see sqlite.org/fileformat2.html, "B-tree Pages". */
#define INSIDE_OF_INDEX 0x02
#define LEAF_OF_INDEX 0x0a

/* A listing reads 256 at a time. */
#define READ_AT_ONCE 256
#define REPORTS 600

/* Where @name stands in the index of names. */
static gsize
find_in_index (GBytes *bytes, const char *name)
{
  gsize         size;
  const guint8 *data = g_bytes_get_data (bytes, &size);

  for (gsize at = PAGE; at + PAGE <= size; at += PAGE)
    {
      gboolean      is_index = data[at] == LEAF_OF_INDEX || data[at] == INSIDE_OF_INDEX;
      const guint8 *found = memmem (data + at, PAGE, name, strlen (name));

      if (is_index && found != NULL)
        return (gsize) (found - data);
    }
  fail_msg ("%s is not in the index", name);
  return 0;
}

/* Returns: how many entries there are that are not damaged. */
static guint
list_all (StoreFixture *f, GError **error)
{
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (f->store, f->id, NULL, error);
  const CauReportInfo *info;
  guint                n_good = 0, n_all = 0;

  assert_done (ids != NULL, error);
  while ((info = cau_report_ids_next (ids, error)) != NULL)
    {
      assert_in_range (++n_all, 1, 3 * REPORTS);
      n_good += info->damaged ? 0 : 1;
    }
  if (*error != NULL)
    {
      g_autoptr (GError) again = NULL;

      /* A mount gives what came before the error first, and asks again for the rest. */
      assert_null (cau_report_ids_next (ids, &again));
      damage_assert_reported (again);
    }
  return n_good;
}

static GBytes *
save_and_close (StoreFixture *f)
{
  fixture_save_many (f->store, f->id, REPORTS);
  fixture_close (f);
  return damage_read_file (f->path);
}

/* Changes the first letter of the names @first to @first + @n - 1 in the index, and lists. */
static guint
list_with_names_changed (StoreFixture *f, guint first, guint n, guint8 bits, GError **error)
{
  g_autoptr (GBytes) bytes = save_and_close (f);

  for (guint i = first; i < first + n; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%05u", i);
      GBytes          *before = g_steal_pointer (&bytes);

      bytes = damage_flip (before, find_in_index (before, name), bits);
      g_bytes_unref (before);
    }
  damage_replace_store (f, bytes);
  f->store = fixture_open (f, 0);
  return list_all (f, error);
}

/* Where the page above it has the number of page @number, which is below 256. */
static gsize
find_pointer (GBytes *bytes, guint8 number)
{
  gsize         size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  const guint8  pointer[] = { 0, 0, 0, number };

  for (gsize at = PAGE; at + PAGE <= size; at += PAGE)
    {
      const guint8 *found = memmem (data + at, PAGE, pointer, sizeof pointer);

      if (data[at] == INSIDE_OF_INDEX && memmem (data + at, PAGE, "report-", 7) != NULL && found != NULL)
        return (gsize) (found - data) + 3;
    }
  fail_msg ("nothing leads to page %u", number);
  return 0;
}

/* The last name of what is read at once says where to go on: 'r' becomes '2', which is before all names, or a letter that is behind
 * all. */
static void
damaged_name_where_a_listing_goes_on_hides_no_other (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;

  assert_int_equal (list_with_names_changed (f, READ_AT_ONCE - 1, 1, 'r' ^ '2', &error), REPORTS - 1);
  assert_null (error);
}

static void
damaged_name_that_would_skip_the_rest_hides_no_other (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;

  assert_int_equal (list_with_names_changed (f, READ_AT_ONCE - 1, 1, 'r' ^ 'z', &error), REPORTS - 1);
  assert_null (error);
}

/* The leaf in which the second part of a listing ends is taken for the first leaf of all. */
static void
listing_that_is_led_back_fails_for_good (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) bytes = save_and_close (f);
  g_autoptr (GBytes) damaged = NULL;
  guint8 first = (guint8) (find_in_index (bytes, "report-00000") / PAGE + 1);
  guint8 second = (guint8) (find_in_index (bytes, "report-00505") / PAGE + 1);

  damaged = damage_flip (bytes, find_pointer (bytes, second), first ^ second);
  damage_replace_store (f, damaged);
  f->store = fixture_open (f, 0);
  list_all (f, &error);
  damage_assert_reported (error);
}

static void
listing_of_damaged_names_only_ends (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GError) error = NULL;

  list_with_names_changed (f, 0, REPORTS, 'r' ^ '2', &error);
  if (error != NULL)
    damage_assert_reported (error);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (damaged_name_where_a_listing_goes_on_hides_no_other),
    STORE_TEST (damaged_name_that_would_skip_the_rest_hides_no_other),
    STORE_TEST (listing_that_is_led_back_fails_for_good),
    STORE_TEST (listing_of_damaged_names_only_ends),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
