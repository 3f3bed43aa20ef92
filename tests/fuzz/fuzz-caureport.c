/* SPDX-License-Identifier: MIT */
/* The command line of caureport: the input is its words, one a line. No store is ever opened, and so nothing else is either:
 * the words may name any file of the machine. */

#include "fuzz.h"

#include "cau-check.h"
#include "caureport.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The linker puts them in the place of cau_store_open() and cau_store_recover(). */
CauStore *__wrap_cau_store_open (const char *uri, CauStoreOpenFlags flags, GError **error);
gboolean  __wrap_cau_store_recover (const char *path, const char *new_path, const CauCheckFuncs *funcs,
                                    CauCheckSummary *summary, GError **error);

CauStore *
__wrap_cau_store_open (const char *uri, CauStoreOpenFlags flags G_GNUC_UNUSED, GError **error)
{
  fuzz_check (uri[0] != '\0');
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no store %s", uri);
  return NULL;
}

gboolean
__wrap_cau_store_recover (const char *path, const char *new_path G_GNUC_UNUSED,
                          const CauCheckFuncs *funcs G_GNUC_UNUSED, CauCheckSummary *summary G_GNUC_UNUSED,
                          GError **error)
{
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND, "there is no store %s", path);
  return FALSE;
}

int
LLVMFuzzerInitialize (int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
  fuzz_check (setlocale (LC_CTYPE, "C.UTF-8") != NULL);
  fuzz_check (g_setenv ("CAU_STORE", "the-default.db", TRUE));
  return 0;
}

/* Errors are lines for people and for scripts. */
static void
check_messages (CaureportStatus status, const char *messages)
{
  static const char prefix[] = "caureport: ";

  fuzz_check (status <= CAUREPORT_STATUS_UNAVAILABLE);
  fuzz_check (g_utf8_validate (messages, -1, NULL));
  if (status == CAUREPORT_STATUS_OK)
    {
      fuzz_check (messages[0] == '\0');
      return;
    }
  fuzz_check (g_str_has_prefix (messages, prefix) && strlen (messages) > sizeof prefix + 1);
  fuzz_check (strchr (messages, '\n') == messages + strlen (messages) - 1);
}

static void
run (GPtrArray *words)
{
  FILE           *out = stdout, *err = stderr;
  char           *output = NULL, *messages = NULL;
  gsize           n_output, n_messages;
  CaureportStatus status;

  stdout = open_memstream (&output, &n_output);
  stderr = open_memstream (&messages, &n_messages);
  g_set_prgname ("caureport");
  status = caureport_run ((int) words->len - 1, (char **) words->pdata);
  fclose (stdout);
  fclose (stderr);
  stdout = out;
  stderr = err;
  check_messages (status, messages);
  /* Without a store only help and the version are a success. */
  fuzz_check (status != CAUREPORT_STATUS_OK || n_output > 0);
  free (output);
  free (messages);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = fuzz_text (data, size);
  g_auto (GStrv) lines = g_strsplit (text, "\n", 64);
  g_autoptr (GPtrArray) words = g_ptr_array_new ();

  g_ptr_array_add (words, (gpointer) "caureport");
  for (char **line = lines; *line != NULL; line++)
    g_ptr_array_add (words, *line);
  g_ptr_array_add (words, NULL);
  run (words);
  return 0;
}
