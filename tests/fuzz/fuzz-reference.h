/* SPDX-License-Identifier: MIT */
#pragma once

/* Datetimes by the C library's calendar: what the store's own is compared with. */

#include "cau-datetime.h"

/* As cau_datetime_parse(). */
gboolean reference_parse_datetime (const char *text, CauDatetime *datetime);

/* As cau_datetime_parse_digits(). */
gboolean reference_parse_digits (const char *digits, CauDatetime *datetime);
