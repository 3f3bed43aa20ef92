/* SPDX-License-Identifier: MIT */
#include "cau-guid.h"

#include "cau-error.h"

#include <string.h>

/* How much of a text that is no GUID an error message repeats; escaped, so it can be cut anywhere. */
#define QUOTED_MAX 64

/* Whether a hyphen stands before the byte with this index in the canonical text. */
static gboolean
cau_guid_has_hyphen_before (gsize index)
{
  return index == 4 || index == 6 || index == 8 || index == 10;
}

/* Reads the 36 characters without braces. Returns what follows them, NULL when they are none. */
static const char *
cau_guid_parse_bare (const char *text, CauGuid *guid)
{
  for (gsize i = 0; i < G_N_ELEMENTS (guid->bytes); i++)
    {
      int high, low;

      if (cau_guid_has_hyphen_before (i) && *text++ != '-')
        return NULL;
      high = g_ascii_xdigit_value (text[0]);
      if (high < 0)
        return NULL;
      low = g_ascii_xdigit_value (text[1]);
      if (low < 0)
        return NULL;
      guid->bytes[i] = (guint8) (high * 16 + low);
      text += 2;
    }
  return text;
}

gboolean
cau_guid_parse (const char *text, CauGuid *guid, GError **error)
{
  CauGuid          parsed;
  const char      *end;
  gboolean         braces;
  g_autofree char *quoted = NULL;

  g_return_val_if_fail (text != NULL && guid != NULL, FALSE);

  braces = text[0] == '{';
  end = cau_guid_parse_bare (braces ? text + 1 : text, &parsed);
  if (end != NULL && strcmp (end, braces ? "}" : "") == 0)
    {
      *guid = parsed;
      return TRUE;
    }

  quoted = g_strescape (text, NULL);
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID,
               "'%.*s' is not a GUID: it is written as 01234567-89ab-cdef-0123-456789abcdef, with or without braces",
               QUOTED_MAX, quoted);
  return FALSE;
}

void
cau_guid_format (const CauGuid *guid, char text[CAU_GUID_TEXT_LEN + 1])
{
  static const char digits[] = "0123456789abcdef";

  for (gsize i = 0; i < G_N_ELEMENTS (guid->bytes); i++)
    {
      if (cau_guid_has_hyphen_before (i))
        *text++ = '-';
      *text++ = digits[guid->bytes[i] >> 4];
      *text++ = digits[guid->bytes[i] & 15];
    }
  *text = '\0';
}

gboolean
cau_guid_equal (const CauGuid *a, const CauGuid *b)
{
  return memcmp (a->bytes, b->bytes, sizeof a->bytes) == 0;
}
