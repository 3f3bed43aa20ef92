/* SPDX-License-Identifier: MIT */
#include "sqlite-identity.h"

#include <sys/stat.h>

static const char *const suffixes[] = { "", "-wal", "-shm", "-pins" };

typedef struct
{
  char *path;
  dev_t device;
  ino_t inode;
} StoreFile;

struct _CauIdentity
{
  StoreFile files[G_N_ELEMENTS (suffixes)];
  guint     n_files;
};

static gboolean
fail (const char *path, GError **error)
{
  g_set_error (
    error, CAU_STORE_ERROR, CAU_STORE_ERROR_IO,
    "%s was removed or replaced while the store was in use; put it back, or end the programs that have the store"
    " open and start them again",
    path);
  return FALSE;
}

CauIdentity *
cau_identity_new (const char *path, CauDb *db, gboolean read_only, GError **error)
{
  CauIdentity *self;
  int          has_moved = 0;

  self = g_new0 (CauIdentity, 1);
  for (guint i = 0; i < (read_only ? 1 : G_N_ELEMENTS (suffixes)); i++)
    {
      StoreFile  *file = &self->files[self->n_files];
      struct stat st;

      file->path = g_strconcat (path, suffixes[i], NULL);
      if (stat (file->path, &st) != 0)
        {
          /* Not one that SQLite needs here. */
          g_clear_pointer (&file->path, g_free);
          continue;
        }
      file->device = st.st_dev;
      file->inode = st.st_ino;
      self->n_files++;
    }
  /* Somebody may have been faster still. */
  if (sqlite3_file_control (cau_db_get_handle (db), "main", SQLITE_FCNTL_HAS_MOVED, &has_moved) == SQLITE_OK
      && has_moved != 0)
    {
      fail (path, error);
      g_clear_pointer (&self, cau_identity_free);
    }
  return self;
}

void
cau_identity_free (CauIdentity *self)
{
  for (guint i = 0; i < self->n_files; i++)
    g_free (self->files[i].path);
  g_free (self);
}

gboolean
cau_identity_check (CauIdentity *self, GError **error)
{
  for (guint i = 0; i < self->n_files; i++)
    {
      const StoreFile *file = &self->files[i];
      struct stat      st;

      if (stat (file->path, &st) != 0 || st.st_dev != file->device || st.st_ino != file->inode)
        return fail (file->path, error);
    }
  return TRUE;
}
