/* SPDX-License-Identifier: MIT */
#include "store-child.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the child's side ---- */

typedef struct
{
  CauStore  *store;
  guint64    id;
  CauReader *reader; /* or NULL */
  CauUpload *upload; /* or NULL */
} Worker;

static char *
checksum_of_reader (CauReader *reader, GError **error)
{
  guint64            size = cau_reader_get_info (reader)->size;
  g_autofree guint8 *data = g_malloc ((gsize) size + 1);
  gsize              n_read;

  if (!cau_reader_read (reader, 0, data, (gsize) size, &n_read, error))
    return NULL;
  return g_compute_checksum_for_data (G_CHECKSUM_SHA256, data, n_read);
}

static CauUpload *
worker_begin (Worker *self, const char *name, GError **error)
{
  CauAttributes attributes = { .mode = 0644 };

  return cau_store_begin_upload (self->store, self->id, name, 0, &attributes, error);
}

static gboolean
worker_save (Worker *self, const char *name, guint32 seed, gsize length, GError **error)
{
  g_autoptr (GBytes) bytes = fixture_bytes (seed, length);
  g_autoptr (CauUpload) upload = worker_begin (self, name, error);

  return upload != NULL && cau_upload_truncate (upload, 0, error)
         && cau_upload_write (upload, 0, g_bytes_get_data (bytes, NULL), length, error)
         && cau_upload_commit (upload, NULL, error);
}

/* Saves PREFIX-0, PREFIX-1… and says each number once it is saved. */
static gboolean
worker_save_series (Worker *self, const char *prefix, guint n, GError **error)
{
  for (guint i = 0; i < n; i++)
    {
      g_autofree char *name = g_strdup_printf ("%s-%u", prefix, i);

      if (!worker_save (self, name, i, CHILD_SERIES_SIZE, error))
        return FALSE;
      printf ("saved %u\n", i);
      fflush (stdout);
    }
  return TRUE;
}

static gboolean
worker_write (Worker *self, guint32 seed, gsize length, GError **error)
{
  g_autoptr (GBytes) bytes = fixture_bytes (seed, length);

  return cau_upload_truncate (self->upload, 0, error)
         && cau_upload_write (self->upload, 0, g_bytes_get_data (bytes, NULL), length, error);
}

/* Does one command. Returns: (transfer full): what to say after "ok", or NULL with @error set. */
static char *
worker_do (Worker *self, char **words, GError **error)
{
  const char *verb = words[0];
  gboolean    ok = TRUE;

  if (g_str_equal (verb, "save"))
    ok = worker_save (self, words[1], (guint32) atoi (words[2]), (gsize) atoi (words[3]), error);
  else if (g_str_equal (verb, "series"))
    ok = worker_save_series (self, words[1], (guint) atoi (words[2]), error);
  else if (g_str_equal (verb, "begin"))
    ok = (self->upload = worker_begin (self, words[1], error)) != NULL;
  else if (g_str_equal (verb, "write"))
    ok = worker_write (self, (guint32) atoi (words[1]), (gsize) atoi (words[2]), error);
  else if (g_str_equal (verb, "append"))
    ok = cau_upload_append (self->upload, words[1], strlen (words[1]), error);
  else if (g_str_equal (verb, "commit"))
    ok = cau_upload_commit (self->upload, NULL, error);
  else if (g_str_equal (verb, "open"))
    ok = (self->reader = cau_store_get_report (self->store, self->id, words[1], 1, error)) != NULL;
  else if (g_str_equal (verb, "read"))
    return checksum_of_reader (self->reader, error);
  else if (g_str_equal (verb, "remove"))
    ok = cau_store_remove_report (self->store, self->id, words[1], error);
  else if (g_str_equal (verb, "rename"))
    ok = cau_store_rename_report (self->store, self->id, words[1], self->id, words[2], CAU_RENAME_REPLACE, error);
  else if (g_str_equal (verb, "collect"))
    ok = cau_store_collect (self->store, NULL, error);
  else
    g_assert_not_reached ();
  return ok ? g_strdup ("") : NULL;
}

static void
worker_serve (Worker *self)
{
  char line[1024];

  while (fgets (line, sizeof line, stdin) != NULL)
    {
      g_autoptr (GError) error = NULL;
      g_auto (GStrv) words = g_strsplit (g_strchomp (line), " ", -1);
      g_autofree char *answer = worker_do (self, words, &error);

      if (answer != NULL)
        printf ("ok %s\n", answer);
      else
        printf ("error %d %s\n", error->code, error->message);
      fflush (stdout);
    }
}

int
child_main (const char *path)
{
  g_autoptr (GError) error = NULL;
  CauGuid             guid = fixture_guid (FIXTURE_GUID);
  CauOrchestratorInfo info;
  Worker              worker = { .store = cau_store_open (path, 0, &error) };

  if (worker.store == NULL || !cau_store_find_orchestrator (worker.store, &guid, &info, &error))
    {
      printf ("error %d %s\n", error->code, error->message);
      return EXIT_FAILURE;
    }
  worker.id = info.id;
  printf ("ok\n");
  fflush (stdout);
  worker_serve (&worker);
  g_clear_pointer (&worker.reader, cau_reader_unref);
  g_clear_pointer (&worker.upload, cau_upload_unref);
  cau_store_unref (worker.store);
  return EXIT_SUCCESS;
}

/* ---- the parent's side ---- */

char *
child_answer (Child *self)
{
  char line[1024];

  if (fgets (line, sizeof line, self->answers) == NULL)
    fail_msg ("the child ended");
  return g_strdup (g_strchomp (line));
}

void
child_expect_ok (Child *self)
{
  g_autofree char *answer = child_answer (self);

  if (!g_str_has_prefix (answer, "ok"))
    fail_msg ("the child answered: %s", answer);
}

void
child_tell (Child *self, const char *command)
{
  fprintf (self->commands, "%s\n", command);
  fflush (self->commands);
}

void
child_do (Child *self, const char *command)
{
  child_tell (self, command);
  child_expect_ok (self);
}

void
child_start (Child *self, StoreFixture *f)
{
  g_autoptr (GError) error = NULL;
  char  program[] = "/proc/self/exe", option[] = "--child";
  char *argv[] = { program, option, f->path, NULL };
  int   in, out;

  assert_done (g_spawn_async_with_pipes (NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &self->pid, &in, &out,
                                         NULL, &error),
               &error);
  self->commands = fdopen (in, "w");
  self->answers = fdopen (out, "r");
  child_expect_ok (self);
}

static int
child_reap (Child *self)
{
  int status;

  while (waitpid (self->pid, &status, 0) < 0)
    assert_int_equal (errno, EINTR);
  fclose (self->answers);
  return status;
}

void
child_kill (Child *self)
{
  int status;

  assert_int_equal (kill (self->pid, SIGKILL), 0);
  fclose (self->commands);
  status = child_reap (self);
  assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
}

void
child_finish (Child *self)
{
  int status;

  fclose (self->commands);
  status = child_reap (self);
  assert_true (WIFEXITED (status) && WEXITSTATUS (status) == EXIT_SUCCESS);
}

void
child_assert_reads (Child *self, GBytes *expected)
{
  g_autofree char *checksum = g_compute_checksum_for_bytes (G_CHECKSUM_SHA256, expected);
  g_autofree char *answer = NULL;

  child_tell (self, "read");
  answer = child_answer (self);
  assert_true (g_str_has_prefix (answer, "ok "));
  assert_string_equal (answer + 3, checksum);
}
