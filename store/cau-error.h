/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

#define CAU_STORE_ERROR (cau_store_error_quark ())
GQuark cau_store_error_quark (void);

/* The closed set of codes that every function of this library reports in the domain
 * CAU_STORE_ERROR. The words after each are what it means to a caller; the errno beside it is
 * what cau_store_error_to_errno() makes of it. */
typedef enum
{
  CAU_STORE_ERROR_INVALID,       /* EINVAL: a GUID, datetime, name or argument is malformed */
  CAU_STORE_ERROR_NAME_TOO_LONG, /* ENAMETOOLONG: a report name of more than 255 bytes */
  CAU_STORE_ERROR_NOT_FOUND,     /* ENOENT: no such orchestrator, report or store */
  CAU_STORE_ERROR_EXISTS,        /* EEXIST: the name is taken and replacing it was not asked for */
  CAU_STORE_ERROR_NOT_EMPTY,     /* ENOTEMPTY: the orchestrator still has reports */
  CAU_STORE_ERROR_BUSY,          /* EBUSY: not committed yet, or another process holds the store */
  CAU_STORE_ERROR_STALE,         /* ESTALE: that version is no longer there; look the name up again */
  CAU_STORE_ERROR_CONFLICT,      /* EAGAIN: the report changed under a commit that named its base */
  CAU_STORE_ERROR_READ_ONLY,     /* EROFS: the store is open, or only usable, for reading */
  CAU_STORE_ERROR_PERMISSION,    /* EACCES: the store's files may not be used by this user */
  CAU_STORE_ERROR_REFUSED,       /* EPERM: saved reports may not be changed (worm) */
  CAU_STORE_ERROR_TOO_BIG,       /* EFBIG: larger than max_report_size, or than any report can be */
  CAU_STORE_ERROR_NO_SPACE,      /* ENOSPC: the disk, or the store's own limit, is full */
  CAU_STORE_ERROR_QUOTA,         /* EDQUOT: the user's disk quota is used up */
  CAU_STORE_ERROR_INCOMPLETE,    /* EINVAL: a PutReport chunk out of order, or sizes that differ */
  CAU_STORE_ERROR_CORRUPT,       /* EIO: a check of stored data failed; the message says which */
  CAU_STORE_ERROR_IO,            /* EIO: the disk or the engine failed */
  CAU_STORE_ERROR_NOT_A_STORE,   /* EINVAL: the file exists and is something else */
  CAU_STORE_ERROR_FORMAT,        /* ENOTSUP: written in a store format newer than this library's */
  CAU_STORE_ERROR_UNSUPPORTED,   /* EOPNOTSUPP: this build or this engine cannot do it */
  CAU_STORE_ERROR_TOO_MANY,      /* ENFILE: as many reports are being written as are allowed to */
} CauStoreError;

/* The errno for @error: the one table between this library and system calls. An error of a
 * foreign domain, which is a bug of the library, and NULL both give EIO. Thread-safe. */
int cau_store_error_to_errno (const GError *error);

/* The code for a system call on one of the store's files that failed with the errno @code: IO unless a caller could do something about
 * it. Not NOT_FOUND: only the caller knows what it is that is not there. */
CauStoreError cau_store_error_from_errno (int code);

#pragma GCC visibility pop
G_END_DECLS
