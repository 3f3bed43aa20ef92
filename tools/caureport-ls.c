/* SPDX-License-Identifier: MIT */
#include "cau-program.h"
#include "caureport-format.h"
#include "caureport-target.h"

#include <string.h>

#define ORCHESTRATORS_AT_ONCE 256

typedef enum
{
  CAUREPORT_SORT_NAME,
  CAUREPORT_SORT_SIZE,
  CAUREPORT_SORT_TIMESTAMP,
  CAUREPORT_SORT_SAVED,
} CaureportSort;

/* How a list is shown, and how far it is. A list is printed as it is read, so that it may be longer
 * than memory holds. */
typedef struct
{
  gboolean      json;
  gboolean      human;
  gboolean      reverse;
  CaureportSort sort;
  guint64       n_shown;
  guint64       n_damaged; /* of those shown */
} CaureportList;

static void
caureport_list_begin (CaureportList *self, const char *heading)
{
  fputs (self->json ? "[" : heading, stdout);
}

static void
caureport_list_show_json (CaureportList *self, JsonBuilder *builder)
{
  fputs (self->n_shown > 0 ? ",\n" : "\n", stdout);
  caureport_json_print (builder, FALSE);
}

static void
caureport_list_end (CaureportList *self)
{
  if (self->json)
    fputs (self->n_shown > 0 ? "\n]\n" : "]\n", stdout);
}

static void
caureport_list_show_orchestrator (CaureportList *self, const CauOrchestratorInfo *info)
{
  char             guid[CAU_GUID_TEXT_LEN + 1];
  g_autofree char *modified = caureport_format_nanoseconds (info->attributes.mtime);

  cau_guid_format (&info->guid, guid);
  if (self->json)
    {
      g_autoptr (JsonBuilder) builder = json_builder_new ();

      json_builder_begin_object (builder);
      caureport_json_add_string (builder, "guid", g_strdup (guid));
      caureport_json_add_int (builder, "reports", info->n_reports);
      caureport_json_add_string (builder, "modified", g_steal_pointer (&modified));
      caureport_json_add_string (builder, "changed", caureport_format_nanoseconds (info->attributes.ctime));
      json_builder_end_object (builder);
      caureport_list_show_json (self, builder);
    }
  else
    printf ("%s %9" G_GUINT64_FORMAT "  %.19sZ\n", guid, info->n_reports, modified);
  self->n_shown++;
}

static gboolean
caureport_list_orchestrators (CaureportList *self, CauStore *store, GError **error)
{
  CauGuid        after;
  const CauGuid *start = NULL;

  caureport_list_begin (self, "GUID                                   REPORTS  MODIFIED\n");
  for (;;)
    {
      g_autoptr (GArray) page = cau_store_list_orchestrators (store, start, ORCHESTRATORS_AT_ONCE, error);

      if (page == NULL)
        return FALSE;
      if (page->len == 0)
        break;
      for (guint i = 0; i < page->len; i++)
        caureport_list_show_orchestrator (self, &g_array_index (page, CauOrchestratorInfo, i));
      after = g_array_index (page, CauOrchestratorInfo, page->len - 1).guid;
      start = &after;
    }
  caureport_list_end (self);
  return TRUE;
}

static void
caureport_list_show_report_json (CaureportList *self, const CauReportInfo *info)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  char timestamp[CAU_DATETIME_TEXT_LEN + 1];

  cau_datetime_format (info->timestamp, timestamp);
  json_builder_begin_object (builder);
  caureport_json_add_string (builder, "name", g_strdup (info->name));
  caureport_json_add_int (builder, "size", info->size);
  caureport_json_add_int (builder, "stored_size", info->stored_size);
  caureport_json_add_string (builder, "timestamp", g_strdup (timestamp));
  caureport_json_add_string (builder, "saved", caureport_format_datetime (info->saved, TRUE));
  json_builder_end_object (builder);
  caureport_list_show_json (self, builder);
}

/* Of a record that fails its check nothing but the name is sure. */
static void
caureport_list_show_damaged (CaureportList *self, const CauReportInfo *info)
{
  g_autofree char *name = cau_program_make_line (info->name);

  self->n_damaged++;
  if (self->json)
    {
      g_autoptr (JsonBuilder) builder = json_builder_new ();

      json_builder_begin_object (builder);
      caureport_json_add_string (builder, "name", g_steal_pointer (&name));
      json_builder_set_member_name (builder, "damaged");
      json_builder_add_boolean_value (builder, TRUE);
      json_builder_end_object (builder);
      caureport_list_show_json (self, builder);
    }
  else
    printf ("%12s %12s  %-20s  %-20s  %s\n", "damaged", "?", "?", "?", name);
}

static void
caureport_list_show_report (CaureportList *self, const CauReportInfo *info)
{
  if (info->damaged)
    caureport_list_show_damaged (self, info);
  else if (self->json)
    caureport_list_show_report_json (self, info);
  else
    {
      g_autofree char *size = caureport_format_size (info->size, self->human);
      g_autofree char *stored = caureport_format_size (info->stored_size, self->human);
      g_autofree char *timestamp = caureport_format_datetime (info->timestamp, FALSE);
      g_autofree char *saved = caureport_format_datetime (info->saved, FALSE);

      printf ("%12s %12s  %s  %s  %s\n", size, stored, timestamp, saved, info->name);
    }
  self->n_shown++;
}

/* Equal keys fall back to the name, so that the order is the same every time. */
static gint
caureport_list_compare (gconstpointer a, gconstpointer b, gpointer data)
{
  const CaureportList *self = data;
  const CauReportInfo *left = *(const CauReportInfo *const *) a;
  const CauReportInfo *right = *(const CauReportInfo *const *) b;
  gint                 order = 0;

  switch (self->sort)
    {
    case CAUREPORT_SORT_NAME:
      break;
    case CAUREPORT_SORT_SIZE:
      order = (left->size > right->size) - (left->size < right->size);
      break;
    case CAUREPORT_SORT_TIMESTAMP:
      order = (left->timestamp > right->timestamp) - (left->timestamp < right->timestamp);
      break;
    case CAUREPORT_SORT_SAVED:
      order = (left->saved > right->saved) - (left->saved < right->saved);
      break;
    }
  if (order == 0)
    order = strcmp (left->name, right->name);
  return self->reverse ? -order : order;
}

static void
caureport_report_info_free (gpointer data)
{
  CauReportInfo *info = data;

  cau_report_info_clear (info);
  g_free (info);
}

/* Shows what @ids yields, in its order. When @collected is given, puts copies into it in place. */
static gboolean
caureport_list_read (CaureportList *self, CauReportIds *ids, GPtrArray *collected, GError **error)
{
  const CauReportInfo *info;
  g_autoptr (GError) next_error = NULL;

  while ((info = cau_report_ids_next (ids, &next_error)) != NULL)
    {
      if (collected != NULL)
        {
          CauReportInfo *copy = g_new0 (CauReportInfo, 1);

          cau_report_info_copy (info, copy);
          g_ptr_array_add (collected, copy);
        }
      else
        caureport_list_show_report (self, info);
    }
  if (next_error == NULL)
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&next_error));
  return FALSE;
}

static gboolean
caureport_list_reports (CaureportList *self, CauStore *store, guint64 orchestrator, GError **error)
{
  g_autoptr (CauReportIds) ids = cau_store_get_report_ids (store, orchestrator, NULL, error);
  g_autoptr (GPtrArray) collected = NULL;

  if (ids == NULL)
    return FALSE;
  if (self->sort != CAUREPORT_SORT_NAME || self->reverse)
    collected = g_ptr_array_new_with_free_func (caureport_report_info_free);

  caureport_list_begin (self, "        SIZE       STORED  TIMESTAMP             SAVED                 NAME\n");
  if (!caureport_list_read (self, ids, collected, error))
    return FALSE;
  if (collected != NULL)
    {
      g_ptr_array_sort_with_data (collected, caureport_list_compare, self);
      for (guint i = 0; i < collected->len; i++)
        caureport_list_show_report (self, g_ptr_array_index (collected, i));
    }
  caureport_list_end (self);
  if (self->n_damaged == 0)
    return TRUE;
  g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT,
               "the records of %" G_GUINT64_FORMAT " reports are damaged; caureport verify tells more",
               self->n_damaged);
  return FALSE;
}

static gboolean
caureport_list_set_sort (CaureportList *self, const char *text, GError **error)
{
  static const char *const names[] = { "name", "size", "timestamp", "saved" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    {
      if (strcmp (text, names[i]) == 0)
        {
          self->sort = (CaureportSort) i;
          return TRUE;
        }
    }
  g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE, "--sort takes name, size, timestamp or saved, not '%s'",
               text);
  return FALSE;
}

static gboolean
caureport_list_show (CaureportList *self, Caureport *app, const CaureportTarget *target, GError **error)
{
  CauOrchestratorInfo orchestrator;
  CauStore           *store;

  if (!target->has_guid)
    {
      store = caureport_target_open (target, app, CAU_STORE_OPEN_READ_ONLY, error);
      return store != NULL && caureport_list_orchestrators (self, store, error);
    }
  store = caureport_target_open_orchestrator (target, app, CAU_STORE_OPEN_READ_ONLY, &orchestrator, error);
  if (store == NULL)
    return FALSE;
  if (caureport_list_reports (self, store, orchestrator.id, error))
    return TRUE;
  caureport_prefix_error (error, &target->guid, NULL);
  return FALSE;
}

gboolean
caureport_run_ls (Caureport *self, int n_words, char **words, GError **error)
{
  CaureportList    list = { FALSE, FALSE, FALSE, CAUREPORT_SORT_NAME, 0, 0 };
  g_autofree char *sort = NULL;
  GOptionEntry     entries[] = {
        { "json", 'j', 0, G_OPTION_ARG_NONE, &list.json, "Print a JSON array, an object a line", NULL },
        { "human", 'H', 0, G_OPTION_ARG_NONE, &list.human, "Print sizes with units", NULL },
        { "sort", 'S', 0, G_OPTION_ARG_STRING, &sort, "name (default), size, timestamp or saved", "KEY" },
        { "reverse", 'r', 0, G_OPTION_ARG_NONE, &list.reverse, "Print the last ones first", NULL },
        G_OPTION_ENTRY_NULL,
  };
  g_auto (GStrv) rest = caureport_parse_options (self, entries, n_words, words, error);
  g_auto (CaureportTarget) target = CAUREPORT_TARGET_INIT;
  char **next = rest;

  if (rest == NULL || (sort != NULL && !caureport_list_set_sort (&list, sort, error)))
    return FALSE;
  if (!caureport_target_take_optional (&target, self, &next, error))
    return FALSE;
  if (target.name != NULL)
    {
      g_set_error (error, CAUREPORT_ERROR, CAUREPORT_ERROR_USAGE,
                   "'%s' names a report: caureport info shows what is known of it", rest[0]);
      return FALSE;
    }
  return caureport_parse_end (next, error) && caureport_list_show (&list, self, &target, error);
}
