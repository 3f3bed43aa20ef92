/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-datetime.h"

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/* Bytes of the longest report name. */
#define CAU_REPORT_NAME_MAX 255

/* Whether @name may name a report: 1 to 255 bytes of valid UTF-8, no control character (U+0000 to
 * U+001F, U+007F to U+009F), no slash, and neither "." nor "..". Case matters; nothing is normalised.
 * Errors: INVALID, NAME_TOO_LONG (which is decided first). Thread-safe. */
gboolean cau_report_name_validate (const char *name, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Finds the timestamp in a report's name: the first CIM datetime in it, else the first run of
 * exactly 14 digits that is a date (as in CauReport-20120920203244.xml). FALSE when there is none.
 * Thread-safe. */
gboolean cau_report_name_get_timestamp (const char *name, CauDatetime *timestamp);

#pragma GCC visibility pop
G_END_DECLS
