/* SPDX-License-Identifier: MIT */
/* Work on many reports. */
#include "bench-work.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_SIZE (1024 * 1024)

/* ---- the reports ---- */

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

void
bench_corpus_load (BenchCorpus *corpus, const char *folder)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &error);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  if (dir == NULL)
    bench_die_message ("%s", error->message);
  while ((name = g_dir_read_name (dir)) != NULL)
    if (g_str_has_suffix (name, ".xml"))
      g_ptr_array_add (names, g_build_filename (folder, name, NULL));
  g_ptr_array_sort (names, compare_names);
  if (names->len == 0)
    bench_die_message ("%s holds no sample reports", folder);
  corpus->all = g_new (GBytes *, names->len);
  for (corpus->n = 0; corpus->n < names->len; corpus->n++)
    {
      char *data;
      gsize size;

      if (!g_file_get_contents (g_ptr_array_index (names, corpus->n), &data, &size, &error))
        bench_die_message ("%s", error->message);
      corpus->all[corpus->n] = g_bytes_new_take (data, size);
    }
}

void
bench_corpus_clear (BenchCorpus *corpus)
{
  for (gsize i = 0; i < corpus->n; i++)
    g_bytes_unref (corpus->all[i]);
  corpus->n = 0;
  g_clear_pointer (&corpus->all, g_free);
}

void
bench_report_name (guint64 number, char name[BENCH_NAME_SIZE])
{
  time_t    t = 946684800 + (time_t) number * 60;
  struct tm tm;

  gmtime_r (&t, &tm);
  g_snprintf (name, BENCH_NAME_SIZE, "CauReport-%04d%02d%02d%02d%02d%02d.xml", tm.tm_year + 1900, tm.tm_mon + 1,
              tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

guint64 *
bench_shuffled (guint64 n, guint64 seed)
{
  guint64 *order = g_new (guint64, n);
  guint64  state = seed * G_GUINT64_CONSTANT (0x9e3779b97f4a7c15) + 1;

  for (guint64 i = 0; i < n; i++)
    order[i] = i;
  for (guint64 i = n; i > 1; i--)
    {
      guint64 j, swap;

      state = state * G_GUINT64_CONSTANT (6364136223846793005) + G_GUINT64_CONSTANT (1442695040888963407);
      j = (state >> 16) % i;
      swap = order[i - 1];
      order[i - 1] = order[j];
      order[j] = swap;
    }
  return order;
}

int
bench_open_folder (const char *folder)
{
  int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

  if (fd < 0)
    bench_die ("cannot open", folder);
  return fd;
}

void
bench_write_all (int fd, const char *data, gsize size, const char *path)
{
  while (size > 0)
    {
      ssize_t n = write (fd, data, size);

      if (n <= 0)
        bench_die ("cannot write", path);
      data += n;
      size -= (gsize) n;
    }
}

/* ---- many threads ---- */

typedef struct _Pool Pool;
struct _Pool
{
  const BenchOptions *options;
  BenchCorpus         corpus;
  const char         *folder;
  int                 folder_fd;
  guint64             n;     /* operations */
  guint64            *order; /* of the reports; owned; NULL: as they come */
  guint64             n_reports;
  gint64 (*one) (Pool *pool, guint64 number, char *buffer); /* Returns: bytes */

  GMutex  lock;
  guint64 next;    /* guarded by lock; the next operation that a thread takes */
  guint64 n_bytes; /* guarded by lock */
};

static gpointer
work (gpointer data)
{
  Pool            *pool = data;
  g_autofree char *buffer = g_malloc (READ_SIZE);
  guint64          n_bytes = 0;

  for (;;)
    {
      guint64 i;

      g_mutex_lock (&pool->lock);
      i = pool->next++;
      g_mutex_unlock (&pool->lock);
      if (i >= pool->n)
        break;
      i = pool->order != NULL ? pool->order[i % pool->n_reports] : i;
      n_bytes += (guint64) pool->one (pool, i + pool->options->first, buffer);
    }
  g_mutex_lock (&pool->lock);
  pool->n_bytes += n_bytes;
  g_mutex_unlock (&pool->lock);
  return NULL;
}

/* Takes over @pool's order and corpus. */
static void
run_pool (Pool *pool, BenchResult *result)
{
  g_autofree GThread **threads = g_new0 (GThread *, pool->options->n_threads);

  pool->folder_fd = bench_open_folder (pool->folder);
  g_mutex_init (&pool->lock);
  bench_start (result);
  for (guint i = 0; i < pool->options->n_threads; i++)
    threads[i] = g_thread_new ("bench", work, pool);
  for (guint i = 0; i < pool->options->n_threads; i++)
    g_thread_join (threads[i]);
  bench_stop (result);
  g_mutex_clear (&pool->lock);
  close (pool->folder_fd);
  g_clear_pointer (&pool->order, g_free);
  bench_corpus_clear (&pool->corpus);
  result->n_ops = pool->n;
  result->n_bytes = pool->n_bytes;
}

static void
init_pool (Pool *pool, const BenchOptions *options, const char *count)
{
  pool->options = options;
  pool->folder = options->args[0];
  pool->n_reports = bench_parse_number ("the number of reports", count);
  pool->n = options->n_ops > 0 ? options->n_ops : pool->n_reports;
}

/* ---- saving ---- */

static gint64
save_report (Pool *pool, int folder_fd, const char *name, guint64 number)
{
  GBytes     *report = pool->corpus.all[number % pool->corpus.n];
  gsize       size;
  const char *data = g_bytes_get_data (report, &size);
  int         fd = openat (folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

  if (fd < 0)
    bench_die ("cannot make", name);
  bench_write_all (fd, data, size, name);
  if (pool->options->fsync && fsync (fd) < 0)
    bench_die ("cannot sync", name);
  if (close (fd) < 0)
    bench_die ("cannot close", name);
  return (gint64) size;
}

static gint64
save_one (Pool *pool, guint64 number, char *buffer)
{
  char name[BENCH_NAME_SIZE];

  (void) buffer;
  bench_report_name (number, name);
  return save_report (pool, pool->folder_fd, name, number);
}

void
bench_save (const BenchOptions *options, BenchResult *result)
{
  Pool pool = { .one = save_one };

  init_pool (&pool, options, options->args[2]);
  bench_corpus_load (&pool.corpus, options->args[1]);
  run_pool (&pool, result);
}

static gint64
make_one_folder (Pool *pool, guint64 number, char *buffer)
{
  char   guid[40], name[BENCH_NAME_SIZE];
  gint64 size;
  int    fd;

  (void) buffer;
  g_snprintf (guid, sizeof guid, "5b3c1f60-0000-4000-8000-%012" G_GINT64_MODIFIER "x", number);
  if (mkdirat (pool->folder_fd, guid, 0755) < 0)
    bench_die ("cannot make", guid);
  fd = openat (pool->folder_fd, guid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    bench_die ("cannot open", guid);
  bench_report_name (number, name);
  size = save_report (pool, fd, name, number);
  close (fd);
  return size;
}

void
bench_make_folders (const BenchOptions *options, BenchResult *result)
{
  Pool pool = { .one = make_one_folder };

  init_pool (&pool, options, options->args[2]);
  bench_corpus_load (&pool.corpus, options->args[1]);
  run_pool (&pool, result);
}

/* ---- what was saved ---- */

static gint64
read_one (Pool *pool, guint64 number, char *buffer)
{
  char    name[BENCH_NAME_SIZE];
  gint64  total = 0;
  ssize_t n;
  int     fd;

  bench_report_name (number, name);
  fd = openat (pool->folder_fd, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    bench_die ("cannot open", name);
  while ((n = read (fd, buffer, READ_SIZE)) > 0)
    total += n;
  if (n < 0)
    bench_die ("cannot read", name);
  close (fd);
  return total;
}

static gint64
stat_one (Pool *pool, guint64 number, char *buffer)
{
  char        name[BENCH_NAME_SIZE];
  struct stat st;

  (void) buffer;
  bench_report_name (number, name);
  if (fstatat (pool->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
    bench_die ("cannot stat", name);
  return 0;
}

/* The first call gives each report another name, the next one the old one back. */
static gint64
rename_one (Pool *pool, guint64 number, char *buffer)
{
  char name[BENCH_NAME_SIZE], other[BENCH_NAME_SIZE + 4];

  (void) buffer;
  bench_report_name (number, name);
  g_snprintf (other, sizeof other, "%s.old", name);
  if (renameat (pool->folder_fd, name, pool->folder_fd, other) < 0
      && (errno != ENOENT || renameat (pool->folder_fd, other, pool->folder_fd, name) < 0))
    bench_die ("cannot rename", name);
  return 0;
}

static gint64
unlink_one (Pool *pool, guint64 number, char *buffer)
{
  char name[BENCH_NAME_SIZE];

  (void) buffer;
  bench_report_name (number, name);
  if (unlinkat (pool->folder_fd, name, 0) < 0)
    bench_die ("cannot remove", name);
  return 0;
}

static void
run_on_saved (const BenchOptions *options, BenchResult *result, gint64 (*one) (Pool *, guint64, char *))
{
  Pool pool = { .one = one };

  init_pool (&pool, options, options->args[1]);
  pool.order = bench_shuffled (pool.n_reports, options->seed);
  run_pool (&pool, result);
}

void
bench_read (const BenchOptions *options, BenchResult *result)
{
  run_on_saved (options, result, read_one);
}

void
bench_stat (const BenchOptions *options, BenchResult *result)
{
  run_on_saved (options, result, stat_one);
}

void
bench_rename (const BenchOptions *options, BenchResult *result)
{
  run_on_saved (options, result, rename_one);
}

void
bench_unlink (const BenchOptions *options, BenchResult *result)
{
  run_on_saved (options, result, unlink_one);
}

/* ---- the folder ---- */

static void
list (const char *folder, gboolean with_stat, BenchResult *result)
{
  const struct dirent *entry;
  struct stat          st;
  DIR                 *dir;

  bench_start (result);
  dir = opendir (folder);
  if (dir == NULL)
    bench_die ("cannot open", folder);
  errno = 0;
  while ((entry = readdir (dir)) != NULL)
    {
      result->n_ops++;
      if (with_stat && fstatat (dirfd (dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        bench_die ("cannot stat", entry->d_name);
    }
  if (errno != 0)
    bench_die ("cannot list", folder);
  closedir (dir);
  bench_stop (result);
}

void
bench_list (const BenchOptions *options, BenchResult *result)
{
  list (options->args[0], FALSE, result);
}

void
bench_list_stat (const BenchOptions *options, BenchResult *result)
{
  list (options->args[0], TRUE, result);
}

void
bench_grep (const BenchOptions *options, BenchResult *result)
{
  const char *argv[] = { "grep", "-rl", "-e", options->args[1], options->args[0], NULL };
  g_autoptr (GError) error = NULL;
  g_autofree char *output = NULL;
  int              status;

  bench_start (result);
  if (!g_spawn_sync (NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, NULL, &status, &error))
    bench_die_message ("%s", error->message);
  bench_stop (result);
  /* 1: nothing was found. */
  if (!g_spawn_check_wait_status (status, &error) && error->code != 1)
    bench_die_message ("grep failed: %s", error->message);
  for (const char *p = output; *p != '\0'; p++)
    result->n_ops += *p == '\n';
}
