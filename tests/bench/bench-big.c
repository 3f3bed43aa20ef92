/* SPDX-License-Identifier: MIT */
/* Work on one big report. */
#include "bench-work.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What cp(1) of coreutils 9.1 reads and writes at once. */
#define BLOCK_SIZE (128 * 1024)
#define LINE_SIZE 100

/* More than any compressor looks back. */
#define PATTERN_SIZE (64 * 1024 * 1024)

static char *
make_random_pattern (guint64 seed)
{
  guint64 *pattern = g_malloc (PATTERN_SIZE);
  guint64  x = seed * 2 + 1;

  for (gsize i = 0; i < PATTERN_SIZE / sizeof *pattern; i++)
    {
      x ^= x << 13;
      x ^= x >> 7;
      x ^= x << 17;
      pattern[i] = x;
    }
  return (char *) pattern;
}

/* Sample reports, one after the other. */
static char *
make_report_pattern (const char *folder)
{
  char       *pattern = g_malloc (PATTERN_SIZE);
  BenchCorpus corpus;
  gsize       filled = 0;

  if (folder == NULL)
    bench_die_message ("a compressible report needs --corpus");
  bench_corpus_load (&corpus, folder);
  for (guint i = 0; filled < PATTERN_SIZE; i++)
    {
      gsize         size;
      gconstpointer data = g_bytes_get_data (corpus.all[i % corpus.n], &size);

      size = MIN (size, PATTERN_SIZE - filled);
      memcpy (pattern + filled, data, size);
      filled += size;
    }
  bench_corpus_clear (&corpus);
  return pattern;
}

static void
save (const BenchOptions *options, const char *pattern, gsize block, BenchResult *result)
{
  const char *path = options->args[0];
  guint64     size = bench_parse_number ("the size", options->args[1]);
  int         fd;

  bench_start (result);
  fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0)
    bench_die ("cannot make", path);
  for (guint64 at = 0; at < size; result->n_ops++)
    {
      gsize n = (gsize) MIN (size - at, block);

      n = MIN (n, PATTERN_SIZE - (gsize) (at % PATTERN_SIZE));
      bench_write_all (fd, pattern + at % PATTERN_SIZE, n, path);
      at += n;
    }
  if (options->fsync && fsync (fd) < 0)
    bench_die ("cannot sync", path);
  if (close (fd) < 0)
    bench_die ("cannot close", path);
  bench_stop (result);
  result->n_bytes = size;
}

void
bench_save_big (const BenchOptions *options, BenchResult *result)
{
  g_autofree char *pattern = NULL;

  if (g_str_equal (options->args[2], "random"))
    pattern = make_random_pattern (options->seed);
  else if (g_str_equal (options->args[2], "compressible"))
    pattern = make_report_pattern (options->corpus);
  else
    bench_die_message ("neither compressible nor random: %s", options->args[2]);
  save (options, pattern, BLOCK_SIZE, result);
}

void
bench_save_lines (const BenchOptions *options, BenchResult *result)
{
  g_autofree char *pattern = make_report_pattern (options->corpus);

  save (options, pattern, LINE_SIZE, result);
}

static int
open_big (const char *path, guint64 *size)
{
  struct stat st;
  int         fd = open (path, O_RDONLY | O_CLOEXEC);

  if (fd < 0 || fstat (fd, &st) < 0)
    bench_die ("cannot open", path);
  *size = (guint64) st.st_size;
  return fd;
}

void
bench_read_big (const BenchOptions *options, BenchResult *result)
{
  g_autofree char *buffer = g_malloc (BLOCK_SIZE);
  const char      *path = options->args[0];
  guint64          size;
  ssize_t          n;
  int              fd;

  bench_start (result);
  fd = open_big (path, &size);
  while ((n = read (fd, buffer, BLOCK_SIZE)) > 0)
    {
      result->n_ops++;
      result->n_bytes += (guint64) n;
    }
  if (n < 0)
    bench_die ("cannot read", path);
  close (fd);
  bench_stop (result);
  if (result->n_bytes != size)
    bench_die_message ("%s has %" G_GUINT64_FORMAT " bytes but %" G_GUINT64_FORMAT " were read", path, size,
                       result->n_bytes);
}

void
bench_read_random (const BenchOptions *options, BenchResult *result)
{
  guint64             n = options->n_ops > 0 ? options->n_ops : 10000;
  g_autofree guint64 *order = NULL;
  const char         *path = options->args[0];
  char                buffer[4096];
  guint64             size;
  int                 fd = open_big (path, &size);

  if (size < sizeof buffer)
    bench_die_message ("%s is too small", path);
  order = bench_shuffled (size / sizeof buffer, options->seed);
  bench_start (result);
  for (guint64 i = 0; i < n; i++)
    {
      guint64 at = order[i % (size / sizeof buffer)] * sizeof buffer;

      if (pread (fd, buffer, sizeof buffer, (off_t) at) != (ssize_t) sizeof buffer)
        bench_die ("cannot read", path);
    }
  bench_stop (result);
  close (fd);
  result->n_ops = n;
  result->n_bytes = n * sizeof buffer;
}

/* What a durable save costs at least on this disk: its bytes go to the end of a log that has its room already, and are
 * waited for. */
void
bench_sync (const BenchOptions *options, BenchResult *result)
{
  const char      *path = options->args[0];
  gsize            size = (gsize) bench_parse_number ("the size", options->args[1]);
  guint64          n = options->n_ops > 0 ? options->n_ops : 1000;
  g_autofree char *data = g_malloc0 (size);
  int              fd = open (path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  if (fd < 0)
    bench_die ("cannot make", path);
  for (guint64 i = 0; i < n; i++)
    bench_write_all (fd, data, size, path);
  if (fsync (fd) < 0 || lseek (fd, 0, SEEK_SET) < 0)
    bench_die ("cannot sync", path);
  bench_start (result);
  for (guint64 i = 0; i < n; i++)
    {
      bench_write_all (fd, data, size, path);
      if (fdatasync (fd) < 0)
        bench_die ("cannot sync", path);
    }
  bench_stop (result);
  close (fd);
  result->n_ops = n;
  result->n_bytes = n * size;
}
