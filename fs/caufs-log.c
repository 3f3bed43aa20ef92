/* SPDX-License-Identifier: MIT */
#include "caufs-log.h"
#include "cau-error.h"
#include "caufs-fuse.h"

#include <errno.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

/* GLib keeps one writer function for the process, libfuse one log function: this is the only state outside of
 * Caufs. Written before there are threads and once at detaching. */
static gint caufs_log_to_syslog;

static int
syslog_priority (GLogLevelFlags level)
{
  switch (level & G_LOG_LEVEL_MASK)
    {
    case G_LOG_LEVEL_ERROR:
    case G_LOG_LEVEL_CRITICAL:
      return LOG_ERR;
    case G_LOG_LEVEL_WARNING:
      return LOG_WARNING;
    case G_LOG_LEVEL_MESSAGE:
      return LOG_NOTICE;
    case G_LOG_LEVEL_INFO:
      return LOG_INFO;
    default:
      return LOG_DEBUG;
    }
}

static const char *
find_message (const GLogField *fields, gsize n_fields)
{
  for (gsize i = 0; i < n_fields; i++)
    if (g_strcmp0 (fields[i].key, "MESSAGE") == 0)
      return fields[i].value;
  return "";
}

static GLogWriterOutput
caufs_log_writer (GLogLevelFlags level, const GLogField *fields, gsize n_fields, gpointer user_data)
{
  (void) user_data;
  if (g_log_writer_default_would_drop (level, G_LOG_DOMAIN))
    return G_LOG_WRITER_HANDLED;
  if (g_atomic_int_get (&caufs_log_to_syslog))
    {
      syslog (syslog_priority (level), "%s", find_message (fields, n_fields));
      return G_LOG_WRITER_HANDLED;
    }
  if (g_log_writer_is_journald (STDERR_FILENO)
      && g_log_writer_journald (level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
    return G_LOG_WRITER_HANDLED;
  return g_log_writer_standard_streams (level, fields, n_fields, NULL);
}

static GLogLevelFlags
level_of_libfuse (enum fuse_log_level level)
{
  switch (level)
    {
    case FUSE_LOG_EMERG:
    case FUSE_LOG_ALERT:
    case FUSE_LOG_CRIT:
    case FUSE_LOG_ERR:
    case FUSE_LOG_WARNING:
      return G_LOG_LEVEL_WARNING;
    case FUSE_LOG_NOTICE:
      return G_LOG_LEVEL_MESSAGE;
    case FUSE_LOG_INFO:
      return G_LOG_LEVEL_INFO;
    case FUSE_LOG_DEBUG:
      return G_LOG_LEVEL_DEBUG;
    }
  return G_LOG_LEVEL_WARNING;
}

static void caufs_log_libfuse (enum fuse_log_level level, const char *format, va_list arguments) G_GNUC_PRINTF (2, 0);

/* What -d asked for goes to stderr as libfuse makes it, sometimes in pieces of a line. */
static void
caufs_log_libfuse (enum fuse_log_level level, const char *format, va_list arguments)
{
  g_autofree char *text = NULL;

  if (level == FUSE_LOG_DEBUG)
    {
      vfprintf (stderr, format, arguments);
      return;
    }
  text = g_strchomp (g_strdup_vprintf (format, arguments));
  caufs_log (level_of_libfuse (level), "%s", text);
}

void
caufs_log_init (void)
{
  g_log_writer_default_set_use_stderr (TRUE);
  g_log_set_writer_func (caufs_log_writer, NULL, NULL);
}

void
caufs_log_take_libfuse (void)
{
  fuse_set_log_func (caufs_log_libfuse);
}

void
caufs_log_detach (void)
{
  if (g_log_writer_is_journald (STDERR_FILENO))
    return;
  openlog ("caufs", LOG_PID, LOG_DAEMON);
  g_atomic_int_set (&caufs_log_to_syslog, TRUE);
}

void
caufs_log (GLogLevelFlags level, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list          arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_log_structured (G_LOG_DOMAIN, level, "SYSLOG_IDENTIFIER", "caufs", "MESSAGE", "%s", text);
}

static gboolean
is_worth_a_line (const GError *error)
{
  static const CauStoreError codes[] = { CAU_STORE_ERROR_CORRUPT, CAU_STORE_ERROR_IO, CAU_STORE_ERROR_NO_SPACE,
                                         CAU_STORE_ERROR_QUOTA, CAU_STORE_ERROR_BUSY };

  if (error == NULL || error->domain != CAU_STORE_ERROR)
    return TRUE; /* a bug */
  for (guint i = 0; i < G_N_ELEMENTS (codes); i++)
    if (error->code == (int) codes[i])
      return TRUE;
  return FALSE;
}

int
caufs_fail (const GError *error, const char *format, ...)
{
  int errnum = cau_store_error_to_errno (error);

  if (is_worth_a_line (error))
    {
      g_autofree char *what = NULL;
      va_list          arguments;

      va_start (arguments, format);
      what = g_strdup_vprintf (format, arguments);
      va_end (arguments);
      caufs_log (G_LOG_LEVEL_WARNING, "%s: %s", what, error != NULL ? error->message : g_strerror (errnum));
    }
  return -errnum;
}
