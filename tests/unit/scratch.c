/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <ftw.h>
#include <stdio.h>
#include <unistd.h>

/* $CAU_MEMORY_DIR, or the machine's folder in memory, or the temporary one if it has none. */
static const char *
memory_dir (void)
{
  const char *dir = g_getenv ("CAU_MEMORY_DIR");

  if (dir == NULL && access ("/dev/shm", W_OK | X_OK) == 0)
    dir = "/dev/shm";
  return dir != NULL ? dir : g_get_tmp_dir ();
}

char *
scratch_new (void)
{
  char *dir = g_build_filename (memory_dir (), "cau-test-XXXXXX", NULL);

  g_assert_nonnull (g_mkdtemp (dir));
  return dir;
}

static int
remove_entry (const char *path, const struct stat *status G_GNUC_UNUSED, int type G_GNUC_UNUSED,
              struct FTW *where G_GNUC_UNUSED)
{
  return remove (path);
}

gboolean
scratch_remove (const char *dir)
{
  return nftw (dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0;
}
