/* SPDX-License-Identifier: MIT */
/* A FUSE filesystem that does no work: names and sizes are kept in memory, what is written is thrown away, and reads
 * give zeros. How fast it is shows what the kernel and libfuse take for themselves.
 *
 * It sends the kernel the same answers as caufs where these decide how many requests come: written files bypass the
 * page cache, handles for reading ask for no FLUSH.
 *
 * Inode numbers are indexes into Noop's nodes, and are not used again, so there are no lookups to count. */
#define FUSE_USE_VERSION 312

#include <errno.h>
#include <fuse_lowlevel.h>
#include <glib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_IO (1024 * 1024)

typedef struct
{
  gboolean    is_folder;
  goffset     size;
  GHashTable *names;   /* folders: name, of entries, to 1 + its index in entries */
  GPtrArray  *entries; /* folders: Entry, or NULL where one was; a listing's offsets are indexes into this */
} Node;

typedef struct
{
  char      *name;
  fuse_ino_t ino;
} Entry;

typedef struct
{
  int        uncached; /* -o uncached: the kernel keeps neither names nor attributes nor data */
  double     timeout;
  GRWLock    lock;
  GPtrArray *nodes; /* Node; guarded by lock, and so is what is in them. 0 is none, 1 the root */
} Noop;

static const char zeros[MAX_IO];

/* ---- nodes ---- */

static void
entry_free (Entry *entry)
{
  if (entry == NULL)
    return;
  g_free (entry->name);
  g_free (entry);
}

static void
node_free (Node *node)
{
  if (node == NULL)
    return;
  g_clear_pointer (&node->names, g_hash_table_unref);
  g_clear_pointer (&node->entries, g_ptr_array_unref);
  g_free (node);
}

static Noop *
noop_of (fuse_req_t req)
{
  return fuse_req_userdata (req);
}

/* All of these are called with the lock held. */

static Node *
noop_node (Noop *self, fuse_ino_t ino)
{
  return g_ptr_array_index (self->nodes, ino);
}

static fuse_ino_t
noop_add_node (Noop *self, gboolean is_folder)
{
  Node *node = g_new0 (Node, 1);

  node->is_folder = is_folder;
  if (is_folder)
    {
      node->names = g_hash_table_new (g_str_hash, g_str_equal);
      node->entries = g_ptr_array_new_with_free_func ((GDestroyNotify) entry_free);
    }
  g_ptr_array_add (self->nodes, node);
  return self->nodes->len - 1;
}

static Entry *
node_find (Node *folder, const char *name)
{
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (folder->names, name));

  return index > 0 ? g_ptr_array_index (folder->entries, index - 1) : NULL;
}

static void
node_add (Node *folder, const char *name, fuse_ino_t ino)
{
  Entry *entry = g_new (Entry, 1);

  entry->name = g_strdup (name);
  entry->ino = ino;
  g_ptr_array_add (folder->entries, entry);
  g_hash_table_insert (folder->names, entry->name, GUINT_TO_POINTER (folder->entries->len));
}

static gboolean
node_remove (Node *folder, const char *name)
{
  guint index = GPOINTER_TO_UINT (g_hash_table_lookup (folder->names, name));

  if (index == 0)
    return FALSE;
  g_hash_table_remove (folder->names, name);
  g_clear_pointer ((Entry **) &g_ptr_array_index (folder->entries, index - 1), entry_free);
  return TRUE;
}

static void
node_fill_stat (const Node *node, fuse_ino_t ino, struct stat *st)
{
  memset (st, 0, sizeof *st);
  st->st_ino = ino;
  st->st_mode = node->is_folder ? S_IFDIR | 0755 : S_IFREG | 0644;
  st->st_nlink = 1;
  st->st_size = node->size;
}

static struct fuse_entry_param
noop_entry_param (Noop *self, fuse_ino_t ino)
{
  struct fuse_entry_param param = { .ino = ino, .attr_timeout = self->timeout, .entry_timeout = self->timeout };

  node_fill_stat (noop_node (self, ino), ino, &param.attr);
  return param;
}

/* ---- names ---- */

static void
noop_lookup (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  Noop                   *self = noop_of (req);
  struct fuse_entry_param param;
  const Entry            *entry;

  g_rw_lock_reader_lock (&self->lock);
  entry = node_find (noop_node (self, parent), name);
  if (entry != NULL)
    param = noop_entry_param (self, entry->ino);
  g_rw_lock_reader_unlock (&self->lock);
  if (entry != NULL)
    fuse_reply_entry (req, &param);
  else
    fuse_reply_err (req, ENOENT);
}

static struct fuse_entry_param
noop_make (Noop *self, fuse_ino_t parent, const char *name, gboolean is_folder)
{
  struct fuse_entry_param param;
  fuse_ino_t              ino;

  g_rw_lock_writer_lock (&self->lock);
  ino = noop_add_node (self, is_folder);
  node_add (noop_node (self, parent), name, ino);
  param = noop_entry_param (self, ino);
  g_rw_lock_writer_unlock (&self->lock);
  return param;
}

static void
noop_mkdir (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
  struct fuse_entry_param param = noop_make (noop_of (req), parent, name, TRUE);

  (void) mode;
  fuse_reply_entry (req, &param);
}

static void
noop_unlink (fuse_req_t req, fuse_ino_t parent, const char *name)
{
  Noop    *self = noop_of (req);
  gboolean found;

  g_rw_lock_writer_lock (&self->lock);
  found = node_remove (noop_node (self, parent), name);
  g_rw_lock_writer_unlock (&self->lock);
  fuse_reply_err (req, found ? 0 : ENOENT);
}

static void
noop_rename (fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
             unsigned int flags)
{
  Noop        *self = noop_of (req);
  const Entry *entry;

  if (flags != 0)
    {
      fuse_reply_err (req, EINVAL);
      return;
    }
  g_rw_lock_writer_lock (&self->lock);
  entry = node_find (noop_node (self, parent), name);
  if (entry != NULL)
    {
      fuse_ino_t ino = entry->ino;

      node_remove (noop_node (self, parent), name);
      node_remove (noop_node (self, new_parent), new_name);
      node_add (noop_node (self, new_parent), new_name, ino);
    }
  g_rw_lock_writer_unlock (&self->lock);
  fuse_reply_err (req, entry != NULL ? 0 : ENOENT);
}

/* ---- attributes ---- */

static void
noop_reply_attributes (fuse_req_t req, fuse_ino_t ino)
{
  Noop       *self = noop_of (req);
  struct stat st;

  g_rw_lock_reader_lock (&self->lock);
  node_fill_stat (noop_node (self, ino), ino, &st);
  g_rw_lock_reader_unlock (&self->lock);
  fuse_reply_attr (req, &st, self->timeout);
}

static void
noop_getattr (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  (void) fi;
  noop_reply_attributes (req, ino);
}

static void
noop_setattr (fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
  Noop *self = noop_of (req);

  (void) fi;
  if ((to_set & FUSE_SET_ATTR_SIZE) != 0)
    {
      g_rw_lock_writer_lock (&self->lock);
      noop_node (self, ino)->size = st->st_size;
      g_rw_lock_writer_unlock (&self->lock);
    }
  noop_reply_attributes (req, ino);
}

/* ---- files ---- */

static void
noop_set_up_handle (Noop *self, struct fuse_file_info *fi)
{
  gboolean reads = (fi->flags & O_ACCMODE) == O_RDONLY;

  fi->direct_io = self->uncached || !reads;
  fi->keep_cache = !self->uncached && reads;
  fi->noflush = reads ? 1 : 0;
}

static void
noop_create (fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
  struct fuse_entry_param param = noop_make (noop_of (req), parent, name, FALSE);

  (void) mode;
  noop_set_up_handle (noop_of (req), fi);
  fuse_reply_create (req, &param, fi);
}

static void
noop_open (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  (void) ino;
  noop_set_up_handle (noop_of (req), fi);
  fuse_reply_open (req, fi);
}

static void
noop_read (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
  Noop   *self = noop_of (req);
  goffset rest;

  (void) fi;
  g_rw_lock_reader_lock (&self->lock);
  rest = MAX (noop_node (self, ino)->size - offset, 0);
  g_rw_lock_reader_unlock (&self->lock);
  fuse_reply_buf (req, zeros, MIN (MIN (size, (size_t) rest), sizeof zeros));
}

static void
noop_write (fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset, struct fuse_file_info *fi)
{
  Noop *self = noop_of (req);
  Node *node;

  (void) data;
  (void) fi;
  g_rw_lock_writer_lock (&self->lock);
  node = noop_node (self, ino);
  node->size = MAX (node->size, offset + (off_t) size);
  g_rw_lock_writer_unlock (&self->lock);
  fuse_reply_write (req, size);
}

/* FLUSH and RELEASE. */
static void
noop_done (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  (void) ino;
  (void) fi;
  fuse_reply_err (req, 0);
}

static void
noop_fsync (fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
  (void) datasync;
  noop_done (req, ino, fi);
}

/* ---- folders ---- */

static void
noop_opendir (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
  Noop *self = noop_of (req);

  (void) ino;
  fi->cache_readdir = !self->uncached;
  fi->keep_cache = !self->uncached;
  fuse_reply_open (req, fi);
}

typedef struct
{
  fuse_req_t req;
  gboolean   plus;
  char      *buffer;
  gsize      size;
  gsize      used;
} Listing;

/* Returns: whether it did fit. */
static gboolean
listing_add (Listing *listing, const char *name, const struct fuse_entry_param *param, off_t next)
{
  char *at = listing->buffer + listing->used;
  gsize room = listing->size - listing->used;
  gsize needed = listing->plus ? fuse_add_direntry_plus (listing->req, at, room, name, param, next)
                               : fuse_add_direntry (listing->req, at, room, name, &param->attr, next);

  if (needed > room)
    return FALSE;
  listing->used += needed;
  return TRUE;
}

/* "." and "..": the kernel does not look at an entry without an inode number. Offset 0 and 1. */
static gboolean
listing_add_dots (Listing *listing, fuse_ino_t ino, off_t offset)
{
  struct fuse_entry_param param = { .ino = 0 };

  param.attr.st_ino = ino;
  param.attr.st_mode = S_IFDIR;
  return (offset > 0 || listing_add (listing, ".", &param, 1))
         && (offset > 1 || listing_add (listing, "..", &param, 2));
}

static void
noop_fill_listing (Noop *self, Listing *listing, fuse_ino_t ino, off_t offset)
{
  const GPtrArray *entries = noop_node (self, ino)->entries;
  gboolean         fits = listing_add_dots (listing, ino, offset);

  for (guint i = (guint) MAX (offset - 2, 0); fits && i < entries->len; i++)
    {
      const Entry *entry = g_ptr_array_index (entries, i);

      if (entry != NULL)
        {
          struct fuse_entry_param param = noop_entry_param (self, entry->ino);

          fits = listing_add (listing, entry->name, &param, (off_t) i + 3);
        }
    }
}

static void
noop_list (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, gboolean plus)
{
  Noop            *self = noop_of (req);
  g_autofree char *buffer = g_malloc (size);
  Listing          listing = { req, plus, buffer, size, 0 };

  g_rw_lock_reader_lock (&self->lock);
  noop_fill_listing (self, &listing, ino, offset);
  g_rw_lock_reader_unlock (&self->lock);
  fuse_reply_buf (req, buffer, listing.used);
}

static void
noop_readdir (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
  (void) fi;
  noop_list (req, ino, size, offset, FALSE);
}

static void
noop_readdirplus (fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
  (void) fi;
  noop_list (req, ino, size, offset, TRUE);
}

/* ---- the session ---- */

static void
noop_init (void *data, struct fuse_conn_info *conn)
{
  (void) data;
  conn->max_write = MAX_IO;
  /* Whether or not a listing is followed by stat, one request is to answer both. */
  conn->want &= ~(unsigned int) FUSE_CAP_READDIRPLUS_AUTO;
}

static const struct fuse_lowlevel_ops operations = {
  .init = noop_init,
  .lookup = noop_lookup,
  .getattr = noop_getattr,
  .setattr = noop_setattr,
  .mkdir = noop_mkdir,
  .unlink = noop_unlink,
  .rmdir = noop_unlink,
  .rename = noop_rename,
  .create = noop_create,
  .open = noop_open,
  .read = noop_read,
  .write = noop_write,
  .flush = noop_done,
  .release = noop_done,
  .fsync = noop_fsync,
  .opendir = noop_opendir,
  .readdir = noop_readdir,
  .readdirplus = noop_readdirplus,
};

static int
noop_serve (Noop *self, struct fuse_args *args, const struct fuse_cmdline_opts *options)
{
  struct fuse_loop_config *config = fuse_loop_cfg_create ();
  struct fuse_session     *session = fuse_session_new (args, &operations, sizeof operations, self);
  int                      result = -1;

  if (session != NULL && fuse_set_signal_handlers (session) == 0)
    {
      if (fuse_session_mount (session, options->mountpoint) == 0)
        {
          fuse_daemonize (options->foreground);
          result = fuse_session_loop_mt (session, config);
          fuse_session_unmount (session);
        }
      fuse_remove_signal_handlers (session);
    }
  g_clear_pointer (&session, fuse_session_destroy);
  fuse_loop_cfg_destroy (config);
  return result;
}

int
main (int argc, char **argv)
{
  static const struct fuse_opt known[] = { { "uncached", G_STRUCT_OFFSET (Noop, uncached), 1 }, FUSE_OPT_END };
  struct fuse_args             args = FUSE_ARGS_INIT (argc, argv);
  struct fuse_cmdline_opts     options = { 0 };
  Noop                         self = { 0 };
  int                          result = -1;

  self.nodes = g_ptr_array_new_with_free_func ((GDestroyNotify) node_free);
  g_rw_lock_init (&self.lock);
  if (fuse_opt_parse (&args, &self, known, NULL) == 0 && fuse_parse_cmdline (&args, &options) == 0
      && options.mountpoint != NULL)
    {
      self.timeout = self.uncached ? 0 : 3600;
      g_ptr_array_add (self.nodes, NULL);
      noop_add_node (&self, TRUE);
      result = noop_serve (&self, &args, &options);
    }
  else
    g_printerr ("usage: bench-noop [-f] [-o uncached] MOUNTPOINT\n");
  g_rw_lock_clear (&self.lock);
  g_ptr_array_unref (self.nodes);
  g_free (options.mountpoint);
  fuse_opt_free_args (&args);
  return result == 0 ? 0 : 1;
}
