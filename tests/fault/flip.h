/* SPDX-License-Identifier: MIT */
#pragma once

/* Damage to the files of a store, chosen at random: first the region, so that small ones are hit as often as large ones, then
 * where in it, then what happens there. */

#include "store-fixture.h"

/* The files of a store, whole, and what is where in them. */
typedef struct
{
  GBytes    *file;
  GBytes    *log;     /* NULL: there is none */
  GPtrArray *regions; /* of flip.c */
} FlipSubject;

/* Reads the store at @path, and its log with @with_log. */
FlipSubject *flip_subject_new (const char *path, gboolean with_log);
void         flip_subject_free (FlipSubject *self);

/* Writes damaged files to @path, the same for the same @rand. Returns: (transfer full): what was done, a line. *@region: where. */
char *flip_write (FlipSubject *self, GRand *rand, const char *path, const char **region);

/* The regions' names. Returns: (transfer container) (element-type utf8). */
GPtrArray *flip_list_regions (FlipSubject *self);

/* Whether the files at @path are those that flip_write() wrote last. */
gboolean flip_is_unchanged (FlipSubject *self, const char *path);
