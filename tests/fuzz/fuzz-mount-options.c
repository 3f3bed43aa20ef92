/* SPDX-License-Identifier: MIT */
/* The command line of caufs: the input is its words, one a line. */

#include "fuzz.h"

#include "caufs-options.h"

#include <getopt.h>
#include <string.h>

#define YEAR_SECONDS (365.0 * 24 * 60 * 60)

static CaufsOptions *
parse (GPtrArray *words)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  CaufsOptions *options;

  g_ptr_array_add (argv, (gpointer) "caufs");
  for (guint i = 0; i < words->len; i++)
    g_ptr_array_add (argv, g_ptr_array_index (words, i));
  g_ptr_array_add (argv, NULL);
  /* glibc's getopt starts over. */
  optind = 0;
  options = caufs_options_parse ((int) argv->len - 1, (char **) argv->pdata, &error);
  /* It may repeat what was given: main() makes a line of it. */
  fuzz_check ((options != NULL) == (error == NULL));
  fuzz_check (error == NULL || (error->domain == CAUFS_ERROR && error->message[0] != '\0'));
  return options;
}

static void
check_values (const CaufsOptions *options)
{
  fuzz_check (options->max_size <= G_MAXINT64 && options->max_report_size <= G_MAXINT64);
  fuzz_check (options->attr_timeout >= 0 && options->attr_timeout <= YEAR_SECONDS);
  fuzz_check (options->entry_timeout >= 0 && options->entry_timeout <= YEAR_SECONDS);
  fuzz_check (options->uid != (uid_t) -1 && options->gid != (gid_t) -1 && options->umask <= 0777);
  if (options->mode != CAUFS_MODE_MOUNT)
    return;
  fuzz_check (options->mountpoint[0] == '/');
  fuzz_check (options->store[0] == '/' || g_str_has_prefix (options->store, "sqlite:/")
              || strstr (options->store, "://") != NULL);
}

/* What is handed to libfuse reads as what was given: given again, it is handed on the same way. */
static void
check_mount_options (const CaufsOptions *options)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autoptr (CaufsOptions) again = NULL;

  if (options->mode != CAUFS_MODE_MOUNT || options->mount_options == NULL)
    return;
  g_ptr_array_add (words, (gpointer) "-o");
  g_ptr_array_add (words, options->mount_options);
  g_ptr_array_add (words, (gpointer) "--");
  g_ptr_array_add (words, options->store);
  g_ptr_array_add (words, options->mountpoint);
  again = parse (words);
  fuzz_check (again != NULL);
  fuzz_check (g_strcmp0 (again->mount_options, options->mount_options) == 0);
  fuzz_check (strcmp (again->store, options->store) == 0 && strcmp (again->mountpoint, options->mountpoint) == 0);
  fuzz_check (again->max_read == options->max_read && again->allow_others == options->allow_others);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = fuzz_text (data, size);
  g_auto (GStrv) lines = g_strsplit (text, "\n", 64);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();
  g_autoptr (CaufsOptions) options = NULL;

  for (char **line = lines; *line != NULL; line++)
    g_ptr_array_add (words, *line);
  options = parse (words);
  if (options != NULL)
    {
      check_values (options);
      check_mount_options (options);
    }
  return 0;
}
