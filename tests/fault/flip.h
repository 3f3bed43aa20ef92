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

/* Of the damages a bit is what disks and memory do most, and the easiest to overlook. */
typedef enum
{
  FLIP_BIT,
  FLIP_ANYTHING_ELSE, /* a byte, a sector, a page, pages that are misplaced, the end that is missing */
} FlipKind;

typedef enum
{
  FLIP_IN_ITS_PLACE,
  FLIP_PAGES_MISPLACED, /* a page is where another was */
  FLIP_PAGES_LOST,      /* many may be: the end is missing, or not the number of pages is known */
} FlipReach;

typedef struct
{
  char       *text;   /* what was done, a line */
  const char *region; /* where; borrowed of the subject */
  gboolean    in_log; /* and not in the file */
  FlipReach   reach;
} FlipDamage;

void flip_damage_clear (FlipDamage *self);

/* Writes damaged files to @path, the same for the same @rand; at least one byte differs. @damage: out. */
void flip_write (FlipSubject *self, FlipKind kind, GRand *rand, const char *path, FlipDamage *damage);

/* The regions' names. Returns: (transfer container) (element-type utf8). */
GPtrArray *flip_list_regions (FlipSubject *self);

/* Whether the files at @path are those that flip_write() wrote last. */
gboolean flip_is_unchanged (FlipSubject *self, const char *path);
