/* SPDX-License-Identifier: MIT */
/* Damage anywhere in a store's files. A read gives the right bytes or an error, a list nothing false; what verify says is what reads;
 * recover gets each report that reads, also after others were saved. The rounds run in processes of their own, so that a crash
 * or a hang is seen, and told with what caused it. */
#include "cau-check.h"
#include "flip.h"
#include "store-damage.h"
#include "varied.h"
#include "../unit/scratch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Rounds of one process. */
/* What is lost for good by writing into a damaged store: one report in 8,000 rounds was. */
#define LOST "reports lost by writing after damage"
#define MAX_LOST_IN 250

/* More than there are pages above one in a small store. */
#define MAX_TRIES 6

/* Unreadable reports that a round removes. */
#define MAX_REMOVED 20

#define BATCH 50

/* A round that takes longer hangs. */
#define PATIENCE_SECONDS 120

static const guint subject_of_round[] = { 0, 1, 0, 2 };

/* ---- a round ---- */

typedef enum
{
  NOT_READ, /* an error, or not there */
  READ,
} Outcome;

typedef struct
{
  FlipSubject *subjects[VARIED_SUBJECTS];
  char        *path;     /* of the damaged store */
  char        *new_path; /* of what was recovered */
  GPtrArray   *reports;
  guint8      *read;     /* for each report, whether the damaged store gave it */
  GHashTable  *verdicts; /* "GUID/name" -> CauFindingKind + 1 */
  GHashTable  *counts;   /* name -> number */
  char        *what;     /* the damage in hand */
  const char  *region;
  guint        round;
} Round;

static void
count (Round *self, const char *name, guint n)
{
  guint old = GPOINTER_TO_UINT (g_hash_table_lookup (self->counts, name));

  g_hash_table_replace (self->counts, g_strdup (name), GUINT_TO_POINTER (old + n));
}

static void G_GNUC_NORETURN G_GNUC_PRINTF (2, 3) wrong (Round *self, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list          args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  printf ("wrong round %u (%s): %s\n", self->round, self->what, text);
  fflush (stdout);
  _exit (EXIT_FAILURE);
}

static char *
key_of (const CauGuid *guid, const char *name)
{
  char text[CAU_GUID_TEXT_LEN + 1];

  cau_guid_format (guid, text);
  return g_strdup_printf ("%s/%s", text, name);
}

static gboolean
is_equal (const guint8 *data, gsize length, GBytes *expected)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, length);

  return g_bytes_equal (bytes, expected);
}

static gboolean
read_in_pieces (CauReader *reader, gsize piece, guint8 *buffer, gsize length, gsize *n_read)
{
  gsize n;

  for (*n_read = 0; *n_read < length; *n_read += n)
    {
      if (!cau_reader_read (reader, *n_read, buffer + *n_read, MIN (piece, length - *n_read), &n, NULL))
        return FALSE;
      if (n == 0)
        return TRUE;
    }
  return TRUE;
}

/* Reads @report, or the version that it had before, which it still has without the end of the log; bytes that are not its
 * own end the test. */
static Outcome
try_report (Round *self, CauStore *store, const VariedReport *report)
{
  gsize              n_read, length = MAX (g_bytes_get_size (report->bytes), g_bytes_get_size (report->older)) + 1;
  g_autofree guint8 *buffer = g_malloc (length);
  g_autoptr (CauReader) reader = NULL;
  CauOrchestratorInfo info;

  if (!cau_store_find_orchestrator (store, &report->guid, &info, NULL))
    return NOT_READ;
  reader = cau_store_get_report (store, info.id, report->name, 100000, NULL);
  if (reader == NULL || !read_in_pieces (reader, self->round % 2 == 0 ? length : 10000, buffer, length, &n_read))
    return NOT_READ;
  if (is_equal (buffer, n_read, report->bytes))
    return READ;
  if (!is_equal (buffer, n_read, report->older))
    wrong (self, "%s reads %zu wrong bytes", report->name, n_read);
  count (self, "older versions read", 1);
  return READ;
}

/* SQLite finds fault with a page when it meets it first, and then uses what is right of it: each try can get one page further on
 * the way to a report's chunks. */
static Outcome
read_report (Round *self, CauStore *store, const VariedReport *report)
{
  if (try_report (self, store, report) == READ)
    return READ;
  for (guint i = 1; i < MAX_TRIES; i++)
    if (try_report (self, store, report) == READ)
      {
        count (self, "reports read at a later try", 1);
        return READ;
      }
  return NOT_READ;
}

/* What is listed must be what was saved, or be said to be damaged. */
static void
check_list (Round *self, CauStore *store, const CauOrchestratorInfo *orchestrator, gboolean *has_gone_names)
{
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, orchestrator->id, NULL, NULL);
  const CauReportInfo *info;
  guint                n = 0;

  while (ids != NULL && (info = cau_report_ids_next (ids, NULL)) != NULL)
    {
      const VariedReport *report =
        info->name != NULL ? varied_find (self->reports, &orchestrator->guid, info->name) : NULL;

      if (n++ > 2000)
        wrong (self, "a list does not end");
      if (info->damaged)
        continue;
      if (report == NULL
          && (varied_was_removed (info->name) || g_str_equal (info->name, "draft")
              || g_str_equal (info->name, "moved")))
        {
          *has_gone_names = TRUE;
          continue;
        }
      if (report == NULL)
        wrong (self, "a list has '%s'", info->name);
      if (info->size != g_bytes_get_size (report->bytes) && info->size != g_bytes_get_size (report->older))
        wrong (self, "a list says %" G_GUINT64_FORMAT " bytes of '%s'", info->size, info->name);
      if (info->attributes.mode != report->mode)
        wrong (self, "a list says mode %o of '%s'", info->attributes.mode, info->name);
    }
}

static void
check_lists (Round *self, CauStore *store, gboolean *has_gone_names)
{
  CauGuid  after;
  gboolean first = TRUE;

  for (guint n = 0;; n++)
    {
      g_autoptr (GArray) list = cau_store_list_orchestrators (store, first ? NULL : &after, 2, NULL);

      if (n > 100)
        wrong (self, "the list of orchestrators does not end");
      if (list == NULL || list->len == 0)
        return;
      first = FALSE;
      for (guint i = 0; i < list->len; i++)
        {
          const CauOrchestratorInfo *info = &g_array_index (list, CauOrchestratorInfo, i);

          check_list (self, store, info, has_gone_names);
          after = info->guid;
        }
    }
}

/* ---- verify ---- */

static void
note_finding (const CauFinding *finding, gpointer data)
{
  Round *self = data;

  if (finding->name != NULL && finding->has_guid)
    g_hash_table_replace (self->verdicts, key_of (&finding->guid, finding->name),
                          GUINT_TO_POINTER ((guint) finding->kind + 1));
}

static const CauCheckFuncs note_funcs = { .found = note_finding };

/* What it says of each report must be what reading it says. */
static void
check_verify (Round *self, CauStore *store, gboolean in_log)
{
  CauCheckFuncs   funcs = note_funcs;
  CauCheckSummary summary;
  g_autoptr (GError) error = NULL;
  guint n_missed = 0;

  funcs.user_data = self;
  g_hash_table_remove_all (self->verdicts);
  if (!cau_store_verify (store, NULL, NULL, &funcs, &summary, &error))
    wrong (self, "verify could not be done: %s", error->message);
  count (self, "verified", 1);
  for (guint i = 0; i < self->reports->len; i++)
    {
      const VariedReport *report = self->reports->pdata[i];
      g_autofree char    *key = key_of (&report->guid, report->name);
      guint               verdict = GPOINTER_TO_UINT (g_hash_table_lookup (self->verdicts, key));

      if (self->read[i] && verdict != CAU_FINDING_GOOD + 1)
        wrong (self, "%s reads, and verify says %u", report->name, verdict);
      if (!self->read[i] && verdict == CAU_FINDING_GOOD + 1)
        wrong (self, "%s does not read, and verify says it does", report->name);
      if (!self->read[i] && verdict == 0)
        n_missed++;
    }
  count (self, "reports that verify named", summary.n_damaged > G_MAXUINT ? 0 : (guint) summary.n_damaged);
  count (self, in_log ? "reports lost with the log's end, which nothing can tell" : "unreadable reports not named",
         n_missed);
  if (n_missed > 0 && !in_log && summary.n_damaged + summary.n_store == 0)
    wrong (self, "%u reports do not read, and verify finds nothing wrong", n_missed);
}

/* ---- recover ---- */

static void
ignore_finding (G_GNUC_UNUSED const CauFinding *finding, G_GNUC_UNUSED gpointer data)
{
}

static gboolean
recover (Round *self)
{
  const CauCheckFuncs funcs = { .found = ignore_finding };
  CauCheckSummary     summary;
  gboolean            ok;

  remove (self->new_path);
  ok = cau_store_recover (self->path, self->new_path, &funcs, &summary, NULL);
  count (self, ok ? "recovered" : "nothing to recover", 1);
  return ok;
}

/* Whether the new store has what was removed long ago: no damage of one place should bring that back. */
static void
check_recovered (Round *self, gboolean recovered, gboolean has_gone_names)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = recovered ? cau_store_open (self->new_path, 0, &error) : NULL;
  gboolean back = FALSE;

  if (recovered && store == NULL)
    wrong (self, "what was recovered does not open: %s", error->message);
  for (guint i = 0; i < self->reports->len; i++)
    {
      const VariedReport *report = self->reports->pdata[i];
      Outcome             outcome = store != NULL ? read_report (self, store, report) : NOT_READ;

      if (self->read[i] && outcome != READ)
        wrong (self, "%s reads, and is not recovered", report->name);
      count (self, outcome == READ ? "reports recovered" : "reports not recovered", 1);
      if (outcome == READ && !self->read[i])
        count (self, "reports recovered that did not read", 1);
    }
  if (store != NULL)
    check_lists (self, store, &back);
  if (back && !has_gone_names)
    wrong (self, "recover has brought back what was removed");
}

/* ---- writing ---- */

static gboolean
save (CauStore *store, guint64 id, const char *name, GBytes *bytes)
{
  const CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) upload = cau_store_begin_upload (store, id, name, CAU_UPLOAD_TRUNCATE, &attributes, NULL);
  gsize         size;
  gconstpointer data = g_bytes_get_data (bytes, &size);

  return upload != NULL && cau_upload_write (upload, 0, data, size, NULL) && cau_upload_commit (upload, NULL, NULL);
}

/* Each of these may fail. */
static void
write_to (Round *self, CauStore *store)
{
  g_autoptr (GBytes) small = fixture_bytes (700, 5000);
  g_autoptr (GBytes) large = fixture_dense_bytes (701, 3 * STORED_CHUNK);
  CauOrchestratorInfo info;
  guint               n = 0;

  for (guint i = 0; i < self->reports->len; i += 97)
    {
      const VariedReport *report = self->reports->pdata[i];

      if (!cau_store_find_orchestrator (store, &report->guid, &info, NULL))
        continue;
      for (guint k = 0; k < 8; k++)
        {
          g_autofree char *name = g_strdup_printf ("new-%u", k);

          n += save (store, info.id, name, k == 3 ? large : small) ? 1 : 0;
        }
      n += cau_store_remove_report (store, info.id, "new-1", NULL) ? 1 : 0;
      n += cau_store_rename_report (store, info.id, "new-2", info.id, "new-9", CAU_RENAME_REPLACE, NULL) ? 1 : 0;
      n += save (store, info.id, "new-0", large) ? 1 : 0;
    }
  count (self, "changes that were saved", n);
}

/* What reads as damaged is what an administrator removes. It may fail; that no other report goes with it, find_worse() sees. */
static void
remove_unread (Round *self, CauStore *store)
{
  CauOrchestratorInfo info;
  guint               n = 0, n_tried = 0;

  for (guint i = self->round % 3; i < self->reports->len && n_tried < MAX_REMOVED; i++)
    {
      const VariedReport *report = self->reports->pdata[i];

      if (self->read[i] == READ || !cau_store_find_orchestrator (store, &report->guid, &info, NULL))
        continue;
      n_tried++;
      n += cau_store_remove_report (store, info.id, report->name, NULL) ? 1 : 0;
    }
  count (self, "unreadable reports removed", n);
  count (self, "unreadable reports not removed", n_tried - n);
}

/* Marks, as 2, what was read before and is not any more. Returns: how many. */
static guint
find_worse (Round *self, CauStore *store)
{
  guint n = 0;

  for (guint i = 0; i < self->reports->len; i++)
    if (self->read[i] == READ && read_report (self, store, self->reports->pdata[i]) != READ)
      {
        self->read[i] = 2;
        n++;
      }
  return n;
}

/* SQLite can spread damage in a tree when it writes there. What cannot be found afterwards should still be there for recover; but
 * where two rows claim the same bytes of a page, one may be written over the other. */
static void
check_nothing_is_lost (Round *self, guint n_worse)
{
  g_autofree char *what = g_strdup_printf ("reports hidden by writing after damage in: %s", self->region);
  g_autoptr (CauStore) store = NULL;

  count (self, what, n_worse);
  store = recover (self) ? cau_store_open (self->new_path, 0, NULL) : NULL;
  for (guint i = 0; i < self->reports->len; i++)
    {
      const VariedReport *report = self->reports->pdata[i];

      if (self->read[i] == 2 && (store == NULL || read_report (self, store, report) != READ))
        {
          printf ("lost after others were saved: round %u (%s): %s\n", self->round, self->what, report->name);
          count (self, LOST, 1);
        }
    }
}

/* What was read before should read afterwards: by who writes, and after opening again. */
static void
check_writing (Round *self)
{
  g_autoptr (CauStore) store = cau_store_open (self->path, 0, NULL);
  guint n_worse;

  if (store == NULL)
    return;
  remove_unread (self, store);
  write_to (self, store);
  n_worse = find_worse (self, store);
  g_clear_pointer (&store, cau_store_unref);
  store = cau_store_open (self->path, CAU_STORE_OPEN_READ_ONLY, NULL);
  if (store == NULL)
    wrong (self, "it does not open any more after others were saved");
  n_worse += find_worse (self, store);
  g_clear_pointer (&store, cau_store_unref);
  if (n_worse > 0)
    check_nothing_is_lost (self, n_worse);
}

/* ---- all of a round ---- */

static void
check_reading (Round *self, gboolean in_log, gboolean recovered)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (CauStore) store = cau_store_open (self->path, self->round % 2 == 0 ? CAU_STORE_OPEN_READ_ONLY : 0, &error);
  gboolean has_gone_names = FALSE;
  guint    n = 0;

  memset (self->read, NOT_READ, self->reports->len);
  count (self, store != NULL ? "opened" : "not opened", 1);
  if (store == NULL && strstr (error->message, self->path) == NULL)
    wrong (self, "not opened for '%s', which does not say what", error->message);
  if (store != NULL)
    {
      check_lists (self, store, &has_gone_names);
      for (guint i = 0; i < self->reports->len; i++)
        {
          self->read[i] = (guint8) read_report (self, store, self->reports->pdata[i]);
          n += self->read[i];
        }
      check_verify (self, store, in_log);
    }
  count (self, "reports read right", n);
  count (self, "reports not read", self->reports->len - n);
  g_clear_pointer (&store, cau_store_unref);
  check_recovered (self, recovered, has_gone_names);
}

static void
run_round (Round *self, guint32 seed, guint number)
{
  const guint32    seeds[] = { seed, number };
  FlipSubject     *subject = self->subjects[subject_of_round[number % G_N_ELEMENTS (subject_of_round)]];
  const char      *region;
  g_autofree char *hits = NULL;
  gboolean         recovered, in_log;
  g_autoptr (GRand) rand = g_rand_new_with_seed_array (seeds, G_N_ELEMENTS (seeds));

  g_clear_pointer (&self->what, g_free);
  self->round = number;
  self->what = flip_write (subject, rand, self->path, &region);
  self->region = region;
  in_log = subject->log != NULL;
  printf ("round %u %s\n", number, self->what);
  fflush (stdout);
  alarm (PATIENCE_SECONDS);
  hits = g_strdup_printf ("hits: %s", region);
  count (self, hits, 1);
  recovered = recover (self);
  if (!flip_is_unchanged (subject, self->path))
    wrong (self, "recover has changed the store");
  check_reading (self, in_log, recovered);
  /* For each of the subjects every second time: it takes as long as all else. */
  if (number / G_N_ELEMENTS (subject_of_round) % 2 == 0)
    check_writing (self);
}

/* ---- a process of rounds ---- */

/* @dir: of the subjects; @work: for files that change. */
static int
child (const char *dir, const char *work, guint32 seed, guint first, guint n)
{
  Round          self = { .reports = varied_new_reports () };
  GHashTableIter iter;
  gpointer       key, value;

  self.path = g_build_filename (work, "damaged", NULL);
  self.new_path = g_build_filename (work, "recovered", NULL);
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

/* ---- the test ---- */

static void
add_count (GHashTable *counts, const char *line)
{
  char   *name;
  guint64 n = g_ascii_strtoull (line + strlen ("count "), &name, 10);
  gsize   old = GPOINTER_TO_SIZE (g_hash_table_lookup (counts, name + 1));

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
    print_message ("# %zu %s\n", GPOINTER_TO_SIZE (g_hash_table_lookup (counts, name->data)),
                   (const char *) name->data);
}

static void
damage_is_reported_and_what_is_left_is_saved (void **state)
{
  StoreFixture *f = *state;
  guint         n = fixture_rounds (2000);
  guint32       seed = fixture_seed ();
  g_autoptr (GHashTable) counts = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  varied_make_subjects (f);
  for (guint first = 0; first < n; first += BATCH)
    {
      g_autofree char *work = scratch_new ();
      g_autofree char *failure = run_batch (f, work, seed, first, MIN (BATCH, n - first), counts);

      assert_true (scratch_remove (work));
      if (failure != NULL)
        fail_msg ("%s", failure);
    }
  print_counts (counts);
  assert_in_range (GPOINTER_TO_SIZE (g_hash_table_lookup (counts, LOST)), 0, n / MAX_LOST_IN + 2);
  assert_true (g_hash_table_contains (counts, "reports read right"));
  assert_true (g_hash_table_contains (counts, "reports not read"));
  assert_true (g_hash_table_contains (counts, "reports recovered that did not read"));
}

int
main (int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    STORE_TEST (damage_is_reported_and_what_is_left_is_saved),
  };

  if (argc == 7 && strcmp (argv[1], "--child") == 0)
    return child (argv[2], argv[3], (guint32) g_ascii_strtoull (argv[4], NULL, 10), (guint) atoi (argv[5]),
                  (guint) atoi (argv[6]));
  return cmocka_run_group_tests_name ("flips", tests, NULL, NULL);
}
