/* SPDX-License-Identifier: MIT */
#pragma once

/* What the fuzz targets share. Each target is a program of its own, with one function that is given bytes, and must neither crash
 * nor hang nor break one of the rules that it checks with fuzz_check(). The bytes come from libFuzzer (tools/fuzz), or from the
 * files in corpus/, which every run of the tests goes through (fuzz-replay.c). */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* The names that libFuzzer gives them. The second is optional, and called once before all inputs. */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);
int LLVMFuzzerInitialize (int *argc, char ***argv);

/* Ends the program unless @condition holds: the input is a found case. */
#define fuzz_check(condition) \
  G_STMT_START \
  { \
    if (!(condition)) \
      fuzz_fail (#condition, __FILE__, __LINE__); \
  } \
  G_STMT_END

G_NORETURN void fuzz_fail (const char *condition, const char *file, int line);

/* That a call which returned @ok set @error if and only if it failed, to a message of one line in @domain; clears it. Returns @ok. */
gboolean fuzz_result (gboolean ok, GError **error, GQuark domain);

/* The bytes up to the first NUL as a string that ends where its memory ends, so that reading on is seen. */
char *fuzz_text (const uint8_t *data, size_t size);

/* Bytes taken from the front of an input. At its end there are zeros. */
typedef struct
{
  const guint8 *at;
  gsize         left;
} FuzzInput;

guint8  fuzz_input_byte (FuzzInput *self);
guint64 fuzz_input_number (FuzzInput *self, guint n_bytes); /* little-endian */

/* At most @max bytes, after a byte that says how many. Borrowed. */
const guint8 *fuzz_input_bytes (FuzzInput *self, gsize max, gsize *length);
