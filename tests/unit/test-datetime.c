/* SPDX-License-Identifier: MIT */
#include "cau-datetime.h"
#include "cau-error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND ((gint64) G_USEC_PER_SEC)
#define DAY (24 * 60 * 60 * SECOND)
#define FIRST (G_GINT64_CONSTANT (-62167219200) * SECOND)    /* the start of year 0 */
#define LAST (G_GINT64_CONSTANT (253402300800) * SECOND - 1) /* the end of year 9999 */

static void
assert_parses (const char *text, CauDatetime expected)
{
  g_autoptr (GError) error = NULL;
  CauDatetime datetime = 1;

  if (!cau_datetime_parse (text, &datetime, &error))
    fail_msg ("%s", error->message);
  assert_null (error);
  assert_int_equal (datetime, expected);
}

static void
assert_refuses (const char *text)
{
  g_autoptr (GError) error = NULL;
  CauDatetime datetime = 4711;

  if (cau_datetime_parse (text, &datetime, &error))
    fail_msg ("'%s' was taken for a datetime", text);
  assert_true (g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID));
  assert_int_equal (datetime, 4711);
  assert_false (cau_datetime_parse (text, &datetime, NULL));
}

static void
assert_formats (CauDatetime datetime, const char *expected)
{
  char text[CAU_DATETIME_TEXT_LEN + 1];

  memset (text, 'x', sizeof text);
  cau_datetime_format (datetime, text);
  assert_string_equal (text, expected);
}

static const struct
{
  const char *text;
  CauDatetime datetime;
} known[] = {
  { "19700101000000.000000+000", 0 },
  { "19700101000000.000001+000", 1 },
  { "19691231235959.999999+000", -1 },
  { "20120920203244.000000+000", G_GINT64_CONSTANT (1348173164) * SECOND },
  { "20010909014640.123456+000", G_GINT64_CONSTANT (1000000000) * SECOND + 123456 },
  { "20380119031408.000000+000", G_GINT64_CONSTANT (2147483648) * SECOND },
  { "20000229120000.000000+000", G_GINT64_CONSTANT (951825600) * SECOND },
  { "16010101000000.000000+000", G_GINT64_CONSTANT (-11644473600) * SECOND }, /* where Windows starts to count */
  { "00010101000000.000000+000", G_GINT64_CONSTANT (-62135596800) * SECOND },
  { "00000101000000.000000+000", FIRST },
  { "00000229000000.000000+000", FIRST + 59 * DAY }, /* year 0 is a leap year */
  { "00001231235959.999999+000", FIRST + 366 * DAY - 1 },
  { "99991231235959.999999+000", LAST },
};

static void
test_known_times_are_parsed_and_formatted (void **state)
{
  for (gsize i = 0; i < G_N_ELEMENTS (known); i++)
    {
      assert_parses (known[i].text, known[i].datetime);
      assert_formats (known[i].datetime, known[i].text);
    }
}

static void
test_the_offset_is_taken_away (void **state)
{
  CauDatetime noon = G_GINT64_CONSTANT (1348142400) * SECOND; /* 2012-09-20T12:00:00Z */

  assert_parses ("20120920120000.000000-000", noon);
  assert_parses ("20120920140000.000000+120", noon);
  assert_parses ("20120920043000.000000-450", noon);
  assert_parses ("20120920173000.000000+330", noon);
  assert_parses ("20120921020000.000000+840", noon);
  assert_parses ("20120919220000.000000-840", noon);
  assert_parses ("20120920120100.000000+001", noon);
  assert_parses ("20120920115959.999999-000", noon - 1);
}

static void
test_the_offset_may_not_lead_out_of_the_calendar (void **state)
{
  assert_parses ("00000101010000.000000+060", FIRST);
  assert_refuses ("00000101005959.999999+060");
  assert_parses ("99991231225959.999999-060", LAST);
  assert_refuses ("99991231230000.000000-060");
}

static void
test_offsets_beyond_fourteen_hours_are_refused (void **state)
{
  assert_refuses ("20120920203244.000000+841");
  assert_refuses ("20120920203244.000000-841");
  assert_refuses ("20120920203244.000000+999");
}

static void
test_malformed_text_is_refused (void **state)
{
  static const char *const texts[] = {
    "",
    "now",
    "20120920",
    "20120920203244",
    "20120920203244.",
    "20120920203244.000000",
    "20120920203244.000000+",
    "20120920203244.000000+00",
    "20120920203244.000000+0000",
    "20120920203244.000000 000",
    "20120920203244.000000Z",
    "20120920203244,000000+000",
    "20120920203244.00000+000",
    "20120920203244.0000000+000",
    " 20120920203244.000000+000",
    "20120920203244.000000+000 ",
    "20120920203244.000000+000\n",
    "2012092020324.0000000+000",
    "+0120920203244.000000+000",
    "20120920203244.+00000+000",
    "20120920203244.000000+-10",
    "20120920203244.00000a+000",
    "2012-09-20T20:32:44Z",
    "2012092020324\xef\xbc\x94.000000+000",
    "\xff",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_refuses (texts[i]);
}

static void
test_intervals_and_asterisks_are_refused (void **state)
{
  assert_refuses ("00000001132312.000000:000");
  assert_refuses ("20120920203244.000000:000");
  assert_refuses ("20120920203244.******+000");
  assert_refuses ("20120920203244.00000*+000");
  assert_refuses ("20120920******.******+000");
  assert_refuses ("**************.******+***");
  assert_refuses ("20120920203244.000000+***");
}

static void
test_dates_the_calendar_does_not_have_are_refused (void **state)
{
  assert_refuses ("20120020000000.000000+000");
  assert_refuses ("20121320000000.000000+000");
  assert_refuses ("20120900000000.000000+000");
  assert_refuses ("20120931000000.000000+000");
  assert_refuses ("20120132000000.000000+000");
  assert_refuses ("20120230000000.000000+000");
  assert_refuses ("20110229000000.000000+000");
  assert_refuses ("19000229000000.000000+000");
  assert_refuses ("21000229000000.000000+000");
  assert_refuses ("20120920240000.000000+000");
  assert_refuses ("20120920206000.000000+000");
  assert_refuses ("20120920203260.000000+000");
  assert_refuses ("20120920209900.000000+000");
}

static void
test_the_message_is_one_readable_line (void **state)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strnfill (5000, '\t');
  CauDatetime      datetime;

  text[0] = '\xc3';
  assert_false (cau_datetime_parse (text, &datetime, &error));
  assert_true (g_utf8_validate (error->message, -1, NULL));
  assert_null (strchr (error->message, '\t'));
  assert_true (strlen (error->message) < 250);
  assert_non_null (strstr (error->message, "is not a CIM datetime"));
}

/* Goes through the calendar by its rules instead of by arithmetic. */
static void
test_every_day_from_year_0_to_9999 (void **state)
{
  static const int days_in_month[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
  CauDatetime      expected = FIRST;

  for (int year = 0; year <= 9999; year++)
    for (int month = 1; month <= 12; month++)
      {
        gboolean leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int      n_days = days_in_month[month - 1] + (month == 2 && leap ? 1 : 0);

        for (int day = 1; day <= n_days; day++, expected += DAY)
          {
            char        text[64], formatted[CAU_DATETIME_TEXT_LEN + 1];
            CauDatetime datetime;

            g_snprintf (text, sizeof text, "%04d%02d%02d235958.000007+000", year, month, day);
            if (!cau_datetime_parse_digits (text, &datetime) || datetime != expected + DAY - 2 * SECOND)
              fail_msg ("%s was parsed as %" G_GINT64_FORMAT, text, datetime);
            cau_datetime_format (datetime + 7, formatted);
            if (strcmp (formatted, text) != 0)
              fail_msg ("%s was formatted as %s", text, formatted);
          }
      }
  assert_int_equal (expected, LAST + 1);
}

static void
test_times_of_the_day (void **state)
{
  for (int second = 0; second < 24 * 60 * 60; second++)
    {
      char        text[64];
      CauDatetime datetime;

      g_snprintf (text, sizeof text, "19691231%02d%02d%02d", second / 3600, second / 60 % 60, second % 60);
      assert_true (cau_datetime_parse_digits (text, &datetime));
      assert_int_equal (datetime, second * SECOND - DAY);
    }
}

static void
test_times_outside_the_calendar_are_moved_inside (void **state)
{
  assert_formats (FIRST - 1, "00000101000000.000000+000");
  assert_formats (G_MININT64, "00000101000000.000000+000");
  assert_formats (LAST + 1, "99991231235959.999999+000");
  assert_formats (G_MAXINT64, "99991231235959.999999+000");
}

static void
test_digits_look_no_further_than_they_must (void **state)
{
  const CauDatetime expected = G_GINT64_CONSTANT (1348173164) * SECOND;
  CauDatetime       datetime = 0;

  assert_true (cau_datetime_parse_digits ("20120920203244", &datetime));
  assert_int_equal (datetime, expected);
  datetime = 0;
  assert_true (cau_datetime_parse_digits ("20120920203244.xml", &datetime));
  assert_int_equal (datetime, expected);
  datetime = 0;
  assert_true (cau_datetime_parse_digits ("20120920203244999999", &datetime));
  assert_int_equal (datetime, expected);
}

static void
test_digits_that_are_no_date_are_refused (void **state)
{
  static const char *const texts[] = {
    "",
    "2012092020324",
    "2012092020324x",
    "x20120920203244",
    "20120920 203244",
    "20121320203244",
    "20120931000000",
    "20120920240000",
    "20120920206000",
    "20120920203260",
    "00000000000000",
    "99999999999999",
    "-0120920203244",
    "2012092020324\xc2\xb2",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    {
      CauDatetime datetime = 4711;

      if (cau_datetime_parse_digits (texts[i], &datetime))
        fail_msg ("'%s' was taken for a date", texts[i]);
      assert_int_equal (datetime, 4711);
    }
}

static void
test_now_is_the_wall_clock (void **state)
{
  gint64      before = g_get_real_time ();
  CauDatetime now = cau_datetime_now ();
  gint64      after = g_get_real_time ();

  assert_true (before <= now && now <= after);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_known_times_are_parsed_and_formatted),
    cmocka_unit_test (test_the_offset_is_taken_away),
    cmocka_unit_test (test_the_offset_may_not_lead_out_of_the_calendar),
    cmocka_unit_test (test_offsets_beyond_fourteen_hours_are_refused),
    cmocka_unit_test (test_malformed_text_is_refused),
    cmocka_unit_test (test_intervals_and_asterisks_are_refused),
    cmocka_unit_test (test_dates_the_calendar_does_not_have_are_refused),
    cmocka_unit_test (test_the_message_is_one_readable_line),
    cmocka_unit_test (test_every_day_from_year_0_to_9999),
    cmocka_unit_test (test_times_of_the_day),
    cmocka_unit_test (test_times_outside_the_calendar_are_moved_inside),
    cmocka_unit_test (test_digits_look_no_further_than_they_must),
    cmocka_unit_test (test_digits_that_are_no_date_are_refused),
    cmocka_unit_test (test_now_is_the_wall_clock),
  };

  return cmocka_run_group_tests_name ("datetime", tests, NULL, NULL);
}
