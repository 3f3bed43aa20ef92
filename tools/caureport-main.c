/* SPDX-License-Identifier: MIT */
#include "caureport.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>

/* A standard stream that is closed is opened so that its use fails, and no file of the store takes its place. */
static void
caureport_keep_standard_streams (void)
{
  for (int fd = 0; fd <= 2; fd++)
    {
      if (fcntl (fd, F_GETFD) < 0 && open ("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
        abort ();
    }
}

int
main (int argc, char **argv)
{
  caureport_keep_standard_streams ();
  signal (SIGPIPE, SIG_DFL);
  /* Names are UTF-8 and messages are English everywhere, so that scripts can rely on them. */
  setlocale (LC_CTYPE, "");
  g_set_prgname ("caureport");
  return (int) caureport_run (argc, argv);
}
