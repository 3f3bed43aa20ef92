/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What the command line asked for. */
typedef struct
{
  guint    n_threads; /* 1..64 */
  guint64  n_ops;     /* 0: as many as there are reports */
  guint64  seed;
  guint64  first;  /* number of the first report to save */
  gboolean fsync;  /* fsync(2) before each close */
  char    *corpus; /* owned */
  char   **args;   /* what follows the command; NULL-terminated */
} BenchOptions;

/* What was done, without what prepared it. */
typedef struct
{
  guint64 n_ops;
  guint64 n_bytes;
  gint64  start; /* monotonic, microseconds; set by bench_start() */
  gint64  end;   /* set by bench_stop() */
  double  user;  /* CPU seconds of this process, and of what it ran, between the two */
  double  system;
} BenchResult;

void bench_start (BenchResult *result);
void bench_stop (BenchResult *result);

/* Ends the process with one line: what failed, on what, and errno's reason. */
void bench_die (const char *what, const char *path) G_GNUC_NORETURN;
void bench_die_message (const char *format, ...) G_GNUC_PRINTF (1, 2) G_GNUC_NORETURN;

/* A number below @end, of an argument. */
guint64 bench_parse_number (const char *what, const char *text);

/* ---- the reports ---- */

/* Sample reports held in memory. */
typedef struct
{
  GBytes **all;
  guint    n;
} BenchCorpus;

void bench_corpus_load (BenchCorpus *corpus, const char *folder);
void bench_corpus_clear (BenchCorpus *corpus);

#define BENCH_NAME_SIZE 40

/* The name of report number @number: one a minute from the year 2000 on. */
void bench_report_name (guint64 number, char name[BENCH_NAME_SIZE]);

/* An order of 0..@n-1 that the same @seed gives again. Returns: (transfer full) */
guint64 *bench_shuffled (guint64 n, guint64 seed);

/* Opens @folder for the *at() calls. */
int bench_open_folder (const char *folder);

void bench_write_all (int fd, const char *data, gsize size, const char *path);

/* ---- the works ---- */

void bench_save (const BenchOptions *options, BenchResult *result);
void bench_make_folders (const BenchOptions *options, BenchResult *result);
void bench_read (const BenchOptions *options, BenchResult *result);
void bench_stat (const BenchOptions *options, BenchResult *result);
void bench_rename (const BenchOptions *options, BenchResult *result);
void bench_unlink (const BenchOptions *options, BenchResult *result);
void bench_list (const BenchOptions *options, BenchResult *result);
void bench_list_stat (const BenchOptions *options, BenchResult *result);
void bench_grep (const BenchOptions *options, BenchResult *result);
void bench_save_big (const BenchOptions *options, BenchResult *result);
void bench_save_lines (const BenchOptions *options, BenchResult *result);
void bench_read_big (const BenchOptions *options, BenchResult *result);
void bench_read_random (const BenchOptions *options, BenchResult *result);
void bench_sync (const BenchOptions *options, BenchResult *result);

G_END_DECLS
