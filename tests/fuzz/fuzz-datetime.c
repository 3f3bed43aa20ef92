/* SPDX-License-Identifier: MIT */
/* CIM datetimes: the input is a text, and its first eight bytes are a time as well. */

#include "fuzz.h"

#include "fuzz-reference.h"

#include "cau-store.h"

#include <string.h>

#define MIN_DATETIME (G_GINT64_CONSTANT (-62167219200) * G_USEC_PER_SEC)
#define MAX_DATETIME (G_GINT64_CONSTANT (253402300800) * G_USEC_PER_SEC - 1)

static void
check_format (CauDatetime datetime)
{
  g_autoptr (GError) error = NULL;
  char        text[CAU_DATETIME_TEXT_LEN + 1];
  CauDatetime again, by_reference;

  cau_datetime_format (datetime, text);
  fuzz_check (fuzz_result (cau_datetime_parse (text, &again, &error), &error, CAU_STORE_ERROR));
  fuzz_check (again == CLAMP (datetime, MIN_DATETIME, MAX_DATETIME));
  fuzz_check (reference_parse_datetime (text, &by_reference) && by_reference == again);
}

static void
check_text (const char *text)
{
  g_autoptr (GError) error = NULL;
  CauDatetime datetime = 1, by_reference = 1;
  gboolean    ok = fuzz_result (cau_datetime_parse (text, &datetime, &error), &error, CAU_STORE_ERROR);

  fuzz_check (ok == reference_parse_datetime (text, &by_reference));
  fuzz_check (datetime == by_reference);
  fuzz_check (cau_datetime_parse (text, &datetime, NULL) == ok);
  if (ok)
    check_format (datetime);

  datetime = by_reference = 1;
  ok = cau_datetime_parse_digits (text, &datetime);
  fuzz_check (ok == reference_parse_digits (text, &by_reference));
  fuzz_check (datetime == by_reference);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput        input = { data, size };
  g_autofree char *text = fuzz_text (data, size);

  check_text (text);
  check_format ((CauDatetime) fuzz_input_number (&input, 8));
  return 0;
}
