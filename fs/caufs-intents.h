/* SPDX-License-Identifier: MIT */
#pragma once

#include "cau-store.h"

#include <sys/types.h>

G_BEGIN_DECLS

/* What a thread is about to do after its open or truncate was answered ESTALE.
 *
 * The kernel then walks the path once more with LOOKUP_REVAL, in the same thread, asking for every name in it, and
 * tries again once (do_filp_open(), do_sys_truncate()). A LOOKUP does not say what it is for: an intent does.
 * Made when ESTALE is answered, looked at by the LOOKUP, and taken by the second try. */
typedef struct _CaufsIntents CaufsIntents; /* opaque; thread-safe */

typedef enum
{
  CAUFS_INTENT_READ,
  CAUFS_INTENT_WRITE,
} CaufsIntentKind;

/* How long an intent counts, in microseconds. The second try follows at once; one that never comes (the name is gone,
 * the thread was killed) must not change what the thread sees later. */
#define CAUFS_INTENT_LIFE (5 * G_USEC_PER_SEC)

CaufsIntents *caufs_intents_new (void);
void          caufs_intents_free (CaufsIntents *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CaufsIntents, caufs_intents_free)

/* Remembers what thread @tid wants of the report @name of @orchestrator; @name NULL: of whichever report it looks up
 * next. An older intent of the thread is forgotten. Threads of other PID namespaces are all 0, and kept apart by name. */
void caufs_intents_note (CaufsIntents *self, pid_t tid, CaufsIntentKind kind, guint64 orchestrator, const char *name);

/* To be called at each LOOKUP of a report. FALSE when @tid has no intent for it. *@ticket is the node number of
 * caufs_intents_set_ticket(), or 0. */
gboolean caufs_intents_look_up (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name,
                                CaufsIntentKind *kind, guint64 *ticket);

/* Remembers the node that answered such a LOOKUP of who wants to write: the kernel may ask twice, and must get the same. */
void caufs_intents_set_ticket (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name, guint64 ticket);

/* Keeps a reader, (transfer full), of the version that answered such a LOOKUP of who wants to read: it must not be
 * replaced and collected before the second try, because there is no third. */
void caufs_intents_set_reader (CaufsIntents *self, pid_t tid, guint64 orchestrator, const char *name,
                               CauReader *reader);

typedef enum
{
  CAUFS_INTENT_NONE,          /* there was none */
  CAUFS_INTENT_NOT_LOOKED_UP, /* the second try came without a LOOKUP: an open through /proc/self/fd */
  CAUFS_INTENT_LOOKED_UP,
} CaufsIntentState;

/* Ends the intent of @tid of this kind, and says how far it came. @name NULL: whatever its name. @reader: (out)
 * (optional) (transfer full): what was kept, or NULL. */
CaufsIntentState caufs_intents_take (CaufsIntents *self, pid_t tid, CaufsIntentKind kind, guint64 orchestrator,
                                     const char *name, CauReader **reader);

G_END_DECLS
