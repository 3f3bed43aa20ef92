# SPDX-License-Identifier: MIT
"""The runner of the Python tests (tap.py) and the count of all tests (summary.py)."""
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

import harness
from disk import MIB, Disk

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Tap(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cau-tap-")
        self.addCleanup(folder.cleanup)
        self.module = os.path.join(folder.name, "test_it.py")

    def command(self, text, *names):
        with open(self.module, "w", encoding="utf-8") as file:
            file.write("import unittest\n" + textwrap.dedent(text))
        return [sys.executable, os.path.join(TESTS, "tap.py"), self.module, *names]

    def run_tap(self, text, *names):
        """The lines of TAP, what went to standard error, and the exit status."""
        done = subprocess.run(self.command(text, *names), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        return done.stdout.splitlines(), done.stderr, done.returncode

    def test_each_result_has_its_line(self):
        lines, comments, status = self.run_tap("""
            class A(unittest.TestCase):
                def test_1(self): pass
                def test_2(self): self.fail("words of the failure")
                def test_3(self): raise OSError("words of the error")
                @unittest.skip("a reason\\nin two lines")
                def test_4(self): pass
                @unittest.expectedFailure
                def test_5(self): self.fail()
                @unittest.expectedFailure
                def test_6(self): pass
            """)
        self.assertEqual(lines, ["1..6", "ok 1 - A.test_1", "not ok 2 - A.test_2", "not ok 3 - A.test_3",
                                 "ok 4 - A.test_4 # SKIP a reason in two lines", "ok 5 - A.test_5",
                                 "not ok 6 - A.test_6"])
        self.assertIn("words of the failure", comments)
        self.assertIn("words of the error", comments)
        self.assertEqual(status, 1)

    def test_success_is_status_0(self):
        lines, _, status = self.run_tap("class A(unittest.TestCase):\n    def test_1(self): pass\n")
        self.assertEqual((lines, status), (["1..1", "ok 1 - A.test_1"], 0))

    def test_tests_can_be_named(self):
        text = "class A(unittest.TestCase):\n    def test_1(self): pass\n    def test_2(self): self.fail()\n"
        self.assertEqual(self.run_tap(text, "A.test_1")[0], ["1..1", "ok 1 - A.test_1"])
        self.assertEqual(self.run_tap(text, "A.test_3")[2], 1)

    def test_output_of_tests_and_their_programs_is_not_tap(self):
        lines, words, status = self.run_tap("""
            import os
            class A(unittest.TestCase):
                def test_1(self):
                    print("not ok 7")
                    os.system("echo not ok 8")
            """)
        self.assertEqual((lines, status), (["1..1", "ok 1 - A.test_1"], 0))
        self.assertEqual(sorted(words.splitlines()), ["not ok 7", "not ok 8"])

    def test_failed_subtests_are_one_failure(self):
        lines, comments, status = self.run_tap("""
            class A(unittest.TestCase):
                def test_1(self):
                    for i in range(4):
                        with self.subTest(number=i):
                            self.assertEqual(i % 2, 0)
            """)
        self.assertEqual((lines, status), (["1..1", "not ok 1 - A.test_1"], 1))
        self.assertIn("number=1", comments)
        self.assertIn("number=3", comments)

    def test_what_cannot_be_set_up_fails_each_of_its_tests(self):
        lines, comments, status = self.run_tap("""
            class A(unittest.TestCase):
                @classmethod
                def setUpClass(cls): raise OSError("no such thing")
                def test_1(self): pass
                def test_2(self): pass
            class B(unittest.TestCase):
                def test_3(self): pass
            """)
        self.assertEqual(lines, ["1..3", "ok 1 - B.test_3", "not ok 2 - A.test_1", "not ok 3 - A.test_2"])
        self.assertIn("no such thing", comments)
        self.assertEqual(status, 1)

    def test_a_skipped_module_skips_each_of_its_tests(self):
        lines, _, status = self.run_tap("""
            def setUpModule(): raise unittest.SkipTest("not here")
            class A(unittest.TestCase):
                def test_1(self): pass
            """)
        self.assertEqual((lines, status), (["1..1", "ok 1 - A.test_1 # SKIP not here"], 0))

    def test_a_failing_end_of_a_class_fails(self):
        _, comments, status = self.run_tap("""
            class A(unittest.TestCase):
                @classmethod
                def tearDownClass(cls): raise OSError("left behind")
                def test_1(self): pass
            """)
        self.assertIn("left behind", comments)
        self.assertEqual(status, 1)

    def test_a_module_that_does_not_load_fails(self):
        lines, comments, status = self.run_tap("import no_such_module\n")
        self.assertEqual((lines, status), (["1..1", "not ok 1 - load"], 1))
        self.assertIn("no_such_module", comments)

    def test_a_module_without_tests_fails(self):
        self.assertEqual(self.run_tap("")[::2], (["1..0"], 1))

    def test_sigterm_lets_cleanups_happen(self):
        program = subprocess.Popen(self.command("""
            import os, sys, time
            class A(unittest.TestCase):
                def test_1(self):
                    self.addCleanup(print, "cleaned up", file=sys.stderr, flush=True)
                    print("waiting", file=sys.stderr, flush=True)
                    while True: time.sleep(60)
                def test_2(self): pass
            """), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(program.stderr.readline(), "waiting\n")
        program.send_signal(signal.SIGTERM)
        out, err = program.communicate(timeout=60)
        self.assertIn("cleaned up\n", err)
        self.assertEqual(out.splitlines(), ["1..2", "not ok 1 - A.test_1", "not ok 2 - A.test_2"])
        self.assertEqual(program.returncode, 1)


class Folders(unittest.TestCase):
    """What tools/common.sh does with what killed tests leave."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cau-folders-")
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def script(self, text):
        common = os.path.join(os.path.dirname(TESTS), "tools", "common.sh")
        done = subprocess.run(["bash", "-c", f'set -euo pipefail; . "$1"; {text}', "bash", common], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, cwd=self.dir,
                              env={**os.environ, "TMPDIR": self.dir, "CAU_MEMORY_DIR": self.dir})
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout.splitlines()

    def test_folders_of_a_run_go_with_all_that_is_in_them(self):
        tmp, memory = self.script('cau_make_folders caufs-a; touch "$TMPDIR/a" "$CAU_MEMORY_DIR/b"; echo "$tmp"; echo "$memory"')
        self.assertEqual(sorted([tmp, memory]), sorted(entry.path for entry in os.scandir(self.dir)))
        self.script(f"tmp={tmp} memory={memory}; cau_remove_folders")
        self.assertEqual(os.listdir(self.dir), [])

    @harness.needs_root
    def test_disks_that_killed_tests_left_are_seen_and_unmounted(self):
        for kind in ("tmpfs", "ext4"):
            with self.subTest(kind=kind):
                disk = Disk(self, 8 * MIB, kind)
                with open(os.path.join(disk.path, "busy"), "wb"):
                    self.assertEqual(self.script(f"cau_mounts_below {self.dir}"), [disk.path])
                    self.script(f"cau_clean_up {self.dir}")
                    self.assertFalse(os.path.exists(self.dir))
                os.mkdir(self.dir)


class Lists(unittest.TestCase):
    def assert_listed(self, meson_file, pattern, name_of):
        with open(os.path.join(TESTS, meson_file), encoding="utf-8") as file:
            listed = file.read()
        paths = glob.glob(os.path.join(TESTS, pattern))
        self.assertTrue(paths)
        self.assertEqual([path for path in paths if f"'{name_of(os.path.basename(path))}'," not in listed], [])

    def test_every_test_file_is_run(self):
        self.assert_listed("meson.build", "*/test_*.py", lambda name: name[len("test_"):-len(".py")])
        self.assert_listed("unit/meson.build", "unit/test-*.c", lambda name: name[:-len(".c")])


class Summary(unittest.TestCase):
    PASSED, FAILED, ERROR, SKIPPED = "", "<failure/>", "<error/>", "<skipped/>"

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cau-summary-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, programs):
        """@programs: name: (meson's result, [results of the cases])."""
        with open(os.path.join(self.folder, "testlog.json"), "w", encoding="utf-8") as log, \
                open(os.path.join(self.folder, "testlog.junit.xml"), "w", encoding="utf-8") as junit:
            junit.write("<testsuites>")
            for name, (result, cases) in programs.items():
                stdout = "ok 1 - fine\nnot ok 2 - bad\n# words of the failure\n"
                log.write(json.dumps({"name": name, "result": result, "stdout": stdout}) + "\n")
                if cases is None:
                    junit.write(f'<testsuite name="caufs"><testcase name="{name}" classname="caufs"/></testsuite>')
                    continue
                junit.write(f'<testsuite name="caufs.{name}">')
                for number, case in enumerate(cases, 1):
                    junit.write(f'<testcase name="{number}" classname="caufs.{name}">{case}</testcase>')
                junit.write("</testsuite>")
            junit.write("</testsuites>")

    def run_summary(self, *arguments):
        return subprocess.run([sys.executable, os.path.join(TESTS, "summary.py"), *arguments, self.folder],
                              stdout=subprocess.PIPE, text=True, check=False)

    def summary(self, *arguments):
        done = self.run_summary(*arguments)
        return done.stdout.splitlines()[-1], done.returncode

    def test_cases_are_counted(self):
        self.write({"guid": ("OK", [self.PASSED] * 10), "error": ("OK", [self.PASSED] * 5)})
        self.assertEqual(self.summary(), ("15 passed, 0 failed", 0))

    def test_failures_and_errors_fail(self):
        self.write({"guid": ("FAIL", [self.PASSED, self.FAILED, self.ERROR]), "error": ("OK", [self.PASSED])})
        self.assertEqual(self.summary(), ("2 passed, 2 failed", 1))

    def test_the_words_of_failures_are_shown(self):
        self.write({"guid": ("FAIL", [self.PASSED, self.FAILED]), "error": ("OK", [self.PASSED])})
        self.assertEqual(self.run_summary().stdout.splitlines(),
                         ["guid: not ok 2 - bad", "guid: # words of the failure", "failed: guid: 2",
                          "2 passed, 1 failed"])

    def test_a_program_that_ended_badly_fails(self):
        self.write({"guid": ("ERROR", [self.PASSED, self.PASSED]), "slow": ("TIMEOUT", None), "dead": ("ERROR", []),
                    "good": ("OK", None)})
        self.assertEqual(self.summary(), ("3 passed, 3 failed", 1))

    def test_a_program_that_failed_its_cases_is_not_counted_twice(self):
        self.write({"guid": ("ERROR", [self.PASSED, self.FAILED])})
        self.assertEqual(self.summary(), ("1 passed, 1 failed", 1))

    def test_skips_fail_only_when_told(self):
        self.write({"guid": ("OK", [self.PASSED, self.SKIPPED])})
        self.assertEqual(self.summary(), ("1 passed, 0 failed", 0))
        self.assertEqual(self.summary("--skips-fail"), ("1 passed, 1 failed", 1))

    def test_other_failures_are_added(self):
        self.write({"guid": ("OK", [self.PASSED])})
        self.assertEqual(self.summary("--failed", "2"), ("1 passed, 2 failed", 1))

    def test_nothing_run_is_no_success(self):
        self.write({})
        self.assertEqual(self.summary(), ("0 passed, 0 failed", 1))
        self.write({"guid": ("SKIP", [self.SKIPPED])})
        self.assertEqual(self.summary(), ("0 passed, 0 failed", 1))

    def test_missing_results_are_no_success(self):
        self.assertEqual(self.summary(), ("0 passed, 1 failed", 1))


if __name__ == "__main__":
    unittest.main()
