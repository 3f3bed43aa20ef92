/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What the programs have in common. The library does not export it. */

/* The first thing in main(): a standard stream that is closed is opened so that its use fails, and no file or pipe of the
 * program ever gets its number. */
void cau_program_keep_standard_streams (void);

/* @text, which may hold any bytes of names, without what would make more than one line of it, or give orders to a
 * terminal. Returns: (transfer full): UTF-8. */
char *cau_program_make_line (const char *text);

G_END_DECLS
