/* SPDX-License-Identifier: MIT */
#include "fuzz-reference.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static gboolean
are_digits (const char *text, gsize n)
{
  return strspn (text, "0123456789") >= n;
}

gboolean
reference_parse_digits (const char *digits, CauDatetime *datetime)
{
  struct tm tm = { 0 }, back;
  time_t    time;

  if (!are_digits (digits, 14)
      || sscanf (digits, "%4d%2d%2d%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                 &tm.tm_sec)
           != 6)
    return FALSE;
  tm.tm_year -= 1900;
  tm.tm_mon -= 1;
  back = tm;
  time = timegm (&back);
  /* timegm() carries what is too large over to the next field. */
  if (back.tm_year != tm.tm_year || back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour
      || back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
    return FALSE;
  *datetime = time * G_USEC_PER_SEC;
  return TRUE;
}

gboolean
reference_parse_datetime (const char *text, CauDatetime *datetime)
{
  int         microseconds, minutes;
  char        sign;
  CauDatetime local, utc;
  time_t      seconds;
  struct tm   tm;

  if (strlen (text) != 25 || !reference_parse_digits (text, &local) || text[14] != '.' || !are_digits (text + 15, 6)
      || !are_digits (text + 22, 3) || sscanf (text + 14, ".%6d%c%3d", &microseconds, &sign, &minutes) != 3)
    return FALSE;
  if ((sign != '+' && sign != '-') || minutes > 14 * 60)
    return FALSE;
  utc = local + microseconds + (sign == '+' ? -60 : 60) * (gint64) minutes * G_USEC_PER_SEC;
  /* Rounds downwards, before 1970 too. */
  seconds = (utc - ((utc % G_USEC_PER_SEC) + G_USEC_PER_SEC) % G_USEC_PER_SEC) / G_USEC_PER_SEC;
  if (gmtime_r (&seconds, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900)
    return FALSE;
  *datetime = utc;
  return TRUE;
}
