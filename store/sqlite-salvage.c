/* SPDX-License-Identifier: MIT */
#include "sqlite-rows.h"
#include "sqlite-salvage-private.h"
#include "sqlite-scan.h"

#include <string.h>

/* No checksum covers the store's own record of the last version, nor the ids of chunks. What damage makes of them must not use up
 * the ids of the new store. */
#define BELIEVED_VERSION_MAX (CAU_VERSION_MAX / 2)

static void
info_free (gpointer data)
{
  cau_report_info_clear (data);
  g_free (data);
}

static void
name_free (gpointer data)
{
  CauSalvagedName *name = data;

  g_free (name->name);
  g_free (name);
}

/* ---- rows that are found ---- */

static char *
field_text (const CauField *field)
{
  return field->data != NULL && (field->type == CAU_FIELD_TEXT || field->type == CAU_FIELD_BLOB)
           ? g_strndup ((const char *) field->data, (gsize) field->length)
           : NULL;
}

static guint64
field_u64 (const CauField *field)
{
  return (guint64) field->integer;
}

/* @name: (transfer full). */
static void
note_name (CauSalvage *self, guint64 orchestrator, char *name, guint64 version, gboolean sure)
{
  const CauSalvagedName found = { orchestrator, version, name, sure };

  if (name == NULL || orchestrator == 0 || !cau_report_name_validate (name, NULL))
    g_free (name);
  else
    g_ptr_array_add (self->names, g_memdup2 (&found, sizeof found));
}

static void
get_attributes (const CauField *fields, CauAttributes *attributes)
{
  attributes->mode = (guint32) fields[0].integer;
  attributes->uid = (guint32) fields[1].integer;
  attributes->gid = (guint32) fields[2].integer;
  attributes->atime = fields[3].integer;
  attributes->mtime = fields[4].integer;
  attributes->ctime = fields[5].integer;
}

static gboolean
is_right (const DoubtfulVersion *found)
{
  return cau_row_check_version (&found->info, found->checksum) && cau_row_is_sound (&found->info);
}

/* @info: (transfer full): what passed its checks. */
static void
add_version (CauSalvage *self, CauReportInfo *info, gboolean beyond)
{
  const CauReportInfo *known = g_hash_table_lookup (self->by_id, &info->version);

  self->last_version = MAX (self->last_version, info->version);
  if (beyond)
    g_hash_table_add (self->latest, g_memdup2 (&info->version, sizeof info->version));
  if (known == NULL || known->attributes.ctime < info->attributes.ctime)
    g_hash_table_replace (self->by_id, &info->version, info);
  else
    info_free (info);
}

static void
doubtful_free (gpointer data)
{
  DoubtfulVersion *self = data;

  cau_report_info_clear (&self->info);
  g_free (self);
}

/* A field that is no integer counts as 0, as SQLite reads it. */
static void
take_version (CauSalvage *self, const CauRecord *record)
{
  const CauField  *f = record->fields;
  DoubtfulVersion *found = g_new0 (DoubtfulVersion, 1);
  CauReportInfo   *info = &found->info;

  info->version = (guint64) record->rowid;
  info->report = field_u64 (&f[1]);
  info->orchestrator = field_u64 (&f[2]);
  info->name = info->orchestrator != 0 ? field_text (&f[3]) : NULL;
  info->size = field_u64 (&f[4]);
  info->stored_size = field_u64 (&f[5]);
  info->n_chunks = cau_stored_chunks (info->size);
  if (f[6].length == CAU_SHA256_LEN && f[6].data != NULL)
    memcpy (info->sha256, f[6].data, CAU_SHA256_LEN);
  info->seed = field_u64 (&f[7]);
  info->saved = f[8].integer;
  get_attributes (&f[9], &info->attributes);
  found->checksum = f[15].integer;
  found->beyond = self->beyond;
  if (is_right (found))
    {
      add_version (self, g_memdup2 (info, sizeof *info), found->beyond);
      g_free (found);
      return;
    }
  note_name (self, info->orchestrator, g_strdup (info->name), info->version, FALSE);
  g_ptr_array_add (self->doubtful, found);
}

static void
add_orchestrator (CauSalvage *self, const CauSalvagedOrchestrator *found)
{
  CauSalvagedOrchestrator *copy = g_memdup2 (found, sizeof *found);

  g_hash_table_replace (self->orchestrators_by_id, &copy->info.id, copy);
}

static void
take_orchestrator (CauSalvage *self, const CauRecord *record)
{
  const CauField                *f = record->fields;
  CauSalvagedOrchestrator        found = { .has_guid = TRUE, .has_attributes = TRUE };
  const CauSalvagedOrchestrator *known;

  found.info.id = (guint64) record->rowid;
  if (f[1].length == sizeof found.info.guid.bytes && f[1].data != NULL)
    memcpy (found.info.guid.bytes, f[1].data, sizeof found.info.guid.bytes);
  get_attributes (&f[4], &found.info.attributes);
  found.info.attributes.mode &= 07777;
  if (found.info.id > CAU_ORCHESTRATOR_MAX || !cau_row_check_orchestrator (&found.info, f[10].integer))
    return;
  if (found.info.id == CAU_STORE_ROOT_ID && field_u64 (&f[3]) <= BELIEVED_VERSION_MAX)
    self->last_version = MAX (self->last_version, field_u64 (&f[3]));
  known = g_hash_table_lookup (self->orchestrators_by_id, &found.info.id);
  if (known == NULL || known->info.attributes.ctime < found.info.attributes.ctime)
    add_orchestrator (self, &found);
}

/* Its columns were those of today but for last_version. */
static void
take_format_1 (CauSalvage *self, const CauField *f, gint64 rowid)
{
  CauOrchestratorInfo info = { .id = (guint64) rowid };

  if (f[1].length == sizeof info.guid.bytes && f[1].data != NULL)
    memcpy (info.guid.bytes, f[1].data, sizeof info.guid.bytes);
  if (cau_row_check_orchestrator (&info, f[9].integer))
    self->has_format_1 = TRUE;
}

static void
take_chunk (CauSalvage *self, const CauRecord *record)
{
  ChunkRow row = { (guint64) record->rowid, record->page, (guint16) record->offset, self->beyond ? 1 : 0 };

  if (record->rowid > 0 && record->fields[1].type == CAU_FIELD_INTEGER)
    g_array_append_val (self->chunks, row);
}

static void
take_inherited (CauSalvage *self, const CauField *f)
{
  InheritedRow row = { field_u64 (&f[0]), field_u64 (&f[1]), field_u64 (&f[2]) };

  g_array_append_val (self->inherited, row);
}

static void
take_guid (CauSalvage *self, const CauField *f)
{
  guint64 *id = g_new (guint64, 1);

  *id = field_u64 (&f[1]);
  g_hash_table_replace (self->guids, id, g_memdup2 (f[0].data, sizeof (CauGuid)));
}

/* Which table or index a record is of, it tells by its fields. */
static void
take_record (const CauRecord *record, gpointer salvage)
{
  CauSalvage     *self = salvage;
  const CauField *f = record->fields;

  if (record->is_table && record->n_fields == 16)
    take_version (self, record);
  else if (record->is_table && record->n_fields == 11)
    take_orchestrator (self, record);
  else if (record->is_table && record->n_fields == 10)
    take_format_1 (self, f, record->rowid);
  else if (record->is_table && record->n_fields == 3)
    take_chunk (self, record);
  else if (!record->is_table && record->n_fields == 3 && f[1].type == CAU_FIELD_TEXT)
    note_name (self, field_u64 (&f[0]), field_text (&f[1]), field_u64 (&f[2]), TRUE);
  else if (!record->is_table && record->n_fields == 3)
    take_inherited (self, f);
  else if (!record->is_table && record->n_fields == 2 && f[0].type == CAU_FIELD_BLOB && f[0].data != NULL
           && f[0].length == sizeof (CauGuid))
    take_guid (self, f);
}

/* ---- putting it together ---- */

static gint
compare_orchestrators (gconstpointer a, gconstpointer b)
{
  return cau_compare_u64 (((const CauSalvagedOrchestrator *) a)->info.id,
                          ((const CauSalvagedOrchestrator *) b)->info.id);
}

/* The newest first. */
static gint
compare_claims (gconstpointer a, gconstpointer b)
{
  return cau_compare_u64 ((*(const CauReportInfo *const *) b)->version, (*(const CauReportInfo *const *) a)->version);
}

static gint
compare_reports (gconstpointer a, gconstpointer b)
{
  return -compare_claims (&(*(GPtrArray *const *) a)->pdata[0], &(*(GPtrArray *const *) b)->pdata[0]);
}

static char *
name_key (guint64 orchestrator, const char *name)
{
  return g_strdup_printf ("%" G_GUINT64_FORMAT "/%s", orchestrator, name);
}

static void
ensure_orchestrator (CauSalvage *self, guint64 id)
{
  CauSalvagedOrchestrator unknown = { .info = { .id = id } };
  const CauGuid          *guid = g_hash_table_lookup (self->guids, &id);

  if (id > CAU_ORCHESTRATOR_MAX || g_hash_table_contains (self->orchestrators_by_id, &id))
    return;
  if (guid != NULL)
    unknown.info.guid = *guid;
  unknown.has_guid = guid != NULL;
  add_orchestrator (self, &unknown);
}

static void
group_versions (CauSalvage *self, GHashTable *groups)
{
  GHashTableIter iter;
  gpointer       value;

  g_hash_table_iter_init (&iter, self->by_id);
  while (g_hash_table_iter_next (&iter, NULL, &value))
    {
      CauReportInfo   *info = value;
      g_autofree char *key = info->name != NULL ? name_key (info->orchestrator, info->name) : NULL;
      GPtrArray       *claims = key != NULL ? g_hash_table_lookup (groups, key) : NULL;

      if (key == NULL || !cau_report_name_validate (info->name, NULL))
        continue;
      if (claims == NULL)
        {
          claims = g_ptr_array_new ();
          g_ptr_array_add (self->reports, claims);
          g_hash_table_insert (groups, g_steal_pointer (&key), claims);
          ensure_orchestrator (self, info->orchestrator);
        }
      g_ptr_array_add (claims, info);
    }
  for (guint i = 0; i < self->reports->len; i++)
    g_ptr_array_sort (g_ptr_array_index (self->reports, i), compare_claims);
  g_ptr_array_sort (self->reports, compare_reports);
}

/* Takes @found if its checksum holds for what an index says of it. */
static void
try_with_index (CauSalvage *self, const DoubtfulVersion *found, const CauSalvagedName *name)
{
  DoubtfulVersion changed = *found;

  changed.info.version = name->version;
  changed.info.orchestrator = name->orchestrator;
  changed.info.name = name->name;
  if (!is_right (&changed))
    return;
  changed.info.name = g_strdup (name->name);
  add_version (self, g_memdup2 (&changed.info, sizeof changed.info), found->beyond);
}

/* The index of names has the id, the orchestrator and the name of a version, too. SQLite takes them from there, so a report reads
 * whatever its record says in their place. */
static void
check_doubtful (CauSalvage *self)
{
  g_autoptr (GHashTable) by_id = g_hash_table_new (g_int64_hash, g_int64_equal);
  g_autoptr (GHashTable) by_name = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; i < self->doubtful->len; i++)
    {
      DoubtfulVersion *found = g_ptr_array_index (self->doubtful, i);

      g_hash_table_insert (by_id, &found->info.version, found);
      if (found->info.name != NULL)
        g_hash_table_insert (by_name, name_key (found->info.orchestrator, found->info.name), found);
    }
  for (guint i = 0; i < self->names->len; i++)
    {
      const CauSalvagedName *name = g_ptr_array_index (self->names, i);
      g_autofree char       *key = name_key (name->orchestrator, name->name);
      const DoubtfulVersion *with_id = g_hash_table_lookup (by_id, &name->version);
      const DoubtfulVersion *with_name = g_hash_table_lookup (by_name, key);

      if (name->sure && with_id != NULL)
        try_with_index (self, with_id, name);
      if (name->sure && with_name != NULL && with_name != with_id)
        try_with_index (self, with_name, name);
    }
}

/* A name whose version was found, be it under another name, is no loss. */
static void
find_lost (CauSalvage *self, GHashTable *groups, GHashTable *versions, gboolean sure)
{
  for (guint i = 0; i < self->names->len; i++)
    {
      CauSalvagedName     *name = g_ptr_array_index (self->names, i);
      const CauReportInfo *known = g_hash_table_lookup (self->by_id, &name->version);
      g_autofree char     *key = name_key (name->orchestrator, name->name);

      if (name->sure != sure || g_hash_table_contains (groups, key) || (known != NULL && known->name != NULL)
          || (!sure && g_hash_table_contains (versions, &name->version)))
        continue;
      g_hash_table_insert (groups, g_steal_pointer (&key), NULL);
      g_hash_table_add (versions, &name->version);
      g_ptr_array_add (self->lost, name);
    }
}

static void
note_last_chunk (CauSalvage *self)
{
  for (guint i = self->chunks->len; i-- > 0;)
    {
      guint64 version = g_array_index (self->chunks, ChunkRow, i).id >> NUMBER_BITS;

      if (version > BELIEVED_VERSION_MAX)
        continue;
      self->last_version = MAX (self->last_version, version);
      return;
    }
}

static void
put_together (CauSalvage *self)
{
  g_autoptr (GHashTable) groups = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (GHashTable) lost_versions = g_hash_table_new (g_int64_hash, g_int64_equal);
  GHashTableIter iter;
  gpointer       id, found;

  cau_salvage_sort_chunks (self);
  note_last_chunk (self);
  g_hash_table_iter_init (&iter, self->guids);
  while (g_hash_table_iter_next (&iter, &id, NULL))
    ensure_orchestrator (self, *(const guint64 *) id);
  check_doubtful (self);
  group_versions (self, groups);
  find_lost (self, groups, lost_versions, TRUE);
  find_lost (self, groups, lost_versions, FALSE);
  g_hash_table_iter_init (&iter, self->orchestrators_by_id);
  while (g_hash_table_iter_next (&iter, NULL, &found))
    g_array_append_vals (self->orchestrators, found, 1);
  g_array_sort (self->orchestrators, compare_orchestrators);
}

CauSalvage *
cau_salvage_new (CauImage *image)
{
  CauSalvage *self = g_new0 (CauSalvage, 1);

  self->image = image;
  self->by_id = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, info_free);
  self->chunks = g_array_new (FALSE, FALSE, sizeof (ChunkRow));
  self->inherited = g_array_new (FALSE, FALSE, sizeof (InheritedRow));
  self->doubtful = g_ptr_array_new_with_free_func (doubtful_free);
  self->names = g_ptr_array_new_with_free_func (name_free);
  self->orchestrators_by_id = g_hash_table_new_full (g_int64_hash, g_int64_equal, NULL, g_free);
  self->orchestrators = g_array_new (FALSE, FALSE, sizeof (CauSalvagedOrchestrator));
  self->guids = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, g_free);
  self->reports = g_ptr_array_new_with_free_func ((GDestroyNotify) g_ptr_array_unref);
  self->lost = g_ptr_array_new ();
  cau_scan_run (image, take_record, self);
  if (cau_image_has_beyond (image))
    {
      self->beyond = TRUE;
      self->latest = g_hash_table_new_full (g_int64_hash, g_int64_equal, g_free, NULL);
      cau_image_look_beyond (image, TRUE);
      cau_scan_run (image, take_record, self);
    }
  put_together (self);
  return self;
}

void
cau_salvage_free (CauSalvage *self)
{
  g_ptr_array_unref (self->lost);
  g_ptr_array_unref (self->reports);
  g_hash_table_unref (self->guids);
  g_array_unref (self->orchestrators);
  g_hash_table_unref (self->orchestrators_by_id);
  g_ptr_array_unref (self->names);
  g_ptr_array_unref (self->doubtful);
  g_clear_pointer (&self->shared, g_array_unref);
  g_array_unref (self->inherited);
  g_array_unref (self->chunks);
  g_clear_pointer (&self->latest, g_hash_table_unref);
  g_hash_table_unref (self->by_id);
  cau_image_free (self->image);
  g_free (self);
}

GArray *
cau_salvage_get_orchestrators (CauSalvage *self)
{
  return self->orchestrators;
}

GPtrArray *
cau_salvage_get_reports (CauSalvage *self)
{
  return self->reports;
}

GPtrArray *
cau_salvage_get_lost (CauSalvage *self)
{
  return self->lost;
}

gboolean
cau_salvage_is_outdated (CauSalvage *self, const CauReportInfo *info)
{
  return self->latest != NULL && !g_hash_table_contains (self->latest, &info->version);
}

guint64
cau_salvage_get_last_version (CauSalvage *self)
{
  return self->last_version;
}

gboolean
cau_salvage_has_format_1 (CauSalvage *self)
{
  return self->has_format_1;
}

guint64
cau_salvage_get_n_nameless (CauSalvage *self)
{
  guint64 n = 0, last = G_MAXUINT64;

  for (guint i = 0; i < self->chunks->len; i++)
    {
      guint64 version = g_array_index (self->chunks, ChunkRow, i).id >> NUMBER_BITS;

      if (version != last && !g_hash_table_contains (self->by_id, &version))
        n++;
      last = version;
    }
  return n;
}

CauImage *
cau_salvage_get_image (CauSalvage *self)
{
  return self->image;
}
