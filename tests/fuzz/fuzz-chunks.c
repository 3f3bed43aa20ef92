/* SPDX-License-Identifier: MIT */
/* What caureport put --chunks reads: the input is a file of lines. */

#include "fuzz.h"

#include "caureport-chunks.h"
#include "caureport-json.h"
#include "caureport.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int input_fd;
static int output_fd;

int
LLVMFuzzerInitialize (int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
  input_fd = memfd_create ("input", MFD_CLOEXEC);
  output_fd = memfd_create ("output", MFD_CLOEXEC);
  fuzz_check (input_fd >= 0 && output_fd >= 0);
  return 0;
}

static void
fill (int fd, const void *data, gsize size)
{
  fuzz_check (ftruncate (fd, 0) == 0 && lseek (fd, 0, SEEK_SET) == 0);
  fuzz_check (write (fd, data, size) == (gssize) size && lseek (fd, 0, SEEK_SET) == 0);
}

static gboolean
next_line (CaureportChunkInput *input, CaureportChunkLine *line)
{
  g_autoptr (GError) error = NULL;
  gboolean ok = caureport_chunk_input_next (input, line, &error);

  fuzz_check (ok || line->chunk == NULL);
  return fuzz_result (ok, &error, CAUREPORT_ERROR);
}

/* What caureport get --chunks makes of @chunk. */
static void
write_chunk (const CauChunk *chunk)
{
  g_autoptr (GError) error = NULL;
  FILE *before = stdout;
  g_autoptr (CaureportOutput) output = NULL;
  gboolean ok;

  fuzz_check (ftruncate (output_fd, 0) == 0 && lseek (output_fd, 0, SEEK_SET) == 0);
  stdout = fdopen (dup (output_fd), "w");
  output = caureport_output_open (NULL, &error);
  ok = output != NULL && caureport_chunk_write (chunk, output, &error) && caureport_output_finish (output, &error);
  fuzz_check (ok && error == NULL);
  /* It closes what is not stdout. */
  g_clear_pointer (&output, caureport_output_free);
  fclose (stdout);
  stdout = before;
  fuzz_check (lseek (output_fd, 0, SEEK_SET) == 0);
}

/* A chunk that was read must be the same one when it is written and read again. */
static void
check_round_trip (const CauChunk *chunk)
{
  g_auto (CaureportChunkLine) line = { 0 };
  g_autoptr (CaureportChunkInput) input = NULL;

  write_chunk (chunk);
  input = caureport_chunk_input_new (output_fd, "written");
  fuzz_check (next_line (input, &line) && line.chunk != NULL);
  fuzz_check (line.chunk->timestamp == chunk->timestamp && line.chunk->sequence_number == chunk->sequence_number);
  fuzz_check (g_bytes_equal (line.chunk->data, chunk->data));
  fuzz_check (next_line (input, &line) && line.chunk == NULL);
}

/* Reads the file; an error ends it, as it does for put. */
static void
check_lines (const uint8_t *data, size_t size)
{
  g_auto (CaureportChunkLine) line = { 0 };
  g_autoptr (CaureportChunkInput) input = NULL;
  guint64 last = 0;

  fill (input_fd, data, size);
  input = caureport_chunk_input_new (input_fd, "input");
  while (next_line (input, &line) && line.chunk != NULL)
    {
      fuzz_check (line.number > last);
      last = line.number;
      fuzz_check (!line.has_report_size || line.report_size <= G_MAXINT64);
      check_round_trip (line.chunk);
    }
}

/* The digits after @member when it is there once, in an object without others inside it, and not spelled by escapes. */
static char *
find_number (const char *text, const char *member)
{
  g_autofree char *quoted = g_strdup_printf ("\"%s\"", member);
  const char      *at = strstr (text, quoted);

  if (at == NULL || strstr (at + 1, quoted) != NULL || strchr (text, '\\') != NULL || strchr (text, '[') != NULL
      || strchr (strchr (text, '{') + 1, '{') != NULL)
    return NULL;
  at += strlen (quoted);
  at += strspn (at, " \t\r\n");
  if (*at++ != ':')
    return NULL;
  at += strspn (at, " \t\r\n");
  return g_strndup (at, strcspn (at, " \t\r\n,}"));
}

/* A number is what its digits say. One that is too large may be negative, which is refused later. */
static void
check_number (const char *text, JsonObject *object, const char *member)
{
  JsonNode        *node = json_object_get_member (object, member);
  g_autofree char *digits = find_number (text, member);
  gint64           value;

  if (node == NULL || digits == NULL || json_node_get_value_type (node) != G_TYPE_INT64 || digits[0] == '"')
    return;
  if (g_ascii_string_to_signed (digits, 10, G_MININT64, G_MAXINT64, &value, NULL))
    fuzz_check (json_node_get_int (node) == value);
  else
    fuzz_check (json_node_get_int (node) < 0);
}

/* The input as one object. */
static void
check_object (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *exact = g_memdup2 (data, size);
  g_autofree char *text = fuzz_text (data, size);
  g_autoptr (JsonObject) object = caureport_json_parse_object (exact, size, &error);

  if (!fuzz_result (object != NULL, &error, CAUREPORT_ERROR))
    return;
  fuzz_check (strlen (text) == size);
  check_number (text, object, "SequenceNumber");
  check_number (text, object, "ReportSize");
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  check_lines (data, size);
  /* No line is empty. */
  if (size > 0)
    check_object (data, size);
  return 0;
}
