/* SPDX-License-Identifier: MIT */
#include "cau-error.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int
errno_of (int code)
{
  g_autoptr (GError) error = g_error_new (CAU_STORE_ERROR, code, "code %d", code);

  return cau_store_error_to_errno (error);
}

static void
test_every_code_has_the_errno_its_header_names (void **state)
{
  static const struct
  {
    CauStoreError code;
    int           expected;
  } table[] = {
    { CAU_STORE_ERROR_INVALID, EINVAL },
    { CAU_STORE_ERROR_NAME_TOO_LONG, ENAMETOOLONG },
    { CAU_STORE_ERROR_NOT_FOUND, ENOENT },
    { CAU_STORE_ERROR_EXISTS, EEXIST },
    { CAU_STORE_ERROR_NOT_EMPTY, ENOTEMPTY },
    { CAU_STORE_ERROR_BUSY, EBUSY },
    { CAU_STORE_ERROR_STALE, ESTALE },
    { CAU_STORE_ERROR_CONFLICT, EAGAIN },
    { CAU_STORE_ERROR_READ_ONLY, EROFS },
    { CAU_STORE_ERROR_PERMISSION, EACCES },
    { CAU_STORE_ERROR_REFUSED, EPERM },
    { CAU_STORE_ERROR_TOO_BIG, EFBIG },
    { CAU_STORE_ERROR_NO_SPACE, ENOSPC },
    { CAU_STORE_ERROR_QUOTA, EDQUOT },
    { CAU_STORE_ERROR_INCOMPLETE, EINVAL },
    { CAU_STORE_ERROR_CORRUPT, EIO },
    { CAU_STORE_ERROR_IO, EIO },
    { CAU_STORE_ERROR_NOT_A_STORE, EINVAL },
    { CAU_STORE_ERROR_FORMAT, ENOTSUP },
    { CAU_STORE_ERROR_UNSUPPORTED, EOPNOTSUPP },
    { CAU_STORE_ERROR_TOO_MANY, ENFILE },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (table); i++)
    {
      assert_int_equal (table[i].code, i); /* the table leaves no code out */
      assert_int_equal (errno_of ((int) table[i].code), table[i].expected);
    }
}

static void
test_a_code_outside_the_set_gives_eio (void **state)
{
  assert_int_equal (errno_of ((int) CAU_STORE_ERROR_TOO_MANY + 1), EIO);
  assert_int_equal (errno_of (-1), EIO);
  assert_int_equal (errno_of (G_MAXINT), EIO);
}

static void
test_a_foreign_domain_gives_eio (void **state)
{
  g_autoptr (GError) error = g_error_new_literal (G_FILE_ERROR, G_FILE_ERROR_NOENT, "no such file");

  assert_int_equal (cau_store_error_to_errno (error), EIO);
}

static void
test_no_error_gives_eio (void **state)
{
  assert_int_equal (cau_store_error_to_errno (NULL), EIO);
}

static void
test_the_domain_has_a_name_of_its_own (void **state)
{
  assert_int_equal (CAU_STORE_ERROR, CAU_STORE_ERROR);
  assert_string_equal (g_quark_to_string (CAU_STORE_ERROR), "cau-store-error-quark");
}

static void
test_errno_of_a_file_becomes_a_code_and_back (void **state)
{
  static const int both_ways[] = { EACCES, EROFS, ENOSPC, EDQUOT, EIO };

  for (gsize i = 0; i < G_N_ELEMENTS (both_ways); i++)
    assert_int_equal (errno_of ((int) cau_store_error_from_errno (both_ways[i])), both_ways[i]);
  assert_int_equal (cau_store_error_from_errno (EPERM), CAU_STORE_ERROR_PERMISSION);
  assert_int_equal (cau_store_error_from_errno (ENOENT), CAU_STORE_ERROR_IO);
  assert_int_equal (cau_store_error_from_errno (0), CAU_STORE_ERROR_IO);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (test_every_code_has_the_errno_its_header_names),
    cmocka_unit_test (test_a_code_outside_the_set_gives_eio),
    cmocka_unit_test (test_a_foreign_domain_gives_eio),
    cmocka_unit_test (test_no_error_gives_eio),
    cmocka_unit_test (test_errno_of_a_file_becomes_a_code_and_back),
    cmocka_unit_test (test_the_domain_has_a_name_of_its_own),
  };

  return cmocka_run_group_tests_name ("error", tests, NULL, NULL);
}
