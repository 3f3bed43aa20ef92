/* SPDX-License-Identifier: MIT */
#include "cau-report-name.h"

#include "cau-error.h"

#include <string.h>

#define TIMESTAMP_DIGITS 14 /* yyyymmddHHMMSS */

/* What is wrong with @name beside its length, NULL when nothing is. */
static const char *
cau_report_name_find_fault (const char *name)
{
  if (name[0] == '\0')
    return "it is empty";
  if (strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    return "it names a folder";
  if (!g_utf8_validate (name, -1, NULL))
    return "it is not valid UTF-8";
  for (const char *p = name; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (c == '/')
        return "it contains a slash";
      if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
        return "it contains a control character";
    }
  return NULL;
}

gboolean
cau_report_name_validate (const char *name, GError **error)
{
  const char      *fault;
  gsize            length;
  g_autofree char *quoted = NULL;

  g_return_val_if_fail (name != NULL, FALSE);

  length = strlen (name);
  if (length > CAU_REPORT_NAME_MAX)
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_NAME_TOO_LONG,
                   "a report name of %" G_GSIZE_FORMAT " bytes is too long: at most %d are possible", length,
                   CAU_REPORT_NAME_MAX);
      return FALSE;
    }

  fault = cau_report_name_find_fault (name);
  if (fault == NULL)
    return TRUE;
  quoted = g_strescape (name, NULL);
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID, "'%s' cannot name a report: %s", quoted, fault);
  return FALSE;
}

/* Reads the CIM datetime at @digits, which are TIMESTAMP_DIGITS digits. One with more digits behind it is none. */
static gboolean
cau_report_name_get_cim_datetime (const char *digits, CauDatetime *timestamp)
{
  char text[CAU_DATETIME_TEXT_LEN + 1];

  if (digits[TIMESTAMP_DIGITS] != '.' || strnlen (digits, CAU_DATETIME_TEXT_LEN) < CAU_DATETIME_TEXT_LEN
      || g_ascii_isdigit (digits[CAU_DATETIME_TEXT_LEN]))
    return FALSE;
  memcpy (text, digits, CAU_DATETIME_TEXT_LEN);
  text[CAU_DATETIME_TEXT_LEN] = '\0';
  return cau_datetime_parse (text, timestamp, NULL);
}

gboolean
cau_report_name_get_timestamp (const char *name, CauDatetime *timestamp)
{
  gboolean found = FALSE;

  g_return_val_if_fail (name != NULL && timestamp != NULL, FALSE);

  while (*name != '\0')
    {
      gsize n_digits = 0;

      while (g_ascii_isdigit (name[n_digits]))
        n_digits++;
      if (n_digits == TIMESTAMP_DIGITS)
        {
          if (cau_report_name_get_cim_datetime (name, timestamp))
            return TRUE;
          if (!found)
            found = cau_datetime_parse_digits (name, timestamp);
        }
      name += MAX (n_digits, 1);
    }
  return found;
}
