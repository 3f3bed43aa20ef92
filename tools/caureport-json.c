/* SPDX-License-Identifier: MIT */
#include "caureport-json.h"

#include "caureport.h"

#include <string.h>

/* Values inside values; chunks have none at all. */
#define JSON_MAX_DEPTH 32

typedef struct
{
  const char *at;
  const char *end;
  guint       n_members; /* of the outermost object */
} CaureportJsonScanner;

static gboolean caureport_json_scan_value (CaureportJsonScanner *self, guint depth);

static void
caureport_json_skip_space (CaureportJsonScanner *self)
{
  while (self->at < self->end && (*self->at == ' ' || *self->at == '\t' || *self->at == '\r' || *self->at == '\n'))
    self->at++;
}

/* Steps over @wanted, and the space around it. */
static gboolean
caureport_json_take (CaureportJsonScanner *self, char wanted)
{
  caureport_json_skip_space (self);
  if (self->at == self->end || *self->at != wanted)
    return FALSE;
  self->at++;
  caureport_json_skip_space (self);
  return TRUE;
}

static gsize
caureport_json_take_digits (CaureportJsonScanner *self)
{
  const char *start = self->at;

  while (self->at < self->end && g_ascii_isdigit (*self->at))
    self->at++;
  return (gsize) (self->at - start);
}

/* JsonParser makes a negative number of an integer that is too large, which no member may be, but of one that is too small a
 * positive one: 1 of -18446744073709551615. */
static gboolean
caureport_json_is_too_small (const char *text, gsize length)
{
  g_autofree char *digits = g_strndup (text, length);

  return digits[0] == '-' && !g_ascii_string_to_signed (digits, 10, G_MININT64, G_MAXINT64, NULL, NULL);
}

static gboolean
caureport_json_scan_number (CaureportJsonScanner *self)
{
  const char *start = self->at;
  const char *first;
  gsize       n_digits;
  gboolean    has_fraction;

  if (*self->at == '-')
    self->at++;
  first = self->at;
  n_digits = caureport_json_take_digits (self);
  if (n_digits == 0 || (n_digits > 1 && *first == '0'))
    return FALSE;
  has_fraction = self->at < self->end && *self->at == '.';
  if (has_fraction)
    {
      self->at++;
      if (caureport_json_take_digits (self) == 0)
        return FALSE;
    }
  if (self->at == self->end || (*self->at != 'e' && *self->at != 'E'))
    return has_fraction || !caureport_json_is_too_small (start, (gsize) (self->at - start));
  self->at++;
  if (self->at < self->end && (*self->at == '+' || *self->at == '-'))
    self->at++;
  return caureport_json_take_digits (self) > 0;
}

/* Reads u and four hexadecimal digits. FALSE for no such thing, and for NUL. */
static gboolean
caureport_json_take_unit (CaureportJsonScanner *self, guint *unit)
{
  if (self->end - self->at < 5 || *self->at != 'u')
    return FALSE;
  *unit = 0;
  for (guint i = 1; i <= 4; i++)
    {
      if (!g_ascii_isxdigit (self->at[i]))
        return FALSE;
      *unit = *unit * 16 + (guint) g_ascii_xdigit_value (self->at[i]);
    }
  self->at += 5;
  return *unit != 0;
}

/* At the character after a backslash. Half of a surrogate pair makes JsonParser lose count. */
static gboolean
caureport_json_scan_escape (CaureportJsonScanner *self)
{
  guint unit;
  guint second;

  if (self->at == self->end)
    return FALSE;
  if (*self->at != 'u')
    return strchr ("\"\\/bfnrt", *self->at++) != NULL;
  if (!caureport_json_take_unit (self, &unit))
    return FALSE;
  if (unit < 0xd800 || unit > 0xdfff)
    return TRUE;
  if (unit > 0xdbff || self->at == self->end || *self->at++ != '\\')
    return FALSE;
  return caureport_json_take_unit (self, &second) && second >= 0xdc00 && second <= 0xdfff;
}

static gboolean
caureport_json_scan_string (CaureportJsonScanner *self)
{
  if (self->at == self->end || *self->at != '"')
    return FALSE;
  self->at++;
  while (self->at < self->end && *self->at != '"')
    {
      if ((guchar) *self->at < 0x20)
        return FALSE;
      if (*self->at++ == '\\' && !caureport_json_scan_escape (self))
        return FALSE;
    }
  if (self->at == self->end)
    return FALSE;
  self->at++;
  return TRUE;
}

static gboolean
caureport_json_scan_member (CaureportJsonScanner *self, guint depth)
{
  if (depth == 1)
    self->n_members++;
  return caureport_json_scan_string (self) && caureport_json_take (self, ':')
         && caureport_json_scan_value (self, depth);
}

/* An object or an array, between @open and @close. */
static gboolean
caureport_json_scan_container (CaureportJsonScanner *self, char open, char close, guint depth)
{
  if (depth > JSON_MAX_DEPTH || !caureport_json_take (self, open))
    return FALSE;
  if (caureport_json_take (self, close))
    return TRUE;
  do
    {
      if (!(open == '{' ? caureport_json_scan_member (self, depth) : caureport_json_scan_value (self, depth)))
        return FALSE;
    }
  while (caureport_json_take (self, ','));
  return caureport_json_take (self, close);
}

static gboolean
caureport_json_scan_value (CaureportJsonScanner *self, guint depth)
{
  static const char *const words[] = { "true", "false", "null" };

  if (self->at == self->end)
    return FALSE;
  if (*self->at == '{')
    return caureport_json_scan_container (self, '{', '}', depth + 1);
  if (*self->at == '[')
    return caureport_json_scan_container (self, '[', ']', depth + 1);
  if (*self->at == '"')
    return caureport_json_scan_string (self);
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    {
      gsize length = strlen (words[i]);

      if ((gsize) (self->end - self->at) >= length && memcmp (self->at, words[i], length) == 0)
        {
          self->at += length;
          return TRUE;
        }
    }
  return caureport_json_scan_number (self);
}

static gboolean
caureport_json_fail (GError **error, const char *what, gssize position)
{
  if (position < 0)
    g_set_error_literal (error, CAUREPORT_ERROR, CAUREPORT_ERROR_FAILED, what);
  else
    g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_FAILED, "%s: byte %" G_GSSIZE_FORMAT " is wrong", what,
                 position + 1);
  return FALSE;
}

static gboolean
caureport_json_check (const char *text, gsize length, guint *n_members, GError **error)
{
  CaureportJsonScanner scanner = { text, text + length, 0 };
  const char          *invalid;

  if (!g_utf8_validate (text, (gssize) length, &invalid))
    return caureport_json_fail (error, "it is not UTF-8", invalid - text);
  caureport_json_skip_space (&scanner);
  if (scanner.at == scanner.end || *scanner.at != '{')
    return caureport_json_fail (error, "it is not a JSON object", scanner.at - text);
  if (!caureport_json_scan_container (&scanner, '{', '}', 1))
    return caureport_json_fail (error, "it is not a JSON object", scanner.at - text);
  if (scanner.at != scanner.end)
    return caureport_json_fail (error, "something follows the JSON object", scanner.at - text);
  *n_members = scanner.n_members;
  return TRUE;
}

JsonObject *
caureport_json_parse_object (const char *text, gsize length, GError **error)
{
  g_autoptr (JsonParser) parser = json_parser_new ();
  g_autoptr (GError) parse_error = NULL;
  JsonObject *object;
  guint       n_members = 0;

  if (!caureport_json_check (text, length, &n_members, error))
    return NULL;
  if (!json_parser_load_from_data (parser, text, (gssize) length, &parse_error))
    {
      caureport_json_fail (error, parse_error->message, -1);
      return NULL;
    }
  object = json_node_get_object (json_parser_get_root (parser));
  if (json_object_get_size (object) != n_members)
    {
      caureport_json_fail (error, "it has two members of one name", -1);
      return NULL;
    }
  return json_object_ref (object);
}
