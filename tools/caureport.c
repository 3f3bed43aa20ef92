/* SPDX-License-Identifier: MIT */
#include "caureport.h"
#include "cau-program.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static const CaureportCommand commands[] = {
  { "ls", "[ORCHESTRATOR]", "List orchestrators, or the reports of one.",
    "  caureport ls --sort=timestamp --reverse $GUID", caureport_run_ls },
  { "get", "REPORT", "Write a report to standard output or to a file.",
    "  caureport get -o report.xml /mnt/cau/$GUID/CauReport-20240109030000.xml", caureport_run_get },
  { "put", "ORCHESTRATOR FILE...", "Save files, or the chunks that get --chunks writes, as reports.",
    "  caureport put --mkdir $GUID CauReport-*.xml\n"
    "  caureport put --chunks $GUID CauReport-20240109030000.xml <chunks.jsonl",
    caureport_run_put },
  { "rm", "ORCHESTRATOR NAME... | PATH...", "Remove reports.", "  caureport rm $GUID CauReport-20240109030000.xml",
    caureport_run_rm },
  { "mv", "REPORT [NEW-NAME]", "Rename a report, or move it to another orchestrator.",
    "  caureport mv --no-replace $GUID draft.xml final.xml", caureport_run_mv },
  { "mkdir", "ORCHESTRATOR...", "Make orchestrators, and the store itself when there is none.",
    "  caureport --store /var/lib/caufs/reports.db mkdir $GUID", caureport_run_mkdir },
  { "rmdir", "ORCHESTRATOR...", "Remove orchestrators that have no reports.", "  caureport rmdir $GUID",
    caureport_run_rmdir },
  { "info", "REPORT", "Show all that is known of a report.",
    "  caureport info --json $GUID CauReport-20240109030000.xml", caureport_run_info },
  { "collect", "[MOUNTPOINT]", "Free the space of what nobody can read any more.",
    "  caureport --store /var/lib/caufs/reports.db collect", caureport_run_collect },
  { "verify", "[ORCHESTRATOR [NAME...] | PATH]", "Read all reports and look for damage.",
    "  caureport --store /var/lib/caufs/reports.db verify", caureport_run_verify },
  { "recover", "DAMAGED-STORE NEW-STORE", "Save what a damaged store still has into a new one.",
    "  caureport recover /var/lib/caufs/reports.db /var/lib/caufs/new.db", caureport_run_recover },
};

/* Commands are as far apart as a person's slip can be: letters left out, added or taken for others. */
static guint
caureport_edit_distance (const char *a, const char *b)
{
  gsize             n_b = strlen (b);
  g_autofree guint *row = g_new (guint, n_b + 1);

  for (gsize j = 0; j <= n_b; j++)
    row[j] = (guint) j;
  for (gsize i = 0; a[i] != '\0'; i++)
    {
      guint diagonal = row[0];

      row[0] = (guint) i + 1;
      for (gsize j = 0; j < n_b; j++)
        {
          guint replaced = diagonal + (a[i] != b[j]);

          diagonal = row[j + 1];
          row[j + 1] = MIN (replaced, MIN (row[j], row[j + 1]) + 1);
        }
    }
  return row[n_b];
}

static const CaureportCommand *
caureport_find_command (const char *name, GError **error)
{
  const CaureportCommand *nearest = NULL;
  guint                   least = 3; /* farther than two slips is another word */

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    {
      guint distance = caureport_edit_distance (name, commands[i].name);

      if (distance == 0)
        return &commands[i];
      if (distance < least && distance < strlen (commands[i].name))
        {
          least = distance;
          nearest = &commands[i];
        }
    }
  if (nearest != NULL)
    g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "there is no command '%s'; did you mean '%s'?", name,
                 nearest->name);
  else
    g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "there is no command '%s'", name);
  return NULL;
}

void
caureport_fail (Caureport *self, GError *error)
{
  CaureportStatus  status = caureport_status_from_error (error);
  g_autofree char *line = cau_program_make_line (error->message);

  fflush (stdout);
  /* The library's words for a wrong GUID or name need no more explanation. */
  if (status == CAUREPORT_STATUS_USAGE && error->domain != CAU_STORE_ERROR)
    fprintf (stderr, "caureport: %s; see %s --help\n", line, g_get_prgname ());
  else
    fprintf (stderr, "caureport: %s\n", line);
  if (self->status == CAUREPORT_STATUS_OK)
    self->status = status;
  g_error_free (error);
}

gboolean
caureport_parse_end (char **words, GError **error)
{
  if (*words == NULL)
    return TRUE;
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "'%s' is one word too many", *words);
  return FALSE;
}

gboolean
caureport_parse_bytes (const char *text, const char *option, guint64 minimum, guint64 maximum, guint64 *bytes,
                       GError **error)
{
  if (g_ascii_string_to_unsigned (text, 10, minimum, maximum, bytes, NULL))
    return TRUE;
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
               "%s takes a number of bytes from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ", not '%s'", option,
               minimum, maximum, text);
  return FALSE;
}

static void
caureport_print_command_help (GOptionContext *context, const CaureportCommand *command)
{
  g_autofree char *description = g_strdup_printf ("Example:\n%s", command->example);
  g_autofree char *help = NULL;

  g_option_context_set_summary (context, command->summary);
  g_option_context_set_description (context, description);
  help = g_option_context_get_help (context, TRUE, NULL);
  fputs (help, stdout);
}

char **
caureport_parse_options (Caureport *self, const GOptionEntry *entries, int n_words, char **words, GError **error)
{
  g_auto (GStrv) rest = NULL;
  g_autofree char *store = NULL;
  gboolean         help = FALSE;
  GOptionEntry     common[] = {
        { "store", 's', 0, G_OPTION_ARG_FILENAME, &store, "The store: a path or a URI", "STORE" },
        { "help", 'h', 0, G_OPTION_ARG_NONE, &help, "Show this help", NULL },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &rest, NULL, NULL },
        G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new (self->command->arguments);
  g_autofree char *program = g_strdup_printf ("caureport %s", self->command->name);

  g_set_prgname (program);
  g_option_context_set_help_enabled (context, FALSE);
  if (entries != NULL)
    g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_add_main_entries (context, common, NULL);
  if (!g_option_context_parse (context, &n_words, &words, error))
    return NULL;
  if (help)
    {
      caureport_print_command_help (context, self->command);
      return NULL;
    }
  /* One before the command is not freed by another context of options. */
  if (store != NULL)
    {
      g_free (self->store_option);
      self->store_option = g_steal_pointer (&store);
    }
  return rest != NULL ? g_steal_pointer (&rest) : g_new0 (char *, 1);
}

static void
caureport_print_help (GOptionContext *context)
{
  g_autoptr (GString) text = g_string_new ("Commands:\n");
  g_autofree char *help = NULL;

  for (gsize i = 0; i < G_N_ELEMENTS (commands); i++)
    g_string_append_printf (text, "  %-9s %s\n", commands[i].name, commands[i].summary);
  g_string_append (text, "\nORCHESTRATOR is a GUID, or the path of a folder in a caufs mount.\n"
                         "REPORT is a GUID and a name, or the path of a report in a caufs mount.\n"
                         "The store is that of the path, else STORE, else the environment variable\n"
                         "CAU_STORE.\n\n"
                         "caureport COMMAND --help tells more; caureport(1) tells all.");
  g_option_context_set_summary (context, "Works with the updating run reports of a caufs store, mounted or not.");
  g_option_context_set_description (context, text->str);
  help = g_option_context_get_help (context, TRUE, NULL);
  fputs (help, stdout);
}

/* Parses the options before the command. On success *@words begins with the command, or it is NULL
 * when the options asked for nothing more. */
static gboolean
caureport_parse_global_options (Caureport *self, int *n_words, char ***words, GError **error)
{
  gboolean     help = FALSE;
  gboolean     version = FALSE;
  GOptionEntry entries[] = {
    { "store", 's', 0, G_OPTION_ARG_FILENAME, &self->store_option, "The store: a path or a URI", "STORE" },
    { "help", 'h', 0, G_OPTION_ARG_NONE, &help, "Show this help", NULL },
    { "version", 'V', 0, G_OPTION_ARG_NONE, &version, "Show the version", NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("COMMAND [ARGUMENT...]");

  g_option_context_set_help_enabled (context, FALSE);
  g_option_context_set_strict_posix (context, TRUE);
  g_option_context_add_main_entries (context, entries, NULL);
  if (!g_option_context_parse (context, n_words, words, error))
    return FALSE;
  if (help)
    caureport_print_help (context);
  else if (version)
    puts ("caureport " CAUFS_VERSION);
  else if (*n_words < 2)
    {
      g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "a command is missing");
      return FALSE;
    }
  *words = help || version ? NULL : *words + 1;
  *n_words -= 1;
  return TRUE;
}

static gboolean
caureport_run_command (Caureport *self, int n_words, char **words, GError **error)
{
  if (!caureport_parse_global_options (self, &n_words, &words, error))
    return FALSE;
  if (words == NULL)
    return TRUE;
  self->command = caureport_find_command (words[0], error);
  return self->command != NULL && self->command->run (self, n_words, words, error);
}

static gboolean
caureport_flush (GError **error)
{
  /* A stream that failed earlier has lost the errno of that failure. */
  int errsv = ferror (stdout) ? EIO : 0;

  if (fflush (stdout) != 0)
    errsv = errno;
  if (errsv == 0)
    return TRUE;
  caureport_set_error_from_errno (error, errsv, "cannot write to standard output");
  return FALSE;
}

CaureportStatus
caureport_run (int n_words, char **words)
{
  Caureport self = { 0 };
  g_autoptr (GError) error = NULL;
  gboolean ok;

  self.umask = umask (0);
  umask (self.umask);

  /* Help was all that was asked for when there is no error. */
  ok = caureport_run_command (&self, n_words, words, &error);
  if ((!ok && error != NULL) || !caureport_flush (&error))
    caureport_fail (&self, g_steal_pointer (&error));

  g_clear_pointer (&self.store, cau_store_unref);
  g_free (self.store_uri);
  g_free (self.store_option);
  return self.status;
}
