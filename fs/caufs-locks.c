/* SPDX-License-Identifier: MIT */
#include "caufs-locks.h"
#include "cau-quota.h"
#include "caufs-process.h"

#include <errno.h>
#include <fcntl.h>

/* How far a chain of owners who wait for each other is followed; as far as the kernel does
 * (MAX_DEADLK_ITERATIONS in fs/locks.c). */
#define DEADLOCK_STEPS 10

/* Bounds of what users can make the daemon keep, and search at each request: locks of one report, of all, and requests that
 * wait. One user gets half of each. */
#define MAX_OF_REPORT 1024
#define MAX_HELD 65536
#define MAX_WAITING 4096

struct _CaufsLocks
{
  GMutex lock;
  GQueue waiting; /* of CaufsLockWait.link, oldest first; lock */

  CauQuota *held_quota; /* owned, as what follows; in all lists */
  CauQuota *waiting_quota;
};

struct _CaufsLockList
{
  CaufsLocks *all;                      /* borrowed; set before anything is held; CaufsLocks.lock, as what follows */
  GArray     *held[CAUFS_N_LOCK_KINDS]; /* (element-type CaufsLock); CaufsLocks.lock */
};

static void
remove_locked (CaufsLocks *self, GArray *held, guint i)
{
  cau_quota_give (self->held_quota, g_array_index (held, CaufsLock, i).uid, 1);
  g_array_remove_index_fast (held, i);
}

CaufsLocks *
caufs_locks_new (void)
{
  CaufsLocks *self = g_new0 (CaufsLocks, 1);

  g_mutex_init (&self->lock);
  g_queue_init (&self->waiting);
  self->held_quota = cau_quota_new (MAX_HELD);
  self->waiting_quota = cau_quota_new (MAX_WAITING);
  return self;
}

void
caufs_locks_free (CaufsLocks *self)
{
  cau_quota_free (self->waiting_quota);
  cau_quota_free (self->held_quota);
  g_mutex_clear (&self->lock);
  g_free (self);
}

CaufsLockList *
caufs_lock_list_new (void)
{
  CaufsLockList *self = g_new0 (CaufsLockList, 1);

  for (guint kind = 0; kind < CAUFS_N_LOCK_KINDS; kind++)
    self->held[kind] = g_array_new (FALSE, FALSE, sizeof (CaufsLock));
  return self;
}

void
caufs_lock_list_free (CaufsLockList *self)
{
  CaufsLocks *all = self->all;

  if (all != NULL)
    g_mutex_lock (&all->lock);
  for (guint kind = 0; kind < CAUFS_N_LOCK_KINDS; kind++)
    {
      while (self->held[kind]->len > 0)
        remove_locked (all, self->held[kind], self->held[kind]->len - 1);
      g_array_unref (self->held[kind]);
    }
  if (all != NULL)
    g_mutex_unlock (&all->lock);
  g_free (self);
}

/* ---- ranges ---- */

static gboolean
overlaps (const CaufsLock *a, const CaufsLock *b)
{
  return a->start <= b->end && b->start <= a->end;
}

/* Whether the two together are one range. */
static gboolean
touches (const CaufsLock *a, const CaufsLock *b)
{
  return a->start <= b->end + 1 && b->start <= a->end + 1; /* ends are at most G_MAXINT64 */
}

static gboolean
conflicts (const CaufsLock *a, const CaufsLock *b)
{
  return a->owner != b->owner && overlaps (a, b) && (a->type == F_WRLCK || b->type == F_WRLCK);
}

/* Whether @lock takes the place of @old, or of a part of it, or is joined with it. */
static gboolean
changes (const CaufsLock *lock, const CaufsLock *old)
{
  return old->owner == lock->owner && (old->type == lock->type ? touches (old, lock) : overlaps (old, lock));
}

/* Adds what is left of @old where @lock does not cover it. */
static void
keep_rest (GArray *held, const CaufsLock *old, const CaufsLock *lock)
{
  CaufsLock rest = *old;

  rest.uid = lock->uid;
  if (old->start < lock->start)
    {
      rest.end = lock->start - 1;
      g_array_append_val (held, rest);
    }
  if (old->end > lock->end)
    {
      rest.start = lock->end + 1;
      rest.end = old->end;
      g_array_append_val (held, rest);
    }
}

static guint
count_of_user (const GArray *held, uid_t uid)
{
  guint n = 0;

  for (guint i = 0; i < held->len; i++)
    n += g_array_index (held, CaufsLock, i).uid == uid;
  return n;
}

/* Counts @result in place of @held, which @lock makes of it. FALSE when that would be too much for everybody, or its user. */
static gboolean
charge_locked (CaufsLocks *self, const GArray *held, const GArray *result, const CaufsLock *lock)
{
  const guint before = count_of_user (held, lock->uid);
  const guint after = count_of_user (result, lock->uid);

  if (result->len > held->len
      && (result->len > MAX_OF_REPORT || after > cau_quota_share_of (self->held_quota, lock->uid, MAX_OF_REPORT)))
    return FALSE;
  if (after > before && cau_quota_take (self->held_quota, lock->uid, after - before) != CAU_QUOTA_OK)
    return FALSE;
  if (after < before)
    cau_quota_give (self->held_quota, lock->uid, before - after);
  /* A process that has become another user's. */
  for (guint i = 0; i < held->len; i++)
    {
      const CaufsLock *old = &g_array_index (held, CaufsLock, i);

      if (old->uid != lock->uid && changes (lock, old))
        cau_quota_give (self->held_quota, old->uid, 1);
    }
  return TRUE;
}

/* Puts @lock into *@held, in place of what its owner has there, joined with neighbours of its type. FALSE, with nothing
 * changed, when there would be too many: taking away the middle of a lock makes two of one. */
static gboolean
apply_locked (CaufsLocks *self, GArray **held, const CaufsLock *lock)
{
  GArray   *result = g_array_sized_new (FALSE, FALSE, sizeof (CaufsLock), (*held)->len + 2);
  CaufsLock joined = *lock;

  for (guint i = 0; i < (*held)->len; i++)
    {
      const CaufsLock *old = &g_array_index (*held, CaufsLock, i);

      if (!changes (lock, old))
        g_array_append_vals (result, old, 1);
      else if (old->type != lock->type)
        keep_rest (result, old, lock);
      else
        {
          joined.start = MIN (joined.start, old->start);
          joined.end = MAX (joined.end, old->end);
        }
    }
  if (lock->type != F_UNLCK)
    g_array_append_val (result, joined);
  if (!charge_locked (self, *held, result, lock))
    {
      g_array_unref (result);
      return FALSE;
    }
  g_array_unref (*held);
  *held = result;
  return TRUE;
}

static void
remove_owner_locked (CaufsLocks *self, GArray *held, guint64 owner)
{
  for (guint i = held->len; i > 0; i--)
    if (g_array_index (held, CaufsLock, i - 1).owner == owner)
      remove_locked (self, held, i - 1);
}

static void
remove_file_locked (CaufsLocks *self, GArray *held, gconstpointer file)
{
  for (guint i = held->len; i > 0; i--)
    if (g_array_index (held, CaufsLock, i - 1).file == file)
      remove_locked (self, held, i - 1);
}

/* The lock in the way of @lock, or NULL. One whose process has ended without our being told is dropped here: that one only,
 * because by now the number of its owner may be somebody else's. */
static const CaufsLock *
find_conflict_locked (CaufsLocks *self, GArray *held, const CaufsLock *lock)
{
  for (guint i = held->len; i > 0; i--)
    {
      const CaufsLock *other = &g_array_index (held, CaufsLock, i - 1);

      if (!conflicts (other, lock))
        continue;
      if (!other->may_linger || !caufs_process_is_gone (other->pid))
        return other;
      remove_locked (self, held, i - 1);
    }
  return NULL;
}

/* ---- waiting ---- */

static const CaufsLock *
find_blocker_of_owner_locked (CaufsLocks *self, guint64 owner)
{
  for (GList *l = self->waiting.head; l != NULL; l = l->next)
    {
      const CaufsLockWait *wait = l->data;

      if (wait->kind == CAUFS_LOCK_POSIX && wait->lock.owner == owner)
        return find_conflict_locked (self, wait->list->held[CAUFS_LOCK_POSIX], &wait->lock);
    }
  return NULL;
}

static gboolean
is_deadlock_locked (CaufsLocks *self, guint64 owner, const CaufsLock *blocker)
{
  for (guint i = 0; i < DEADLOCK_STEPS && blocker != NULL; i++)
    {
      if (blocker->owner == owner)
        return TRUE;
      blocker = find_blocker_of_owner_locked (self, blocker->owner);
    }
  return FALSE;
}

static void
unqueue_locked (CaufsLocks *self, CaufsLockWait *wait)
{
  g_queue_unlink (&self->waiting, &wait->link);
  wait->is_queued = FALSE;
  cau_quota_give (self->waiting_quota, wait->lock.uid, 1);
}

/* Moves the waits that can go on from the queue to @ready. */
static void
take_ready_locked (CaufsLocks *self, GQueue *ready)
{
  GList *next;

  for (GList *l = self->waiting.head; l != NULL; l = next)
    {
      CaufsLockWait *wait = l->data;
      GArray       **held = &wait->list->held[wait->kind];

      next = l->next;
      if (find_conflict_locked (self, *held, &wait->lock) != NULL)
        continue;
      wait->result = apply_locked (self, held, &wait->lock) ? 0 : -ENOLCK;
      unqueue_locked (self, wait);
      g_queue_push_tail_link (ready, l);
    }
}

static void
finish (GQueue *waits)
{
  GList *l;

  while ((l = g_queue_pop_head_link (waits)) != NULL)
    {
      CaufsLockWait *wait = l->data;

      wait->done (wait, wait->result);
    }
}

static int
queue_locked (CaufsLocks *self, CaufsLockList *list, CaufsLockKind kind, const CaufsLock *lock, CaufsLockWait *wait)
{
  if (wait->is_cancelled)
    return -EINTR;
  if (cau_quota_take (self->waiting_quota, lock->uid, 1) != CAU_QUOTA_OK)
    return -ENOLCK;
  wait->list = list;
  wait->kind = kind;
  wait->lock = *lock;
  wait->link.data = wait;
  wait->is_queued = TRUE;
  g_queue_push_tail_link (&self->waiting, &wait->link);
  return CAUFS_LOCK_WAITS;
}

static int
set_locked (CaufsLocks *self, CaufsLockList *list, CaufsLockKind kind, const CaufsLock *lock, CaufsLockWait *wait)
{
  const CaufsLock *blocker = lock->type != F_UNLCK ? find_conflict_locked (self, list->held[kind], lock) : NULL;

  if (blocker == NULL)
    return apply_locked (self, &list->held[kind], lock) ? 0 : -ENOLCK;
  if (wait == NULL)
    return -EAGAIN;
  if (kind == CAUFS_LOCK_POSIX && is_deadlock_locked (self, lock->owner, blocker))
    return -EDEADLK;
  return queue_locked (self, list, kind, lock, wait);
}

int
caufs_locks_set (CaufsLocks *self, CaufsLockList *list, CaufsLockKind kind, const CaufsLock *lock, CaufsLockWait *wait)
{
  GQueue ready = G_QUEUE_INIT;
  int    r;

  g_mutex_lock (&self->lock);
  list->all = self;
  /* flock(2) first gives up what it has: two who both want to turn a shared lock into an exclusive one
   * would wait for each other for ever. */
  if (kind == CAUFS_LOCK_FLOCK)
    remove_owner_locked (self, list->held[kind], lock->owner);
  r = set_locked (self, list, kind, lock, wait);
  take_ready_locked (self, &ready);
  g_mutex_unlock (&self->lock);

  finish (&ready);
  return r;
}

gboolean
caufs_locks_cancel (CaufsLocks *self, CaufsLockWait *wait)
{
  gboolean was_queued;

  g_mutex_lock (&self->lock);
  was_queued = wait->is_queued;
  wait->is_cancelled = TRUE;
  if (was_queued)
    unqueue_locked (self, wait);
  g_mutex_unlock (&self->lock);
  return was_queued;
}

void
caufs_locks_get (CaufsLocks *self, CaufsLockList *list, const CaufsLock *lock, CaufsLock *found)
{
  GQueue           ready = G_QUEUE_INIT;
  const CaufsLock *blocker;

  g_mutex_lock (&self->lock);
  blocker = find_conflict_locked (self, list->held[CAUFS_LOCK_POSIX], lock);
  *found = blocker != NULL ? *blocker : *lock;
  if (blocker == NULL)
    found->type = F_UNLCK;
  take_ready_locked (self, &ready); /* the search may have dropped a lock */
  g_mutex_unlock (&self->lock);

  finish (&ready);
}

void
caufs_locks_release_owner (CaufsLocks *self, CaufsLockList *list, guint64 owner)
{
  GQueue ready = G_QUEUE_INIT;

  g_mutex_lock (&self->lock);
  if (list->held[CAUFS_LOCK_POSIX]->len > 0)
    {
      remove_owner_locked (self, list->held[CAUFS_LOCK_POSIX], owner);
      take_ready_locked (self, &ready);
    }
  g_mutex_unlock (&self->lock);

  finish (&ready);
}

void
caufs_locks_release_file (CaufsLocks *self, CaufsLockList *list, gconstpointer file)
{
  GQueue ready = G_QUEUE_INIT;

  g_mutex_lock (&self->lock);
  if (list->held[CAUFS_LOCK_POSIX]->len + list->held[CAUFS_LOCK_FLOCK]->len > 0)
    {
      remove_file_locked (self, list->held[CAUFS_LOCK_POSIX], file);
      remove_file_locked (self, list->held[CAUFS_LOCK_FLOCK], file);
      take_ready_locked (self, &ready);
    }
  g_mutex_unlock (&self->lock);

  finish (&ready);
}

void
caufs_locks_shut_down (CaufsLocks *self, int result)
{
  GQueue ready = G_QUEUE_INIT;

  g_mutex_lock (&self->lock);
  while (self->waiting.head != NULL)
    {
      CaufsLockWait *wait = self->waiting.head->data;

      unqueue_locked (self, wait);
      wait->result = result;
      g_queue_push_tail_link (&ready, &wait->link);
    }
  g_mutex_unlock (&self->lock);

  finish (&ready);
}
