/* SPDX-License-Identifier: MIT */
#pragma once

/* What the parts of a round share: flip-reading.c, flip-writing.c and flip-round.c. */

#include "cau-check.h"
#include "flip-round.h"
#include "flip.h"
#include "varied.h"

typedef enum
{
  FLIP_NOT_READ, /* an error, or not there */
  FLIP_READ,
} FlipOutcome;

typedef struct
{
  FlipSubject *subjects[VARIED_SUBJECTS];
  char        *path;     /* of the damaged store */
  char        *new_path; /* of what was recovered last */
  guint        n_recovered;
  GPtrArray   *reports;
  guint8      *read;     /* for each report, whether the damaged store gave it */
  GHashTable  *verdicts; /* "GUID/name" -> CauFindingKind + 1 */
  GHashTable  *counts;   /* name -> number */
  GError      *unsaved;  /* why the last time nothing was recovered */
  FlipDamage   damage;   /* in hand, as are the next */
  guint        number;
  gboolean     read_only;
  gboolean     in_pieces;
} FlipRound;

typedef struct
{
  CauGuid       guid;
  CauReportInfo info;
} FlipListed;

void flip_count (FlipRound *self, const char *name, guint n);
void flip_wrong (FlipRound *self, const char *format, ...) G_GNUC_NORETURN G_GNUC_PRINTF (2, 3);

/* Reads up to @length bytes into @buffer, @piece by @piece. */
gboolean flip_read_in_pieces (CauReader *reader, gsize piece, guint8 *buffer, gsize length, gsize *n_read);

/* Reads @report; bytes that are not its own end the test. */
FlipOutcome flip_read_report (FlipRound *self, CauStore *store, const VariedReport *report);

/* All that @store lists. Returns: (transfer full) (element-type FlipListed). */
GPtrArray *flip_list_all (FlipRound *self, CauStore *store);

/* What is listed must be what was saved, or be said to be damaged. */
void flip_check_lists (FlipRound *self, CauStore *store);

/* Recovers the damaged store. FALSE: there is nothing to recover. */
gboolean flip_recover (FlipRound *self);

/* Saves in @store, what was recovered: a change to one report is one to that report, and to no other. */
void flip_check_writing_to_recovered (FlipRound *self, CauStore *store);

/* Saves in the damaged store: what was read before should read afterwards, or be there for recover. */
void flip_check_writing (FlipRound *self);
