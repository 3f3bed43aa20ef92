/* SPDX-License-Identifier: MIT */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* Parses @text, which need not end in a NUL, as one object as RFC 8259 has it and nothing else. JsonParser
 * alone (1.6) takes more: it reads 010 as eight and -18446744073709551615 as one, ends a string at \u0000, lets the last of
 * two members of one name win, and ignores what follows the object. Here all of that is an error, of CAUREPORT_ERROR.
 * Returns: (transfer full). */
JsonObject *caureport_json_parse_object (const char *text, gsize length, GError **error) G_GNUC_WARN_UNUSED_RESULT;

G_END_DECLS
