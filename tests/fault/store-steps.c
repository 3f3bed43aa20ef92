/* SPDX-License-Identifier: MIT */
/* Operations by chance. */
#include "store-load.h"

#include <sqlite3.h>
#include <string.h>

static const char *const guids[] = { "0f6e1d2c-3b4a-4958-8776-a5b4c3d2e1f0", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                                     "3b9f0c52-6a1d-4c3e-9a70-5d1e8f2b4c60" };

#define NAMES 12

typedef enum
{
  STEP_SAVE,
  STEP_SAVE_LARGE,
  STEP_APPEND,
  STEP_REMOVE,
  STEP_RENAME,
  STEP_EXCHANGE,
  STEP_MAKE,
  STEP_REMOVE_ORCHESTRATOR,
  STEP_ATTRIBUTES,
  STEP_GROUP,
  STEP_BEGIN_UPLOAD,
  STEP_END_UPLOAD,
  STEP_READER,
  STEP_COLLECT,
  STEP_CHECKPOINT,
  STEP_REOPEN,
  STEPS
} Step;

static const struct
{
  const char *name;
  gint        weight;
} steps[STEPS] = {
  [STEP_SAVE] = { "save", 24 },
  [STEP_SAVE_LARGE] = { "save large", 5 },
  [STEP_APPEND] = { "append", 8 },
  [STEP_REMOVE] = { "remove", 9 },
  [STEP_RENAME] = { "rename", 9 },
  [STEP_EXCHANGE] = { "exchange", 5 },
  [STEP_MAKE] = { "make", 6 },
  [STEP_REMOVE_ORCHESTRATOR] = { "remove orchestrator", 3 },
  [STEP_ATTRIBUTES] = { "set attributes", 6 },
  [STEP_GROUP] = { "save at once", 6 },
  [STEP_BEGIN_UPLOAD] = { "begin upload", 3 },
  [STEP_END_UPLOAD] = { "abandon upload", 3 },
  [STEP_READER] = { "read on", 4 },
  [STEP_COLLECT] = { "collect", 3 },
  [STEP_CHECKPOINT] = { "checkpoint", 8 },
  [STEP_REOPEN] = { "reopen", 2 },
};

G_STATIC_ASSERT (STEPS <= G_N_ELEMENTS (((StoreLoad *) NULL)->n_done));

static void
must (gboolean ok, GError **error)
{
  if (!ok)
    g_error ("an operation failed: %s", *error != NULL ? (*error)->message : "no error was set");
}

static guint
below (StoreLoad *self, guint n)
{
  return (guint) g_rand_int_range (self->rand, 0, (gint32) n);
}

/* Half of it does not compress. */
static GBytes *
make_bytes (StoreLoad *self, gsize length)
{
  guint8 *data = g_malloc (length + 4);

  for (gsize i = 0; i < length; i += 4)
    {
      guint32 word = i / 2048 % 2 == 0 ? g_rand_int (self->rand) : 0x20202020;

      memcpy (data + i, &word, 4);
    }
  return g_bytes_new_take (data, length);
}

/* A key by chance, or NULL if there is none. Borrowed from the model. */
static const char *
pick (StoreLoad *self, gboolean reports)
{
  g_autoptr (GPtrArray) keys = store_model_list (self->model, reports);

  return keys->len > 0 ? g_ptr_array_index (keys, below (self, keys->len)) : NULL;
}

/* A name that may be taken, in an orchestrator that is there. */
static char *
pick_name (StoreLoad *self)
{
  const char *guid = pick (self, FALSE);

  return guid != NULL ? g_strdup_printf ("%s/report-%02u", guid, below (self, NAMES)) : NULL;
}

static void
save (StoreLoad *self, gsize length)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *key = pick_name (self);
  g_autoptr (GBytes) bytes = make_bytes (self, length);

  if (key != NULL)
    must (store_load_save (self, key, bytes, &error), &error);
}

static GBytes *
load_bytes (StoreLoad *self, const char *key)
{
  g_autoptr (GError) error = NULL;
  g_autofree char    *guid = g_strndup (key, strcspn (key, "/"));
  CauOrchestratorInfo orchestrator;
  CauGuid             id;
  guint8             *data;
  gsize               size;
  g_autoptr (CauReader) reader = NULL;

  must (cau_guid_parse (guid, &id, &error) && cau_store_find_orchestrator (self->store, &id, &orchestrator, &error),
        &error);
  reader = cau_store_get_report (self->store, orchestrator.id, strchr (key, '/') + 1, 131072, &error);
  must (reader != NULL, &error);
  size = (gsize) cau_reader_get_info (reader)->size;
  data = g_malloc (size + 1);
  must (cau_reader_read (reader, 0, data, size + 1, &size, &error), &error);
  if (self->reader == NULL)
    {
      self->reader = g_steal_pointer (&reader);
      self->read = g_bytes_new (data, size);
    }
  return g_bytes_new_take (data, size);
}

static void
append (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *key = g_strdup (pick (self, TRUE));
  g_autoptr (GBytes) old = key != NULL ? load_bytes (self, key) : NULL;
  g_autoptr (GBytes) more = make_bytes (self, 1 + below (self, 3000));
  g_autoptr (GByteArray) whole = g_byte_array_new ();
  g_autoptr (GBytes) bytes = NULL;

  if (key == NULL)
    return;
  g_byte_array_append (whole, g_bytes_get_data (old, NULL), (guint) g_bytes_get_size (old));
  g_byte_array_append (whole, g_bytes_get_data (more, NULL), (guint) g_bytes_get_size (more));
  bytes = g_byte_array_free_to_bytes (g_steal_pointer (&whole));
  must (store_load_append (self, key, more, bytes, &error), &error);
}

static void
rename_report (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *key = g_strdup (pick (self, TRUE)), *to = pick_name (self);

  if (key != NULL && to != NULL)
    must (store_load_rename (self, key, to, CAU_RENAME_REPLACE, &error), &error);
}

static void
exchange (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *key = g_strdup (pick (self, TRUE)), *to = g_strdup (pick (self, TRUE));

  if (key != NULL && strcmp (key, to) != 0)
    must (store_load_rename (self, key, to, CAU_RENAME_EXCHANGE, &error), &error);
}

static void
remove_report (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *key = g_strdup (pick (self, TRUE));

  if (key != NULL)
    must (store_load_remove (self, key, &error), &error);
}

static void
make (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  const char *guid = guids[below (self, G_N_ELEMENTS (guids))];

  if (store_model_get (self->model, guid) == NULL)
    must (store_load_make (self, guid, &error), &error);
}

/* With its reports. */
static void
remove_orchestrator (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *guid = g_strdup (pick (self, FALSE));
  g_autoptr (GPtrArray) keys = store_model_list (self->model, TRUE);

  if (guid == NULL || self->unfinished != NULL)
    return;
  for (guint i = 0; i < keys->len; i++)
    if (g_str_has_prefix (g_ptr_array_index (keys, i), guid))
      {
        g_autofree char *key = g_strdup (g_ptr_array_index (keys, i));

        must (store_load_remove (self, key, &error), &error);
      }
  must (store_load_remove_orchestrator (self, guid, &error), &error);
}

static void
set_attributes (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *key = g_strdup (pick (self, below (self, 4) > 0));

  if (key != NULL)
    must (store_load_set_attributes (self, key, below (self, 0777), below (self, 5000), &error), &error);
}

static void
save_group (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *guid = g_strdup (pick (self, FALSE));

  if (guid != NULL)
    must (store_load_save_group (self, guid, 2 + below (self, 5), &error), &error);
}

/* It does not compress, so that a part is staged at once. */
static void
begin_upload (StoreLoad *self)
{
  g_autofree char *guid = g_strdup (pick (self, FALSE));
  gsize            words = 1300 * 256;
  guint32         *data = g_new (guint32, words);
  g_autoptr (GBytes) bytes = NULL;

  for (gsize i = 0; i < words; i++)
    data[i] = g_rand_int (self->rand);
  bytes = g_bytes_new_take (data, words * 4);
  if (guid != NULL)
    store_load_begin_upload (self, guid, bytes);
}

static void
end_upload (StoreLoad *self)
{
  g_clear_pointer (&self->unfinished, cau_upload_unref);
}

/* What is open stays as it was, whatever became of its name. */
static void
read_on (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;
  g_autofree guint8 *data = NULL;
  gsize              size, n_read;

  if (self->reader == NULL)
    return;
  size = g_bytes_get_size (self->read);
  data = g_malloc (size + 1);
  must (cau_reader_read (self->reader, 0, data, size + 1, &n_read, &error), &error);
  g_assert_true (n_read == size && memcmp (data, g_bytes_get_data (self->read, NULL), size) == 0);
  g_clear_pointer (&self->reader, cau_reader_unref);
  g_clear_pointer (&self->read, g_bytes_unref);
}

static void
collect (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;

  must (cau_store_collect (self->store, NULL, &error), &error);
}

/* As another process that has the store would make one. */
static void
checkpoint (StoreLoad *self)
{
  static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART, SQLITE_CHECKPOINT_TRUNCATE };

  /* A reader of the load, or its writer thread, may be in the way of the last two. */
  store_load_checkpoint (self, modes[below (self, G_N_ELEMENTS (modes))]);
}

static void
reopen (StoreLoad *self)
{
  g_autoptr (GError) error = NULL;

  store_load_close (self);
  must (store_load_open (self, 0, &error), &error);
}

static void
run_step (StoreLoad *self, Step step)
{
  static void (*const functions[STEPS]) (StoreLoad *) = {
    [STEP_APPEND] = append,
    [STEP_REMOVE] = remove_report,
    [STEP_RENAME] = rename_report,
    [STEP_EXCHANGE] = exchange,
    [STEP_MAKE] = make,
    [STEP_REMOVE_ORCHESTRATOR] = remove_orchestrator,
    [STEP_ATTRIBUTES] = set_attributes,
    [STEP_GROUP] = save_group,
    [STEP_BEGIN_UPLOAD] = begin_upload,
    [STEP_END_UPLOAD] = end_upload,
    [STEP_READER] = read_on,
    [STEP_COLLECT] = collect,
    [STEP_CHECKPOINT] = checkpoint,
    [STEP_REOPEN] = reopen,
  };

  if (step == STEP_SAVE)
    save (self, below (self, 5000));
  else if (step == STEP_SAVE_LARGE)
    save (self, 130000 + below (self, 300000));
  else
    functions[step](self);
  self->n_done[step]++;
}

void
store_load_step (StoreLoad *self)
{
  guint total = 0, at = 0, choice;
  Step  step = 0;

  if (pick (self, FALSE) == NULL)
    {
      run_step (self, STEP_MAKE);
      return;
    }
  for (Step i = 0; i < STEPS; i++)
    total += (guint) steps[i].weight;
  choice = below (self, total);
  while ((at += (guint) steps[step].weight) <= choice)
    step++;
  run_step (self, step);
}

char *
store_load_describe (StoreLoad *self)
{
  GString *text = g_string_new (NULL);

  for (Step i = 0; i < STEPS; i++)
    g_string_append_printf (text, "%s%u %s", i > 0 ? ", " : "", self->n_done[i], steps[i].name);
  return g_string_free (text, FALSE);
}
