/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/* Locks of fcntl(2) and flock(2) on reports.
 *
 * The kernel could keep them itself, but it would keep them by inode, and here who reads and who writes one
 * report have different inodes (see caufs-nodes.h). So the requests come to us, and the locks hang from the report's name.
 *
 * One mutex guards all lists of a mount: the search for a deadlock goes from list to list. Nothing is called
 * with it held. */
typedef struct _CaufsLocks    CaufsLocks;    /* opaque; of one mount; thread-safe */
typedef struct _CaufsLockList CaufsLockList; /* opaque; the locks of one report */

typedef enum
{
  CAUFS_LOCK_POSIX,
  CAUFS_LOCK_FLOCK, /* always of the whole file */
  CAUFS_N_LOCK_KINDS,
} CaufsLockKind;

/* The kernel's number of an owner is made of an address: that of a process' table of files for POSIX locks, else of the open file
 * (flock(2), F_OFD_SETLK). When that is gone, another may get it. */
typedef struct
{
  guint64 owner;
  guint64 start;
  guint64 end;  /* the last byte, G_MAXINT64 for the end of any file */
  int     type; /* F_RDLCK, F_WRLCK, F_UNLCK */
  pid_t   pid;  /* for F_GETLK; 0 when not known */
  uid_t   uid;  /* who set it last, and whom it counts to */

  gboolean      may_linger; /* nothing tells us that its process has closed @file, while another one has it open */
  gconstpointer file;       /* the open file it was last set through; only compared */
} CaufsLock;

/* A request that waits for its lock. Zeroed and filled by its owner, who keeps it until it was done. */
typedef struct _CaufsLockWait CaufsLockWait;
struct _CaufsLockWait
{
  /* Called once, with no lock held, with 0 when the lock was got, or a negative errno; may free the wait. */
  void (*done) (CaufsLockWait *self, int result);

  CaufsLockList *list; /* the rest belongs to caufs-locks.c, guarded by its mutex */
  CaufsLockKind  kind;
  CaufsLock      lock;
  GList          link;
  gboolean       is_queued;
  gboolean       is_cancelled;
  int            result;
};

/* What caufs_locks_set() returns when the wait was queued; done() may have been called by then. */
#define CAUFS_LOCK_WAITS 1

CaufsLocks *caufs_locks_new (void);
void        caufs_locks_free (CaufsLocks *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsLocks, caufs_locks_free)

CaufsLockList *caufs_lock_list_new (void);
void           caufs_lock_list_free (CaufsLockList *self);

/* Sets (or, F_UNLCK, takes away) @lock; an owner's own locks in its range make room. Returns: 0;
 * -EAGAIN when another's lock is in the way and @wait is NULL; CAUFS_LOCK_WAITS when it is queued; -EDEADLK when waiting would never end;
 * -EINTR when @wait was cancelled before; -ENOLCK when there are too many locks, or too many wait, of its user or of all. */
int caufs_locks_set (CaufsLocks *self, CaufsLockList *list, CaufsLockKind kind, const CaufsLock *lock,
                     CaufsLockWait *wait);

/* Takes @wait out of the queue. TRUE when it was in it: done() will not be called. Otherwise a
 * caufs_locks_set() with it that is still to come fails. */
gboolean caufs_locks_cancel (CaufsLocks *self, CaufsLockWait *wait);

/* Looks for a lock that is in the way of @lock, a POSIX one; *@found is it, or of type F_UNLCK. */
void caufs_locks_get (CaufsLocks *self, CaufsLockList *list, const CaufsLock *lock, CaufsLock *found);

/* Takes away the POSIX locks of @owner, a process that closes the report; all locks that were last set through @file, which is
 * open no more. */
void caufs_locks_release_owner (CaufsLocks *self, CaufsLockList *list, guint64 owner);
void caufs_locks_release_file (CaufsLocks *self, CaufsLockList *list, gconstpointer file);

/* Ends all waiting with @result: the mount ends. */
void caufs_locks_shut_down (CaufsLocks *self, int result);

G_END_DECLS
