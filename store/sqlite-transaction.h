/* SPDX-License-Identifier: MIT */
#pragma once

/* The transactions of the one connection that writes, until it meets damage. Used by who has the turn to write. */

#include "sqlite-db.h"

G_BEGIN_DECLS

typedef struct _CauTransactions CauTransactions;

/* @path: of the store, for messages. @db: (transfer full). */
CauTransactions *cau_transactions_new (const char *path, CauDb *db);
void             cau_transactions_free (CauTransactions *self);
CauDb           *cau_transactions_get_db (CauTransactions *self);

/* FALSE, with READ_ONLY, once damage was met in what holds the file together, by any call on the connection: writing on could spread
 * it. */
gboolean cau_transactions_may_begin (CauTransactions *self, GError **error);

/* @durable: the commit is on stable storage, and what was committed before it. One that is not is so with the next one that is. */
gboolean cau_transactions_begin (CauTransactions *self, gboolean durable, GError **error);
gboolean cau_transactions_commit (CauTransactions *self, GError **error);

/* Nothing when the failure that it is for has rolled back already. */
void     cau_transactions_rollback (CauTransactions *self);
gboolean cau_transactions_is_open (CauTransactions *self);

/* A transaction that writes one page, as it is. */
gboolean cau_transactions_write_a_page (CauTransactions *self);

G_END_DECLS
