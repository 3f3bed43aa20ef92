/* SPDX-License-Identifier: MIT */
#pragma once

/* How the bytes of a chunk are stored: as a zstd frame, or as they are where that is not smaller. Which of the two
 * follows from the lengths: stored bytes as many as the chunk's are the chunk's. The checksum is
 * XXH3 (64 bits) of the stored bytes, so damage is met before anything is decoded. Its seed is the report's plus the chunk's
 * number: a chunk that damage elsewhere put in the place of another does not pass for it. Thread-safe. */

#include "cau-backend.h"

G_BEGIN_DECLS

/* Encodes @length bytes, 1 to CAU_STORED_CHUNK_SIZE. All zeros become a hole. What does not shrink may stay where it is: then
 * the chunk takes over *@raw, for g_free(), and *@raw becomes NULL. Returns: (transfer full). */
CauStoredChunk *cau_codec_encode (guint64 seed, guint64 number, guint8 **raw, gsize length);

/* A chunk of zeros, which is stored without bytes. It has a checksum as well: of a damaged record that says nothing
 * can come a hole, but not the right one. Returns: (transfer full). */
CauStoredChunk *cau_codec_encode_hole (guint64 seed, guint64 number);

/* The checksum that the bytes of @chunk have: for one whose own does not hold. */
guint64 cau_codec_checksum (guint64 seed, const CauStoredChunk *chunk);

/* Decodes @chunk, a chunk of @length bytes, into @raw. Errors: CORRUPT; the message names the check. */
gboolean cau_codec_decode (guint64 seed, const CauStoredChunk *chunk, guint8 *raw, gsize length, GError **error);

/* Reads chunk @number of @version, a chunk of @length bytes, and decodes it into @raw. Errors: NOT_FOUND, CORRUPT. */
gboolean cau_codec_load (CauBackend *backend, guint64 version, guint64 seed, guint64 number, guint8 *raw, gsize length,
                         GError **error);

G_END_DECLS
