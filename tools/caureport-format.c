/* SPDX-License-Identifier: MIT */
#include "caureport-format.h"

#include <stdio.h>

char *
caureport_format_datetime (CauDatetime datetime, gboolean precise)
{
  char cim[CAU_DATETIME_TEXT_LEN + 1];

  /* GDateTime has no year 0, which the name of a run that never started brings. */
  cau_datetime_format (datetime, cim);
  return g_strdup_printf ("%.4s-%.2s-%.2sT%.2s:%.2s:%.2s%.*sZ", cim, cim + 4, cim + 6, cim + 8, cim + 10, cim + 12,
                          precise ? 7 : 0, cim + 14);
}

char *
caureport_format_nanoseconds (gint64 nanoseconds)
{
  gint64           fraction = nanoseconds % 1000000000;
  gint64           seconds = nanoseconds / 1000000000;
  g_autofree char *whole = NULL;

  if (fraction < 0)
    {
      fraction += 1000000000;
      seconds--;
    }
  whole = caureport_format_datetime (seconds * G_USEC_PER_SEC, FALSE);
  return g_strdup_printf ("%.19s.%09" G_GINT64_FORMAT "Z", whole, fraction);
}

char *
caureport_format_size (guint64 size, gboolean human)
{
  const char *unit = "KMGTPE";
  double      value = (double) size / 1024;

  if (!human || size < 1024)
    return g_strdup_printf ("%" G_GUINT64_FORMAT, size);
  while (value >= 1023.95 && unit[1] != '\0')
    {
      value /= 1024;
      unit++;
    }
  return g_strdup_printf ("%.1f%c", value, *unit);
}

char *
caureport_format_sha256 (const guint8 sha256[CAU_SHA256_LEN])
{
  GString *text = g_string_sized_new (2 * CAU_SHA256_LEN);

  for (guint i = 0; i < CAU_SHA256_LEN; i++)
    g_string_append_printf (text, "%02x", sha256[i]);
  return g_string_free (text, FALSE);
}

void
caureport_json_add_int (JsonBuilder *builder, const char *member, guint64 value)
{
  json_builder_set_member_name (builder, member);
  json_builder_add_int_value (builder, (gint64) value);
}

void
caureport_json_add_string (JsonBuilder *builder, const char *member, char *value)
{
  json_builder_set_member_name (builder, member);
  json_builder_add_string_value (builder, value);
  g_free (value);
}

void
caureport_json_print (JsonBuilder *builder, gboolean pretty)
{
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  g_autofree char *text = json_to_string (root, pretty);

  fputs (text, stdout);
}
