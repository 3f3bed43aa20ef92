# SPDX-License-Identifier: MIT
"""How much a test of faults does, and from which seed: tools/soak sets the environment variables for a longer run.

CAU_TEST_ROUNDS, CAU_TEST_SECONDS: instead of what CI does. CAU_TEST_SEED: to see again what a run with that seed did.
"""
import os
import random
import sys


def rounds(default):
    return int(os.environ.get("CAU_TEST_ROUNDS") or default)


def seconds(default):
    return float(os.environ.get("CAU_TEST_SECONDS") or default)


def seed():
    """Printed, so that a failure can be had again."""
    number = int(os.environ.get("CAU_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    tell(f"CAU_TEST_SEED={number}")
    return number


def tell(figures):
    """A line for who reads the log of a test: what it counted."""
    print(f"# {figures}", file=sys.stderr, flush=True)
