/* SPDX-License-Identifier: MIT */
/* Damage anywhere in a store's files. A read gives the right bytes or an error, a list nothing false; what verify says is what reads,
 * and it names what does not; recover gets each report that reads, also after others were saved, and each of them is a report of its
 * own then. The rounds (flip-round.h) run in processes of their own, so that a crash or a hang is seen, and told with what
 * caused it. */
#include "../unit/scratch.h"
#include "flip-round.h"
#include "flip.h"
#include "varied.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Five of six are bits: 2,000 and some. */
#define ROUNDS 2430

/* Rounds of one process. */
#define BATCH 50

/* From so many rounds on each region is hit. */
#define ENOUGH_ROUNDS 1000

static gsize
get_count (GHashTable *counts, const char *name)
{
  return GPOINTER_TO_SIZE (g_hash_table_lookup (counts, name));
}

static void
add_count (GHashTable *counts, const char *line)
{
  char   *name;
  guint64 n = g_ascii_strtoull (line + strlen ("count "), &name, 10);
  gsize   old = get_count (counts, name + 1);

  g_hash_table_replace (counts, g_strdup (name + 1), GSIZE_TO_POINTER (old + (gsize) n));
}

/* Runs one process. What it says that is no count is about the round in hand. Returns: (transfer full): what went wrong. */
static char *
run_batch (StoreFixture *f, char *work, guint32 seed, guint first, guint n, GHashTable *counts)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *seed_text = g_strdup_printf ("%u", seed);
  g_autofree char *first_text = g_strdup_printf ("%u", first);
  g_autofree char *n_text = g_strdup_printf ("%u", n);
  g_autofree char *output = NULL;
  char             program[] = "/proc/self/exe", option[] = "--child";
  char            *argv[] = { program, option, f->dir, work, seed_text, first_text, n_text, NULL };
  g_auto (GStrv) lines = NULL;
  int   status;
  guint last;

  assert_done (g_spawn_sync (NULL, argv, NULL, 0, NULL, NULL, &output, NULL, &status, &error), &error);
  lines = g_strsplit (output, "\n", -1);
  for (guint i = 0; lines[i] != NULL; i++)
    if (g_str_has_prefix (lines[i], "count "))
      add_count (counts, lines[i]);
    else if (g_str_has_prefix (lines[i], "lost "))
      print_message ("# %s\n", lines[i]);
  last = g_strv_length (lines);
  if (!g_spawn_check_wait_status (status, &error) || !g_str_has_suffix (output, "done\n"))
    return g_strdup_printf ("%s: %s", error != NULL ? error->message : "it ended early",
                            last > 1 ? lines[last - 2] : "at once");
  return NULL;
}

static void
print_counts (GHashTable *counts)
{
  g_autoptr (GList) names = g_list_sort (g_hash_table_get_keys (counts), (GCompareFunc) strcmp);

  for (GList *name = names; name != NULL; name = name->next)
    print_message ("# %zu %s\n", get_count (counts, name->data), (const char *) name->data);
}

static void
assert_all_regions_were_hit (StoreFixture *f, GHashTable *counts)
{
  for (guint i = 0; i < VARIED_SUBJECTS; i++)
    {
      g_autofree char *path = varied_subject_path (f->dir, i);
      FlipSubject     *subject = flip_subject_new (path, i > 0);
      g_autoptr (GPtrArray) regions = flip_list_regions (subject);

      for (guint k = 0; k < regions->len; k++)
        {
          g_autofree char *hits = g_strconcat (FLIP_HITS, regions->pdata[k], NULL);

          if (get_count (counts, hits) == 0)
            fail_msg ("nothing was damaged in: %s", (const char *) regions->pdata[k]);
        }
      flip_subject_free (subject);
    }
}

static void
damage_is_reported_and_what_is_left_is_saved (void **state)
{
  StoreFixture *f = *state;
  guint         n = fixture_rounds (ROUNDS);
  guint32       seed = fixture_seed ();
  g_autoptr (GHashTable) counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  varied_make_subjects (f);
  for (guint first = 0; first < n; first += BATCH)
    {
      g_autofree char *work = scratch_new ();
      g_autofree char *failure = run_batch (f, work, seed, first, MIN (BATCH, n - first), counts);

      /* What a round that crashed left is in it, too. */
      assert_true (scratch_remove (work));
      if (failure != NULL)
        fail_msg ("%s", failure);
    }
  print_counts (counts);
  assert_true (get_count (counts, FLIP_BITS) >= n / 6 * 5);
  assert_true (get_count (counts, FLIP_ROUNDS_WITH_LOSS) == 0);
  assert_true (get_count (counts, "reports read right") > 0);
  assert_true (get_count (counts, "reports not read") > 0);
  assert_true (get_count (counts, "reports recovered that did not read") > 0);
  if (n >= ENOUGH_ROUNDS)
    assert_all_regions_were_hit (f, counts);
}

int
main (int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (damage_is_reported_and_what_is_left_is_saved),
  };

  if (argc == 7 && strcmp (argv[1], "--child") == 0)
    flip_run_rounds (argv[2], argv[3], (guint32) g_ascii_strtoull (argv[4], NULL, 10), (guint) atoi (argv[5]),
                     (guint) atoi (argv[6]));
  return cmocka_run_group_tests_name ("flips", tests, NULL, NULL);
}
