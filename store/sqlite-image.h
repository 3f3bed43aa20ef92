/* SPDX-License-Identifier: MIT */
#pragma once

/* The pages of a store's file as they lie on the disk, read without SQLite: the file, with what its write-ahead log has
 * over it. Nothing of it is written, no lock is taken, and no byte is believed: for cau_store_recover().
 *
 * The pages can be seen in two ways that differ only after damage in the log. As SQLite sees them the log ends at the first frame
 * that is damaged. Beyond it there may be frames that are good, of transactions that were committed. Used by one thread at a time. */

#include "sqlite-page.h"

G_BEGIN_DECLS

typedef struct _CauImage CauImage;

/* Opens the store at @path. Errors: NOT_FOUND, PERMISSION, IO, BUSY (a process has it open: what is read would be of several
 * moments), NOT_A_STORE (it or its log is no regular file, or it is too small). */
CauImage *cau_image_open (const char *path, GError **error);
void      cau_image_free (CauImage *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CauImage, cau_image_free)

/* Whether there is something beyond damage in the log; and which way to look from now on. The first is as SQLite does. */
gboolean cau_image_has_beyond (CauImage *self);
void     cau_image_look_beyond (CauImage *self, gboolean beyond);

/* Pages are numbered from 1 to this. */
guint32 cau_image_get_n_pages (CauImage *self);

/* Reads page @number into @page. FALSE when there is no such page, or the disk does not give it. */
gboolean cau_image_read (CauImage *self, guint32 number, guint8 page[CAU_DB_PAGE_SIZE]);

/* Pages that the disk did not give so far. */
guint64 cau_image_get_n_unread (CauImage *self);

G_END_DECLS
