/* SPDX-License-Identifier: MIT */
#include "caufs-nodes.h"
#include "caufs-handle.h"
#include "caufs-log.h"

#define TAG_BITS 2
#define TAG_MASK 3u
#define ROOT_INO 1u /* FUSE_ROOT_ID; the only one of its kind */

/* More than there can be opens between their LOOKUP and their OPEN. */
#define MAX_CLOSED 1024

enum
{
  TAG_ORCHESTRATOR = 0,
  TAG_ROOT = 1,
  TAG_VERSION = 2,
  TAG_WRITER = 3,
};

CaufsNodeKind
caufs_ino_get_kind (guint64 ino)
{
  if (ino == ROOT_INO)
    return CAUFS_NODE_ROOT;
  if (ino >> TAG_BITS == 0)
    return CAUFS_NODE_INVALID;
  switch (ino & TAG_MASK)
    {
    case TAG_ORCHESTRATOR:
      return CAUFS_NODE_ORCHESTRATOR;
    case TAG_VERSION:
      return CAUFS_NODE_VERSION;
    case TAG_WRITER:
      return CAUFS_NODE_WRITER;
    default:
      return CAUFS_NODE_INVALID;
    }
}

guint64
caufs_ino_get_id (guint64 ino)
{
  return ino >> TAG_BITS;
}

guint64
caufs_ino_of_orchestrator (guint64 id)
{
  return id == CAU_STORE_ROOT_ID ? ROOT_INO : id << TAG_BITS | TAG_ORCHESTRATOR;
}

guint64
caufs_ino_of_version (guint64 version)
{
  return version << TAG_BITS | TAG_VERSION;
}

/* ---- writers' nodes ---- */

struct _CaufsNodes
{
  GMutex      lock;
  guint64     counter;   /* lock */
  GHashTable *by_ino;    /* (element-type guint64 CaufsNode): the key lies in the node; lock */
  GHashTable *by_upload; /* (element-type CauUpload CaufsNode): both borrowed; lock */
  GQueue      closed;    /* (element-type CaufsNode), each pinned, the oldest first; lock */
};

CaufsNodes *
caufs_nodes_new (void)
{
  CaufsNodes *self = g_new0 (CaufsNodes, 1);

  g_mutex_init (&self->lock);
  self->by_ino = g_hash_table_new (g_int64_hash, g_int64_equal);
  self->by_upload = g_hash_table_new (NULL, NULL);
  return self;
}

/* Called with no lock held: to let go of an upload may wait for the store. */
static void
caufs_node_free (CaufsNode *self)
{
  g_clear_pointer (&self->upload, cau_upload_unref);
  g_clear_pointer (&self->target, cau_target_unref);
  caufs_name_unref (self->name);
  g_free (self);
}

void
caufs_nodes_free (CaufsNodes *self)
{
  GHashTableIter iter;
  gpointer       node;

  while ((node = g_queue_pop_head (&self->closed)) != NULL)
    caufs_node_unpin (node);
  g_hash_table_iter_init (&iter, self->by_ino);
  while (g_hash_table_iter_next (&iter, NULL, &node))
    {
      g_warn_if_fail (((CaufsNode *) node)->n_pins == 0);
      g_hash_table_iter_remove (&iter);
      if (((CaufsNode *) node)->is_ticket)
        caufs_name_remove_writer (((CaufsNode *) node)->name);
      caufs_node_free (node);
    }
  g_hash_table_unref (self->by_ino);
  g_hash_table_unref (self->by_upload);
  g_mutex_clear (&self->lock);
  g_free (self);
}

CaufsNode *
caufs_nodes_add (CaufsNodes *self, CaufsName *name, CauTarget *target, const struct stat *ticket_stat,
                 CauUpload *upload)
{
  CaufsNode *node = g_new0 (CaufsNode, 1);

  node->table = self;
  node->name = caufs_name_ref (name);
  node->target = target;
  node->n_pins = 1;
  node->upload = upload;
  node->is_ticket = ticket_stat != NULL;
  if (ticket_stat != NULL)
    {
      node->ticket_stat = *ticket_stat;
      caufs_name_add_writer (name);
    }
  g_mutex_lock (&self->lock);
  node->ino = ++self->counter << TAG_BITS | TAG_WRITER;
  node->st_ino = node->ticket_stat.st_ino != 0 ? node->ticket_stat.st_ino : node->ino;
  node->ticket_stat.st_ino = node->st_ino;
  g_hash_table_insert (self->by_ino, &node->ino, node);
  g_mutex_unlock (&self->lock);
  return node;
}

CaufsNode *
caufs_nodes_get (CaufsNodes *self, guint64 ino)
{
  CaufsNode *node;

  g_mutex_lock (&self->lock);
  node = g_hash_table_lookup (self->by_ino, &ino);
  if (node != NULL)
    node->n_pins++;
  g_mutex_unlock (&self->lock);
  return node;
}

CaufsNode *
caufs_nodes_find_upload (CaufsNodes *self, const CauUpload *upload)
{
  CaufsNode *node;

  g_mutex_lock (&self->lock);
  node = g_hash_table_lookup (self->by_upload, upload);
  if (node != NULL)
    node->n_pins++;
  g_mutex_unlock (&self->lock);
  return node;
}

/* Takes the node out of the table if nobody holds it, for the caller to let go when the mutex is free. */
static CaufsNode *
steal_unused_locked (CaufsNode *self)
{
  gboolean is_held = self->n_lookup > 0 && !self->is_closed;

  if (is_held || self->n_pins > 0)
    return NULL;
  g_hash_table_remove (self->table->by_ino, &self->ino);
  return self;
}

/* The last pin of a node that can have no handle any more goes to the queue, until it is full. Returns: what must go
 * instead, or NULL. */
static CaufsNode *
close_locked (CaufsNode *self)
{
  CaufsNodes *table = self->table;
  CaufsNode  *oldest;

  self->is_closed = TRUE;
  self->n_pins++;
  g_queue_push_tail (&table->closed, self);
  if (table->closed.length <= MAX_CLOSED)
    return NULL;
  oldest = g_queue_pop_head (&table->closed);
  oldest->n_pins--;
  return steal_unused_locked (oldest);
}

static void
let_go (CaufsNode *unused)
{
  if (unused == NULL)
    return;
  if (unused->is_ticket)
    caufs_name_remove_writer (unused->name);
  caufs_node_free (unused);
}

CaufsNode *
caufs_node_pin (CaufsNode *self)
{
  g_mutex_lock (&self->table->lock);
  self->n_pins++;
  g_mutex_unlock (&self->table->lock);
  return self;
}

void
caufs_node_unpin (CaufsNode *self)
{
  CaufsNodes *table = self->table;
  CaufsNode  *unused;

  g_mutex_lock (&table->lock);
  self->n_pins--;
  if (self->n_pins == 0 && self->n_lookup > 0 && !self->is_ticket && !self->is_closed)
    unused = close_locked (self);
  else
    unused = steal_unused_locked (self);
  g_mutex_unlock (&table->lock);
  let_go (unused);
}

void
caufs_node_add_lookup (CaufsNode *self)
{
  g_mutex_lock (&self->table->lock);
  self->n_lookup++;
  g_mutex_unlock (&self->table->lock);
}

void
caufs_nodes_forget (CaufsNodes *self, guint64 ino, guint64 n)
{
  CaufsNode *node;
  CaufsNode *unused = NULL;
  gboolean   is_wrong = FALSE;

  if (caufs_ino_get_kind (ino) != CAUFS_NODE_WRITER)
    return;
  g_mutex_lock (&self->lock);
  node = g_hash_table_lookup (self->by_ino, &ino);
  if (node != NULL)
    {
      is_wrong = node->n_lookup < n;
      node->n_lookup -= MIN (n, node->n_lookup);
      unused = steal_unused_locked (node);
    }
  g_mutex_unlock (&self->lock);
  let_go (unused);
  if (is_wrong)
    caufs_log (CAUFS_LOG_BUG, "the kernel forgot node %" G_GUINT64_FORMAT " more often than it looked it up", ino);
}

void
caufs_node_set_handle (CaufsNode *self, CaufsHandle *handle, const CauUpload *upload)
{
  g_mutex_lock (&self->table->lock);
  if (self->handle == NULL)
    self->handle = handle;
  g_hash_table_insert (self->table->by_upload, (gpointer) upload, self);
  g_mutex_unlock (&self->table->lock);
}

void
caufs_node_drop_handle (CaufsNode *self, CaufsHandle *handle, const CauUpload *upload)
{
  g_mutex_lock (&self->table->lock);
  if (self->handle == handle)
    self->handle = NULL;
  g_hash_table_remove (self->table->by_upload, upload);
  g_mutex_unlock (&self->table->lock);
}

CaufsHandle *
caufs_node_ref_handle (CaufsNode *self)
{
  CaufsHandle *handle;

  g_mutex_lock (&self->table->lock);
  handle = self->handle != NULL ? caufs_handle_ref (self->handle) : NULL;
  g_mutex_unlock (&self->table->lock);
  return handle;
}

gboolean
caufs_node_take_ticket (CaufsNode *self, CauUpload **upload)
{
  gboolean was_ticket;

  g_mutex_lock (&self->table->lock);
  was_ticket = self->is_ticket;
  *upload = g_steal_pointer (&self->upload);
  self->is_ticket = FALSE;
  g_mutex_unlock (&self->table->lock);
  if (was_ticket)
    caufs_name_remove_writer (self->name);
  return was_ticket;
}

gboolean
caufs_node_is_ticket (CaufsNode *self)
{
  gboolean is_ticket;

  g_mutex_lock (&self->table->lock);
  is_ticket = self->is_ticket;
  g_mutex_unlock (&self->table->lock);
  return is_ticket;
}
