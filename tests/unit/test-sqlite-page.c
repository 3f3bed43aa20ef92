/* SPDX-License-Identifier: MIT */
/* Whether a page of a tree adds up: each that SQLite writes does, and none that damage hit in what holds it together. */
#include "../../store/sqlite-page.h"

#include "../fault/varied.h"
#include "store-damage.h"

#include <string.h>

#define PAGE 4096

static const guint8 *
page_of (GBytes *file, guint32 number)
{
  return (const guint8 *) g_bytes_get_data (file, NULL) + (gsize) (number - 1) * PAGE;
}

static guint32
n_pages (GBytes *file)
{
  return (guint32) (g_bytes_get_size (file) / PAGE);
}

static gboolean
is_of_tree (const guint8 *page)
{
  return page[0] == CAU_PAGE_TABLE_LEAF || page[0] == CAU_PAGE_INDEX_LEAF || cau_page_is_interior (page[0]);
}

/* Returns: how many pages look like those of trees. */
static guint
assert_all_sound (StoreFixture *f)
{
  g_autoptr (GBytes) file = NULL;
  guint n = 0;

  fixture_close (f);
  file = damage_read_file (f->path);
  for (guint32 i = 1; i <= n_pages (file); i++)
    {
      n += is_of_tree (page_of (file, i)) ? 1 : 0;
      if (!cau_page_is_sound (page_of (file, i), i))
        fail_msg ("page %u is sound", i);
    }
  return n;
}

static void
pages_of_a_store_are_sound (void **state)
{
  StoreFixture *f = *state;
  g_autoptr (GPtrArray) reports = varied_new_reports ();

  varied_save (f->store);
  assert_in_range (assert_all_sound (f), 40, 10000);
  /* Holes in the pages, and rows that move on. */
  fixture_reopen (f, 0);
  for (guint i = 0; i < reports->len; i += 3)
    {
      const VariedReport *report = reports->pdata[i];
      CauOrchestratorInfo info;
      g_autoptr (GError) error = NULL;
      g_autofree char *name = g_strdup_printf ("%s-%0*u", report->name, (int) (i % 50), i);

      assert_done (cau_store_find_orchestrator (f->store, &report->guid, &info, &error), &error);
      if (i % 2 == 0)
        fixture_remove (f->store, info.id, report->name);
      else
        assert_done (cau_store_rename_report (f->store, info.id, report->name, info.id, name, 0, &error), &error);
    }
  assert_in_range (assert_all_sound (f), 40, 10000);
}

/* ---- damage ---- */

/* A page of @type that has some cells. Returns: (transfer full). */
static guint8 *
find_page (StoreFixture *f, guint8 type, guint32 *number)
{
  g_autoptr (GBytes) file = NULL;

  varied_save (f->store);
  fixture_close (f);
  file = damage_read_file (f->path);
  for (*number = 3; *number <= n_pages (file); (*number)++)
    {
      const guint8 *page = page_of (file, *number);

      if (page[0] == type && cau_get_u16 (page + 3) >= 5)
        return g_memdup2 (page, PAGE);
    }
  fail_msg ("no page of type %u", type);
  return NULL;
}

/* How many of the bits of @n bytes of @page from @from on can be wrong and the page be sound. */
static guint
count_missed (guint8 *page, guint32 number, guint from, guint n)
{
  guint missed = 0;

  for (guint bit = from * 8; bit < (from + n) * 8; bit++)
    {
      page[bit / 8] ^= (guint8) (1 << bit % 8);
      missed += cau_page_is_sound (page, number) ? 1 : 0;
      page[bit / 8] ^= (guint8) (1 << bit % 8);
    }
  return missed;
}

static void
wrong_bits_are_found (StoreFixture *f, guint8 type)
{
  guint32            number;
  g_autofree guint8 *page = find_page (f, type, &number);
  guint              pointers = cau_page_is_interior (type) ? 12 : 8, n_cells = cau_get_u16 (page + 3);

  assert_true (cau_page_is_sound (page, number));
  assert_int_equal (count_missed (page, number, 1, 7), 0);
  assert_int_equal (count_missed (page, number, pointers, 2 * n_cells), 0);
  if (type == CAU_PAGE_TABLE_INTERIOR)
    return;
  for (guint i = 0; i < n_cells; i++)
    {
      guint at = cau_get_u16 (page + pointers + 2 * i) + (cau_page_is_interior (type) ? 4 : 0);

      /* The size of the record. Up to three bytes take as much room. */
      if (page[at] > 3)
        assert_int_equal (count_missed (page, number, at, 1), 0);
    }
}

static void
wrong_bits_of_a_leaf_of_a_table_are_found (void **state)
{
  wrong_bits_are_found (*state, CAU_PAGE_TABLE_LEAF);
}

static void
wrong_bits_of_a_leaf_of_an_index_are_found (void **state)
{
  wrong_bits_are_found (*state, CAU_PAGE_INDEX_LEAF);
}

static void
wrong_bits_of_a_page_above_leaves_are_found (void **state)
{
  wrong_bits_are_found (*state, CAU_PAGE_TABLE_INTERIOR);
}

static void
keys_without_order_are_found (void **state)
{
  guint32            number;
  g_autofree guint8 *page = find_page (*state, CAU_PAGE_TABLE_LEAF, &number);
  guint8             first[2];

  memcpy (first, page + 8, 2);
  memcpy (page + 8, page + 10, 2);
  memcpy (page + 10, first, 2);
  assert_false (cau_page_is_sound (page, number));
}

static void
free_blocks_are_counted_and_have_an_end (void **state)
{
  /* 3,000 bytes from 1,096 on are two free blocks, and the last 96 a row's. */
  static const guint8 header[] = { CAU_PAGE_TABLE_LEAF, 1096 >> 8,  1096 & 255, 0,         1,
                                   1096 >> 8,           1096 & 255, 0,          4000 >> 8, 4000 & 255 };
  guint8              page[PAGE] = { 0 };

  memcpy (page, header, sizeof header);
  memcpy (page + 1096, "\x08\x34\x03\xec", 4); /* the next one is at 2,100; 1,004 bytes */
  memcpy (page + 2100, "\x00\x00\x07\x6c", 4); /* 1,900 bytes */
  page[4000] = 94;
  page[4001] = 1;
  assert_true (cau_page_is_sound (page, 3));
  page[2103]--;
  assert_false (cau_page_is_sound (page, 3));
  page[7]++; /* a fragment of a byte */
  assert_true (cau_page_is_sound (page, 3));
  memcpy (page + 2100, "\x04\x48", 2); /* and round again */
  assert_false (cau_page_is_sound (page, 3));
}

static void
numbers_that_point_anywhere_are_found (void **state)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (fixture_seed ());
  static const guint8 types[] = { 0x0d, 0x05, 0x0a, 0x02 };
  guint8              page[PAGE];

  for (guint i = 0; i < 20000; i++)
    {
      for (guint k = 0; k < PAGE; k += 4)
        {
          guint32 word = g_rand_int (rand);

          memcpy (page + k, &word, 4);
        }
      page[0] = types[i % 4];
      if (i % 8 >= 4)
        memset (page + 3, 0, 1);
      assert_false (cau_page_is_sound (page, 3));
    }
}

/* ---- pages that are of no tree ---- */

static void
map_says_what_a_page_is (void **state)
{
  guint8 map[PAGE] = { 0 };

  assert_int_equal (cau_page_map_of (2), 2);
  assert_int_equal (cau_page_map_of (3), 2);
  assert_int_equal (cau_page_map_of (821), 2);
  assert_int_equal (cau_page_map_of (822), 822);
  assert_int_equal (cau_page_map_of (823), 822);
  for (guint8 kind = 0; kind < 10; kind++)
    {
      map[5 * 2] = kind;
      assert_int_equal (cau_page_map_denies (map, 825), kind >= 2 && kind <= 4);
      assert_false (cau_page_map_denies (map, 826));
    }
  /* A page of the map itself. */
  memset (map, CAU_PAGE_MAP_TREE, sizeof map);
  assert_true (cau_page_is_sound (map, 822));
  assert_false (cau_page_is_sound (map, 823));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (pages_of_a_store_are_sound),
    STORE_TEST (wrong_bits_of_a_leaf_of_a_table_are_found),
    STORE_TEST (wrong_bits_of_a_leaf_of_an_index_are_found),
    STORE_TEST (wrong_bits_of_a_page_above_leaves_are_found),
    STORE_TEST (keys_without_order_are_found),
    STORE_TEST (free_blocks_are_counted_and_have_an_end),
    STORE_TEST (numbers_that_point_anywhere_are_found),
    STORE_TEST (map_says_what_a_page_is),
  };

  return cmocka_run_group_tests_name ("sqlite-page", tests, NULL, NULL);
}
