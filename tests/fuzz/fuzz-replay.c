/* SPDX-License-Identifier: MIT */
/* The main() of a fuzz target without libFuzzer: goes through the files in the folder of its argument, and prints TAP. */

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#pragma weak LLVMFuzzerInitialize

static gint
compare (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static GPtrArray *
list_folder (const char *folder)
{
  GPtrArray  *paths = g_ptr_array_new_with_free_func (g_free);
  GDir       *dir = g_dir_open (folder, 0, NULL);
  const char *name;

  while (dir != NULL && (name = g_dir_read_name (dir)) != NULL)
    g_ptr_array_add (paths, g_build_filename (folder, name, NULL));
  g_clear_pointer (&dir, g_dir_close);
  g_ptr_array_sort (paths, compare);
  return paths;
}

static void
replay (FILE *tap, guint number, const char *path)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = g_path_get_basename (path);
  g_autofree char *data = NULL;
  g_autofree char *exact = NULL;
  gsize            size;

  /* Before it is done: the last line says which input a crash belongs to. */
  fprintf (tap, "# %s\n", name);
  if (!g_file_get_contents (path, &data, &size, &error))
    {
      fprintf (tap, "not ok %u - %s\n# %s\n", number, name, error->message);
      exit (EXIT_FAILURE);
    }
  /* g_file_get_contents() adds a NUL, which would hide a read beyond the end. */
  exact = g_memdup2 (data, size);
  LLVMFuzzerTestOneInput ((const uint8_t *) exact, size);
  fprintf (tap, "ok %u - %s\n", number, name);
}

int
main (int argc, char **argv)
{
  /* What the targets print on standard output is not TAP. */
  FILE *tap = fdopen (dup (STDOUT_FILENO), "w");
  g_autoptr (GPtrArray) paths = NULL;

  if (argc != 2 || tap == NULL || dup2 (STDERR_FILENO, STDOUT_FILENO) < 0)
    return EXIT_FAILURE;
  setvbuf (tap, NULL, _IOLBF, 0);
  paths = list_folder (argv[1]);
  fprintf (tap, "1..%u\n", paths->len);
  if (LLVMFuzzerInitialize != NULL)
    LLVMFuzzerInitialize (&argc, &argv);
  for (guint i = 0; i < paths->len; i++)
    replay (tap, i + 1, g_ptr_array_index (paths, i));
  fclose (tap);
  return paths->len > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
