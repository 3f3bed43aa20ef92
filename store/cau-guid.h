/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/* An orchestrator's GUID: a value, copied by assignment. The bytes stand in the order in which
 * the text names them, so that memcmp() sorts as the canonical text does. */
typedef struct
{
  guint8 bytes[16];
} CauGuid;

/* Bytes of the canonical text, without the final NUL. */
#define CAU_GUID_TEXT_LEN 36

/* Parses @text: eight, four, four, four and twelve hexadecimal digits with hyphens between them,
 * in any case, with or without one pair of braces around them (the two spellings that Windows
 * tools print). Nothing else is accepted, not even white space. On success *@guid is set.
 * Errors: INVALID. Thread-safe. */
gboolean cau_guid_parse (const char *text, CauGuid *guid, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Writes the canonical text, lower case and without braces, and a final NUL into @text. */
void cau_guid_format (const CauGuid *guid, char text[CAU_GUID_TEXT_LEN + 1]);

gboolean cau_guid_equal (const CauGuid *a, const CauGuid *b);

#pragma GCC visibility pop
G_END_DECLS
