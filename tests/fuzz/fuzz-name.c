/* SPDX-License-Identifier: MIT */
/* Names of reports, and the timestamps in them: the input is a name. */

#include "fuzz.h"

#include "fuzz-reference.h"

#include "cau-store.h"

#include <string.h>

/* What cau-report-name.h says, in other words. */
static gboolean
is_name (const char *name)
{
  gsize length = strlen (name);

  if (length < 1 || length > 255 || strchr (name, '/') != NULL || g_str_equal (name, ".") || g_str_equal (name, "..")
      || !g_utf8_validate (name, -1, NULL))
    return FALSE;
  for (const char *p = name; *p != '\0'; p = g_utf8_next_char (p))
    if (g_unichar_iscntrl (g_utf8_get_char (p)))
      return FALSE;
  return TRUE;
}

/* Whether exactly 14 digits begin at @name[at]. */
static gboolean
is_run (const char *name, gsize at)
{
  return (at == 0 || !g_ascii_isdigit (name[at - 1])) && strspn (name + at, "0123456789") == 14;
}

static gboolean
find_timestamp (const char *name, CauDatetime *timestamp)
{
  gsize length = strlen (name);

  for (gsize at = 0; at + 25 <= length; at++)
    {
      g_autofree char *text = g_strndup (name + at, 25);

      if (is_run (name, at) && !g_ascii_isdigit (name[at + 25]) && reference_parse_datetime (text, timestamp))
        return TRUE;
    }
  for (gsize at = 0; at + 14 <= length; at++)
    if (is_run (name, at) && reference_parse_digits (name + at, timestamp))
      return TRUE;
  return FALSE;
}

/* What was found must be found again in a name made of it. */
static void
check_timestamp (CauDatetime timestamp)
{
  char             text[CAU_DATETIME_TEXT_LEN + 1];
  g_autofree char *name = NULL;
  CauDatetime      again;

  cau_datetime_format (timestamp, text);
  name = g_strdup_printf ("CauReport-%s.xml", text);
  fuzz_check (cau_report_name_get_timestamp (name, &again) && again == timestamp);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *name = fuzz_text (data, size);
  CauDatetime      timestamp = 1, by_reference = 1;
  gboolean         ok = fuzz_result (cau_report_name_validate (name, &error), &error, CAU_STORE_ERROR);

  fuzz_check (ok == is_name (name));
  ok = cau_report_name_get_timestamp (name, &timestamp);
  fuzz_check (ok == find_timestamp (name, &by_reference));
  if (!ok)
    return 0;
  fuzz_check (timestamp == by_reference);
  check_timestamp (timestamp);
  return 0;
}
