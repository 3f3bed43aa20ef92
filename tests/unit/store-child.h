/* SPDX-License-Identifier: MIT */
#pragma once

/* A second process that works on the store of a test. It is the test program again, with --child STORE, and
 * not a mere fork: the threads of the parent's store would be missing in it. It does what it reads from
 * standard input, a command a line, and answers each with a line that begins with "ok" or "error CODE".
 *
 *   save NAME SEED LENGTH    commits the bytes of fixture_bytes()
 *   series PREFIX N          saves PREFIX-0 (seed 0) to N - 1, CHILD_SERIES_SIZE bytes each, and says
 *                            "saved I" once each is saved
 *   begin NAME               begins an upload; then write SEED LENGTH, append TEXT, commit
 *   open NAME                opens a reader, and keeps it; then read, which answers the SHA-256
 *   remove NAME, rename NAME NEW_NAME, collect */

#include <stdio.h>

#include "store-fixture.h"

#define CHILD_SERIES_SIZE 20000

/* A child ends when its standard input does, so one that a failed test forgot ends with the program. */
typedef struct
{
  GPid  pid;
  FILE *commands;
  FILE *answers;
} Child;

/* Starts a child, and waits until it has the store of @fixture open. */
void child_start (Child *self, StoreFixture *fixture);

/* Sends @command; with child_do(), waits for its answer, which must be "ok". */
void child_tell (Child *self, const char *command);
void child_do (Child *self, const char *command);

/* The next line that the child says. Returns: (transfer full). */
char *child_answer (Child *self);
void  child_expect_ok (Child *self);

/* Asserts that the child's reader reads @expected. */
void child_assert_reads (Child *self, GBytes *expected);

/* Ends the child by SIGKILL, or by letting it finish, which must succeed; and waits until it is gone. */
void child_kill (Child *self);
void child_finish (Child *self);

/* What main() returns when it is called with --child @path. */
int child_main (const char *path);
