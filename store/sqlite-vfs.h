/* SPDX-License-Identifier: MIT */
#pragma once

/* How SQLite's files are written: as the system's VFS does it, with fewer and larger writes.
 *
 * SQLite writes each frame of the WAL in two parts, 24 bytes and a page. Here the frames of a transaction are gathered, and
 * written when its commit frame is complete. Room for the database to grow is taken by fallocate(2),
 * not by a write to each page; and a checkpoint makes the file smaller only while nobody else can have taken such room. */

/* For sqlite3_file_control(): sees to it that the WAL has CAU_VFS_WAL_ROOM on the disk, if the disk has it: on one that others filled meanwhile, removing
 * reports has to be written somewhere. No argument. */
#define CAU_VFS_FCNTL_KEEP_ROOM 1001
#define CAU_VFS_WAL_ROOM (1024 * 1024)

/* From now on pages of a tree that this connection reads from the database are checked (cau_page_is_sound()): SQLite gets SQLITE_CORRUPT
 * for one that fails, each time, before it can write there. Not those that it reads from the WAL, which has checksums, or has in
 * its cache. For connections that write. No argument. */
#define CAU_VFS_FCNTL_CHECK_PAGES 1002

/* Whether damage was met on this connection since it was opened: an int, to which what is known here is added, and the other way
 * round. */
#define CAU_VFS_FCNTL_MET_DAMAGE 1003

/* The name of the VFS, for sqlite3_open_v2(). Registers it when called first; any thread. */
const char *cau_vfs_get_name (void);

/* The errno of the last call on a file that failed on this thread, 0 if there was none since this was called before. SQLite
 * itself does not keep it when a COMMIT fails. */
int cau_vfs_take_errno (void);
