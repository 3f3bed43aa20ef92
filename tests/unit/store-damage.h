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
