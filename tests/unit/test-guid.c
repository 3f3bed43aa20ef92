/* SPDX-License-Identifier: MIT */
#include "cau-error.h"
#include "cau-guid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEXT "01234567-89ab-cdef-0123-456789abcdef"

static const CauGuid expected = {
  { 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef },
};

static void
assert_parses (const char *text, const CauGuid *wanted)
{
  g_autoptr (GError) error = NULL;
  CauGuid guid;

  assert_true (cau_guid_parse (text, &guid, &error));
  assert_null (error);
  assert_memory_equal (guid.bytes, wanted->bytes, sizeof guid.bytes);
}

/* Also that the value keeps what it had, and that no error need be asked for. */
static void
assert_refuses (const char *text)
{
  g_autoptr (GError) error = NULL;
  CauGuid guid = expected;

  if (cau_guid_parse (text, &guid, &error))
    fail_msg ("'%s' was taken for a GUID", text);
  assert_true (g_error_matches (error, CAU_STORE_ERROR, CAU_STORE_ERROR_INVALID));
  assert_true (cau_guid_equal (&guid, &expected));
  assert_false (cau_guid_parse (text, &guid, NULL));
}

static void
test_every_spelling_is_understood (void **state)
{
  assert_parses (TEXT, &expected);
  assert_parses ("{" TEXT "}", &expected);
  assert_parses ("01234567-89AB-CDEF-0123-456789ABCDEF", &expected);
  assert_parses ("{01234567-89AB-CDEF-0123-456789ABCDEF}", &expected);
  assert_parses ("01234567-89aB-CdEf-0123-456789AbcDEF", &expected);
}

static void
test_the_ends_of_the_range (void **state)
{
  static const CauGuid zero;
  CauGuid              ones;

  memset (ones.bytes, 0xff, sizeof ones.bytes);
  assert_parses ("00000000-0000-0000-0000-000000000000", &zero);
  assert_parses ("FFFFFFFF-ffff-FFFF-ffff-FFFFFFFFFFFF", &ones);
}

static void
test_nothing_else_is_accepted (void **state)
{
  static const char *const texts[] = {
    "",
    "{",
    "}",
    "{}",
    "-",
    "----",
    "nonsense",
    "{" TEXT,
    TEXT "}",
    "{{" TEXT "}}",
    "{" TEXT "}}",
    "(" TEXT ")",
    "}" TEXT "{",
    " " TEXT,
    TEXT " ",
    TEXT "\n",
    "{ " TEXT "}",
    "{" TEXT " }",
    TEXT "0",
    "01234567-89ab-cdef-0123-456789abcde",
    "01234567-89ab-cdef-0123-456789abcdeg",
    "g1234567-89ab-cdef-0123-456789abcdef",
    "0123456789abcdef0123456789abcdef",
    "01234567_89ab_cdef_0123_456789abcdef",
    "0123456-789ab-cdef-0123-456789abcdef",
    "01234567-89abc-def-0123-456789abcdef",
    "01234567-89ab-cdef-01234-56789abcdef",
    "01234567--89ab-cdef-0123-456789abcdef",
    "01234567-89ab-cdef-0123-456789abcdef-",
    "-01234567-89ab-cdef-0123-456789abcdef",
    "0x234567-89ab-cdef-0123-456789abcdef",
    "+1234567-89ab-cdef-0123-456789abcdef",
    "urn:uuid:" TEXT,
    "\xc3\xa4" TEXT,
    "012345\xef\xbc\x97-89ab-cdef-0123-456789abcdef",
    "\xff\xfe",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_refuses (texts[i]);
}

static void
test_every_cut_is_refused (void **state)
{
  for (gsize n = 0; n < strlen ("{" TEXT "}"); n++)
    {
      g_autofree char *cut = g_strndup ("{" TEXT "}", n);

      assert_refuses (cut);
    }
}

static void
test_every_byte_but_a_hexadecimal_digit_is_refused (void **state)
{
  for (int byte = 1; byte < 256; byte++)
    {
      char text[] = TEXT;

      if (g_ascii_isxdigit ((char) byte))
        continue;
      text[20] = (char) byte;
      assert_refuses (text);
    }
}

static void
test_the_message_is_one_readable_line (void **state)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = g_strnfill (5000, '\n');
  CauGuid          guid;

  text[0] = '\xff';
  assert_false (cau_guid_parse (text, &guid, &error));
  assert_true (g_utf8_validate (error->message, -1, NULL));
  assert_null (strchr (error->message, '\n'));
  assert_true (strlen (error->message) < 250);
  assert_non_null (strstr (error->message, "is not a GUID"));
}

static void
test_the_canonical_text_is_lower_case_without_braces (void **state)
{
  char    text[CAU_GUID_TEXT_LEN + 1];
  CauGuid guid;

  memset (text, 'x', sizeof text);
  assert_true (cau_guid_parse ("{01234567-89AB-CDEF-0123-456789ABCDEF}", &guid, NULL));
  cau_guid_format (&guid, text);
  assert_string_equal (text, TEXT);
}

static void
test_what_is_formatted_is_parsed_again (void **state)
{
  for (guint i = 0; i < 256; i++)
    {
      char    text[CAU_GUID_TEXT_LEN + 1];
      CauGuid guid;

      for (guint j = 0; j < G_N_ELEMENTS (guid.bytes); j++)
        guid.bytes[j] = (guint8) (i * 7 + j * 31);
      cau_guid_format (&guid, text);
      assert_int_equal (strlen (text), CAU_GUID_TEXT_LEN);
      assert_parses (text, &guid);
    }
}

static void
test_bytes_sort_as_the_text_does (void **state)
{
  static const char *const sorted[] = {
    "00000000-0000-0000-0000-0000000000ff", "00000000-0000-0000-00ff-000000000000",
    "00000000-0000-00ff-0000-000000000000", "00000000-00ff-0000-0000-000000000000",
    "0000000f-0000-0000-0000-000000000000", "10000000-0000-0000-0000-000000000000",
    "a0000000-0000-0000-0000-000000000000", "f0000000-0000-0000-0000-000000000000",
  };

  for (gsize i = 1; i < G_N_ELEMENTS (sorted); i++)
    {
      CauGuid before, after;

      assert_true (cau_guid_parse (sorted[i - 1], &before, NULL));
      assert_true (cau_guid_parse (sorted[i], &after, NULL));
      assert_true (memcmp (before.bytes, after.bytes, sizeof before.bytes) < 0);
    }
}

static void
test_equal_compares_every_byte (void **state)
{
  CauGuid other = expected;

  assert_true (cau_guid_equal (&expected, &expected));
  assert_true (cau_guid_equal (&expected, &other));
  for (gsize i = 0; i < G_N_ELEMENTS (other.bytes); i++)
    {
      other = expected;
      other.bytes[i] ^= 1;
      assert_false (cau_guid_equal (&expected, &other));
      assert_false (cau_guid_equal (&other, &expected));
    }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_every_spelling_is_understood),
    cmocka_unit_test (test_the_ends_of_the_range),
    cmocka_unit_test (test_nothing_else_is_accepted),
    cmocka_unit_test (test_every_cut_is_refused),
    cmocka_unit_test (test_every_byte_but_a_hexadecimal_digit_is_refused),
    cmocka_unit_test (test_the_message_is_one_readable_line),
    cmocka_unit_test (test_the_canonical_text_is_lower_case_without_braces),
    cmocka_unit_test (test_what_is_formatted_is_parsed_again),
    cmocka_unit_test (test_bytes_sort_as_the_text_does),
    cmocka_unit_test (test_equal_compares_every_byte),
  };

  return cmocka_run_group_tests_name ("guid", tests, NULL, NULL);
}
