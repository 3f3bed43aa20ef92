/* SPDX-License-Identifier: MIT */
#include "caufs-log.h"
#include "cau-error.h"
#include "cau-program.h"
#include "caufs-fuse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* So many lines of a kind in so much time. */
#define MAX_LINES 200
#define WINDOW (10 * G_TIME_SPAN_SECOND)

/* What may still be logged of one kind. */
typedef struct
{
  gint64 begin; /* of the window; monotonic, microseconds */
  guint  n_lines;
  guint  n_left_out;
} Budget;

typedef enum
{
  TO_STDERR,
  TO_JOURNAL,
  TO_SYSLOG,
} Destination;

/* GLib keeps one writer function for the process, libfuse one log function: this, to the mutex, is the only state outside of
 * Caufs. Written before there are threads and once at detaching; atomic. */
static gint destination = TO_STDERR;

static Budget budgets[CAUFS_N_LOG_KINDS];
static GMutex budgets_lock; /* guards them */

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
  switch ((Destination) g_atomic_int_get (&destination))
    {
    case TO_SYSLOG:
      syslog (syslog_priority (level), "%s", find_message (fields, n_fields));
      return G_LOG_WRITER_HANDLED;
    case TO_JOURNAL:
      if (g_log_writer_journald (level, fields, n_fields, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;
      break;
    case TO_STDERR:
      break;
    }
  return g_log_writer_standard_streams (level, fields, n_fields, NULL);
}

static CaufsLogKind
kind_of_libfuse (enum fuse_log_level level)
{
  switch (level)
    {
    case FUSE_LOG_EMERG:
    case FUSE_LOG_ALERT:
    case FUSE_LOG_CRIT:
    case FUSE_LOG_ERR:
    case FUSE_LOG_WARNING:
      return CAUFS_LOG_WARNING;
    case FUSE_LOG_NOTICE:
    case FUSE_LOG_INFO:
    case FUSE_LOG_DEBUG:
      return CAUFS_LOG_NOTICE;
    }
  return CAUFS_LOG_WARNING;
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
  caufs_log (kind_of_libfuse (level), "%s", text);
}

void
caufs_log_init (void)
{
  if (g_log_writer_is_journald (STDERR_FILENO))
    g_atomic_int_set (&destination, TO_JOURNAL);
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
  if (g_atomic_int_get (&destination) == TO_JOURNAL)
    return;
  openlog ("caufs", LOG_PID, LOG_DAEMON);
  g_atomic_int_set (&destination, TO_SYSLOG);
}

static void
write_line (GLogLevelFlags level, const char *line)
{
  g_log_structured (G_LOG_DOMAIN, level, "SYSLOG_IDENTIFIER", "caufs", "MESSAGE", "%s", line);
}

static void
tell_left_out (guint n)
{
  g_autofree char *line = NULL;

  if (n == 0)
    return;
  line = g_strdup_printf ("%u messages were left out, because there were more than %d in %d seconds", n, MAX_LINES,
                          (int) (WINDOW / G_TIME_SPAN_SECOND));
  write_line (G_LOG_LEVEL_WARNING, line);
}

/* @n_left_out: (out): how many lines were left out before, to be told now. */
static gboolean
take_line (CaufsLogKind kind, guint *n_left_out)
{
  G_GNUC_UNUSED g_autoptr (GMutexLocker) locker = g_mutex_locker_new (&budgets_lock);
  Budget       *budget = &budgets[kind];
  const gint64  now = g_get_monotonic_time ();

  *n_left_out = 0;
  if (budget->n_lines == 0 || now - budget->begin >= WINDOW)
    {
      *n_left_out = budget->n_left_out;
      *budget = (Budget){ .begin = now };
    }
  if (budget->n_lines < MAX_LINES)
    {
      budget->n_lines++;
      return TRUE;
    }
  budget->n_left_out++;
  return FALSE;
}

void
caufs_log (CaufsLogKind kind, const char *format, ...)
{
  static const GLogLevelFlags levels[CAUFS_N_LOG_KINDS] = {
    [CAUFS_LOG_BUG] = G_LOG_LEVEL_CRITICAL,
    [CAUFS_LOG_WARNING] = G_LOG_LEVEL_WARNING,
    [CAUFS_LOG_REFUSAL] = G_LOG_LEVEL_WARNING,
    [CAUFS_LOG_NOTICE] = G_LOG_LEVEL_MESSAGE,
  };
  g_autofree char *text = NULL;
  g_autofree char *line = NULL;
  va_list          arguments;
  guint            n_left_out;
  gboolean         may_log = take_line (kind, &n_left_out);

  tell_left_out (n_left_out);
  if (!may_log)
    return;
  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  line = cau_program_make_line (text);
  write_line (levels[kind], line);
}

void
caufs_log_finish (void)
{
  guint n = 0;

  g_mutex_lock (&budgets_lock);
  for (guint kind = 0; kind < CAUFS_N_LOG_KINDS; kind++)
    n += budgets[kind].n_left_out;
  memset (budgets, 0, sizeof budgets);
  g_mutex_unlock (&budgets_lock);
  tell_left_out (n);
}

CaufsLogKind
caufs_log_kind_of (const GError *error)
{
  static const CauStoreError refusals[] = { CAU_STORE_ERROR_NO_SPACE, CAU_STORE_ERROR_QUOTA, CAU_STORE_ERROR_BUSY };

  for (guint i = 0; i < G_N_ELEMENTS (refusals); i++)
    if (g_error_matches (error, CAU_STORE_ERROR, (int) refusals[i]))
      return CAUFS_LOG_REFUSAL;
  return CAUFS_LOG_WARNING;
}

static gboolean
is_worth_a_line (const GError *error)
{
  return error == NULL || error->domain != CAU_STORE_ERROR /* a bug */
         || error->code == CAU_STORE_ERROR_CORRUPT || error->code == CAU_STORE_ERROR_IO
         || caufs_log_kind_of (error) == CAUFS_LOG_REFUSAL;
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
      caufs_log (caufs_log_kind_of (error), "%s: %s", what, error != NULL ? error->message : g_strerror (errnum));
    }
  return -errnum;
}
