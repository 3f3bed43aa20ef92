/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-store.h"

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/* yyyy-mm-ddTHH:MM:SSZ, with six digits of the second's fraction when @precise. */
char *caureport_format_datetime (CauDatetime datetime, gboolean precise);

/* The same with nine digits, from nanoseconds since 1970. */
char *caureport_format_nanoseconds (gint64 nanoseconds);

/* Bytes as digits or, when @human, as at most four characters and a unit: 37.6K is 37.6 * 1024. */
char *caureport_format_size (guint64 size, gboolean human);

char *caureport_format_sha256 (const guint8 sha256[CAU_SHA256_LEN]);

/* @value: below 2^63, as integers in JSON are here. */
void caureport_json_add_int (JsonBuilder *builder, const char *member, guint64 value);

/* @value (transfer full). */
void caureport_json_add_string (JsonBuilder *builder, const char *member, char *value);

/* Prints what @builder has built on stdout, on one line or, when @pretty, on several, with no line end. */
void caureport_json_print (JsonBuilder *builder, gboolean pretty);

G_END_DECLS
