/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

#define CAUFS_ERROR (caufs_error_quark ())
GQuark caufs_error_quark (void);

/* Why the mount does not start. The messages are whole lines for people. */
typedef enum
{
  CAUFS_ERROR_USAGE, /* the command line */
  CAUFS_ERROR_FAILED,
} CaufsError;

typedef enum
{
  CAUFS_MODE_MOUNT,
  CAUFS_MODE_HELP,
  CAUFS_MODE_VERSION,
} CaufsMode;

/* The command line. */
typedef struct
{
  CaufsMode mode;
  char     *store;      /* owned; absolute, or a URI; NULL but for CAUFS_MODE_MOUNT, as is mountpoint */
  char     *mountpoint; /* owned; absolute */
  gboolean  foreground;
  gboolean  debug;
  gboolean  clone_fd;
  gboolean  io_uring;

  gboolean read_only;
  gboolean worm;
  gboolean keep_killed;
  gboolean allow_others;    /* allow_other or allow_root */
  guint64  max_size;        /* bytes; 0 is no limit */
  guint64  max_report_size; /* bytes; 0 is no limit */
  guint64  max_staged;      /* bytes; 0 is no limit, or CAU_STAGED_AS_ROOM */
  guint64  max_uploads;     /* 0 is no limit */
  guint64  max_open;        /* files; 0 is no limit */
  gboolean uid_is_set;
  gboolean gid_is_set;
  gboolean umask_is_set;
  uid_t    uid;
  gid_t    gid;
  mode_t   umask;
  double   attr_timeout; /* seconds */
  double   entry_timeout;
  guint    max_read; /* bytes; 0 is no limit */

  char *mount_options; /* owned; for libfuse, separated by commas */
} CaufsOptions;

/* Returns: (transfer full): the options, or NULL and an error CAUFS_ERROR_USAGE. */
CaufsOptions *caufs_options_parse (int argc, char **argv, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void          caufs_options_free (CaufsOptions *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsOptions, caufs_options_free)

/* What --help prints. */
extern const char caufs_options_help[];

/* Of the two words at the start of the command line, what is missing prints this. */
extern const char caufs_options_usage[];

G_END_DECLS
