/* SPDX-License-Identifier: MIT */
#pragma once

/* The tables of a store, and the versions of their format. */

#include "sqlite-db.h"

G_BEGIN_DECLS

/* Whether the file is a store that this library understands. Makes the tables in an empty one (CAU_DB_CREATE), and brings an
 * older format up to date unless @mode is CAU_DB_READ_ONLY. Errors: NOT_A_STORE, FORMAT, CORRUPT, and those of writing. */
gboolean cau_schema_check (CauDb *db, CauDbMode mode, GError **error);

G_END_DECLS
