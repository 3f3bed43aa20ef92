/* SPDX-License-Identifier: MIT */
#pragma once

/* Pins: which versions are in use, told to every process on the machine, and forgotten by the kernel when a
 * process dies. A pin of version N is a shared lock on byte N of a file beside the store, taken
 * through an open file description of this process (fcntl(2), F_OFD_SETLK); the collector takes the
 * exclusive lock on the byte, through a second description, before it deletes, and keeps it until the deletion is
 * committed. Thread-safe. */

#include "cau-error.h"

G_BEGIN_DECLS

typedef struct _CauPins CauPins;

/* @store: the file beside which the pins' own stands. @read_only: that one is made if that is possible. While there is none nobody
 * collects, and pins are only counted; from when a writer makes it until it is seen here they hold nothing, so a version that is
 * replaced at once is gone (a reader is told so). */
CauPins *cau_pins_open (const char *store, gboolean read_only, GError **error);
void     cau_pins_free (CauPins *self);

/* FALSE when @version is being collected. */
gboolean cau_pins_pin (CauPins *self, guint64 version);

/* To be called at each read in a process that opened the store for reading only: looks for the file, if it is not there yet. */
void cau_pins_renew (CauPins *self);

/* TRUE when that was this process's last pin of a version which cau_pins_begin_collect() refused since:
 * time to collect. */
gboolean cau_pins_unpin (CauPins *self, guint64 version);

/* Claims @version for collection; FALSE when somebody, this process included, has it pinned. */
gboolean cau_pins_begin_collect (CauPins *self, guint64 version);

/* Gives up all claims. */
void cau_pins_end_collect (CauPins *self);

G_END_DECLS
