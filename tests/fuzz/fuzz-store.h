/* SPDX-License-Identifier: MIT */
#pragma once

/* What the targets that damage a store share: the store of one input, and all that is done with it then. */

#include "fuzz.h"

#include "cau-store.h"

/* The bytes of bases/NAME.zst. To be called once for each. */
GByteArray *base_load (const char *name);

/* A folder for the store of one input at a time; it goes when the program ends. */
void        store_init (void);
const char *store_path (void);

/* Puts @db, and @wal unless it is NULL, in the place of what the input before left. */
void store_place (const GByteArray *db, const GByteArray *wal);

typedef enum
{
  STORE_KNOWN_BYTES = 1 << 0,         /* what is read must be what base-contents.c has under that name */
  STORE_LOST_GUIDS = 1 << 2,          /* but the orchestrator may be called another way */
  STORE_KEEPS_WHAT_IS_SAVED = 1 << 1, /* what is saved must read back */
} StoreRules;

/* Opens the store, lists all, reads all, changes it, and closes it. Each call gives what it should or an error; nothing it says
 * is beyond what any store can say. */
void store_exercise (StoreRules rules);

/* How many reports the undamaged store @path has; each must read. */
guint64 store_count_good (const char *path, StoreRules rules);

/* Changes @bytes as @input says: bytes set, ranges copied and cleared, pages swapped, the end cut off. */
void mutate_bytes (GByteArray *bytes, FuzzInput *input);
