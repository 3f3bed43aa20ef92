# SPDX-License-Identifier: MIT
"""The unit tests and the kept inputs of the fuzz targets, built with AddressSanitizer and UndefinedBehaviorSanitizer.

The shorter part of what `tools/check --sanitize address` does, for every run of the tests.
"""
import os
import re
import unittest

import amount
from building import run

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
BUILD = os.path.join(os.environ["CAU_BUILD_DIR"], "sanitize")


class Unit(unittest.TestCase):
    def test_sanitizers_report_nothing(self):
        if not os.path.exists(os.path.join(BUILD, "build.ninja")):
            run("meson", "setup", BUILD, os.path.dirname(TESTS), "-Dtests=enabled", "-Db_sanitize=address,undefined")
        run("ninja", "-C", BUILD)
        os.environ["ASAN_OPTIONS"] = "detect_leaks=1"
        os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        output = run("meson", "test", "-C", BUILD, "--no-rebuild", "--print-errorlogs", "--num-processes", "1",
                     "--timeout-multiplier", "5", "--suite", "unit", "--suite", "fuzz")
        programs = int(re.search(r"^Ok: *(\d+)", output, re.MULTILINE).group(1))
        cases = sum(int(n) for n in re.findall(r"(\d+) subtests passed", output))
        amount.tell(f"{programs} programs with {cases} cases under AddressSanitizer and UndefinedBehaviorSanitizer")
        self.assertGreater(cases, 300)
