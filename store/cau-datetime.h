/* SPDX-License-Identifier: MIT */
#pragma once

#include <glib.h>

G_BEGIN_DECLS
#pragma GCC visibility push(default)

/* A point in time in UTC, in microseconds since 1970-01-01T00:00:00Z, as precise as a CIM datetime.
 * The proleptic Gregorian calendar is used from year 0 to 9999: a Windows node names the report
 * of a run whose start was never set CauReport-00000101000000.xml. */
typedef gint64 CauDatetime;

/* Bytes of a CIM datetime, yyyymmddHHMMSS.mmmmmm+UUU, without the final NUL. */
#define CAU_DATETIME_TEXT_LEN 25

/* Parses a CIM datetime (DMTF DSP0004, section 5.2.4): 14 digits, a point, six digits of
 * microseconds, a sign and three digits, the minutes that local time is ahead of UTC. The offset is
 * taken away. Intervals (a colon in place of the sign) and fields of asterisks name no point in time
 * and are refused, as are dates that the calendar does not have and offsets beyond 14 hours.
 * Errors: INVALID. Thread-safe. */
gboolean cau_datetime_parse (const char *text, CauDatetime *datetime, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* Writes @datetime as a CIM datetime with the offset +000, and a final NUL, into @text. A time
 * outside the years 0 to 9999 is moved to the nearest one inside. */
void cau_datetime_format (CauDatetime datetime, char text[CAU_DATETIME_TEXT_LEN + 1]);

/* Parses the 14 digits yyyymmddHHMMSS, UTC, at @digits; what follows them is not looked at.
 * FALSE when they are not 14 digits or not a date. */
gboolean cau_datetime_parse_digits (const char *digits, CauDatetime *datetime);

/* The wall clock now. */
CauDatetime cau_datetime_now (void);

#pragma GCC visibility pop
G_END_DECLS
