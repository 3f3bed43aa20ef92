/* SPDX-License-Identifier: MIT */

/* To be preloaded into a program: its wall clock is off by as many seconds as the file $CAU_CLOCK_FILE says, from the moment on
 * when that is written. The monotonic clock stays as it is, as it does when somebody sets the clock. With $CAU_CLOCK_HURRIES each
 * look at the monotonic clock is a second after the last one, for what takes its time. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset;

__attribute__ ((constructor)) static void
map_offset (void)
{
  const char *path = getenv ("CAU_CLOCK_FILE");
  int         fd = path != NULL ? open (path, O_RDONLY | O_CLOEXEC) : -1;
  void       *map = fd >= 0 ? mmap (NULL, sizeof *offset, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

  if (fd >= 0)
    close (fd);
  if (map != MAP_FAILED)
    offset = map;
}

static int64_t
get_offset (void)
{
  return offset != NULL ? *offset : 0;
}

static int64_t
get_haste (void)
{
  static int64_t n_looks;

  return getenv ("CAU_CLOCK_HURRIES") != NULL ? __atomic_add_fetch (&n_looks, 1, __ATOMIC_RELAXED) : 0;
}

int
clock_gettime (clockid_t id, struct timespec *now)
{
  static int (*real) (clockid_t, struct timespec *);
  int result;

  if (real == NULL)
    real = (int (*) (clockid_t, struct timespec *)) dlsym (RTLD_NEXT, "clock_gettime");
  result = real (id, now);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    now->tv_sec += get_offset ();
  else if (result == 0 && id == CLOCK_MONOTONIC)
    now->tv_sec += get_haste ();
  return result;
}

int
gettimeofday (struct timeval *restrict now, void *restrict zone)
{
  struct timespec precise;

  (void) zone;
  clock_gettime (CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t
time (time_t *result)
{
  struct timespec precise;

  clock_gettime (CLOCK_REALTIME, &precise);
  if (result != NULL)
    *result = precise.tv_sec;
  return precise.tv_sec;
}
