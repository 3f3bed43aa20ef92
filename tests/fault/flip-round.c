/* SPDX-License-Identifier: MIT */
#include "flip-round-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A round that takes longer hangs. */
#define PATIENCE_SECONDS 120

static const guint subject_of_round[] = { 0, 1, 0, 2 };

/* ---- verify ---- */

static char *
key_of (const CauGuid *guid, const char *name)
{
  char text[CAU_GUID_TEXT_LEN + 1];

  cau_guid_format (guid, text);
  return g_strdup_printf ("%s/%s", text, name);
}

static void
note_finding (const CauFinding *finding, gpointer data)
{
  FlipRound *self = data;

  if (finding->name != NULL && finding->has_guid)
    g_hash_table_replace (self->verdicts, key_of (&finding->guid, finding->name),
                          GUINT_TO_POINTER ((guint) finding->kind + 1));
}

static const CauCheckFuncs note_funcs = { .found = note_finding };

/* Reports that verify has not named: those of the log's end, which nothing can tell of, and where more pages are lost than one, those
 * that neither the index of names nor the records lead to, which it tells of as damage to the store. */
static void
check_missed (FlipRound *self, guint n_missed, const CauCheckSummary *summary)
{
  if (n_missed > 0 && !self->damage.in_log && (self->damage.reach != FLIP_PAGES_LOST || summary->n_store == 0))
    flip_wrong (self, "%u reports do not read, and verify does not name them", n_missed);
  flip_count (self, self->damage.in_log ? "reports lost with the log's end" : "reports lost with all that names them",
              n_missed);
}

/* What it says of each report must be what reading it says, and it names each report that does not read. A store that is open for
 * writing keeps records that it has read: by those it may read what is not found without. */
static void
check_verify (FlipRound *self)
{
  CauCheckFuncs   funcs = note_funcs;
  CauCheckSummary summary;
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (self->path, CAU_STORE_OPEN_READ_ONLY, &error);
  guint n_missed = 0;

  funcs.user_data = self;
  g_hash_table_remove_all (self->verdicts);
  if (store == NULL || !cau_store_verify (store, NULL, NULL, &funcs, &summary, &error))
    flip_wrong (self, "verify could not be done: %s", error->message);
  flip_count (self, "verified", 1);
  for (guint i = 0; i < self->reports->len; i++)
    {
      const VariedReport *report = self->reports->pdata[i];
      g_autofree char    *key = key_of (&report->guid, report->name);
      guint               verdict = GPOINTER_TO_UINT (g_hash_table_lookup (self->verdicts, key));

      if (self->read[i] && verdict == CAU_FINDING_DAMAGED + 1 && !self->read_only)
        flip_count (self, "reports that read only where their records are kept", 1);
      else if (self->read[i] && verdict != CAU_FINDING_GOOD + 1)
        flip_wrong (self, "%s reads, and verify says %u", report->name, verdict);
      if (!self->read[i] && verdict == CAU_FINDING_GOOD + 1)
        flip_wrong (self, "%s does not read, and verify says it does", report->name);
      if (!self->read[i] && verdict == 0)
        n_missed++;
    }
  flip_count (self, "reports that verify named", summary.n_damaged > G_MAXUINT ? 0 : (guint) summary.n_damaged);
  check_missed (self, n_missed, &summary);
}

/* ---- recover ---- */

static void
ignore_finding (G_GNUC_UNUSED const CauFinding *finding, G_GNUC_UNUSED gpointer data)
{
}

gboolean
flip_recover (FlipRound *self)
{
  const CauCheckFuncs funcs = { .found = ignore_finding };
  CauCheckSummary     summary;
  gboolean            ok;

  /* Another name each time: a store is closed when the last thread that commits lets go of it. */
  remove (self->new_path);
  g_free (self->new_path);
  self->new_path = g_strdup_printf ("%s-recovered-%u", self->path, self->n_recovered++);
  g_clear_error (&self->unsaved);
  ok = cau_store_recover (self->path, self->new_path, &funcs, &summary, &self->unsaved);
  flip_count (self, ok ? "recovered" : "nothing to recover", 1);
  return ok;
}

/* What was recovered must have all that reads, and nothing that is false. */
static void
check_recovered (FlipRound *self, CauStore *store)
{
  for (guint i = 0; i < self->reports->len; i++)
    {
      const VariedReport *report = self->reports->pdata[i];
      FlipOutcome         outcome = store != NULL ? flip_read_report (self, store, report) : FLIP_NOT_READ;

      if (self->read[i] && outcome != FLIP_READ)
        flip_wrong (self, "%s reads, and is not recovered%s%s", report->name, self->unsaved != NULL ? ": " : "",
                    self->unsaved != NULL ? self->unsaved->message : "");
      flip_count (self, outcome == FLIP_READ ? "reports recovered" : "reports not recovered", 1);
      if (outcome == FLIP_READ && !self->read[i])
        flip_count (self, "reports recovered that did not read", 1);
    }
  if (store != NULL)
    flip_check_lists (self, store);
}

/* ---- all of a round ---- */

static void
check_reading (FlipRound *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (self->path, self->read_only ? CAU_STORE_OPEN_READ_ONLY : 0, &error);
  guint n = 0;

  memset (self->read, FLIP_NOT_READ, self->reports->len);
  flip_count (self, store != NULL ? "opened" : "not opened", 1);
  if (store == NULL && strstr (error->message, self->path) == NULL)
    flip_wrong (self, "not opened for '%s', which does not say what", error->message);
  if (store != NULL)
    {
      flip_check_lists (self, store);
      for (guint i = 0; i < self->reports->len; i++)
        {
          self->read[i] = (guint8) flip_read_report (self, store, self->reports->pdata[i]);
          n += self->read[i];
        }
      g_clear_pointer (&store, cau_store_unref);
      check_verify (self);
    }
  flip_count (self, "reports read right", n);
  flip_count (self, "reports not read", self->reports->len - n);
}

static void
check_recovering (FlipRound *self, gboolean recovered, gboolean writes)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = recovered ? cau_store_open (self->new_path, 0, &error) : NULL;

  if (recovered && store == NULL)
    flip_wrong (self, "what was recovered does not open: %s", error->message);
  check_recovered (self, store);
  if (store != NULL && writes)
    flip_check_writing_to_recovered (self, store);
}

/* Five of six damages are bits, for each of the subjects. */
static FlipKind
kind_of_round (guint number)
{
  return number / G_N_ELEMENTS (subject_of_round) % 6 == 5 ? FLIP_ANYTHING_ELSE : FLIP_BIT;
}

static void
begin_round (FlipRound *self, FlipSubject *subject, GRand *rand)
{
  g_autofree char *hits = NULL;

  flip_damage_clear (&self->damage);
  flip_write (subject, kind_of_round (self->number), rand, self->path, &self->damage);
  self->read_only = g_rand_boolean (rand);
  self->in_pieces = g_rand_boolean (rand);
  printf ("round %u %s\n", self->number, self->damage.text);
  fflush (stdout);
  alarm (PATIENCE_SECONDS);
  hits = g_strconcat (FLIP_HITS, self->damage.region, NULL);
  flip_count (self, hits, 1);
  flip_count (self, kind_of_round (self->number) == FLIP_BIT ? FLIP_BITS : "other damages", 1);
}

static void
run_round (FlipRound *self, guint32 seed, guint number)
{
  const guint32 seeds[] = { seed, number };
  FlipSubject  *subject = self->subjects[subject_of_round[number % G_N_ELEMENTS (subject_of_round)]];
  g_autoptr (GRand) rand = g_rand_new_with_seed_array (seeds, G_N_ELEMENTS (seeds));
  gboolean recovered, writes;

  self->number = number;
  begin_round (self, subject, rand);
  /* It takes as long as all else. */
  writes = g_rand_int_range (rand, 0, 4) == 0;
  recovered = flip_recover (self);
  if (!flip_is_unchanged (subject, self->path))
    flip_wrong (self, "recover has changed the store");
  check_reading (self);
  check_recovering (self, recovered, writes);
  if (writes)
    flip_check_writing (self);
}

void
flip_run_rounds (const char *dir, const char *work, guint32 seed, guint first, guint n)
{
  FlipRound      self = { .reports = varied_new_reports () };
  GHashTableIter iter;
  gpointer       key, value;

  self.path = g_build_filename (work, "damaged", NULL);
  self.new_path = g_strdup ("");
  self.read = g_malloc0 (self.reports->len);
  self.verdicts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self.counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  for (guint i = 0; i < VARIED_SUBJECTS; i++)
    {
      g_autofree char *path = varied_subject_path (dir, i);

      self.subjects[i] = flip_subject_new (path, i > 0);
    }
  for (guint i = first; i < first + n; i++)
    run_round (&self, seed, i);
  g_hash_table_iter_init (&iter, self.counts);
  while (g_hash_table_iter_next (&iter, &key, &value))
    printf ("count %u %s\n", GPOINTER_TO_UINT (value), (const char *) key);
  printf ("done\n");
  fflush (stdout);
  /* What is left is the process's. */
  _exit (EXIT_SUCCESS);
}
