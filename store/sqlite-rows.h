/* SPDX-License-Identifier: MIT */
#pragma once

/* The rows of orchestrators and versions, to and from the public structures. Each row carries a checksum of what it says,
 * so that damage in it is met instead of believed. */

#include "sqlite-db.h"

G_BEGIN_DECLS

#define CAU_ORCHESTRATOR_COLUMNS "id, guid, n_reports, mode, uid, gid, atime, mtime, ctime, checksum"
#define CAU_VERSION_COLUMNS \
  "id, report, orchestrator, name, size, stored_size, sha256, seed, saved, mode, uid, gid, atime, mtime, ctime, " \
  "checksum"

/* Reads the row that @stmt, which selects those columns, stands on. Errors: CORRUPT. */
gboolean cau_row_get_orchestrator (CauStmt *stmt, CauOrchestratorInfo *info, GError **error);
gboolean cau_row_get_version (CauStmt *stmt, CauReportInfo *info, GError **error);

/* Whether @checksum is that of a record that says what @info does. */
gboolean cau_row_check_orchestrator (const CauOrchestratorInfo *info, gint64 checksum);
gboolean cau_row_check_version (const CauReportInfo *info, gint64 checksum);

/* Whether a record whose checksum is right can be ours: anybody can compute that. What is not said here does no harm
 * when it is wrong. */
gboolean cau_row_is_sound (const CauReportInfo *info);

/* @info->id is set to the new row's unless @is_root, the row 0. */
gboolean cau_row_insert_orchestrator (CauDb *db, CauOrchestratorInfo *info, gboolean is_root, GError **error);

/* Writes a row with the id and GUID of @info, and for the rest what has to be set then. */
gboolean cau_row_restore_orchestrator (CauDb *db, const CauOrchestratorInfo *info, GError **error);

/* Takes the id of the next version: one more than any ever was. It is part of a row's checksum, so it is needed first. */
gboolean cau_row_next_version (CauDb *db, guint64 *version, GError **error);

/* Writes the row of info->version, which must be new, or must exist. One with orchestrator 0 has no name. */
gboolean cau_row_insert_version (CauDb *db, const CauReportInfo *info, GError **error);
gboolean cau_row_update_version (CauDb *db, const CauReportInfo *info, GError **error);

/* Writes a page as it is: a change that leaves a row as it was would write nothing. */
gboolean cau_row_write_again (CauDb *db, GError **error);

G_END_DECLS
