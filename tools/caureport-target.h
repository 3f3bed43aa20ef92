/* SPDX-License-Identifier: MIT */
#pragma once

#include "caureport.h"

G_BEGIN_DECLS

/* What a command works on, as its words name it: a store, an orchestrator in it, or a report. */
typedef struct
{
  char    *store; /* owned; what to open, a path or a URI */
  gboolean has_guid;
  CauGuid  guid;
  char    *name;    /* owned; NULL when no report is named */
  gboolean is_pair; /* the name was a word of its own, not the end of a path */
} CaureportTarget;

/* clang-format off */
#define CAUREPORT_TARGET_INIT { NULL, FALSE, { { 0 } }, NULL, FALSE }
/* clang-format on */

void caureport_target_clear (CaureportTarget *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (CaureportTarget, caureport_target_clear)

/* The calls below take the words that name a target from the front of *@words, which they move on.
 *
 * @take_any: a GUID, or a path in a mount that may name anything from the mountpoint to a report.
 * @take_optional: the same, or, when there is no word, the store that --store or CAU_STORE names.
 * @take_orchestrator: a GUID, or the path of an orchestrator.
 * @take_report: a GUID or the path of an orchestrator, followed by a name, or the path of a report. */
gboolean caureport_target_take_any (CaureportTarget *self, Caureport *app, char ***words,
                                    GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean caureport_target_take_optional (CaureportTarget *self, Caureport *app, char ***words,
                                         GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean caureport_target_take_orchestrator (CaureportTarget *self, Caureport *app, char ***words,
                                             GError **error) G_GNUC_WARN_UNUSED_RESULT;
gboolean caureport_target_take_report (CaureportTarget *self, Caureport *app, char ***words,
                                       GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @a and @b certainly name two stores. */
gboolean caureport_store_differs (const char *a, const char *b);

/* Opens the store of @self, once for all targets in it. Borrowed: it lives until a target in another store is
 * opened, or the program ends. */
CauStore *caureport_target_open (const CaureportTarget *self, Caureport *app, CauStoreOpenFlags flags,
                                 GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* The same, and finds the orchestrator of @self in it. */
CauStore *caureport_target_open_orchestrator (const CaureportTarget *self, Caureport *app, CauStoreOpenFlags flags,
                                              CauOrchestratorInfo *info, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Makes an orchestrator that belongs to who runs the program. */
gboolean caureport_make_orchestrator (Caureport *self, CauStore *store, const CauGuid *guid, CauOrchestratorInfo *info,
                                      GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
