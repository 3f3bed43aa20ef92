/* SPDX-License-Identifier: MIT */
#include "caureport-findings.h"

#include "cau-program.h"
#include "caureport-format.h"

static const char *
caureport_findings_word (const CaureportFindings *self, CauFindingKind kind)
{
  switch (kind)
    {
    case CAU_FINDING_GOOD:
      return self->recover ? "saved" : "good";
    case CAU_FINDING_DAMAGED:
      return self->recover ? "lost" : "damaged";
    case CAU_FINDING_STORE:
      return "store";
    case CAU_FINDING_NOTE:
      return "note";
    }
  return "";
}

void
caureport_findings_begin (CaureportFindings *self, const char *name)
{
  if (self->json)
    putchar ('[');
  caureport_progress_begin (&self->progress, name, 0);
}

void
caureport_findings_progress (CaureportFindings *self, guint64 done, guint64 total)
{
  self->progress.total = total;
  caureport_progress_show (&self->progress, done);
}

static void
caureport_findings_print_json (CaureportFindings *self, JsonBuilder *builder)
{
  fputs (self->n_shown++ > 0 ? ",\n" : "\n", stdout);
  caureport_json_print (builder, FALSE);
}

static void
caureport_findings_add_ranges (JsonBuilder *builder, const CauFinding *finding)
{
  json_builder_set_member_name (builder, "damaged_bytes");
  json_builder_begin_array (builder);
  for (gsize i = 0; i < finding->n_ranges; i++)
    {
      json_builder_begin_array (builder);
      json_builder_add_int_value (builder, (gint64) finding->ranges[i].offset);
      json_builder_add_int_value (builder, (gint64) (finding->ranges[i].offset + finding->ranges[i].length - 1));
      json_builder_end_array (builder);
    }
  json_builder_end_array (builder);
}

static void
caureport_findings_show_json (CaureportFindings *self, const CauFinding *finding)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  char guid[CAU_GUID_TEXT_LEN + 1];

  json_builder_begin_object (builder);
  caureport_json_add_string (builder, "status", g_strdup (caureport_findings_word (self, finding->kind)));
  if (finding->has_guid)
    {
      cau_guid_format (&finding->guid, guid);
      caureport_json_add_string (builder, "orchestrator", g_strdup (guid));
    }
  if (finding->name != NULL)
    {
      caureport_json_add_string (builder, "name", g_utf8_make_valid (finding->name, -1));
      caureport_json_add_int (builder, "version", finding->version);
      caureport_json_add_int (builder, "size", finding->size);
      caureport_json_add_int (builder, "chunks", finding->n_chunks);
    }
  if (finding->problem != NULL)
    caureport_json_add_string (builder, "problem", g_utf8_make_valid (finding->problem, -1));
  if (finding->kind == CAU_FINDING_DAMAGED)
    caureport_findings_add_ranges (builder, finding);
  json_builder_end_object (builder);
  caureport_findings_print_json (self, builder);
}

/* "; bytes 0-131071, 262144-300000 of 300001" */
static void
caureport_findings_print_ranges (const CauFinding *finding)
{
  for (gsize i = 0; i < finding->n_ranges; i++)
    printf ("%s %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, i == 0 ? "; bytes" : ",", finding->ranges[i].offset,
            finding->ranges[i].offset + finding->ranges[i].length - 1);
  if (finding->n_ranges > 0)
    printf (" of %" G_GUINT64_FORMAT, finding->size);
}

static void
caureport_findings_show_text (CaureportFindings *self, const CauFinding *finding)
{
  g_autofree char *name = finding->name != NULL ? cau_program_make_line (finding->name) : NULL;
  g_autofree char *problem = finding->problem != NULL ? cau_program_make_line (finding->problem) : NULL;
  char             guid[CAU_GUID_TEXT_LEN + 1] = "?";

  if (finding->has_guid)
    cau_guid_format (&finding->guid, guid);
  printf ("%-7s ", caureport_findings_word (self, finding->kind));
  if (name != NULL)
    printf ("%s/%s", guid, name);
  else if (finding->has_guid)
    fputs (guid, stdout);
  if (problem != NULL)
    printf ("%s%s", name != NULL || finding->has_guid ? ": " : "", problem);
  caureport_findings_print_ranges (finding);
  putchar ('\n');
  self->n_shown++;
}

void
caureport_findings_show (CaureportFindings *self, const CauFinding *finding)
{
  if (finding->kind == CAU_FINDING_GOOD && !self->all)
    return;
  caureport_progress_end (&self->progress);
  if (self->json)
    caureport_findings_show_json (self, finding);
  else
    caureport_findings_show_text (self, finding);
}

static void
caureport_findings_sum_json (CaureportFindings *self, const CauCheckSummary *summary)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();

  json_builder_begin_object (builder);
  caureport_json_add_string (builder, "status", g_strdup ("summary"));
  caureport_json_add_int (builder, caureport_findings_word (self, CAU_FINDING_GOOD), summary->n_good);
  caureport_json_add_int (builder, caureport_findings_word (self, CAU_FINDING_DAMAGED), summary->n_damaged);
  caureport_json_add_int (builder, caureport_findings_word (self, CAU_FINDING_STORE), summary->n_store);
  caureport_json_add_int (builder, "bytes", summary->bytes);
  if (!self->recover)
    {
      caureport_json_add_int (builder, "unused_chunks", summary->n_unused_chunks);
      caureport_json_add_int (builder, "unnamed", summary->n_unnamed);
    }
  json_builder_end_object (builder);
  caureport_findings_print_json (self, builder);
}

static void
caureport_findings_sum_text (CaureportFindings *self, const CauCheckSummary *summary)
{
  printf ("%" G_GUINT64_FORMAT " %s of %" G_GUINT64_FORMAT " bytes %s\n", summary->n_good,
          summary->n_good == 1 ? "report" : "reports", summary->bytes, self->recover ? "saved" : "read whole");
  if (summary->n_damaged > 0)
    printf ("%" G_GUINT64_FORMAT " %s %s\n", summary->n_damaged, summary->n_damaged == 1 ? "report" : "reports",
            self->recover ? "lost" : "damaged");
  if (summary->n_unused_chunks > 0)
    printf ("%" G_GUINT64_FORMAT " stored chunks belong to no report; that is no damage\n", summary->n_unused_chunks);
  if (summary->n_unnamed > 0)
    printf ("%" G_GUINT64_FORMAT " versions without a name are being written or read, or will be collected\n",
            summary->n_unnamed);
}

void
caureport_findings_end (CaureportFindings *self, const CauCheckSummary *summary)
{
  caureport_progress_end (&self->progress);
  if (summary != NULL && self->json)
    caureport_findings_sum_json (self, summary);
  else if (summary != NULL)
    caureport_findings_sum_text (self, summary);
  if (self->json)
    fputs (self->n_shown > 0 ? "\n]\n" : "]\n", stdout);
}
