/* SPDX-License-Identifier: MIT */
#include "caureport-chunks.h"

#include "caureport-json.h"
#include "caureport.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BASE64_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* Bytes encoded at a time; a multiple of three needs no state between the pieces. */
#define BASE64_PIECE ((gsize) 48 * 1024)

/* The base64 of the largest chunk, and room for the rest of the object. */
#define LINE_MAX_LENGTH ((gsize) (CAUREPORT_CHUNK_MAX / 3 * 4) + 64 * 1024)
#define READ_LENGTH ((guint) 256 * 1024)

gboolean
caureport_chunk_write (const CauChunk *chunk, CaureportOutput *output, GError **error)
{
  gsize            length;
  const guint8    *data = g_bytes_get_data (chunk->data, &length);
  char             timestamp[CAU_DATETIME_TEXT_LEN + 1];
  g_autofree char *head = NULL;

  cau_datetime_format (chunk->timestamp, timestamp);
  head = g_strdup_printf ("{\"Timestamp\":\"%s\",\"SequenceNumber\":%" G_GUINT32_FORMAT ",\"Data\":\"", timestamp,
                          chunk->sequence_number);
  if (!caureport_output_write (output, head, strlen (head), error))
    return FALSE;
  for (gsize offset = 0; offset < length; offset += BASE64_PIECE)
    {
      g_autofree char *text = g_base64_encode (data + offset, MIN (BASE64_PIECE, length - offset));

      if (!caureport_output_write (output, text, strlen (text), error))
        return FALSE;
    }
  return caureport_output_write (output, "\"}\n", 3, error);
}

void
caureport_chunk_line_clear (CaureportChunkLine *self)
{
  g_clear_pointer (&self->chunk, cau_chunk_free);
  memset (self, 0, sizeof *self);
}

static gboolean caureport_chunk_line_fail (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

static gboolean
caureport_chunk_line_fail (GError **error, const char *format, ...)
{
  va_list args;

  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (CAUREPORT_ERROR, CAUREPORT_ERROR_FAILED, format, args);
  va_end (args);
  return FALSE;
}

/* The bits of the last digit that belong to no byte must be zero, or two texts would mean the same bytes. */
static gboolean
caureport_base64_ends_well (const char *text, gsize n_digits, gsize n_padding)
{
  gsize last;

  if (n_padding == 0)
    return TRUE;
  last = (gsize) (strchr (BASE64_DIGITS, text[n_digits - 1]) - BASE64_DIGITS);
  return (last & (n_padding == 1 ? 0x03U : 0x0fU)) == 0;
}

static GBytes *
caureport_base64_decode (const char *text, GError **error)
{
  gsize   n_digits = strspn (text, BASE64_DIGITS);
  gsize   n_padding = strspn (text + n_digits, "=");
  gsize   length;
  guchar *data;

  if (text[n_digits + n_padding] != '\0')
    {
      caureport_chunk_line_fail (error, "Data is not base64: character %" G_GSIZE_FORMAT " is wrong",
                                 n_digits + n_padding + 1);
      return NULL;
    }
  if (n_padding > 2 || (n_digits + n_padding) % 4 != 0 || !caureport_base64_ends_well (text, n_digits, n_padding))
    {
      caureport_chunk_line_fail (error, "Data is not base64: it ends in the wrong place");
      return NULL;
    }
  if (n_digits / 4 * 3 > CAUREPORT_CHUNK_MAX)
    {
      caureport_chunk_line_fail (error, "Data is larger than %" G_GUINT64_FORMAT " bytes", CAUREPORT_CHUNK_MAX);
      return NULL;
    }
  data = g_base64_decode (text, &length);
  return g_bytes_new_take (data, length);
}

/* The value of @member when it is of @type, or NULL with an error. Borrowed. */
static JsonNode *
caureport_json_get (JsonObject *object, const char *member, GType type, const char *type_name, GError **error)
{
  JsonNode *node = json_object_get_member (object, member);

  if (node == NULL)
    caureport_chunk_line_fail (error, "%s is missing", member);
  else if (JSON_NODE_TYPE (node) != JSON_NODE_VALUE || json_node_get_value_type (node) != type)
    caureport_chunk_line_fail (error, "%s is not %s", member, type_name);
  else
    return node;
  return NULL;
}

static gboolean
caureport_json_get_number (JsonObject *object, const char *member, gint64 maximum, guint64 *number, GError **error)
{
  JsonNode *node = caureport_json_get (object, member, G_TYPE_INT64, "an integer", error);
  gint64    value;

  if (node == NULL)
    return FALSE;
  value = json_node_get_int (node);
  if (value < 0 || value > maximum)
    return caureport_chunk_line_fail (error, "%s is not from 0 to %" G_GINT64_FORMAT, member, maximum);
  *number = (guint64) value;
  return TRUE;
}

static CauChunk *
caureport_json_get_chunk (JsonObject *object, GError **error)
{
  JsonNode   *timestamp_node = caureport_json_get (object, "Timestamp", G_TYPE_STRING, "a string", error);
  JsonNode   *data_node;
  CauDatetime timestamp;
  guint64     sequence_number;
  GBytes     *data;
  CauChunk   *chunk;

  if (timestamp_node == NULL)
    return NULL;
  if (!cau_datetime_parse (json_node_get_string (timestamp_node), &timestamp, NULL))
    {
      caureport_chunk_line_fail (error, "Timestamp '%s' is not a CIM datetime (yyyymmddHHMMSS.mmmmmm+UUU)",
                                 json_node_get_string (timestamp_node));
      return NULL;
    }
  if (!caureport_json_get_number (object, "SequenceNumber", G_MAXUINT32, &sequence_number, error)
      || (data_node = caureport_json_get (object, "Data", G_TYPE_STRING, "a string", error)) == NULL
      || (data = caureport_base64_decode (json_node_get_string (data_node), error)) == NULL)
    return NULL;
  chunk = cau_chunk_new (timestamp, (guint32) sequence_number, data);
  g_bytes_unref (data);
  return chunk;
}

static gboolean
caureport_chunk_line_take_parameters (CaureportChunkLine *self, JsonObject *object, GError **error)
{
  JsonNode *last_chunk;

  self->has_report_size = json_object_has_member (object, "ReportSize");
  if (self->has_report_size && !caureport_json_get_number (object, "ReportSize", G_MAXINT64, &self->report_size, error))
    return FALSE;
  self->has_last_chunk = json_object_has_member (object, "LastChunk");
  if (!self->has_last_chunk)
    return TRUE;
  last_chunk = caureport_json_get (object, "LastChunk", G_TYPE_BOOLEAN, "true or false", error);
  if (last_chunk == NULL)
    return FALSE;
  self->last_chunk = json_node_get_boolean (last_chunk);
  return TRUE;
}

static gboolean
caureport_chunk_line_parse (CaureportChunkLine *self, const char *text, gsize length, GError **error)
{
  g_autoptr (JsonObject) object = caureport_json_parse_object (text, length, error);

  if (object == NULL)
    return FALSE;
  self->chunk = caureport_json_get_chunk (object, error);
  return self->chunk != NULL && caureport_chunk_line_take_parameters (self, object, error);
}

struct _CaureportChunkInput
{
  int         fd;
  char       *name;
  GByteArray *buffer;  /* what was read and is not a line of the past */
  gsize       scanned; /* bytes of @buffer known to hold no line end */
  gsize       past;    /* bytes of @buffer that belong to the line returned last */
  gboolean    ended;
  guint64     number; /* of that line */
};

CaureportChunkInput *
caureport_chunk_input_new (int fd, const char *name)
{
  CaureportChunkInput *self = g_new0 (CaureportChunkInput, 1);

  self->fd = fd;
  self->name = g_strdup (name);
  self->buffer = g_byte_array_new ();
  return self;
}

void
caureport_chunk_input_free (CaureportChunkInput *self)
{
  g_byte_array_unref (self->buffer);
  g_free (self->name);
  g_free (self);
}

void
caureport_chunk_input_prefix_error (CaureportChunkInput *self, guint64 number, GError **error)
{
  g_prefix_error (error, "%s: line %" G_GUINT64_FORMAT ": ", self->name, number);
}

static gboolean
caureport_chunk_input_read (CaureportChunkInput *self, GError **error)
{
  guint    length = self->buffer->len;
  gssize   n_read;
  gboolean ok;

  g_byte_array_set_size (self->buffer, length + READ_LENGTH);
  do
    n_read = read (self->fd, self->buffer->data + length, READ_LENGTH);
  while (n_read < 0 && errno == EINTR);
  ok = n_read >= 0;
  if (!ok)
    caureport_set_error_from_errno (error, errno, "cannot read %s", self->name);
  g_byte_array_set_size (self->buffer, length + (ok ? (guint) n_read : 0));
  self->ended = n_read == 0;
  return ok;
}

/* Finds the next line; *@length does not count its end. *@text is borrowed, and NULL at the end. */
static gboolean
caureport_chunk_input_next_line (CaureportChunkInput *self, const char **text, gsize *length, GError **error)
{
  const guint8 *end = NULL;

  g_byte_array_remove_range (self->buffer, 0, (guint) self->past);
  self->past = 0;
  self->scanned = 0;
  for (;;)
    {
      if (self->buffer->len > self->scanned)
        end = memchr (self->buffer->data + self->scanned, '\n', self->buffer->len - self->scanned);
      if (end != NULL || self->ended)
        break;
      self->scanned = self->buffer->len;
      if (self->scanned > LINE_MAX_LENGTH)
        return caureport_chunk_line_fail (error, "it is longer than any chunk makes it");
      if (!caureport_chunk_input_read (self, error))
        return FALSE;
    }
  *text = self->buffer->len > 0 ? (const char *) self->buffer->data : NULL;
  *length = end != NULL ? (gsize) (end - self->buffer->data) : self->buffer->len;
  self->past = end != NULL ? *length + 1 : *length;
  return TRUE;
}

static gboolean
caureport_line_is_blank (const char *text, gsize length)
{
  for (gsize i = 0; i < length; i++)
    {
      if (!g_ascii_isspace (text[i]))
        return FALSE;
    }
  return TRUE;
}

gboolean
caureport_chunk_input_next (CaureportChunkInput *self, CaureportChunkLine *line, GError **error)
{
  const char *text = NULL;
  gsize       length = 0;
  gboolean    ok;

  caureport_chunk_line_clear (line);
  do
    {
      self->number++;
      ok = caureport_chunk_input_next_line (self, &text, &length, error);
    }
  while (ok && text != NULL && caureport_line_is_blank (text, length));
  line->number = self->number;
  if (ok && text != NULL)
    ok = caureport_chunk_line_parse (line, text, length, error);
  if (!ok)
    {
      caureport_chunk_input_prefix_error (self, self->number, error);
      caureport_chunk_line_clear (line);
    }
  return ok;
}
