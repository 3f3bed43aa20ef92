# SPDX-License-Identifier: MIT
"""Unit tests built with sanitizers: all of them, and the kept inputs of the fuzz targets, with AddressSanitizer and
UndefinedBehaviorSanitizer; those that have many threads with ThreadSanitizer.

The shorter part of what `tools/check --sanitize` does, for every run of the tests.
"""
import os
import platform
import re
import subprocess
import unittest

import amount
from building import run

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.path.dirname(os.path.dirname(HERE))

# Those whose threads meet in the store, where that does not take long.
THREADED = [f"store-{name}" for name in ("commit", "pins", "processes", "rename", "shares", "target", "upload", "writers")]


def fixed_addresses():
    """As cau_fixed_addresses in tools/common.sh."""
    prefix = ["setarch", platform.machine(), "-R"]
    return prefix if subprocess.run([*prefix, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0 else []


class Unit(unittest.TestCase):
    def check(self, folder, sanitize, targets, tests):
        """Builds @targets and runs @tests with what meson calls @sanitize. How many programs and cases there were."""
        build = os.path.join(os.environ["CAU_BUILD_DIR"], folder)
        if not os.path.exists(os.path.join(build, "build.ninja")):
            run("meson", "setup", build, SOURCE, "-Dtests=enabled", f"-Db_sanitize={sanitize}")
        run("ninja", "-C", build, *targets)
        output = run(*fixed_addresses(), "meson", "test", "-C", build, "--no-rebuild", "--print-errorlogs",
                     "--num-processes", "1", "--timeout-multiplier", "5", *tests)
        programs = int(re.search(r"^Ok: *(\d+)", output, re.MULTILINE).group(1))
        cases = sum(int(n) for n in re.findall(r"(\d+) subtests passed", output))
        amount.tell(f"{programs} programs with {cases} cases under -fsanitize={sanitize}")
        return programs, cases

    def test_address_and_undefined_behaviour(self):
        os.environ["ASAN_OPTIONS"] = "detect_leaks=1"
        os.environ["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
        _, cases = self.check("sanitize", "address,undefined", [], ["--suite", "unit", "--suite", "fuzz"])
        self.assertGreater(cases, 300)

    def test_threads(self):
        os.environ["TSAN_OPTIONS"] = f"second_deadlock_stack=1:suppressions={os.path.join(HERE, 'tsan.supp')}"
        programs, _ = self.check("sanitize-thread", "thread", [f"tests/unit/test-{name}" for name in THREADED], THREADED)
        self.assertEqual(programs, len(THREADED))
