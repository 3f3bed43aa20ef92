/* SPDX-License-Identifier: MIT */
#include "caureport-mount.h"

#include <stdlib.h>
#include <string.h>

/* One line of /proc/self/mountinfo, whose format is in proc(5). */
typedef struct
{
  char *root;       /* the part of the filesystem that is mounted: more than "/" for a bind mount */
  char *mountpoint; /* as this process sees it */
  char *type;
  char *source;
} CaureportMountLine;

static void
caureport_mount_line_clear (CaureportMountLine *self)
{
  g_clear_pointer (&self->root, g_free);
  g_clear_pointer (&self->mountpoint, g_free);
  g_clear_pointer (&self->type, g_free);
  g_clear_pointer (&self->source, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportMountLine, caureport_mount_line_clear)

void
caureport_place_clear (CaureportPlace *self)
{
  g_clear_pointer (&self->store, g_free);
  g_clear_pointer (&self->mountpoint, g_free);
  g_clear_pointer (&self->inside, g_free);
}

static gboolean
caureport_mount_line_parse (const char *text, CaureportMountLine *line)
{
  g_auto (GStrv) fields = g_strsplit (text, " ", -1);
  guint n_fields = g_strv_length (fields);
  guint dash = 6; /* after it come the type and the source; before it, any number of optional fields */

  while (dash < n_fields && strcmp (fields[dash], "-") != 0)
    dash++;
  if (dash + 2 >= n_fields)
    return FALSE;
  /* The kernel writes blanks and backslashes as three octal digits, which g_strcompress() reads. */
  line->root = g_strcompress (fields[3]);
  line->mountpoint = g_strcompress (fields[4]);
  line->type = g_strcompress (fields[dash + 1]);
  line->source = g_strcompress (fields[dash + 2]);
  return TRUE;
}

/* What follows @folder in @path, or NULL when @path is not at or below it. Borrowed from @path. */
static const char *
caureport_path_below (const char *path, const char *folder)
{
  gsize length = strlen (folder);

  if (length > 0 && folder[length - 1] == '/')
    length--;
  if (strncmp (path, folder, length) != 0 || (path[length] != '/' && path[length] != '\0'))
    return NULL;
  return path + length;
}

/* Finds the mount that @path lies in: the deepest, and of those on one mountpoint the last one, which
 * covers the others. */
static gboolean
caureport_mount_line_find (const char *mountinfo, const char *path, CaureportMountLine *found)
{
  g_auto (GStrv) lines = g_strsplit (mountinfo, "\n", -1);

  for (char **text = lines; *text != NULL; text++)
    {
      g_auto (CaureportMountLine) line = { NULL, NULL, NULL, NULL };

      if (!caureport_mount_line_parse (*text, &line) || caureport_path_below (path, line.mountpoint) == NULL)
        continue;
      if (found->mountpoint != NULL && strlen (line.mountpoint) < strlen (found->mountpoint))
        continue;
      caureport_mount_line_clear (found);
      *found = line;
      line = (CaureportMountLine){ NULL, NULL, NULL, NULL };
    }
  return found->mountpoint != NULL;
}

static char *
caureport_path_strip (const char *path)
{
  char *stripped;

  while (*path == '/')
    path++;
  stripped = g_strdup (path);
  for (gsize length = strlen (stripped); length > 0 && stripped[length - 1] == '/'; length--)
    stripped[length - 1] = '\0';
  return stripped;
}

/* Makes @path absolute and takes symbolic links out of the way to it. */
static char *
caureport_path_resolve (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);
  gboolean         is_folder = g_str_has_suffix (path, "/") || strcmp (name, ".") == 0 || strcmp (name, "..") == 0;
  g_autofree char *parent = is_folder ? g_strdup (path) : g_path_get_dirname (path);
  g_autofree char *real = realpath (parent, NULL);

  /* A folder that is missing, or that a daemon which died left behind, is found by its words. */
  if (real == NULL)
    real = g_canonicalize_filename (parent, NULL);
  return is_folder ? g_steal_pointer (&real) : g_build_filename (real, name, NULL);
}

gboolean
caureport_place_find (const char *path, CaureportPlace *place, GError **error)
{
  g_autofree char *absolute = caureport_path_resolve (path);
  g_autofree char *mountinfo = NULL;
  g_autofree char *inside = NULL;
  g_auto (CaureportMountLine) line = { NULL, NULL, NULL, NULL };

  if (!g_file_get_contents ("/proc/self/mountinfo", &mountinfo, NULL, error))
    return FALSE;
  if (!caureport_mount_line_find (mountinfo, absolute, &line) || strcmp (line.type, "fuse.caufs") != 0)
    return FALSE;

  inside = g_build_filename (line.root, caureport_path_below (absolute, line.mountpoint), NULL);
  place->inside = caureport_path_strip (inside);
  place->store = g_steal_pointer (&line.source);
  place->mountpoint = g_steal_pointer (&line.mountpoint);
  return TRUE;
}
