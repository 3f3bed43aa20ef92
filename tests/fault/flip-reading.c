/* SPDX-License-Identifier: MIT */
#include "flip-round-private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* More than there are pages above one in a small store. */
#define MAX_TRIES 6

void
flip_count (FlipRound *self, const char *name, guint n)
{
  guint old = GPOINTER_TO_UINT (g_hash_table_lookup (self->counts, name));

  g_hash_table_replace (self->counts, g_strdup (name), GUINT_TO_POINTER (old + n));
}

void
flip_wrong (FlipRound *self, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list          args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  printf ("wrong round %u (%s): %s\n", self->number, self->damage.text, text);
  fflush (stdout);
  _exit (EXIT_FAILURE);
}

static gboolean
is_equal (const guint8 *data, gsize length, GBytes *expected)
{
  g_autoptr (GBytes) bytes = g_bytes_new_static (data, length);

  return g_bytes_equal (bytes, expected);
}

gboolean
flip_read_in_pieces (CauReader *reader, gsize piece, guint8 *buffer, gsize length, gsize *n_read)
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

/* Whether the store may be as it was once: without the end of the log, or with an old page in the place of one in use. Then reports
 * may have the bytes that they had before, and names be there that were renamed, moved or removed. No other damage may bring
 * those back, be it to the list of a damaged store or to what is recovered of it. */
static gboolean
may_be_older (const FlipRound *self)
{
  return self->damage.in_log || self->damage.reach == FLIP_PAGES_MISPLACED;
}

/* Reads @report; bytes that are not its own end the test. */
static FlipOutcome
try_report (FlipRound *self, CauStore *store, const VariedReport *report)
{
  gsize              n_read, length = MAX (g_bytes_get_size (report->bytes), g_bytes_get_size (report->older)) + 1;
  g_autofree guint8 *buffer = g_malloc (length);
  g_autoptr (CauReader) reader = NULL;
  CauOrchestratorInfo info;

  if (!cau_store_find_orchestrator (store, &report->guid, &info, NULL))
    return FLIP_NOT_READ;
  reader = cau_store_get_report (store, info.id, report->name, 100000, NULL);
  if (reader == NULL || !flip_read_in_pieces (reader, self->in_pieces ? 10000 : length, buffer, length, &n_read))
    return FLIP_NOT_READ;
  if (is_equal (buffer, n_read, report->bytes))
    return FLIP_READ;
  if (!may_be_older (self) || !is_equal (buffer, n_read, report->older))
    flip_wrong (self, "%s reads %zu wrong bytes", report->name, n_read);
  flip_count (self, "older versions read", 1);
  return FLIP_READ;
}

/* SQLite finds fault with a page when it meets it first, and then uses what is right of it: each try can get one page further on
 * the way to a report's chunks. */
FlipOutcome
flip_read_report (FlipRound *self, CauStore *store, const VariedReport *report)
{
  if (try_report (self, store, report) == FLIP_READ)
    return FLIP_READ;
  for (guint i = 1; i < MAX_TRIES; i++)
    if (try_report (self, store, report) == FLIP_READ)
      {
        flip_count (self, "reports read at a later try", 1);
        return FLIP_READ;
      }
  return FLIP_NOT_READ;
}

/* ---- lists ---- */

static void
listed_free (gpointer data)
{
  FlipListed *self = data;

  cau_report_info_clear (&self->info);
  g_free (self);
}

static void
list_reports (FlipRound *self, CauStore *store, const CauOrchestratorInfo *orchestrator, GPtrArray *list)
{
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, orchestrator->id, NULL, NULL);
  const CauReportInfo *info;
  guint                n = 0;

  while (ids != NULL && (info = cau_report_ids_next (ids, NULL)) != NULL)
    {
      FlipListed *listed = g_new0 (FlipListed, 1);

      if (n++ > 2000)
        flip_wrong (self, "a list does not end");
      listed->guid = orchestrator->guid;
      listed->info = *info;
      listed->info.name = g_strdup (info->name);
      g_ptr_array_add (list, listed);
    }
}

/* All that the store lists. Returns: (transfer full) (element-type FlipListed). */
GPtrArray *
flip_list_all (FlipRound *self, CauStore *store)
{
  GPtrArray *all = g_ptr_array_new_with_free_func (listed_free);
  CauGuid    after;
  gboolean   first = TRUE;

  for (guint n = 0;; n++)
    {
      g_autoptr (GArray) list = cau_store_list_orchestrators (store, first ? NULL : &after, 2, NULL);

      if (n > 100)
        flip_wrong (self, "the list of orchestrators does not end");
      if (list == NULL || list->len == 0)
        return all;
      first = FALSE;
      for (guint i = 0; i < list->len; i++)
        {
          const CauOrchestratorInfo *info = &g_array_index (list, CauOrchestratorInfo, i);

          list_reports (self, store, info, all);
          after = info->guid;
        }
    }
}

static gboolean
is_size_of (FlipRound *self, const VariedReport *report, guint64 size)
{
  return size == g_bytes_get_size (report->bytes) || (may_be_older (self) && size == g_bytes_get_size (report->older));
}

/* What is listed must be what was saved, or be said to be damaged. */
static void
check_listed (FlipRound *self, const FlipListed *listed)
{
  const CauReportInfo *info = &listed->info;
  const VariedReport  *report = info->name != NULL ? varied_find (self->reports, &listed->guid, info->name) : NULL;

  if (info->damaged || (report == NULL && may_be_older (self) && varied_was_removed (info->name)))
    return;
  if (report == NULL)
    flip_wrong (self, "a list has '%s'", info->name);
  if (!is_size_of (self, report, info->size))
    flip_wrong (self, "a list says %" G_GUINT64_FORMAT " bytes of '%s'", info->size, info->name);
  if (info->attributes.mode != report->mode)
    flip_wrong (self, "a list says mode %o of '%s'", info->attributes.mode, info->name);
}

void
flip_check_lists (FlipRound *self, CauStore *store)
{
  g_autoptr (GPtrArray) list = flip_list_all (self, store);

  for (guint i = 0; i < list->len; i++)
    check_listed (self, list->pdata[i]);
}
