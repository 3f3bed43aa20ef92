/* SPDX-License-Identifier: MIT */
#include "cau-program.h"
#include "caureport.h"

#include <locale.h>
#include <signal.h>

int
main (int argc, char **argv)
{
  cau_program_keep_standard_streams ();
  signal (SIGPIPE, SIG_DFL);
  /* Names are UTF-8 and messages are English everywhere, so that scripts can rely on them. */
  setlocale (LC_CTYPE, "");
  g_set_prgname ("caureport");
  return (int) caureport_run (argc, argv);
}
