/* SPDX-License-Identifier: MIT */
#include "caureport-format.h"
#include "caureport-target.h"

static void
caureport_info_print_text (const CauReportInfo *info, const char *guid)
{
  const CauAttributes *attributes = &info->attributes;
  g_autofree char     *saved = caureport_format_datetime (info->saved, TRUE);
  g_autofree char     *sha256 = caureport_format_sha256 (info->sha256);
  g_autofree char     *atime = caureport_format_nanoseconds (attributes->atime);
  g_autofree char     *mtime = caureport_format_nanoseconds (attributes->mtime);
  g_autofree char     *ctime = caureport_format_nanoseconds (attributes->ctime);
  char                 timestamp[CAU_DATETIME_TEXT_LEN + 1];

  cau_datetime_format (info->timestamp, timestamp);
  printf ("Name:         %s\n", info->name);
  printf ("Orchestrator: %s\n", guid);
  printf ("Timestamp:    %s\n", timestamp);
  printf ("Saved:        %s\n", saved);
  printf ("Size:         %" G_GUINT64_FORMAT "\n", info->size);
  printf ("Stored size:  %" G_GUINT64_FORMAT "\n", info->stored_size);
  printf ("Chunks:       %" G_GUINT64_FORMAT "\n", info->n_chunks);
  printf ("SHA-256:      %s\n", sha256);
  printf ("Mode:         %04o\n", attributes->mode);
  printf ("User:         %u\n", attributes->uid);
  printf ("Group:        %u\n", attributes->gid);
  printf ("Accessed:     %s\n", atime);
  printf ("Modified:     %s\n", mtime);
  printf ("Changed:      %s\n", ctime);
  printf ("Version:      %" G_GUINT64_FORMAT "\n", info->version);
  printf ("Report:       %" G_GUINT64_FORMAT "\n", info->report);
}

static void
caureport_info_print_json (const CauReportInfo *info, const char *guid)
{
  const CauAttributes *attributes = &info->attributes;
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  char timestamp[CAU_DATETIME_TEXT_LEN + 1];

  cau_datetime_format (info->timestamp, timestamp);
  json_builder_begin_object (builder);
  caureport_json_add_string (builder, "name", g_strdup (info->name));
  caureport_json_add_string (builder, "orchestrator", g_strdup (guid));
  caureport_json_add_string (builder, "timestamp", g_strdup (timestamp));
  caureport_json_add_string (builder, "saved", caureport_format_datetime (info->saved, TRUE));
  caureport_json_add_int (builder, "size", info->size);
  caureport_json_add_int (builder, "stored_size", info->stored_size);
  caureport_json_add_int (builder, "chunks", info->n_chunks);
  caureport_json_add_string (builder, "sha256", caureport_format_sha256 (info->sha256));
  caureport_json_add_string (builder, "mode", g_strdup_printf ("%04o", attributes->mode));
  caureport_json_add_int (builder, "uid", attributes->uid);
  caureport_json_add_int (builder, "gid", attributes->gid);
  caureport_json_add_string (builder, "atime", caureport_format_nanoseconds (attributes->atime));
  caureport_json_add_string (builder, "mtime", caureport_format_nanoseconds (attributes->mtime));
  caureport_json_add_string (builder, "ctime", caureport_format_nanoseconds (attributes->ctime));
  caureport_json_add_int (builder, "version", info->version);
  caureport_json_add_int (builder, "report", info->report);
  json_builder_end_object (builder);
  caureport_json_print (builder, TRUE);
  putchar ('\n');
}

gboolean
caureport_run_info (Caureport *self, int n_words, char **words, GError **error)
{
  gboolean     json = FALSE;
  GOptionEntry entries[] = {
    { "json", 'j', 0, G_OPTION_ARG_NONE, &json, "Print a JSON object", NULL },
    G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);
  g_auto (CaureportTarget) target = CAUREPORT_TARGET_INIT;
  g_auto (CauReportInfo) info = CAU_REPORT_INFO_INIT;
  CauOrchestratorInfo orchestrator;
  CauStore           *store;
  char                guid[CAU_GUID_TEXT_LEN + 1];
  char              **next = rest;

  if (rest == NULL || !caureport_target_take_report (&target, self, &next, error) || !caureport_parse_end (next, error))
    return FALSE;
  store = caureport_target_open_orchestrator (&target, self, CAU_STORE_OPEN_READ_ONLY, &orchestrator, error);
  if (store == NULL)
    return FALSE;
  if (!cau_store_find_report (store, orchestrator.id, target.name, &info, error))
    {
      caureport_prefix_error (error, &target.guid, target.name);
      return FALSE;
    }

  cau_guid_format (&target.guid, guid);
  if (json)
    caureport_info_print_json (&info, guid);
  else
    caureport_info_print_text (&info, guid);
  return TRUE;
}
