/* SPDX-License-Identifier: MIT */
#pragma once

/* Ways to damage the file of a store that is closed, for the tests that read it then. */

#include "store-fixture.h"

GBytes *damage_read_file (const char *path);
void    damage_write_file (const char *path, GBytes *bytes);

/* Puts @bytes in place of the store's file, with nothing beside it that an earlier round left. */
void damage_replace_store (StoreFixture *self, GBytes *bytes);

/* @bytes with the byte at @position changed by exclusive or with @bits. */
GBytes *damage_flip (GBytes *bytes, gsize position, guint8 bits);

/* Whether @error is what damage that was met is reported as. */
gboolean damage_is_reported (const GError *error);
void     damage_assert_reported (const GError *error);

/* Changes a number in the closed store's file, by exclusive or with @bits: that of @column, counted from 0, in entry @row of the
 * tree @tree, a table or an index by its name, which must not have more than a page. What is in the log is brought into the file
 * before. In an index the row's id comes after the columns. */
void damage_number (StoreFixture *self, const char *tree, guint row, guint column, guint64 bits);

/* What the SQL @query gives, a number, in the closed store's file. */
gint64 damage_query (StoreFixture *self, const char *query);
