/* SPDX-License-Identifier: MIT */
#include "caufs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

/* ---- what libfuse says, and what we say ---- */

/* Closes of a file that is open for writing are told, by FLUSH; of one for reading only the last one is, by RELEASE
 * (fill_file_info() in caufs-reply.c). */
static CaufsLock
lock_new (fuse_req_t req, const struct fuse_file_info *fi)
{
  const CaufsHandle *file = caufs_handle_of (fi);

  return (CaufsLock){ .owner = fi->lock_owner,
                      .end = G_MAXINT64,
                      .uid = fuse_req_ctx (req)->uid,
                      .file = file,
                      .may_linger = file->reader != NULL };
}

static CaufsLock
lock_from_flock (fuse_req_t req, const struct flock *flock, const struct fuse_file_info *fi)
{
  CaufsLock lock = lock_new (req, fi);

  lock.start = (guint64) flock->l_start;
  if (flock->l_len != 0)
    lock.end = lock.start + (guint64) flock->l_len - 1;
  lock.type = flock->l_type;
  lock.pid = flock->l_pid;
  return lock;
}

static struct flock
flock_from_lock (const CaufsLock *lock)
{
  struct flock flock = { .l_type = (short) lock->type, .l_whence = SEEK_SET, .l_pid = lock->pid };

  flock.l_start = (off_t) lock->start;
  flock.l_len = lock->end == G_MAXINT64 ? 0 : (off_t) (lock->end - lock->start + 1);
  return flock;
}

static CaufsLockList *
list_of (const struct fuse_file_info *fi)
{
  return caufs_name_get_locks (caufs_handle_of (fi)->name);
}

void
caufs_ops_getlk (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
  CaufsLock    wanted = lock_from_flock (req, lock, fi);
  CaufsLock    found;
  struct flock answer;

  (void) ino;
  caufs_locks_get (caufs_get_view (req)->locks, list_of (fi), &wanted, &found);
  answer = flock_from_lock (&found);
  fuse_reply_lock (req, &answer);
}

/* ---- waiting ---- */

/* A request that waits. It holds no thread, of which there are few: the unlock that it waits for needs one.
 *
 * Who answers it: whoever sets the lock for it (caufs_ops_waiter_done(), no lock held), or the interrupt, if it can take it
 * out of the queue first. libfuse calls the latter with the request's mutex held, and registering or
 * unregistering takes that mutex: so unregistering waits for an interrupt in work, and nobody may register with a mutex
 * of ours held. */
typedef struct
{
  CaufsLockWait wait; /* first: a pointer to it is one to the whole */
  fuse_req_t    req;
  CaufsLocks   *locks; /* borrowed */
} CaufsWaiter;

static void
waiter_done (CaufsLockWait *wait, int result)
{
  CaufsWaiter *self = (CaufsWaiter *) wait;
  fuse_req_t   req = self->req;

  fuse_req_interrupt_func (req, NULL, NULL);
  g_free (self);
  caufs_reply (req, result);
}

/* Answers from inside the callback when it comes from an INTERRUPT request: libfuse holds the request until after that.
 * When it comes from registering, the wait is not queued yet, and caufs_locks_set() is about to fail. */
static void
waiter_interrupted (fuse_req_t req, void *data)
{
  CaufsWaiter *self = data;

  if (!caufs_locks_cancel (self->locks, &self->wait))
    return;
  g_free (self);
  caufs_reply (req, -EINTR);
}

static void
set_waiting (fuse_req_t req, CaufsLockList *list, CaufsLockKind kind, const CaufsLock *lock)
{
  CaufsWaiter *self = g_new0 (CaufsWaiter, 1);
  CaufsLocks  *locks = caufs_get_view (req)->locks;
  int          r;

  self->wait.done = waiter_done;
  self->req = req;
  self->locks = locks;
  fuse_req_interrupt_func (req, waiter_interrupted, self);
  r = caufs_locks_set (locks, list, kind, lock, &self->wait);
  if (r != CAUFS_LOCK_WAITS)
    waiter_done (&self->wait, r);
}

static void
set_lock (fuse_req_t req, CaufsLockList *list, CaufsLockKind kind, const CaufsLock *lock, gboolean may_wait)
{
  if (may_wait && lock->type != F_UNLCK)
    set_waiting (req, list, kind, lock);
  else
    caufs_reply (req, caufs_locks_set (caufs_get_view (req)->locks, list, kind, lock, NULL));
}

void
caufs_ops_setlk (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock, int sleep)
{
  CaufsLock wanted = lock_from_flock (req, lock, fi);

  (void) ino;
  set_lock (req, list_of (fi), CAUFS_LOCK_POSIX, &wanted, sleep != 0);
}

void
caufs_ops_flock (fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int operation)
{
  CaufsLock wanted = lock_new (req, fi);

  (void) ino;
  switch (operation & ~LOCK_NB)
    {
    case LOCK_SH:
      wanted.type = F_RDLCK;
      break;
    case LOCK_EX:
      wanted.type = F_WRLCK;
      break;
    default:
      wanted.type = F_UNLCK;
      break;
    }
  set_lock (req, list_of (fi), CAUFS_LOCK_FLOCK, &wanted, !(operation & LOCK_NB));
}
