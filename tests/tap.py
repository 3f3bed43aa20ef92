#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs one unittest module and prints its results as TAP version 12.

usage: tap.py MODULE.py [TEST...]

Each TEST is CLASS or CLASS.METHOD; without any the whole module is run. The plan comes first,
and a test that could not run, because what its class or module sets up failed, is a failure of its own,
so that the number of tests does not depend on their results.
"""
import importlib.util
import os
import signal
import sys
import traceback
import unittest


class Terminated(Exception):
    """SIGTERM came. As an ordinary exception it lets the cleanups of the running test happen."""


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def name_of(test):
    """CLASS.METHOD; the module is known from the name of the program."""
    return ".".join(test.id().split(".")[-2:]).replace("#", "_")


class TapResult(unittest.TestResult):
    def __init__(self, stream, tests):
        super().__init__()
        self.stream = stream
        self.waiting = {test.id(): name_of(test) for test in tests}
        self.number = 0
        self.bad = False
        self.subtests_failed = set()
        self.fixture_skip = None
        self.write(f"1..{len(self.waiting)}")

    def write(self, line):
        print(line, file=self.stream, flush=True)

    def comment(self, text):
        # On standard error, because that is what meson shows of a program that failed.
        for line in text.rstrip("\n").split("\n"):
            print("# " + line, file=sys.stderr, flush=True)

    def report(self, test, ok, directive=""):
        name = self.waiting.pop(test.id(), None)
        if name is None:
            return
        self.number += 1
        self.bad |= not ok
        self.write(f"{'ok' if ok else 'not ok'} {self.number} - {name}{directive}")

    def addSuccess(self, test):
        super().addSuccess(test)
        if test.id() not in self.subtests_failed:
            self.report(test, True)

    def addError(self, test, err):
        super().addError(test, err)
        self.fail(test, err)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.fail(test, err)

    def fail(self, test, err):
        self.bad = True
        self.report(test, False)
        self.comment(f"{test}:\n" + "".join(traceback.format_exception(*err)))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.subtests_failed.add(test.id())
            self.report(test, False)
            self.comment(f"{subtest}:\n" + "".join(traceback.format_exception(*err)))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        line = " ".join(reason.split()) or "no reason given"
        if isinstance(test, unittest.TestCase):
            self.report(test, True, f" # SKIP {line}")
        else:
            self.fixture_skip = line

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.report(test, True)

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.report(test, False)
        self.comment("it was expected to fail and did not")

    def finish(self):
        for test_id, name in list(self.waiting.items()):
            self.number += 1
            if self.fixture_skip is not None and not self.bad:
                self.write(f"ok {self.number} - {name} # SKIP {self.fixture_skip}")
            else:
                self.bad = True
                self.write(f"not ok {self.number} - {name}")
                self.comment("it was not run")
            del self.waiting[test_id]


def load(path, names):
    # A module finds its neighbours, and what several folders use.
    tests = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [os.path.dirname(os.path.abspath(path)), *(os.path.join(tests, name) for name in ("mount", "tools", "fault"))]
    module_name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    if loader.errors:
        raise ImportError("".join(loader.errors))
    return suite


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: tap.py MODULE.py [TEST...]")
    # What the tests and the programs they start print on standard output is not TAP.
    stream = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        suite = load(sys.argv[1], sys.argv[2:])
    except Exception:
        print("1..1\nnot ok 1 - load", file=stream)
        traceback.print_exc()
        sys.exit(1)
    result = TapResult(stream, list(flatten(suite)))

    def terminate(_signal, _frame):
        result.stop()
        raise Terminated("ended by SIGTERM")

    signal.signal(signal.SIGTERM, terminate)
    suite.run(result)
    result.finish()
    sys.exit(1 if result.bad or result.number == 0 else 0)


if __name__ == "__main__":
    main()
