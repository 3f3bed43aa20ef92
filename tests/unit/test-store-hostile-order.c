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

/* Changes the first letter of the names @first to @first + @n - 1 in the index, and lists. Returns: how many entries there were that
 * are not damaged. */
static guint
list_with_names_changed (StoreFixture *f, guint first, guint n, guint8 bits, GError **error)
{
  g_autoptr (GBytes) bytes = NULL;
  g_autoptr (CauReportIds) ids = NULL;
  const CauReportInfo *info;
  guint                n_good = 0, n_all = 0;

  fixture_save_many (f->store, f->id, REPORTS);
  fixture_close (f);
  bytes = damage_read_file (f->path);
  for (guint i = first; i < first + n; i++)
    {
      g_autofree char *name = g_strdup_printf ("report-%05u", i);
      GBytes          *before = g_steal_pointer (&bytes);

      bytes = damage_flip (before, find_in_index (before, name), bits);
      g_bytes_unref (before);
    }
  damage_replace_store (f, bytes);
  f->store = fixture_open (f, 0);
  ids = cau_store_get_report_ids (f->store, f->id, NULL, error);
  assert_done (ids != NULL, error);
  while ((info = cau_report_ids_next (ids, error)) != NULL)
    {
      assert_in_range (++n_all, 1, 3 * REPORTS);
      n_good += info->damaged ? 0 : 1;
    }
  return n_good;
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
    STORE_TEST (listing_of_damaged_names_only_ends),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
