/* SPDX-License-Identifier: MIT */
#include "flip-round-private.h"

#include <stdio.h>
#include <string.h>

/* ---- writing to what was recovered ---- */

#define MARK "mark"

static GBytes *
load (FlipRound *self, CauStore *store, const CauReportInfo *info)
{
  guint8 *buffer = g_malloc (info->size + 1);
  g_autoptr (CauReader) reader = cau_store_get_report (store, info->orchestrator, info->name, 100000, NULL);
  gsize n;

  if (reader == NULL || !flip_read_in_pieces (reader, info->size + 1, buffer, info->size + 1, &n) || n != info->size)
    flip_wrong (self, "%s was recovered, and does not read", info->name);
  return g_bytes_new_take (buffer, n);
}

/* @bytes with MARK over their beginning. */
static GBytes *
with_mark (GBytes *bytes)
{
  gsize       size;
  const void *data = g_bytes_get_data (bytes, &size);
  guint8     *copy = g_malloc0 (MAX (size, strlen (MARK)));

  if (size > 0)
    memcpy (copy, data, size);
  memcpy (copy, MARK, strlen (MARK));
  return g_bytes_new_take (copy, MAX (size, strlen (MARK)));
}

static void
mark (FlipRound *self, CauStore *store, const CauReportInfo *info, FixtureCommits *commits)
{
  const CauAttributes attributes = fixture_attributes ();
  g_autoptr (CauUpload) upload = cau_store_begin_upload (store, info->orchestrator, info->name, 0, &attributes, NULL);

  if (upload == NULL || !cau_upload_write (upload, 0, MARK, strlen (MARK), NULL))
    flip_wrong (self, "%s was recovered, and cannot be written to", info->name);
  fixture_commits_add (commits, upload);
}

void
flip_check_writing_to_recovered (FlipRound *self, CauStore *store)
{
  g_autoptr (GPtrArray) list = flip_list_all (self, store);
  g_autoptr (GPtrArray) expected = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  FixtureCommits commits;

  fixture_commits_init (&commits);
  for (guint i = 0; i < list->len; i++)
    {
      const FlipListed *listed = list->pdata[i];
      g_autoptr (GBytes) bytes = load (self, store, &listed->info);

      g_ptr_array_add (expected, with_mark (bytes));
    }
  /* The last first: where two had become one, the one with the lower number would take a change to the other. */
  for (guint i = list->len; i-- > 0;)
    mark (self, store, &((FlipListed *) list->pdata[i])->info, &commits);
  fixture_commits_wait (&commits);
  if (commits.n_failed > 0)
    flip_wrong (self, "a change to what was recovered failed: %s", commits.last_error->message);
  fixture_commits_clear (&commits);
  for (guint i = 0; i < list->len; i++)
    {
      CauReportInfo *info = &((FlipListed *) list->pdata[i])->info;
      g_autoptr (GBytes) bytes = NULL;

      info->size = g_bytes_get_size (expected->pdata[i]);
      bytes = load (self, store, info);
      if (!g_bytes_equal (bytes, expected->pdata[i]))
        flip_wrong (self, "%s was recovered, and has not the bytes that were written to it then", info->name);
    }
  flip_count (self, "recovered reports that were written to", list->len);
}

/* ---- writing to what is damaged ---- */

/* Unreadable reports that a round removes. */
#define MAX_REMOVED 20

/* What reads as damaged is what an administrator removes. It may fail; that no other report goes with it, find_worse() sees. */
static void
remove_unread (FlipRound *self, CauStore *store)
{
  CauOrchestratorInfo info;
  guint               n = 0, n_tried = 0;

  for (guint i = self->number % 3; i < self->reports->len && n_tried < MAX_REMOVED; i++)
    {
      const VariedReport *report = self->reports->pdata[i];

      if (self->read[i] == FLIP_READ || !cau_store_find_orchestrator (store, &report->guid, &info, NULL))
        continue;
      n_tried++;
      n += cau_store_remove_report (store, info.id, report->name, NULL) ? 1 : 0;
    }
  flip_count (self, "unreadable reports removed", n);
  flip_count (self, "unreadable reports not removed", n_tried - n);
}

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
write_to (FlipRound *self, CauStore *store)
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
  flip_count (self, "changes that were saved", n);
}

/* Marks, as 2, what was read before and is not any more. Returns: how many. */
static guint
find_worse (FlipRound *self, CauStore *store)
{
  guint n = 0;

  for (guint i = 0; i < self->reports->len; i++)
    if (self->read[i] == FLIP_READ && flip_read_report (self, store, self->reports->pdata[i]) != FLIP_READ)
      {
        self->read[i] = 2;
        n++;
      }
  return n;
}

/* SQLite can spread damage in a tree when it writes there. What cannot be found afterwards has still to be there for recover. */
static void
check_nothing_is_lost (FlipRound *self, guint n_worse)
{
  g_autofree char *what = g_strdup_printf ("reports hidden by writing after damage in: %s", self->damage.region);
  g_autoptr (CauStore) store = NULL;
  guint n_lost = 0;

  flip_count (self, what, n_worse);
  store = flip_recover (self) ? cau_store_open (self->new_path, 0, NULL) : NULL;
  for (guint i = 0; i < self->reports->len; i++)
    {
      const VariedReport *report = self->reports->pdata[i];

      if (self->read[i] == 2 && (store == NULL || flip_read_report (self, store, report) != FLIP_READ))
        {
          printf ("lost after others were saved: round %u (%s): %s\n", self->number, self->damage.text, report->name);
          n_lost++;
        }
    }
  if (n_lost > 0)
    flip_count (self, FLIP_ROUNDS_WITH_LOSS, 1);
}

/* What was read before should read afterwards: by who writes, and after opening again. */
void
flip_check_writing (FlipRound *self)
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
    flip_wrong (self, "it does not open any more after others were saved");
  n_worse += find_worse (self, store);
  g_clear_pointer (&store, cau_store_unref);
  if (n_worse > 0)
    check_nothing_is_lost (self, n_worse);
}
