/* SPDX-License-Identifier: MIT */
/* The program whose file operations are timed: the same for each filesystem, and without a shell between two calls. It
 * prints one line of JSON. */
#include "bench-work.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct
{
  const char *name;
  guint       n_args;
  const char *arguments;
  void (*run) (const BenchOptions *options, BenchResult *result);
} Command;

static const Command commands[] = {
  { "save", 3, "FOLDER CORPUS COUNT", bench_save },
  { "mkdirs", 3, "FOLDER CORPUS COUNT", bench_make_folders },
  { "read", 2, "FOLDER COUNT", bench_read },
  { "stat", 2, "FOLDER COUNT", bench_stat },
  { "rename", 2, "FOLDER COUNT", bench_rename },
  { "unlink", 2, "FOLDER COUNT", bench_unlink },
  { "list", 1, "FOLDER", bench_list },
  { "list-stat", 1, "FOLDER", bench_list_stat },
  { "grep", 2, "FOLDER PATTERN", bench_grep },
  { "save-big", 3, "FILE SIZE compressible|random", bench_save_big },
  { "save-lines", 2, "FILE SIZE", bench_save_lines },
  { "read-big", 1, "FILE", bench_read_big },
  { "read-random", 1, "FILE", bench_read_random },
  { "sync", 2, "FILE SIZE", bench_sync },
};

void
bench_die (const char *what, const char *path)
{
  g_printerr ("bench-client: %s %s: %s\n", what, path, g_strerror (errno));
  exit (1);
}

void
bench_die_message (const char *format, ...)
{
  g_autofree char *message = NULL;
  va_list          ap;

  va_start (ap, format);
  message = g_strdup_vprintf (format, ap);
  va_end (ap);
  g_printerr ("bench-client: %s\n", message);
  exit (1);
}

guint64
bench_parse_number (const char *what, const char *text)
{
  guint64 number;

  if (!g_ascii_string_to_unsigned (text, 10, 1, G_MAXINT64, &number, NULL))
    bench_die_message ("%s is not a number from 1 on: %s", what, text);
  return number;
}

static void
add_cpu (BenchResult *result, double sign)
{
  static const int who[] = { RUSAGE_SELF, RUSAGE_CHILDREN };
  struct rusage    usage;

  for (guint i = 0; i < G_N_ELEMENTS (who); i++)
    {
      getrusage (who[i], &usage);
      result->user += sign * ((double) usage.ru_utime.tv_sec + (double) usage.ru_utime.tv_usec * 1e-6);
      result->system += sign * ((double) usage.ru_stime.tv_sec + (double) usage.ru_stime.tv_usec * 1e-6);
    }
}

void
bench_start (BenchResult *result)
{
  add_cpu (result, -1);
  result->start = g_get_monotonic_time ();
}

void
bench_stop (BenchResult *result)
{
  result->end = g_get_monotonic_time ();
  add_cpu (result, 1);
}

static const Command *
find_command (const char *name)
{
  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    if (g_str_equal (commands[i].name, name))
      return &commands[i];
  return NULL;
}

static char *
describe_commands (void)
{
  GString *text = g_string_new ("Commands:\n");

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++)
    g_string_append_printf (text, "  %s %s\n", commands[i].name, commands[i].arguments);
  return g_string_free (text, FALSE);
}

/* Returns: the command; @options holds what is to be done. */
static const Command *
parse (int *argc, char ***argv, BenchOptions *options)
{
  int                threads = 1;
  gint64             ops = 0, seed = 1, first = 0;
  const GOptionEntry entries[] = {
    { "threads", 0, 0, G_OPTION_ARG_INT, &threads, "Work with N threads", "N" },
    { "ops", 0, 0, G_OPTION_ARG_INT64, &ops, "Do it N times, not once for each report", "N" },
    { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Choose the order of the reports", "N" },
    { "first", 0, 0, G_OPTION_ARG_INT64, &first, "Begin with report number N", "N" },
    { "fsync", 0, 0, G_OPTION_ARG_NONE, &options->fsync, "Call fsync before each close", NULL },
    { "corpus", 0, 0, G_OPTION_ARG_STRING, &options->corpus, "Sample reports for big ones", "FOLDER" },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new ("COMMAND ARGUMENT...");
  g_autoptr (GError) error = NULL;
  g_autofree char *description = describe_commands ();
  const Command   *command;

  g_option_context_add_main_entries (context, entries, NULL);
  g_option_context_set_description (context, description);
  if (!g_option_context_parse (context, argc, argv, &error))
    bench_die_message ("%s", error->message);
  command = *argc > 1 ? find_command ((*argv)[1]) : NULL;
  if (command == NULL)
    bench_die_message ("no such command; try --help");
  if ((guint) *argc - 2 != command->n_args)
    bench_die_message ("usage: %s %s", command->name, command->arguments);
  if (threads < 1 || threads > 64 || ops < 0 || first < 0)
    bench_die_message ("a number is out of range");
  options->n_threads = (guint) threads;
  options->n_ops = (guint64) ops;
  options->seed = (guint64) seed;
  options->first = (guint64) first;
  options->args = *argv + 2;
  return command;
}

int
main (int argc, char **argv)
{
  BenchOptions   options = { 0 };
  BenchResult    result = { 0 };
  const Command *command = parse (&argc, &argv, &options);

  command->run (&options, &result);
  g_print ("{\"ops\":%" G_GUINT64_FORMAT ",\"seconds\":%.6f,\"user\":%.6f,\"system\":%.6f,\"bytes\":%" G_GUINT64_FORMAT
           "}\n",
           result.n_ops, (double) (result.end - result.start) * 1e-6, result.user, result.system, result.n_bytes);
  g_free (options.corpus);
  return 0;
}
