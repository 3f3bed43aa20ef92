/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Where a report is written to: standard output, or a file that is whole or not there at all. */
typedef struct _CaureportOutput CaureportOutput;

/* @path: of the file that caureport_output_finish() makes or replaces; NULL: standard output. A symbolic link
 * is followed. Something there that is no regular file (a terminal, /dev/null, a pipe) is written to as
 * it is. Errors, here and below: G_FILE_ERROR, naming @path. */
CaureportOutput *caureport_output_open (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

gboolean caureport_output_write (CaureportOutput *self, const void *data, gsize length,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Puts the file in place; afterwards it is on stable storage. */
gboolean caureport_output_finish (CaureportOutput *self, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Without a successful finish: throws away what was written to a file. */
void caureport_output_free (CaureportOutput *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaureportOutput, caureport_output_free)

G_END_DECLS
