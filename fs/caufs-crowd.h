/* SPDX-License-Identifier: MIT */
#pragma once

/* Open files and folders, whose memory is given back when most of many have gone: malloc keeps it in pieces between which others
 * live on, and after each such crowd a little more. Thread-safe. */

#include <glib.h>

G_BEGIN_DECLS

typedef struct _CaufsCrowd CaufsCrowd;

CaufsCrowd *caufs_crowd_new (void);
void        caufs_crowd_free (CaufsCrowd *self);

/* Something comes that may take as much memory as @weight files; it has gone, and its memory is free. */
void caufs_crowd_join (CaufsCrowd *self, guint weight);
void caufs_crowd_leave (CaufsCrowd *self, guint weight);

G_END_DECLS
