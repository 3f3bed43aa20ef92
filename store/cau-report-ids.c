/* SPDX-License-Identifier: MIT */
#include "cau-store-private.h"

/* Reports that a cursor reads at a time. */
#define IDS_PAGE 256

/* Stands for a character that no name can have: U+FFFD, and bytes of the longest character. */
#define REPLACEMENT 0xfffd
#define UTF8_MAX 4

struct _CauReportIds
{
  CauStore *store;
  guint64   id;
  char     *after; /* the last name that was read */
  GArray   *page;  /* (element-type CauReportInfo) */
  guint     next;
  GArray   *ahead; /* the page after it; empty: not read yet */
  gboolean  last;  /* there is nothing after those */
};

static GArray *
page_new (void)
{
  GArray *page = g_array_new (FALSE, FALSE, sizeof (CauReportInfo));

  g_array_set_clear_func (page, (GDestroyNotify) cau_report_info_clear);
  return page;
}

CauReportIds *
cau_store_get_report_ids (CauStore *self, guint64 id, const char *after, GError **error)
{
  CauOrchestratorInfo info;
  CauReportIds       *ids;

  if (!cau_store_get_orchestrator (self, id, &info, error))
    return NULL;
  ids = g_new0 (CauReportIds, 1);
  ids->store = cau_store_ref (self);
  ids->id = id;
  ids->after = g_strdup (after);
  ids->page = page_new ();
  ids->ahead = page_new ();
  return ids;
}

/* What is damaged may have a name that is none: it is shown as one, which leads nowhere. The kernel gives up a whole listing
 * for a single slash in it. */
static void
repair_name (CauReportInfo *info)
{
  g_autofree char *valid = g_utf8_make_valid (info->name, -1);
  GString         *name = g_string_new (NULL);

  for (const char *p = valid; *p != '\0'; p = g_utf8_next_char (p))
    {
      gunichar c = g_utf8_get_char (p);

      if (name->len + UTF8_MAX > CAU_REPORT_NAME_MAX)
        break;
      g_string_append_unichar (name, c == '/' || g_unichar_iscntrl (c) ? REPLACEMENT : c);
    }
  if (name->len == 0 || g_str_equal (name->str, ".") || g_str_equal (name->str, ".."))
    {
      g_string_truncate (name, 0);
      g_string_append_unichar (name, REPLACEMENT);
    }
  g_free (info->name);
  info->name = g_string_free (name, FALSE);
}

/* Where to go on after @page is said by its last name, so that must be one that is sure: what is damaged behind it is left to the
 * next page. Where nothing is sure there is nothing else to go by. */
static void
end_with_what_is_sure (GArray *page)
{
  guint end = page->len;

  while (end > 0 && g_array_index (page, CauReportInfo, end - 1).damaged)
    end--;
  if (end > 0)
    g_array_set_size (page, end);
}

static void
repair_names (GArray *page)
{
  for (guint i = 0; i < page->len; i++)
    {
      CauReportInfo *info = &g_array_index (page, CauReportInfo, i);

      if (info->damaged && !cau_report_name_validate (info->name, NULL))
        repair_name (info);
    }
}

/* The next page starts after @page. */
static gboolean
pass_page (CauReportIds *self, GArray *page, GError **error)
{
  const char *last = NULL;

  if (!self->last)
    end_with_what_is_sure (page);
  last = g_array_index (page, CauReportInfo, page->len - 1).name;
  /* Damage can lead back to where a page was read already, or put a zero byte into a name. */
  if (!self->last && (last == NULL || g_strcmp0 (last, self->after) <= 0))
    {
      g_set_error (error, CAU_STORE_ERROR, CAU_STORE_ERROR_CORRUPT, "the index of names is damaged");
      return FALSE;
    }
  g_free (self->after);
  self->after = g_strdup (last);
  repair_names (page);
  return TRUE;
}

static gboolean
read_page (CauReportIds *self, GArray *page, GError **error)
{
  CauBackend *backend = self->store->backend;

  g_array_set_size (page, 0);
  if (backend->klass->list_reports (backend, self->id, self->after, IDS_PAGE, page, error))
    {
      self->last = page->len < IDS_PAGE;
      if (page->len == 0 || pass_page (self, page, error))
        return TRUE;
    }
  /* Who asks again meets the failure again, and not the names that came with it: those could go round for ever. */
  g_array_set_size (page, 0);
  return FALSE;
}

/* A failure is met again, and told, when the page is needed. */
void
cau_report_ids_read_ahead (CauReportIds *self)
{
  if (!self->last && self->ahead->len == 0)
    (void) read_page (self, self->ahead, NULL);
}

static gboolean
turn_page (CauReportIds *self, GError **error)
{
  GArray *old = self->page;

  self->next = 0;
  if (self->ahead->len == 0)
    {
      if (!self->last)
        return read_page (self, self->page, error);
      g_array_set_size (self->page, 0);
      return TRUE;
    }
  self->page = self->ahead;
  self->ahead = old;
  g_array_set_size (self->ahead, 0);
  return TRUE;
}

const CauReportInfo *
cau_report_ids_next (CauReportIds *self, GError **error)
{
  if (self->next >= self->page->len && !turn_page (self, error))
    return NULL;
  if (self->next >= self->page->len)
    return NULL;
  return &g_array_index (self->page, CauReportInfo, self->next++);
}

void
cau_report_ids_free (CauReportIds *self)
{
  g_array_unref (self->page);
  g_array_unref (self->ahead);
  g_free (self->after);
  cau_store_unref (self->store);
  g_free (self);
}
