/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
fuzz_fail (const char *condition, const char *file, int line)
{
  fprintf (stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
  abort ();
}

gboolean
fuzz_result (gboolean ok, GError **error, GQuark domain)
{
  fuzz_check (ok == (*error == NULL));
  if (!ok)
    {
      fuzz_check ((*error)->domain == domain);
      fuzz_check ((*error)->message[0] != '\0' && strchr ((*error)->message, '\n') == NULL);
    }
  g_clear_error (error);
  return ok;
}

char *
fuzz_text (const uint8_t *data, size_t size)
{
  gsize length = size > 0 ? strnlen ((const char *) data, size) : 0;
  char *text = g_malloc (length + 1);

  if (length > 0)
    memcpy (text, data, length);
  text[length] = '\0';
  return text;
}

guint8
fuzz_input_byte (FuzzInput *self)
{
  if (self->left == 0)
    return 0;
  self->left--;
  return *self->at++;
}

guint64
fuzz_input_number (FuzzInput *self, guint n_bytes)
{
  guint64 number = 0;

  for (guint i = 0; i < n_bytes; i++)
    number |= (guint64) fuzz_input_byte (self) << (8 * i);
  return number;
}

const guint8 *
fuzz_input_bytes (FuzzInput *self, gsize max, gsize *length)
{
  const guint8 *bytes;

  *length = fuzz_input_byte (self);
  *length = MIN (*length, MIN (max, self->left));
  bytes = self->at;
  self->at += *length;
  self->left -= *length;
  return bytes;
}
