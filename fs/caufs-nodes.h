/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-store.h"
#include "caufs-names.h"

#include <sys/stat.h>

G_BEGIN_DECLS

/* Node numbers. They are inode numbers, st_ino, too; except that a writer shows the number of the version that it began
 * with: programs check by it that what they opened is what they looked at (vim), or have locked.
 *
 * The kernel keeps one size and one set of cached pages for each node. A version never changes, so its node is a good
 * place for both, for as long as the version lives, and whoever reads it shares them. A writer must therefore not
 * be let near that node: its writes would change the size and the pages of those who read. Each writer gets a node of
 * its own.
 *
 * The number of an orchestrator's or a version's node is computed from its id in the store and back: no table, nothing
 * to forget. The low two bits say which kind it is. Writers' nodes are numbered by a counter and live in a table. */
typedef enum
{
  CAUFS_NODE_INVALID,
  CAUFS_NODE_ROOT,
  CAUFS_NODE_ORCHESTRATOR,
  CAUFS_NODE_VERSION,
  CAUFS_NODE_WRITER,
} CaufsNodeKind;

CaufsNodeKind caufs_ino_get_kind (guint64 ino);

/* The id in the store that @ino was made from; CAU_STORE_ROOT_ID for the root. */
guint64 caufs_ino_get_id (guint64 ino);
guint64 caufs_ino_of_orchestrator (guint64 id);
guint64 caufs_ino_of_version (guint64 version);

/* ---- writers' nodes ---- */

typedef struct _CaufsNodes CaufsNodes; /* opaque; the table; thread-safe */
typedef struct _CaufsNode  CaufsNode;
struct _CaufsHandle;

/* A node has its first handle from CREATE on. A ticket has none yet: it is the node that LOOKUP gave to a thread
 * that is about to write (see caufs-intents.h), and gets one from OPEN. When the first handle is closed nothing can be done
 * with the node any more, but the kernel may know it for long: each use of it is ESTALE.
 *
 * The ticket of a report that is saved has its upload already: whoever removes or replaces the report in between, the OPEN
 * gets what was looked up, and never a new report of that name. A ticket that is not opened keeps its version from being
 * collected until the kernel gives up the node: when somebody looks at the name, or for want of memory. The ticket of what
 * is not saved yet has no upload, which would keep the name taken; its OPEN fails when that was removed in between.
 *
 * A node goes when neither the kernel nor anybody here holds it: n_lookup and n_pins are both 0. The kernel may hold one
 * for as long as it has memory, and thereby a million of them after a million saves. So only the last of those whose last
 * handle was closed are kept, for an open that was on its way: their names are known to it. The number of one that went is
 * ESTALE as well. */
struct _CaufsNode
{
  CaufsNodes *table;       /* borrowed; immutable */
  guint64     ino;         /* immutable; counted up, never used again within a mount */
  guint64     st_ino;      /* immutable; the inode number to show */
  CaufsName  *name;        /* owned; immutable */
  CauTarget  *target;      /* owned; immutable; what those who open the node write */
  struct stat ticket_stat; /* immutable; of a ticket: the report, as it was looked up */

  /* guarded by the table's mutex */
  guint64              n_lookup; /* held by the kernel */
  guint                n_pins;   /* held by handles and by requests in work */
  CauUpload           *upload;   /* owned; of a ticket for a saved report, else NULL */
  struct _CaufsHandle *handle;   /* borrowed: it pins the node and takes itself away; NULL before and after */
  gboolean             is_ticket;
  gboolean             is_closed; /* it is, or was, among the last that were closed, which hold a pin */
};

CaufsNodes *caufs_nodes_new (void);

/* The kernel need not have forgotten all nodes when a mount ends: those go as well. */
void caufs_nodes_free (CaufsNodes *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsNodes, caufs_nodes_free)

/* Makes a node, a ticket if there is a @ticket_stat, whose st_ino it shows, or its own number if that is 0.
 * @target: (transfer full), NULL only for a node that nobody opens. @upload: (transfer full) (nullable): the ticket's.
 * Returns: pinned. */
CaufsNode *caufs_nodes_add (CaufsNodes *self, CaufsName *name, CauTarget *target, const struct stat *ticket_stat,
                            CauUpload *upload);

/* The node @ino, or NULL. Returns: pinned. */
CaufsNode *caufs_nodes_get (CaufsNodes *self, guint64 ino);

/* The node of the handle that has @upload, or NULL: it has none yet, or none any more. Returns: pinned. */
CaufsNode *caufs_nodes_find_upload (CaufsNodes *self, const CauUpload *upload);

CaufsNode *caufs_node_pin (CaufsNode *self);
void       caufs_node_unpin (CaufsNode *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsNode, caufs_node_unpin)

/* One more, and @n fewer, references that the kernel holds. It may forget a node that went before. */
void caufs_node_add_lookup (CaufsNode *self);
void caufs_nodes_forget (CaufsNodes *self, guint64 ino, guint64 n);

/* Makes @handle, which pins the node and has @upload, one of the node's: the first, unless it has one. */
void caufs_node_set_handle (CaufsNode *self, struct _CaufsHandle *handle, const CauUpload *upload);

/* Takes @handle and its @upload away from the node. */
void caufs_node_drop_handle (CaufsNode *self, struct _CaufsHandle *handle, const CauUpload *upload);

/* The node's first handle, or NULL. Returns: (transfer full). */
struct _CaufsHandle *caufs_node_ref_handle (CaufsNode *self);

/* TRUE for one caller: the ticket is used up. @upload: (out) (transfer full): what it had, or NULL. */
gboolean caufs_node_take_ticket (CaufsNode *self, CauUpload **upload);
gboolean caufs_node_is_ticket (CaufsNode *self);

G_END_DECLS
