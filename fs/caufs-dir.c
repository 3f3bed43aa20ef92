/* SPDX-License-Identifier: MIT */
#include "caufs-dir.h"
#include "caufs-log.h"

#include <errno.h>
#include <string.h>

/* Orchestrators are listed so many at a time. */
#define PAGE 256

/* Places that a listing remembers; the longer it gets, the farther apart. */
#define MAX_CHECKPOINTS 64

/* libfuse's d_ino for what has no number: programs pass over 0. */
#define UNKNOWN_INO 0xffffffff

/* Its memory in files, see caufs-crowd.h: two pages of reports with names of 255 bytes. */
#define WEIGHT 16

/* Offsets of "." and "..". */
#define N_DOTS 2

/* The name of the entry before @offset, after which a listing can start again. */
typedef struct
{
  guint64 offset;
  char   *name; /* owned; NULL: from the start */
} CaufsCheckpoint;

struct _CaufsDir
{
  gint       n_refs; /* atomic */
  CaufsView *view;   /* borrowed */
  guint64    ino;    /* immutable */
  uid_t      uid;    /* immutable; to whom it counts */

  GMutex  lock;
  GArray *checkpoints; /* (element-type CaufsCheckpoint), by offset; lock, as what follows */
  guint64 step;        /* how far apart they have to be */
  guint64 offset;      /* of the entry that fetch_next() gives next */
  char   *last;        /* owned; the name before it; NULL at the start */
  gint    generation;  /* CaufsView.generation when the listing was started */

  /* One of the two listings, and the entry that was fetched and had no room. */
  CauReportIds *reports; /* owned; NULL before the start */
  GArray       *page;    /* owned; (element-type CauOrchestratorInfo); NULL before the start */
  guint         in_page;
  gboolean      has_pending;
  char         *pending_name; /* owned */

  struct fuse_entry_param pending;
};

static void
caufs_checkpoint_clear (gpointer data)
{
  g_free (((CaufsCheckpoint *) data)->name);
}

int
caufs_dir_open (CaufsView *view, guint64 ino, uid_t uid, CaufsDir **dir)
{
  CaufsNodeKind kind = caufs_ino_get_kind (ino);
  CaufsDir     *self;

  if (kind != CAUFS_NODE_ROOT && kind != CAUFS_NODE_ORCHESTRATOR)
    return -ENOTDIR;
  if (cau_quota_take (view->open_dirs, uid, 1) != CAU_QUOTA_OK)
    return -ENFILE;
  self = g_new0 (CaufsDir, 1);
  self->n_refs = 1;
  self->view = view;
  self->ino = ino;
  self->uid = uid;
  g_mutex_init (&self->lock);
  self->step = 1;
  self->checkpoints = g_array_new (FALSE, FALSE, sizeof (CaufsCheckpoint));
  g_array_set_clear_func (self->checkpoints, caufs_checkpoint_clear);
  g_mutex_lock (&view->lock);
  g_hash_table_add (view->dirs, self);
  g_mutex_unlock (&view->lock);
  caufs_crowd_join (view->crowd, WEIGHT);
  *dir = self;
  return 0;
}

static void
stop (CaufsDir *self)
{
  g_clear_pointer (&self->reports, cau_report_ids_free);
  g_clear_pointer (&self->page, g_array_unref);
  g_clear_pointer (&self->pending_name, g_free);
  g_clear_pointer (&self->last, g_free);
  self->has_pending = FALSE;
}

CaufsDir *
caufs_dir_ref (CaufsDir *self)
{
  g_atomic_int_inc (&self->n_refs);
  return self;
}

void
caufs_dir_unref (CaufsDir *self)
{
  if (!g_atomic_int_dec_and_test (&self->n_refs))
    return;
  stop (self);
  g_array_unref (self->checkpoints);
  g_mutex_clear (&self->lock);
  caufs_crowd_leave (self->view->crowd, WEIGHT);
  g_free (self);
}

void
caufs_dir_close (CaufsDir *self)
{
  g_mutex_lock (&self->view->lock);
  g_hash_table_remove (self->view->dirs, self);
  g_mutex_unlock (&self->view->lock);
  cau_quota_give (self->view->open_dirs, self->uid, 1);
  caufs_dir_unref (self);
}

/* ---- the listing ---- */

/* Starts the listing behind @checkpoint. */
static int
start (CaufsDir *self, const CaufsCheckpoint *checkpoint)
{
  g_autoptr (GError) error = NULL;
  char *last = g_strdup (checkpoint->name);

  stop (self);
  self->offset = checkpoint->offset;
  self->last = last;
  self->generation = g_atomic_int_get (&self->view->generation);
  if (caufs_ino_get_kind (self->ino) == CAUFS_NODE_ROOT)
    {
      self->page = g_array_new (FALSE, FALSE, sizeof (CauOrchestratorInfo));
      self->in_page = 0;
      return 0;
    }
  self->reports = cau_store_get_report_ids (self->view->store, caufs_ino_get_id (self->ino), self->last, &error);
  return self->reports != NULL ? 0 : caufs_fail (error, "a directory cannot be read");
}

/* 1: the pending entry is filled; 0: there is no more. */
/* A name of which nothing else is known: with no node the kernel makes nothing of it (fuse_direntplus_link()), and who wants to
 * know more asks, and is told EIO. */
static void
fill_unknown (struct fuse_entry_param *entry)
{
  memset (entry, 0, sizeof *entry);
  entry->attr.st_ino = UNKNOWN_INO;
  entry->attr.st_mode = S_IFREG;
}

static int
fetch_report (CaufsDir *self)
{
  g_autoptr (GError) error = NULL;
  const CauReportInfo *info = cau_report_ids_next (self->reports, &error);

  if (info == NULL)
    return error != NULL ? caufs_fail (error, "a directory cannot be read") : 0;
  if (info->damaged)
    fill_unknown (&self->pending);
  else
    caufs_view_fill_entry (self->view, info, &self->pending);
  g_free (self->pending_name);
  self->pending_name = g_strdup (info->name);
  return 1;
}

static int
load_page (CaufsDir *self)
{
  g_autoptr (GError) error = NULL;
  CauGuid  after;
  gboolean is_first = self->last == NULL || !cau_guid_parse (self->last, &after, NULL);

  g_array_unref (self->page);
  self->page = cau_store_list_orchestrators (self->view->store, is_first ? NULL : &after, PAGE, &error);
  self->in_page = 0;
  if (self->page != NULL)
    return 0;
  self->page = g_array_new (FALSE, FALSE, sizeof (CauOrchestratorInfo));
  return caufs_fail (error, "the orchestrators cannot be listed");
}

static int
fetch_orchestrator (CaufsDir *self)
{
  const CauOrchestratorInfo *info;
  char                       guid[CAU_GUID_TEXT_LEN + 1];

  if (self->in_page == self->page->len)
    {
      int r = load_page (self);

      if (r < 0 || self->page->len == 0)
        return r;
    }
  info = &g_array_index (self->page, CauOrchestratorInfo, self->in_page++);
  caufs_view_fill_directory_entry (self->view, info, &self->pending);
  cau_guid_format (&info->guid, guid);
  g_free (self->pending_name);
  self->pending_name = g_strdup (guid);
  return 1;
}

/* The dots have no node here: the kernel takes their inode number only (fuse_direntplus_link() skips them). */
static int
fetch_dot (CaufsDir *self)
{
  memset (&self->pending, 0, sizeof self->pending);
  self->pending.attr.st_ino = self->offset == 0 ? self->ino : caufs_ino_of_orchestrator (CAU_STORE_ROOT_ID);
  self->pending.attr.st_mode = S_IFDIR;
  g_free (self->pending_name);
  self->pending_name = g_strdup (self->offset == 0 ? "." : "..");
  return 1;
}

static int
fetch_next (CaufsDir *self)
{
  int r;

  if (self->has_pending)
    return 1;
  if (self->offset < N_DOTS)
    r = fetch_dot (self);
  else
    r = self->reports != NULL ? fetch_report (self) : fetch_orchestrator (self);
  self->has_pending = r == 1;
  return r;
}

/* The pending entry was delivered, or is passed over. */
static void
consume (CaufsDir *self)
{
  if (self->offset >= N_DOTS)
    {
      g_free (self->last);
      self->last = g_steal_pointer (&self->pending_name);
    }
  self->offset++;
  self->has_pending = FALSE;
}

/* ---- positions ---- */

/* Every second goes; what comes is as far apart as what stays. */
static void
thin_out (CaufsDir *self)
{
  for (guint i = 1; i < self->checkpoints->len; i++)
    g_array_remove_index (self->checkpoints, i);
  self->step = self->offset / self->checkpoints->len;
}

static void
note_checkpoint (CaufsDir *self)
{
  CaufsCheckpoint        checkpoint = { .offset = self->offset, .name = NULL };
  const CaufsCheckpoint *newest = NULL;

  if (self->checkpoints->len > 0)
    newest = &g_array_index (self->checkpoints, CaufsCheckpoint, self->checkpoints->len - 1);
  if (newest != NULL && self->offset < newest->offset + self->step)
    return;
  if (self->checkpoints->len == MAX_CHECKPOINTS)
    thin_out (self);
  checkpoint.name = g_strdup (self->last);
  g_array_append_val (self->checkpoints, checkpoint);
}

/* The last checkpoint that is not behind @offset. */
static CaufsCheckpoint
find_checkpoint (CaufsDir *self, guint64 offset)
{
  guint low = 0;
  guint high = self->checkpoints->len;

  while (low < high)
    {
      guint middle = low + (high - low) / 2;

      if (g_array_index (self->checkpoints, CaufsCheckpoint, middle).offset <= offset)
        low = middle + 1;
      else
        high = middle;
    }
  return low > 0 ? g_array_index (self->checkpoints, CaufsCheckpoint, low - 1) : (CaufsCheckpoint){ 0, NULL };
}

/* Whether the listing stands at @offset, and what it has read ahead is still true. An old entry would
 * not only be shown: with READDIRPLUS the kernel keeps it, in place of what a later request of this mount told it. */
static gboolean
can_go_on (CaufsDir *self, guint64 offset)
{
  return offset != 0 && offset == self->offset && (self->reports != NULL || self->page != NULL)
         && self->generation == g_atomic_int_get (&self->view->generation);
}

/* Makes @offset the place of the next entry; at the end of the directory if there are fewer. */
static int
seek (CaufsDir *self, guint64 offset)
{
  CaufsCheckpoint from;
  int             r;

  if (can_go_on (self, offset))
    return 0;
  if (offset == 0)
    {
      g_array_set_size (self->checkpoints, 0);
      self->step = 1;
    }
  from = offset == self->offset ? (CaufsCheckpoint){ offset, self->last } : find_checkpoint (self, offset);
  r = start (self, &from);
  if (r < 0)
    return r;
  for (r = 1; r == 1 && self->offset < offset;)
    {
      r = fetch_next (self);
      if (r == 1)
        consume (self);
    }
  return MIN (r, 0);
}

/* ---- READDIR ---- */

static int
read_locked (CaufsDir *self, guint64 offset, CaufsDirAdd add, gpointer user_data)
{
  guint n_added = 0;
  int   r = seek (self, offset);

  if (r < 0)
    return r;
  note_checkpoint (self);
  while ((r = fetch_next (self)) == 1)
    {
      if (!add (self->pending_name, &self->pending, (off_t) self->offset + 1, user_data))
        break;
      n_added++;
      consume (self);
    }
  /* What was given is given; who asks for more meets the error again. */
  return r < 0 && n_added == 0 ? r : 0;
}

int
caufs_dir_read (CaufsDir *self, off_t offset, CaufsDirAdd add, gpointer user_data)
{
  int r;

  if (offset < 0)
    return -EINVAL;
  if (offset == 0 && caufs_ino_get_kind (self->ino) == CAUFS_NODE_ORCHESTRATOR)
    caufs_names_wait_settled (self->view->names, self->uid, caufs_ino_get_id (self->ino), NULL);
  g_mutex_lock (&self->lock);
  r = read_locked (self, (guint64) offset, add, user_data);
  g_mutex_unlock (&self->lock);
  return r;
}

void
caufs_dir_read_ahead (CaufsDir *self)
{
  g_mutex_lock (&self->lock);
  if (self->reports != NULL)
    cau_report_ids_read_ahead (self->reports);
  g_mutex_unlock (&self->lock);
}
