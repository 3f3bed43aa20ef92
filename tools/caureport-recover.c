/* SPDX-License-Identifier: MIT */
#include "caureport-findings.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct
{
  CaureportFindings findings;
  char             *partial; /* owned; the folder for pieces of damaged reports, or NULL */
  guint64           version; /* whose file is open */
  int               fd;      /* -1: none is */
  GError           *failure; /* the first to write a piece */
} CaureportRecover;

static void
caureport_recover_clear (CaureportRecover *self)
{
  if (self->fd >= 0)
    close (self->fd);
  g_free (self->partial);
  g_clear_error (&self->failure);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportRecover, caureport_recover_clear)

static void
caureport_recover_found (const CauFinding *finding, gpointer data)
{
  CaureportRecover *self = data;

  caureport_findings_show (&self->findings, finding);
}

static void
caureport_recover_progress (guint64 done, guint64 total, gpointer data)
{
  CaureportRecover *self = data;

  caureport_findings_progress (&self->findings, done, total);
}

/* Makes the file PARTIAL/GUID/NAME, as long as the report, that pieces are written into. */
static gboolean
caureport_recover_open_partial (CaureportRecover *self, const CauFinding *finding)
{
  char             guid[CAU_GUID_TEXT_LEN + 1] = "unknown";
  g_autofree char *folder = NULL;
  g_autofree char *path = NULL;

  if (self->fd >= 0)
    close (self->fd);
  if (finding->has_guid)
    cau_guid_format (&finding->guid, guid);
  folder = g_build_filename (self->partial, guid, NULL);
  path = g_build_filename (folder, finding->name, NULL);
  self->version = finding->version;
  self->fd = -1;
  if (g_mkdir_with_parents (folder, 0700) == 0)
    self->fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (self->fd >= 0 && ftruncate (self->fd, (off_t) finding->size) == 0)
    return TRUE;
  caureport_set_error_from_errno (&self->failure, errno, "cannot write %s", path);
  return FALSE;
}

static gboolean
caureport_recover_write_at (int fd, const guint8 *data, gsize length, guint64 offset)
{
  while (length > 0)
    {
      gssize n = pwrite (fd, data, length, (off_t) offset);

      if (n < 0 && errno != EINTR)
        return FALSE;
      if (n > 0)
        {
          data += n;
          length -= (gsize) n;
          offset += (guint64) n;
        }
    }
  return TRUE;
}

static void
caureport_recover_piece (const CauFinding *finding, guint64 offset, gconstpointer data, gsize length,
                         gpointer user_data)
{
  CaureportRecover *self = user_data;

  if (self->partial == NULL || self->failure != NULL
      || (self->version != finding->version && !caureport_recover_open_partial (self, finding)))
    return;
  if (!caureport_recover_write_at (self->fd, data, length, offset))
    caureport_set_error_from_errno (&self->failure, errno, "cannot write a piece of %s", finding->name);
}

static gboolean
caureport_recover_judge (CaureportRecover *self, const char *old, const CauCheckSummary *summary, GError **error)
{
  if (self->failure != NULL)
    g_propagate_error (error, g_steal_pointer (&self->failure));
  else if (summary->n_damaged > 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " reports could not be saved", old,
                 summary->n_damaged, summary->n_damaged + summary->n_good);
  else if (summary->n_store > 0)
    g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
                 "%s: all reports that were found were saved, but not all else", old);
  else
    return TRUE;
  return FALSE;
}

/* A piece that is there already is of another attempt. That is said before the new store is made, not after. */
static gboolean
caureport_recover_check_partial (const CaureportRecover *self, GError **error)
{
  g_autoptr (GDir) dir = self->partial != NULL ? g_dir_open (self->partial, 0, NULL) : NULL;

  if (dir == NULL || g_dir_read_name (dir) == NULL)
    return TRUE;
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
               "%s is not empty: what is left of lost reports goes to a folder of its own", self->partial);
  return FALSE;
}

static gboolean
caureport_recover_do (CaureportRecover *self, const char *old, const char *new_path, GError **error)
{
  const CauCheckFuncs funcs = { caureport_recover_found, caureport_recover_progress,
                                self->partial != NULL ? caureport_recover_piece : NULL, self };
  CauCheckSummary     summary;
  gboolean            ok;

  caureport_findings_begin (&self->findings, old);
  ok = cau_store_recover (old, new_path, &funcs, &summary, error);
  caureport_findings_end (&self->findings, ok ? &summary : NULL);
  return ok && caureport_recover_judge (self, old, &summary, error);
}

gboolean
caureport_run_recover (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (CaureportRecover) recover = { .findings = { .recover = TRUE }, .fd = -1 };
  GOptionEntry entries[] = {
    { "all", 'a', 0, G_OPTION_ARG_NONE, &recover.findings.all, "List the reports that were saved, too", NULL },
    { "json", 'j', 0, G_OPTION_ARG_NONE, &recover.findings.json, "Print a JSON array, an object a line", NULL },
    { "partial", 'p', 0, G_OPTION_ARG_FILENAME, &recover.partial, "Write what is left of lost reports to files here",
      "FOLDER" },
    G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);

  if (rest == NULL)
    return FALSE;
  if (self->store_option != NULL)
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                           "--store does not go with recover: name the damaged store and the new one");
      return FALSE;
    }
  if (rest[0] == NULL || rest[1] == NULL)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "the name of the %s store is missing",
                   rest[0] == NULL ? "damaged" : "new");
      return FALSE;
    }
  return caureport_parse_end (rest + 2, error) && caureport_recover_check_partial (&recover, error)
         && caureport_recover_do (&recover, rest[0], rest[1], error);
}
