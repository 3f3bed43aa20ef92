/* SPDX-License-Identifier: MIT */
#include "cau-error.h"
#include "cau-report-name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND ((gint64) G_USEC_PER_SEC)
#define RUN (G_GINT64_CONSTANT (1348173164) * SECOND) /* 20120920203244 */

static void
assert_valid (const char *name)
{
  g_autoptr (GError) error = NULL;

  if (!cau_report_name_validate (name, &error))
    fail_msg ("%s", error->message);
  assert_null (error);
}

static void
assert_refuses (const char *name, CauStoreError code)
{
  g_autoptr (GError) error = NULL;

  if (cau_report_name_validate (name, &error))
    fail_msg ("'%s' was taken for a report's name", name);
  assert_true (g_error_matches (error, CAU_STORE_ERROR, (int) code));
  assert_true (g_utf8_validate (error->message, -1, NULL));
  for (const char *p = error->message; *p != '\0'; p++)
    assert_true (g_ascii_isprint (*p));
  assert_false (cau_report_name_validate (name, NULL));
}

static void
test_names_that_are_valid (void **state)
{
  static const char *const names[] = {
    "CauReport-20120920203244.xml",
    "a",
    " ",
    "...",
    "..a",
    ".hidden",
    ".CauReport-20120920203244.xml.Xy12Zw",
    "a\\b",
    "a:b*?\"<>|",
    "{GUID}",
    "-rf",
    "~",
    "4913",
    "Bericht f\xc3\xbcr M\xc3\xa4rz.xml",
    "\xe7\x94\xa8\xe4\xba\x8e",
    "\xf0\x9f\x93\x84",
    "e\xcc\x81",
    "\xc3\xa9",
    "\xc2\xa0",         /* the first code point after the control characters */
    "~\xef\xbf\xbd",    /* U+FFFD */
    "\xe2\x80\xa8",     /* U+2028, a line separator, is not a control character */
    "\xf4\x8f\xbf\xbd", /* close to the last code point */
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    assert_valid (names[i]);
}

static void
test_empty_and_folder_names_are_refused (void **state)
{
  assert_refuses ("", CAU_STORE_ERROR_INVALID);
  assert_refuses (".", CAU_STORE_ERROR_INVALID);
  assert_refuses ("..", CAU_STORE_ERROR_INVALID);
}

static void
test_a_slash_is_refused (void **state)
{
  assert_refuses ("/", CAU_STORE_ERROR_INVALID);
  assert_refuses ("a/b", CAU_STORE_ERROR_INVALID);
  assert_refuses ("a/", CAU_STORE_ERROR_INVALID);
  assert_refuses ("/a", CAU_STORE_ERROR_INVALID);
}

static void
test_every_control_character_is_refused (void **state)
{
  for (gunichar c = 1; c < 0xa0; c++)
    {
      char name[] = "ab\0\0\0\0\0\0";
      int  n;

      if (c >= 0x20 && c < 0x7f)
        continue;
      n = g_unichar_to_utf8 (c, name + 1);
      name[1 + n] = 'z';
      assert_refuses (name, CAU_STORE_ERROR_INVALID);
    }
}

static void
test_every_other_ascii_character_is_valid (void **state)
{
  for (char c = ' '; c < 0x7f; c++)
    {
      char name[] = { 'a', c, 'b', '\0' };

      if (c != '/')
        assert_valid (name);
    }
}

static void
test_invalid_utf8_is_refused (void **state)
{
  static const char *const names[] = {
    "\xff",
    "\x80",
    "a\xc3",
    "\xe4 Latin-1",
    "\xc0\xaf",         /* an overlong slash */
    "\xc1\x81",         /* an overlong A */
    "\xe0\x80\xaf",     /* an overlong slash */
    "\xed\xa0\x80",     /* a surrogate */
    "\xf4\x90\x80\x80", /* beyond U+10FFFF */
    "\xf8\x88\x80\x80\x80",
    "\xe2\x82",
    "a\xe2\x82z",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    assert_refuses (names[i], CAU_STORE_ERROR_INVALID);
}

static void
test_255_bytes_are_the_most (void **state)
{
  g_autofree char *longest = g_strnfill (CAU_REPORT_NAME_MAX, 'n');
  g_autofree char *too_long = g_strnfill (CAU_REPORT_NAME_MAX + 1, 'n');
  g_autofree char *far_too_long = g_strnfill (100000, 'n');

  assert_valid (longest);
  assert_refuses (too_long, CAU_STORE_ERROR_NAME_TOO_LONG);
  assert_refuses (far_too_long, CAU_STORE_ERROR_NAME_TOO_LONG);
}

static void
test_the_limit_counts_bytes_not_characters (void **state)
{
  g_autoptr (GString) name = g_string_new (NULL);

  for (int i = 0; i < 127; i++)
    g_string_append (name, "\xc3\xa4");
  g_string_append_c (name, 'a');
  assert_int_equal (name->len, CAU_REPORT_NAME_MAX);
  assert_valid (name->str);
  g_string_append_c (name, 'a');
  assert_refuses (name->str, CAU_STORE_ERROR_NAME_TOO_LONG);
}

static void
test_too_long_is_decided_before_invalid (void **state)
{
  g_autofree char *bad = g_strnfill (CAU_REPORT_NAME_MAX + 1, '/');

  assert_refuses (bad, CAU_STORE_ERROR_NAME_TOO_LONG);
  bad[CAU_REPORT_NAME_MAX] = '\0';
  assert_refuses (bad, CAU_STORE_ERROR_INVALID);
}

static void
assert_timestamp (const char *name, CauDatetime expected)
{
  CauDatetime timestamp = 4711;

  if (!cau_report_name_get_timestamp (name, &timestamp))
    fail_msg ("no timestamp was found in '%s'", name);
  if (timestamp != expected)
    fail_msg ("%" G_GINT64_FORMAT " was found in '%s'", timestamp, name);
}

static void
assert_no_timestamp (const char *name)
{
  CauDatetime timestamp = 4711;

  if (cau_report_name_get_timestamp (name, &timestamp))
    fail_msg ("%" G_GINT64_FORMAT " was found in '%s'", timestamp, name);
  assert_int_equal (timestamp, 4711);
}

static void
test_fourteen_digits_are_a_timestamp (void **state)
{
  assert_timestamp ("CauReport-20120920203244.xml", RUN);
  assert_timestamp ("20120920203244", RUN);
  assert_timestamp ("x20120920203244x", RUN);
  assert_timestamp (".CauReport-20120920203244.xml.Xy12Zw", RUN);
  assert_timestamp ("\303\24420120920203244\303\244", RUN);
  assert_timestamp ("CauReport-00000101000000.xml", G_GINT64_CONSTANT (-62167219200) * SECOND);
}

static void
test_a_cim_datetime_is_a_timestamp (void **state)
{
  assert_timestamp ("20120920203244.000000+000", RUN);
  assert_timestamp ("20120920203244.250000+000.xml", RUN + SECOND / 4);
  assert_timestamp ("run 20120920223244.000000+120 (2).xml", RUN);
  assert_timestamp ("20120920163244.000000-240x", RUN);
}

static void
test_a_cim_datetime_goes_before_digits (void **state)
{
  assert_timestamp ("20000101000000-20120920203244.500000+000.xml", RUN + SECOND / 2);
  assert_timestamp ("20120920203244.500000+000-20000101000000.xml", RUN + SECOND / 2);
}

static void
test_the_first_timestamp_counts (void **state)
{
  assert_timestamp ("20120920203244-20000101000000", RUN);
  assert_timestamp ("20120920203244.000001+000 20000101000000.000000+000", RUN + 1);
}

static void
test_digits_that_are_no_date_are_passed_over (void **state)
{
  assert_timestamp ("99999999999999-20120920203244", RUN);
  assert_timestamp ("20121340000000.000000+000-20120920203244.000001+000", RUN + 1);
  assert_timestamp ("1234-201209202032440-20120920203244", RUN);
}

static void
test_half_a_cim_datetime_counts_by_its_digits (void **state)
{
  assert_timestamp ("20120920203244.000000+00", RUN);
  assert_timestamp ("20120920203244.500000+999", RUN);
  assert_timestamp ("20120920203244.500000:000", RUN);
  assert_timestamp ("20120920203244.500000+0001", RUN);
  assert_timestamp ("20120920203244.", RUN);
}

static void
test_names_without_a_timestamp (void **state)
{
  static const char *const names[] = {
    "",
    "report.xml",
    "2012092020324",
    "201209202032441",
    "120120920203244.000000+000",
    "2012-09-20 20:32:44",
    "20120920T203244",
    "CauReport-20121320203244.xml",
    "CauReport-00000000000000.xml",
    "1234567890123456789012345678",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (names); i++)
    assert_no_timestamp (names[i]);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_names_that_are_valid),
    cmocka_unit_test (test_empty_and_folder_names_are_refused),
    cmocka_unit_test (test_a_slash_is_refused),
    cmocka_unit_test (test_every_control_character_is_refused),
    cmocka_unit_test (test_every_other_ascii_character_is_valid),
    cmocka_unit_test (test_invalid_utf8_is_refused),
    cmocka_unit_test (test_255_bytes_are_the_most),
    cmocka_unit_test (test_the_limit_counts_bytes_not_characters),
    cmocka_unit_test (test_too_long_is_decided_before_invalid),
    cmocka_unit_test (test_fourteen_digits_are_a_timestamp),
    cmocka_unit_test (test_a_cim_datetime_is_a_timestamp),
    cmocka_unit_test (test_a_cim_datetime_goes_before_digits),
    cmocka_unit_test (test_the_first_timestamp_counts),
    cmocka_unit_test (test_digits_that_are_no_date_are_passed_over),
    cmocka_unit_test (test_half_a_cim_datetime_counts_by_its_digits),
    cmocka_unit_test (test_names_without_a_timestamp),
  };

  return cmocka_run_group_tests_name ("report-name", tests, NULL, NULL);
}
