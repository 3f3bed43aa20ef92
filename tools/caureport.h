/* SPDX-License-Identifier: MIT */
#pragma once

/* Inside caureport, the command-line tool. Each command is a function that takes its words, and says
 * what failed through GError; only caureport.c writes errors and decides the exit status. */

#include "cau-store.h"

#include <stdio.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* What the program exits with; docs/caureport.1 has the table for users. */
typedef enum
{
  CAUREPORT_STATUS_OK = 0,
  CAUREPORT_STATUS_FAILED = 1,
  CAUREPORT_STATUS_USAGE = 2,
  CAUREPORT_STATUS_NOT_FOUND = 3,
  CAUREPORT_STATUS_EXISTS = 4,
  CAUREPORT_STATUS_DAMAGED = 5,
  CAUREPORT_STATUS_NO_SPACE = 6,
  CAUREPORT_STATUS_UNAVAILABLE = 7,
} CaureportStatus;

#define CAUREPORT_ERROR (caureport_error_quark ())
GQuark caureport_error_quark (void);

/* The tool's own failures. What the library reports passes through in CAU_STORE_ERROR, and what the
 * system reports about local files in G_FILE_ERROR. */
typedef enum
{
  CAUREPORT_ERROR_FAILED, /* the input is wrong */
  CAUREPORT_ERROR_USAGE,  /* the command line is wrong */
} CaureportError;

CaureportStatus caureport_status_from_error (const GError *error);

/* Sets @error in G_FILE_ERROR to the formatted text and the text of @errsv. */
void caureport_set_error_from_errno (GError **error, int errsv, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* Puts before the text of @error which report, or with @name NULL which orchestrator, it is about. */
void caureport_prefix_error (GError **error, const CauGuid *guid, const char *name);

typedef struct _CaureportCommand CaureportCommand;

/* One run of the program. */
typedef struct
{
  const CaureportCommand *command;      /* borrowed; NULL before it is known */
  char                   *store_option; /* owned; of --store, or NULL */
  mode_t                  umask;
  CauStore               *store;     /* owned; the one opened last, or NULL */
  char                   *store_uri; /* owned; what it was opened by */
  CauStoreOpenFlags       store_flags;
  CaureportStatus         status; /* of the first failure reported */
} Caureport;

/* @words: what follows the command's name, with the command's name before it, as for a main(). */
typedef gboolean (*CaureportRun) (Caureport *self, int n_words, char **words, GError **error);

struct _CaureportCommand
{
  const char  *name;
  const char  *arguments; /* for the usage line */
  const char  *summary;
  const char  *example;
  CaureportRun run;
};

gboolean caureport_run_collect (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_get (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_info (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_ls (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_mkdir (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_mv (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_put (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_recover (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_rm (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_rmdir (Caureport *self, int n_words, char **words, GError **error);
gboolean caureport_run_verify (Caureport *self, int n_words, char **words, GError **error);

/* Parses the options of the current command; --help and --store are added to @entries. Returns: (transfer full): the
 * words that are no options, NULL-terminated, or NULL; without an error when help was asked for, and is printed. */
char **caureport_parse_options (Caureport *self, const GOptionEntry *entries, int n_words, char **words,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* FALSE with an error when words are left that the command has no use for. */
gboolean caureport_parse_end (char **words, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Reports @error (transfer full) on stderr and goes on; the program will exit with the status of the first. */
void caureport_fail (Caureport *self, GError *error);

/* A decimal number of bytes from @minimum to @maximum, as the value of @option. */
gboolean caureport_parse_bytes (const char *text, const char *option, guint64 minimum, guint64 maximum, guint64 *bytes,
                                GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The program, but for what main() sets up for the process. @words: as for a main(); the array is rearranged. */
CaureportStatus caureport_run (int n_words, char **words);

G_END_DECLS
