/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where a path lies in a mounted store. */
typedef struct
{
  char *store;      /* owned; what the mount was made of: an absolute path or a URI */
  char *mountpoint; /* owned */
  char *inside;     /* owned; the path below the store's root, without slashes around it; may be empty */
} CaureportPlace;

void caureport_place_clear (CaureportPlace *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportPlace, caureport_place_clear)

/* Finds the caufs mount that @path, which need not exist, lies in. The last component of @path is
 * taken as it stands, be it a symbolic link, unless a slash follows it. FALSE without an error when
 * it lies in no caufs mount. */
gboolean caureport_place_find (const char *path, CaureportPlace *place, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
