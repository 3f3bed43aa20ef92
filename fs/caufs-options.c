/* SPDX-License-Identifier: MIT */
#include "caufs-options.h"
#include "cau-store.h"
#include "caufs-fuse.h"

#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT 1.0
/* What is more than enough for reports, and bounds what a user can make the daemon do: docs/security.md. */
#define DEFAULT_MAX_REPORT_SIZE (G_GUINT64_CONSTANT (4) << 30)
#define DEFAULT_MAX_UPLOADS 16384
#define DEFAULT_MAX_OPEN 65536

#define TIMEOUT_MAX (365.0 * 24 * 60 * 60)

/* A wrong option is answered with the nearest right one if it takes no more changes than this to make it right. */
#define NEAR_ENOUGH 2

GQuark
caufs_error_quark (void)
{
  return g_quark_from_static_string ("caufs-error-quark");
}

const char caufs_options_usage[] = "usage: caufs [OPTIONS] STORE MOUNTPOINT (caufs --help says more)\n";

/* clang-format off */
const char caufs_options_help[]
  = "usage: caufs [OPTIONS] STORE MOUNTPOINT\n"
    "\n"
    "Mounts a store of Cluster-Aware Updating reports. STORE is a file, which is made\n"
    "if there is none; each orchestrator is a directory named by its GUID, and each\n"
    "report a file in it. Closing a file saves it.\n"
    "\n"
    "  -f                    stay in the foreground\n"
    "  -d                    the same, and print every request\n"
    "  -o OPTION[,OPTION...] one of those below, or any that mount(8) knows\n"
    "  -h, --help            print this\n"
    "  -V, --version         print the version\n"
    "\n"
    "  ro                    change nothing\n"
    "  worm                  reports can be added, never changed, renamed or removed\n"
    "  max_report_size=SIZE  refuse larger reports (default: 4G; SIZE is a number of\n"
    "                          bytes, or one with K, M, G, T)\n"
    "  max_size=SIZE         refuse to let the store grow beyond this\n"
    "  max_staged=SIZE       refuse to keep more that is written and not saved yet\n"
    "  max_uploads=NUMBER    refuse to have more reports written at the same time\n"
    "                          (default: 16384)\n"
    "  max_open=NUMBER       refuse to have more files open (default: 65536)\n"
    "  keep_killed           save what a killed program had written\n"
    "  uid=UID, gid=GID      show everything as belonging to these\n"
    "  umask=OCTAL           show all permissions but these\n"
    "  attr_timeout=SECONDS  how long other programs' changes of the store may stay\n"
    "  entry_timeout=SECONDS   unseen: of attributes, of names (default: 1)\n"
    "  allow_other           let other users in; permissions are always checked\n"
    "  clone_fd              a connection to the kernel for each thread\n"
    "\n"
    "Unmount with: fusermount3 -u MOUNTPOINT\n";
/* clang-format on */

/* ---- the table ---- */

typedef enum
{
  OPTION_FLAG,    /* sets a gboolean */
  OPTION_PASS,    /* goes to libfuse as it is */
  OPTION_BOTH,    /* both */
  OPTION_RW,      /* takes back ro: the last one counts */
  OPTION_IGNORE,  /* is for mount(8) and fstab, or always on */
  OPTION_SIZE,    /* guint64 */
  OPTION_COUNT,   /* guint64 */
  OPTION_SECONDS, /* double */
  OPTION_UID,     /* uid, gid, umask, max_read: a number, with a flag that it is set */
  OPTION_GID,
  OPTION_UMASK,
  OPTION_MAX_READ,
  OPTION_IO_URING, /* goes to a libfuse that has it */
} OptionKind;

typedef struct
{
  const char *name;
  gboolean    takes_value;
  OptionKind  kind;
  gsize       offset; /* in CaufsOptions */
} Option;

#define FIELD(field) G_STRUCT_OFFSET (CaufsOptions, field)

static const Option options[] = {
  { "ro", FALSE, OPTION_BOTH, FIELD (read_only) },
  { "worm", FALSE, OPTION_FLAG, FIELD (worm) },
  { "max_report_size", TRUE, OPTION_SIZE, FIELD (max_report_size) },
  { "max_size", TRUE, OPTION_SIZE, FIELD (max_size) },
  { "max_staged", TRUE, OPTION_SIZE, FIELD (max_staged) },
  { "max_uploads", TRUE, OPTION_COUNT, FIELD (max_uploads) },
  { "max_open", TRUE, OPTION_COUNT, FIELD (max_open) },
  { "keep_killed", FALSE, OPTION_FLAG, FIELD (keep_killed) },
  { "uid", TRUE, OPTION_UID, 0 },
  { "gid", TRUE, OPTION_GID, 0 },
  { "umask", TRUE, OPTION_UMASK, 0 },
  { "attr_timeout", TRUE, OPTION_SECONDS, FIELD (attr_timeout) },
  { "entry_timeout", TRUE, OPTION_SECONDS, FIELD (entry_timeout) },
  { "allow_other", FALSE, OPTION_BOTH, FIELD (allow_others) },
  { "allow_root", FALSE, OPTION_BOTH, FIELD (allow_others) },
  { "clone_fd", FALSE, OPTION_FLAG, FIELD (clone_fd) },
  { "io_uring", FALSE, OPTION_IO_URING, 0 },
  { "io_uring_q_depth", TRUE, OPTION_IO_URING, 0 },
  { "max_read", TRUE, OPTION_MAX_READ, 0 },
  { "auto_unmount", FALSE, OPTION_PASS, 0 },
  { "fsname", TRUE, OPTION_PASS, 0 },
  { "rw", FALSE, OPTION_RW, 0 },
  { "suid", FALSE, OPTION_PASS, 0 },
  { "nosuid", FALSE, OPTION_PASS, 0 },
  { "dev", FALSE, OPTION_PASS, 0 },
  { "nodev", FALSE, OPTION_PASS, 0 },
  { "exec", FALSE, OPTION_PASS, 0 },
  { "noexec", FALSE, OPTION_PASS, 0 },
  { "atime", FALSE, OPTION_PASS, 0 },
  { "noatime", FALSE, OPTION_PASS, 0 },
  { "sync", FALSE, OPTION_PASS, 0 },
  { "async", FALSE, OPTION_PASS, 0 },
  { "dirsync", FALSE, OPTION_PASS, 0 },
  { "context", TRUE, OPTION_PASS, 0 },
  { "fscontext", TRUE, OPTION_PASS, 0 },
  { "defcontext", TRUE, OPTION_PASS, 0 },
  { "rootcontext", TRUE, OPTION_PASS, 0 },
  { "default_permissions", FALSE, OPTION_IGNORE, 0 },
  { "subtype", TRUE, OPTION_IGNORE, 0 },
  { "relatime", FALSE, OPTION_IGNORE, 0 },
  { "defaults", FALSE, OPTION_IGNORE, 0 },
  { "_netdev", FALSE, OPTION_IGNORE, 0 },
  { "nofail", FALSE, OPTION_IGNORE, 0 },
  { "auto", FALSE, OPTION_IGNORE, 0 },
  { "noauto", FALSE, OPTION_IGNORE, 0 },
  { "user", FALSE, OPTION_IGNORE, 0 },
  { "nouser", FALSE, OPTION_IGNORE, 0 },
  { "users", FALSE, OPTION_IGNORE, 0 },
  { "owner", FALSE, OPTION_IGNORE, 0 },
  { "group", FALSE, OPTION_IGNORE, 0 },
  { "comment", TRUE, OPTION_IGNORE, 0 },
};

/* ---- values ---- */

static gboolean usage_error (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
usage_error (GError **error, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  if (error != NULL)
    *error = g_error_new_valist (CAUFS_ERROR, CAUFS_ERROR_USAGE, format, arguments);
  va_end (arguments);
  return FALSE;
}

static gboolean
parse_size (const char *option, const char *value, guint64 *size, GError **error)
{
  static const char units[] = "KMGT";
  char             *end = NULL;
  guint64           number;
  guint             shift = 0;

  if (g_ascii_isdigit (value[0]))
    number = g_ascii_strtoull (value, &end, 10);
  if (end != NULL && *end != '\0')
    {
      const char *unit = strchr (units, g_ascii_toupper (*end));

      shift = unit != NULL ? 10u * (guint) (unit - units + 1) : 0;
      end += unit != NULL ? 1 : 0;
    }
  if (end == NULL || *end != '\0' || number > (guint64) G_MAXINT64 >> shift)
    return usage_error (error, "the value of %s is not a size, such as 1000000 or 64K, 10M, 1G, 1T: %s", option, value);
  *size = number << shift;
  return TRUE;
}

static gboolean
parse_number (const char *option, const char *value, guint base, guint64 max, guint64 *number, GError **error)
{
  char *end = NULL;

  if (g_ascii_isdigit (value[0]))
    *number = g_ascii_strtoull (value, &end, base);
  if (end == NULL || *end != '\0' || *number > max)
    return base == 8 ? usage_error (error, "the value of %s is not an octal number up to 777: %s", option, value)
                     : usage_error (error, "the value of %s is not a number: %s", option, value);
  return TRUE;
}

static gboolean
parse_seconds (const char *option, const char *value, double *seconds, GError **error)
{
  char *end = NULL;

  if (g_ascii_isdigit (value[0]) || value[0] == '.')
    *seconds = g_ascii_strtod (value, &end);
  if (end == NULL || end == value || *end != '\0' || !isfinite (*seconds) || *seconds > TIMEOUT_MAX)
    return usage_error (error, "the value of %s is not a number of seconds, such as 1 or 0.5: %s", option, value);
  return TRUE;
}

/* ---- one option ---- */

static void
pass (CaufsOptions *self, const char *text)
{
  fuse_opt_add_opt_escaped (&self->mount_options, text);
}

static gboolean
set_number (CaufsOptions *self, OptionKind kind, const char *text, const char *value, GError **error)
{
  g_autofree char *name = g_strndup (text, strcspn (text, "="));
  guint64          max = kind == OPTION_UMASK ? 0777 : G_MAXUINT32 - 1;
  guint64          number = 0;

  if (!parse_number (name, value, kind == OPTION_UMASK ? 8 : 10, max, &number, error))
    return FALSE;
  switch (kind)
    {
    case OPTION_UID:
      self->uid = (uid_t) number;
      self->uid_is_set = TRUE;
      break;
    case OPTION_GID:
      self->gid = (gid_t) number;
      self->gid_is_set = TRUE;
      break;
    case OPTION_UMASK:
      self->umask = (mode_t) number;
      self->umask_is_set = TRUE;
      break;
    default:
      self->max_read = (guint) number;
      pass (self, text);
      break;
    }
  return TRUE;
}

static gboolean
pass_io_uring (CaufsOptions *self, const char *text, GError **error)
{
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
  (void) error;
  pass (self, text);
  self->io_uring = TRUE;
  return TRUE;
#else
  (void) self;
  return usage_error (error, "option %s needs libfuse 3.18 or newer, and caufs was built with %d.%d", text,
                      FUSE_MAJOR_VERSION, FUSE_MINOR_VERSION);
#endif
}

static gboolean
apply_option (CaufsOptions *self, const Option *option, const char *text, const char *value, GError **error)
{
  switch (option->kind)
    {
    case OPTION_BOTH:
      pass (self, text);
      G_STRUCT_MEMBER (gboolean, self, option->offset) = TRUE;
      return TRUE;
    case OPTION_FLAG:
      G_STRUCT_MEMBER (gboolean, self, option->offset) = TRUE;
      return TRUE;
    case OPTION_RW:
      self->read_only = FALSE;
      pass (self, text);
      return TRUE;
    case OPTION_PASS:
      pass (self, text);
      return TRUE;
    case OPTION_IGNORE:
      return TRUE;
    case OPTION_SIZE:
      return parse_size (option->name, value, &G_STRUCT_MEMBER (guint64, self, option->offset), error);
    case OPTION_COUNT:
      return parse_number (option->name, value, 10, G_MAXINT64, &G_STRUCT_MEMBER (guint64, self, option->offset),
                           error);
    case OPTION_SECONDS:
      return parse_seconds (option->name, value, &G_STRUCT_MEMBER (double, self, option->offset), error);
    case OPTION_IO_URING:
      return pass_io_uring (self, text, error);
    case OPTION_UID:
    case OPTION_GID:
    case OPTION_UMASK:
    case OPTION_MAX_READ:
      return set_number (self, option->kind, text, value, error);
    }
  g_return_val_if_reached (FALSE);
}

/* ---- wrong options ---- */

/* How many letters must be put in, taken away, changed, or swapped with the next, to make @a into @b. */
static guint
edit_distance (const char *a, const char *b)
{
  gsize             n = strlen (b);
  g_autofree guint *before = g_new0 (guint, n + 1);
  g_autofree guint *row = g_new0 (guint, n + 1);
  g_autofree guint *next = g_new0 (guint, n + 1);

  for (guint j = 0; j <= n; j++)
    row[j] = j;
  for (guint i = 1; a[i - 1] != '\0'; i++)
    {
      next[0] = i;
      for (guint j = 1; j <= n; j++)
        {
          next[j] = MIN (MIN (row[j], next[j - 1]) + 1, row[j - 1] + (a[i - 1] != b[j - 1]));
          if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
            next[j] = MIN (next[j], before[j - 2] + 1);
        }
      memcpy (before, row, (n + 1) * sizeof *row);
      memcpy (row, next, (n + 1) * sizeof *row);
    }
  return row[n];
}

static gboolean
unknown_option (const char *name, GError **error)
{
  const Option *nearest = NULL;
  guint         least = NEAR_ENOUGH + 1;

  for (guint i = 0; i < G_N_ELEMENTS (options); i++)
    {
      guint distance = edit_distance (name, options[i].name);

      if (distance < least && distance < strlen (options[i].name))
        {
          least = distance;
          nearest = &options[i];
        }
    }
  if (nearest != NULL)
    return usage_error (error, "there is no option %s; did you mean %s%s?", name, nearest->name,
                        nearest->takes_value ? "=" : "");
  return usage_error (error, "there is no option %s; caufs --help lists those there are", name);
}

static gboolean
is_for_mount_only (const char *text)
{
  return text[0] == '\0' || g_str_has_prefix (text, "x-") || g_str_has_prefix (text, "X-")
         || g_str_has_prefix (text, "user=");
}

static gboolean
parse_option (CaufsOptions *self, const char *text, GError **error)
{
  g_autofree char *name = g_strndup (text, strcspn (text, "="));
  const char      *value = strchr (text, '=');

  if (is_for_mount_only (text))
    return TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (options); i++)
    {
      if (!g_str_equal (options[i].name, name))
        continue;
      if (options[i].takes_value && value == NULL)
        return usage_error (error, "option %s needs a value: %s=...", name, name);
      if (!options[i].takes_value && value != NULL)
        return usage_error (error, "option %s takes no value: %s", name, text);
      return apply_option (self, &options[i], text, value != NULL ? value + 1 : NULL, error);
    }
  return unknown_option (name, error);
}

/* ---- the command line ---- */

/* Options are separated by commas; a backslash takes away the meaning of what follows it, as in libfuse. */
static gboolean
parse_option_list (CaufsOptions *self, const char *list, GError **error)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (const char *p = list;; p++)
    {
      if (*p == '\\' && p[1] != '\0')
        g_string_append_c (text, *++p);
      else if (*p != ',' && *p != '\0')
        g_string_append_c (text, *p);
      else
        {
          if (!parse_option (self, text->str, error))
            return FALSE;
          if (*p == '\0')
            return TRUE;
          g_string_truncate (text, 0);
        }
    }
}

static gboolean
parse_switches (CaufsOptions *self, int argc, char **argv, GError **error)
{
  static const struct option long_options[] = {
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, 'V' },
    { NULL, 0, NULL, 0 },
  };
  int c;

  opterr = 0;
  while ((c = getopt_long (argc, argv, ":fdhVo:", long_options, NULL)) != -1)
    switch (c)
      {
      case 'f':
        self->foreground = TRUE;
        break;
      case 'd':
        self->foreground = self->debug = TRUE;
        break;
      case 'h':
        self->mode = CAUFS_MODE_HELP;
        return TRUE;
      case 'V':
        self->mode = CAUFS_MODE_VERSION;
        return TRUE;
      case 'o':
        if (!parse_option_list (self, optarg, error))
          return FALSE;
        break;
      case ':':
        return usage_error (error, "-o needs a list of options; caufs --help lists those there are");
      default:
        return optopt != 0
                 ? usage_error (error, "there is no option -%c; caufs --help lists those there are", optopt)
                 : usage_error (error, "there is no option %s; caufs --help lists those there are", argv[optind - 1]);
      }
  return TRUE;
}

/* The daemon leaves the directory it was started in. */
static char *
absolute_store (const char *store)
{
  static const char sqlite[] = "sqlite:";

  if (g_str_has_prefix (store, sqlite))
    {
      g_autofree char *path = g_canonicalize_filename (store + strlen (sqlite), NULL);

      return g_strconcat (sqlite, path, NULL);
    }
  return strstr (store, "://") != NULL ? g_strdup (store) : g_canonicalize_filename (store, NULL);
}

static gboolean
parse_operands (CaufsOptions *self, int argc, char **argv, GError **error)
{
  if (argc - optind != 2)
    return usage_error (error, "%s",
                        argc - optind > 2 ? "too many arguments: STORE and MOUNTPOINT are wanted"
                                          : "STORE and MOUNTPOINT are wanted; caufs --help says more");
  if (argv[optind][0] == '\0' || argv[optind + 1][0] == '\0')
    return usage_error (error, "STORE and MOUNTPOINT must not be empty");
  self->store = absolute_store (argv[optind]);
  self->mountpoint = g_canonicalize_filename (argv[optind + 1], NULL);
  return TRUE;
}

CaufsOptions *
caufs_options_parse (int argc, char **argv, GError **error)
{
  g_autoptr (CaufsOptions) self = g_new0 (CaufsOptions, 1);

  self->attr_timeout = DEFAULT_TIMEOUT;
  self->entry_timeout = DEFAULT_TIMEOUT;
  self->max_report_size = DEFAULT_MAX_REPORT_SIZE;
  self->max_staged = CAU_STAGED_AS_ROOM;
  self->max_uploads = DEFAULT_MAX_UPLOADS;
  self->max_open = DEFAULT_MAX_OPEN;
  if (!parse_switches (self, argc, argv, error))
    return NULL;
  if (self->mode == CAUFS_MODE_MOUNT && !parse_operands (self, argc, argv, error))
    return NULL;
  return g_steal_pointer (&self);
}

void
caufs_options_free (CaufsOptions *self)
{
  g_free (self->store);
  g_free (self->mountpoint);
  free (self->mount_options); /* libfuse's */
  g_free (self);
}
