/* SPDX-License-Identifier: MIT */
#include "caureport-put.h"

#include "caureport-progress.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_LENGTH ((gsize) 1024 * 1024)

static void
caureport_put_clear (CaureportPut *self)
{
  g_clear_pointer (&self->name, g_free);
  g_clear_pointer (&self->report_size, g_free);
  g_clear_pointer (&self->input, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportPut, caureport_put_clear)

CauUpload *
caureport_put_begin (CaureportPut *self, const char *name, mode_t mode, GError **error)
{
  CauAttributes  attributes = { mode, geteuid (), getegid (), 0, 0, 0 };
  CauUploadFlags flags = CAU_UPLOAD_TRUNCATE;
  CauUpload     *upload;
  GError        *failure = NULL;

  if (self->no_replace)
    flags |= CAU_UPLOAD_EXCLUSIVE | CAU_UPLOAD_NO_REPLACE;
  upload = cau_store_begin_upload (self->store, self->orchestrator, name, flags, &attributes, &failure);
  if (upload == NULL)
    caureport_put_fail (self, name, failure, error);
  return upload;
}

gboolean
caureport_put_fail (CaureportPut *self, const char *name, GError *failure, GError **error)
{
  /* That is how a commit refuses to replace a report that another process made since the upload began. */
  if (self->no_replace && g_error_matches (failure, CAU_STORE_ERROR, CAU_STORE_ERROR_REFUSED))
    {
      g_clear_error (&failure);
      g_set_error (&failure, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS, "report %s exists already", name);
    }
  caureport_prefix_error (&failure, &self->guid, name);
  g_propagate_error (error, failure);
  return FALSE;
}

static gboolean
caureport_put_is_stdin (const char *file)
{
  return strcmp (file, "-") == 0;
}

static void
caureport_put_fail_read (const char *file, int errsv, GError **error)
{
  caureport_set_error_from_errno (error, errsv, "cannot read %s",
                                  caureport_put_is_stdin (file) ? "standard input" : file);
}

/* Opens @file, which may be "-", and finds what is known of it. */
static int
caureport_put_open_file (const char *file, struct stat *status, GError **error)
{
  int fd = caureport_put_is_stdin (file) ? fcntl (STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open (file, O_RDONLY | O_CLOEXEC);

  int errsv = errno;

  if (fd >= 0)
    {
      errsv = fstat (fd, status) != 0 ? errno : S_ISDIR (status->st_mode) ? EISDIR : 0;
      if (errsv == 0)
        return fd;
      close (fd);
    }
  caureport_put_fail_read (file, errsv, error);
  return -1;
}

static gboolean
caureport_put_copy (CaureportPut *self, int fd, const char *file, const char *name, guint64 size, CauUpload *upload,
                    GError **error)
{
  g_autofree char *buffer = g_malloc (COPY_LENGTH);
  guint64          done = 0;
  GError          *failure = NULL;
  g_auto (CaureportProgress) progress = { 0 };

  caureport_progress_begin (&progress, name, size);
  for (;;)
    {
      gssize n_read = read (fd, buffer, COPY_LENGTH);

      if (n_read < 0 && errno == EINTR)
        continue;
      if (n_read < 0)
        {
          caureport_put_fail_read (file, errno, error);
          return FALSE;
        }
      if (n_read == 0)
        return TRUE;
      if (!cau_upload_write (upload, done, buffer, (gsize) n_read, &failure))
        return caureport_put_fail (self, name, failure, error);
      done += (guint64) n_read;
      caureport_progress_show (&progress, done);
    }
}

static gboolean
caureport_put_preserve (CauUpload *upload, const struct stat *status, GError **error)
{
  CauAttributes attributes = { 0 };

  attributes.mode = status->st_mode & 07777;
  attributes.mtime = (gint64) status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
  return cau_upload_set_attributes (upload, CAU_ATTRIBUTE_MODE | CAU_ATTRIBUTE_MTIME, &attributes, NULL, error);
}

/* @preserved: what the file's attributes are taken from, or NULL. */
static gboolean
caureport_put_commit (CaureportPut *self, const char *name, CauUpload *upload, const struct stat *preserved,
                      GError **error)
{
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  GError *failure = NULL;

  if ((preserved != NULL && !caureport_put_preserve (upload, preserved, &failure))
      || !cau_upload_commit (upload, &info, &failure))
    return caureport_put_fail (self, name, failure, error);
  if (info.version != 0)
    return TRUE;
  g_set_error (&failure, CAU_STORE_ERROR, CAU_STORE_ERROR_STALE, "it was removed while it was saved: nothing is saved");
  return caureport_put_fail (self, name, failure, error);
}

static gboolean
caureport_put_stream (CaureportPut *self, Caureport *app, int fd, const char *file, const struct stat *status,
                      GError **error)
{
  g_autofree char *base = g_path_get_basename (file);
  const char      *name = self->name != NULL ? self->name : base;
  gboolean         is_file = S_ISREG (status->st_mode);
  mode_t           mode = (is_file ? status->st_mode & 0777 : 0666) & ~app->umask;
  g_autoptr (CauUpload) upload = caureport_put_begin (self, name, mode, error);

  return upload != NULL
         && caureport_put_copy (self, fd, file, name, is_file ? (guint64) status->st_size : 0, upload, error)
         && caureport_put_commit (self, name, upload, self->preserve && is_file ? status : NULL, error);
}

static gboolean
caureport_put_file (CaureportPut *self, Caureport *app, const char *file, GError **error)
{
  struct stat status;
  int         fd = caureport_put_open_file (file, &status, error);
  gboolean    ok;

  if (fd < 0)
    return FALSE;
  ok = caureport_put_stream (self, app, fd, file, &status, error);
  close (fd);
  return ok;
}

static gboolean
caureport_put_fail_usage (const char *text, GError **error)
{
  g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, text);
  return FALSE;
}

static gboolean
caureport_put_check_files (CaureportPut *self, char **files, GError **error)
{
  if (files[0] == NULL)
    return caureport_put_fail_usage ("the files to save are missing", error);
  if (self->name != NULL && files[1] != NULL)
    return caureport_put_fail_usage ("one name is given for several files", error);
  if (self->name == NULL && g_strv_contains ((const char *const *) files, "-"))
    return caureport_put_fail_usage ("a report from standard input has no name: give --name NAME", error);
  if (self->report_size != NULL || self->input != NULL)
    return caureport_put_fail_usage ("--report-size and --input go with --chunks", error);
  return TRUE;
}

/* Takes the words after the orchestrator: files, or with --chunks at most the report's name. */
static gboolean
caureport_put_take_words (CaureportPut *self, char **words, GError **error)
{
  if (!self->chunks)
    return caureport_put_check_files (self, words, error);
  if (self->preserve)
    return caureport_put_fail_usage ("--preserve does not go with --chunks", error);
  if (self->name == NULL && words[0] != NULL)
    self->name = g_strdup (*words++);
  return caureport_parse_end (words, error);
}

static gboolean
caureport_put_open_store (CaureportPut *self, Caureport *app, const CaureportTarget *target, GError **error)
{
  CauOrchestratorInfo info;
  GError             *failure = NULL;

  self->store = caureport_target_open (target, app, self->make ? CAU_STORE_OPEN_CREATE : 0, error);
  if (self->store == NULL)
    return FALSE;
  if (self->make && !caureport_make_orchestrator (app, self->store, &target->guid, &info, &failure)
      && !g_error_matches (failure, CAU_STORE_ERROR, CAU_STORE_ERROR_EXISTS))
    {
      g_propagate_error (error, failure);
      return FALSE;
    }
  g_clear_error (&failure);
  if (cau_store_find_orchestrator (self->store, &target->guid, &info, &failure))
    {
      self->guid = target->guid;
      self->orchestrator = info.id;
      return TRUE;
    }
  if (g_error_matches (failure, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND))
    {
      g_clear_error (&failure);
      g_set_error (&failure, CAU_STORE_ERROR, CAU_STORE_ERROR_NOT_FOUND,
                   "there is no such orchestrator: make it with caureport mkdir, or give --mkdir");
    }
  caureport_prefix_error (&failure, &target->guid, NULL);
  g_propagate_error (error, failure);
  return FALSE;
}

static gboolean
caureport_put_do (CaureportPut *self, Caureport *app, char **words, GError **error)
{
  g_auto (CaureportTarget) target = CAUREPORT_TARGET_INIT;

  if (*words == NULL)
    return caureport_put_fail_usage ("the GUID of an orchestrator is missing", error);
  if (!caureport_target_take_any (&target, app, &words, error))
    return FALSE;
  if (!target.has_guid)
    return caureport_put_fail_usage ("a whole store is named, where an orchestrator is meant", error);
  if (target.name != NULL && self->name != NULL)
    return caureport_put_fail_usage ("--name is given, and the path names a report as well", error);
  if (target.name != NULL)
    self->name = g_steal_pointer (&target.name);
  if (!caureport_put_take_words (self, words, error) || !caureport_put_open_store (self, app, &target, error))
    return FALSE;
  if (self->chunks)
    return caureport_put_chunks (self, app, error);

  for (; *words != NULL; words++)
    {
      GError *failure = NULL;

      if (!caureport_put_file (self, app, *words, &failure))
        caureport_fail (app, failure);
    }
  return TRUE;
}

gboolean
caureport_run_put (Caureport *self, int n_words, char **words, GError **error)
{
  g_auto (CaureportPut) put = { 0 };
  GOptionEntry entries[] = {
    { "name", 'N', 0, G_OPTION_ARG_FILENAME, &put.name, "The report's name (default: the file's)", "NAME" },
    { "mkdir", 'p', 0, G_OPTION_ARG_NONE, &put.make, "Make the orchestrator when there is none", NULL },
    { "no-replace", 'n', 0, G_OPTION_ARG_NONE, &put.no_replace, "Fail when the name is taken", NULL },
    { "preserve", 0, 0, G_OPTION_ARG_NONE, &put.preserve, "Keep the file's mode and time", NULL },
    { "chunks", 'c', 0, G_OPTION_ARG_NONE, &put.chunks, "Read one JSON object a line and chunk", NULL },
    { "report-size", 0, 0, G_OPTION_ARG_STRING, &put.report_size, "Bytes that the chunks must add up to", "N" },
    { "input", 'i', 0, G_OPTION_ARG_FILENAME, &put.input, "Read the chunks from this file", "FILE" },
    G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);

  return rest != NULL && caureport_put_do (&put, self, rest, error);
}
