/* SPDX-License-Identifier: MIT */
#pragma once

/* A store with some of everything: orchestrators with and without reports, reports that are small, large, empty, all zeros,
 * that compress or do not, that were replaced, appended to, renamed, moved and removed. The same each time. */

#include "store-fixture.h"

typedef struct
{
  CauGuid guid;
  char   *name;
  GBytes *bytes;
  GBytes *older; /* what it had before; the same if it was saved once */
  guint32 mode;
} VariedReport;

/* The reports that the store has, (element-type VariedReport); and the names of those that were removed. */
GPtrArray *varied_new_reports (void);

/* Makes all of it in the empty @store. */
void varied_save (CauStore *store);

/* Whether a report of that name was there and was removed, renamed or moved. */
gboolean varied_was_removed (const char *name);

/* The report @name of @guid in @reports; NULL: there is none. */
const VariedReport *varied_find (GPtrArray *reports, const CauGuid *guid, const char *name);

/* The store's files in three states: 0: all in the file; 1: nearly all in the log; 2: in the file, with changes in the log. Each has a
 * version without a name, too, as a reader leaves it who is killed.
 * Makes them of the empty store of @f, which is closed then. */
#define VARIED_SUBJECTS 3
void  varied_make_subjects (StoreFixture *f);
char *varied_subject_path (const char *dir, guint number);
