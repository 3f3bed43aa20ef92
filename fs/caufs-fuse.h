/* SPDX-License-Identifier: MIT */
#pragma once

/* The one place that says which API of libfuse is used: 3.12 is the oldest with struct fuse_loop_config as an
 * opaque type. */
#define FUSE_USE_VERSION 312

#include <fuse_lowlevel.h>
