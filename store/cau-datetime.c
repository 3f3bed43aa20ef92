/* SPDX-License-Identifier: MIT */
#include "cau-datetime.h"

#include "cau-error.h"

#include <string.h>

/* The calendar is computed here because GDateTime starts at year 1, and year 0 is what Windows
 * writes for a run that never started. */

#define DAYS_PER_ERA G_GINT64_CONSTANT (146097) /* 400 years, after which the calendar repeats */
#define DAYS_TO_1970 G_GINT64_CONSTANT (719468) /* from March 1 of year 0 */
#define SECONDS_PER_DAY G_GINT64_CONSTANT (86400)
#define DATETIME_MIN (G_GINT64_CONSTANT (-62167219200) * G_USEC_PER_SEC)     /* 0000-01-01T00:00:00 */
#define DATETIME_MAX (G_GINT64_CONSTANT (253402300800) * G_USEC_PER_SEC - 1) /* 9999-12-31T23:59:59.999999 */
#define OFFSET_MAX_MINUTES (14 * 60)                                         /* no time zone is further from UTC */

#define CAU_DATETIME_DIGITS 14 /* yyyymmddHHMMSS */

/* How much of a text that is no datetime an error message repeats; escaped, so it can be cut anywhere. */
#define QUOTED_MAX 64

/* Reads @n digits. A text that ends early is no different from any other character. */
static gboolean
cau_datetime_parse_number (const char *text, int n, int *number)
{
  int value = 0;

  for (int i = 0; i < n; i++)
    {
      int digit = g_ascii_digit_value (text[i]);

      if (digit < 0)
        return FALSE;
      value = value * 10 + digit;
    }
  *number = value;
  return TRUE;
}

static int
cau_datetime_days_in_month (int year, int month)
{
  static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  gboolean         leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

  return month == 2 && leap ? 29 : days[month - 1];
}

/* Days since 1970-01-01. Years are counted from March 1, so that a leap day is the last of its year
 * and the days before a month follow (153 * month + 2) / 5. */
static gint64
cau_datetime_days_from_date (int year, int month, int day)
{
  gint64 march_year = month > 2 ? year : year - 1;
  gint64 era = (march_year >= 0 ? march_year : march_year - 399) / 400;
  gint64 year_of_era = march_year - era * 400;
  gint64 day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  gint64 day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

  return era * DAYS_PER_ERA + day_of_era - DAYS_TO_1970;
}

/* The inverse of cau_datetime_days_from_date(). */
static void
cau_datetime_date_from_days (gint64 days, int *year, int *month, int *day)
{
  gint64 shifted = days + DAYS_TO_1970;
  gint64 era = (shifted >= 0 ? shifted : shifted - (DAYS_PER_ERA - 1)) / DAYS_PER_ERA;
  gint64 day_of_era = shifted - era * DAYS_PER_ERA;
  gint64 year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  gint64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  gint64 march_month = (5 * day_of_year + 2) / 153;

  *day = (int) (day_of_year - (153 * march_month + 2) / 5 + 1);
  *month = (int) (march_month < 10 ? march_month + 3 : march_month - 9);
  *year = (int) (era * 400 + year_of_era + (*month <= 2 ? 1 : 0));
}

gboolean
cau_datetime_parse_digits (const char *digits, CauDatetime *datetime)
{
  int    year, month, day, hour, minute, second;
  gint64 seconds;

  g_return_val_if_fail (digits != NULL && datetime != NULL, FALSE);

  if (!cau_datetime_parse_number (digits, 4, &year) || !cau_datetime_parse_number (digits + 4, 2, &month)
      || !cau_datetime_parse_number (digits + 6, 2, &day) || !cau_datetime_parse_number (digits + 8, 2, &hour)
      || !cau_datetime_parse_number (digits + 10, 2, &minute) || !cau_datetime_parse_number (digits + 12, 2, &second))
    return FALSE;
  if (month < 1 || month > 12 || day < 1 || day > cau_datetime_days_in_month (year, month))
    return FALSE;
  if (hour > 23 || minute > 59 || second > 59)
    return FALSE;

  seconds = cau_datetime_days_from_date (year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
  *datetime = seconds * G_USEC_PER_SEC;
  return TRUE;
}

/* cau_datetime_parse() without its message. */
static gboolean
cau_datetime_parse_quietly (const char *text, CauDatetime *datetime)
{
  CauDatetime local, utc;
  int         microseconds, minutes;

  if (!cau_datetime_parse_digits (text, &local))
    return FALSE;
  text += CAU_DATETIME_DIGITS;
  if (text[0] != '.' || !cau_datetime_parse_number (text + 1, 6, &microseconds))
    return FALSE;
  text += 7;
  if ((text[0] != '+' && text[0] != '-') || !cau_datetime_parse_number (text + 1, 3, &minutes) || text[4] != '\0')
    return FALSE;
  if (minutes > OFFSET_MAX_MINUTES)
    return FALSE;

  utc = local + microseconds - (text[0] == '-' ? -1 : 1) * (gint64) minutes * 60 * G_USEC_PER_SEC;
  if (utc < DATETIME_MIN || utc > DATETIME_MAX)
    return FALSE;
  *datetime = utc;
  return TRUE;
}

gboolean
cau_datetime_parse (const char *text, CauDatetime *datetime, GError **error)
{
  g_autofree char *quoted = NULL;

  g_return_val_if_fail (text != NULL && datetime != NULL, FALSE);

  if (cau_datetime_parse_quietly (text, datetime))
    return TRUE;
  if (error == NULL)
    return FALSE;

  quoted = g_strescape (text, NULL);
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID,
               "'%.*s' is not a CIM datetime: it is written as yyyymmddHHMMSS.mmmmmm+UUU, for example "
               "20120920203244.000000+000",
               QUOTED_MAX, quoted);
  return FALSE;
}

/* Writes @number with @n digits. Returns the place after them. */
static char *
cau_datetime_format_number (char *text, int n, int number)
{
  for (int i = n - 1; i >= 0; i--)
    {
      text[i] = (char) ('0' + number % 10);
      number /= 10;
    }
  return text + n;
}

void
cau_datetime_format (CauDatetime datetime, char text[CAU_DATETIME_TEXT_LEN + 1])
{
  /* Counted from the start of year 0, so that divisions round downwards. */
  gint64 since_min = CLAMP (datetime, DATETIME_MIN, DATETIME_MAX) - DATETIME_MIN;
  gint64 seconds = since_min / G_USEC_PER_SEC;
  int    second_of_day = (int) (seconds % SECONDS_PER_DAY);
  int    year, month, day;

  cau_datetime_date_from_days (seconds / SECONDS_PER_DAY + DATETIME_MIN / G_USEC_PER_SEC / SECONDS_PER_DAY, &year,
                               &month, &day);
  text = cau_datetime_format_number (text, 4, year);
  text = cau_datetime_format_number (text, 2, month);
  text = cau_datetime_format_number (text, 2, day);
  text = cau_datetime_format_number (text, 2, second_of_day / 3600);
  text = cau_datetime_format_number (text, 2, second_of_day / 60 % 60);
  text = cau_datetime_format_number (text, 2, second_of_day % 60);
  *text++ = '.';
  text = cau_datetime_format_number (text, 6, (int) (since_min % G_USEC_PER_SEC));
  memcpy (text, "+000", sizeof "+000");
}

CauDatetime
cau_datetime_now (void)
{
  return g_get_real_time ();
}
