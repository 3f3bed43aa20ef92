/* SPDX-License-Identifier: MIT */
/* GUIDs: the input is a text. */

#include "fuzz.h"

#include "cau-store.h"

#include <string.h>

/* What cau-guid.h says, in other words. */
static gboolean
is_guid (const char *text)
{
  static const char shape[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  gsize             length = strlen (text);

  if (length == sizeof shape + 1 && text[0] == '{' && text[length - 1] == '}')
    {
      text++;
      length -= 2;
    }
  if (length != sizeof shape - 1)
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if (shape[i] == '-' ? text[i] != '-' : strchr ("0123456789abcdefABCDEF", text[i]) == NULL)
      return FALSE;
  return TRUE;
}

static void
check_format (const CauGuid *guid, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *lower = g_ascii_strdown (text, -1);
  char             canonical[CAU_GUID_TEXT_LEN + 1];
  CauGuid          again;

  cau_guid_format (guid, canonical);
  fuzz_check (strlen (canonical) == CAU_GUID_TEXT_LEN);
  fuzz_check (strcmp (canonical, lower) == 0 || strncmp (canonical, lower + 1, CAU_GUID_TEXT_LEN) == 0);
  fuzz_check (fuzz_result (cau_guid_parse (canonical, &again, &error), &error, CAU_STORE_ERROR));
  fuzz_check (cau_guid_equal (guid, &again));
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = fuzz_text (data, size);
  CauGuid          guid, before;
  gboolean         ok;

  memset (&guid, 0xa5, sizeof guid);
  before = guid;
  ok = fuzz_result (cau_guid_parse (text, &guid, &error), &error, CAU_STORE_ERROR);
  fuzz_check (ok == is_guid (text));
  if (ok)
    check_format (&guid, text);
  else
    fuzz_check (cau_guid_equal (&guid, &before));
  return 0;
}
