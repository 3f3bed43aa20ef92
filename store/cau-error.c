/* SPDX-License-Identifier: MIT */
#include "cau-error.h"

#include <errno.h>

GQuark
cau_store_error_quark (void)
{
  return g_quark_from_static_string ("cau-store-error-quark");
}

int
cau_store_error_to_errno (const GError *error)
{
  if (error == NULL || error->domain != CAU_STORE_ERROR)
    return EIO;

  switch ((CauStoreError) error->code) /* no default: -Wswitch names a forgotten code */
    {
    case CAU_STORE_ERROR_INVALID:
      return EINVAL;
    case CAU_STORE_ERROR_NAME_TOO_LONG:
      return ENAMETOOLONG;
    case CAU_STORE_ERROR_NOT_FOUND:
      return ENOENT;
    case CAU_STORE_ERROR_EXISTS:
      return EEXIST;
    case CAU_STORE_ERROR_NOT_EMPTY:
      return ENOTEMPTY;
    case CAU_STORE_ERROR_BUSY:
      return EBUSY;
    case CAU_STORE_ERROR_STALE:
      return ESTALE;
    case CAU_STORE_ERROR_CONFLICT:
      return EAGAIN;
    case CAU_STORE_ERROR_READ_ONLY:
      return EROFS;
    case CAU_STORE_ERROR_PERMISSION:
      return EACCES;
    case CAU_STORE_ERROR_REFUSED:
      return EPERM;
    case CAU_STORE_ERROR_TOO_BIG:
      return EFBIG;
    case CAU_STORE_ERROR_NO_SPACE:
      return ENOSPC;
    case CAU_STORE_ERROR_QUOTA:
      return EDQUOT;
    case CAU_STORE_ERROR_INCOMPLETE:
      return EINVAL;
    case CAU_STORE_ERROR_CORRUPT:
      return EIO;
    case CAU_STORE_ERROR_IO:
      return EIO;
    case CAU_STORE_ERROR_NOT_A_STORE:
      return EINVAL;
    case CAU_STORE_ERROR_FORMAT:
      return ENOTSUP;
    case CAU_STORE_ERROR_UNSUPPORTED:
      return EOPNOTSUPP;
    case CAU_STORE_ERROR_TOO_MANY:
      return ENFILE;
    }
  return EIO;
}

CauStoreError
cau_store_error_from_errno (int code)
{
  switch (code)
    {
    case EACCES:
    case EPERM:
      return CAU_STORE_ERROR_PERMISSION;
    case EROFS:
      return CAU_STORE_ERROR_READ_ONLY;
    case ENOSPC:
      return CAU_STORE_ERROR_NO_SPACE;
    case EDQUOT:
      return CAU_STORE_ERROR_QUOTA;
    default:
      return CAU_STORE_ERROR_IO;
    }
}
