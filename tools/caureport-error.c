/* SPDX-License-Identifier: MIT */
#include "caureport.h"

#include <stdarg.h>

/* clang-format off */
G_DEFINE_QUARK (caureport-error-quark, caureport_error)
/* clang-format on */

static CaureportStatus
caureport_status_from_store_error (CauStoreError code)
{
  switch (code) /* no default: the compiler names a code that is forgotten here */
    {
    case CAU_STORE_ERROR_INVALID:
    case CAU_STORE_ERROR_NAME_TOO_LONG:
      return CAUREPORT_STATUS_USAGE;
    case CAU_STORE_ERROR_NOT_FOUND:
      return CAUREPORT_STATUS_NOT_FOUND;
    case CAU_STORE_ERROR_EXISTS:
      return CAUREPORT_STATUS_EXISTS;
    case CAU_STORE_ERROR_CORRUPT:
      return CAUREPORT_STATUS_DAMAGED;
    case CAU_STORE_ERROR_TOO_BIG:
    case CAU_STORE_ERROR_NO_SPACE:
    case CAU_STORE_ERROR_QUOTA:
      return CAUREPORT_STATUS_NO_SPACE;
    case CAU_STORE_ERROR_BUSY:
    case CAU_STORE_ERROR_READ_ONLY:
    case CAU_STORE_ERROR_PERMISSION:
    case CAU_STORE_ERROR_NOT_A_STORE:
    case CAU_STORE_ERROR_FORMAT:
    case CAU_STORE_ERROR_UNSUPPORTED:
      return CAUREPORT_STATUS_UNAVAILABLE;
    case CAU_STORE_ERROR_NOT_EMPTY:
    case CAU_STORE_ERROR_STALE:
    case CAU_STORE_ERROR_CONFLICT:
    case CAU_STORE_ERROR_REFUSED:
    case CAU_STORE_ERROR_INCOMPLETE:
    case CAU_STORE_ERROR_IO:
    case CAU_STORE_ERROR_TOO_MANY:
      return CAUREPORT_STATUS_FAILED;
    }
  return CAUREPORT_STATUS_FAILED;
}

CaureportStatus
caureport_status_from_error (const GError *error)
{
  if (error->domain == CAU_STORE_ERROR)
    return caureport_status_from_store_error ((CauStoreError) error->code);
  if (error->domain == G_OPTION_ERROR || g_error_matches (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE))
    return CAUREPORT_STATUS_USAGE;
  if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
    return CAUREPORT_STATUS_NOT_FOUND;
  if (g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
    return CAUREPORT_STATUS_NO_SPACE;
  return CAUREPORT_STATUS_FAILED;
}

void
caureport_prefix_error (GError **error, const CauGuid *guid, const char *name)
{
  char text[CAU_GUID_TEXT_LEN + 1];

  cau_guid_format (guid, text);
  g_prefix_error (error, "%s%s%s: ", text, name != NULL ? "/" : "", name != NULL ? name : "");
}

void
caureport_set_error_from_errno (GError **error, int errsv, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list          args;

  va_start (args, format);
  text = g_strdup_vprintf (format, args);
  va_end (args);
  g_set_error (error, G_FILE_ERROR, (int) g_file_error_from_errno (errsv), "%s: %s", text, g_strerror (errsv));
}
