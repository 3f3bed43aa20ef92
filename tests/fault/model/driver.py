# SPDX-License-Identifier: MIT
"""Runs sequences of operations on a mount and on the model, and compares each answer and what is left."""
import collections
import errno
import json
import os
import subprocess
import time
import uuid

from . import workers
from .matching import Matcher
from .operations import BAD_NAMES, SPELLINGS, Model, content
from .state import CHUNK, Refused, Skipped, Stamp

# The places of the paths in each operation, after its name and process.
PATHS = {"open": (1,), "rename": (0, 1), "link": (0, 1),
         **dict.fromkeys(("stat", "truncate", "chmod", "chown", "utime", "unlink", "symlink", "mknod", "mkdir", "rmdir",
                          "list", "xattrs", "setxattr"), (0,))}


class Difference(Exception):
    """The mount did what the model does not allow. kind: the operation, and what is different, without the values."""

    kind = None


def errors(codes):
    return " or ".join(sorted(errno.errorcode.get(code, str(code)) for code in codes))


class Play:
    """One sequence: two folders of a mount that are its own, the model of them, and what was done."""

    def __init__(self, mount, crew, patience):
        self.mount = mount
        self.root = root = mount.path
        self.n_thrown_before = self.count_thrown_away()
        self.crew = crew
        self.patience = patience
        self.model = Model((os.geteuid(), os.getegid()))
        self.matcher = Matcher()
        self.guids = {"A": str(uuid.uuid4()), "B": str(uuid.uuid4())}
        self.n_others = os.statvfs(root).f_files  # reports of other sequences
        self.done = []
        self.met = collections.Counter()  # errors

    # ---- operations ----

    def path(self, symbol):
        folder, slash, name = symbol.partition("/")
        guid = self.guids.get(folder.rstrip(SPELLINGS), folder)
        if folder[1:] in ("^", "{"):
            guid = guid.upper() if folder[1] == "^" else "{" + guid.upper() + "}"
        return os.fsencode(f"{self.root}/{guid}{slash}") + BAD_NAMES.get(name, os.fsencode(name))

    def run(self, next_operation):
        """Does what next_operation(model) gives, until that is None, then closes all."""
        for operation in iter(lambda: next_operation(self.model), None):
            if self.step(operation):
                self.done.append(operation)
        for number in sorted(self.model.processes):
            for slot in sorted(self.model.processes[number].files):
                self.step(("close", number, slot))
            self.step(("exit", number, 0))
        self.check_tree()
        self.check("f_files", self.n_others + self.model.count(), os.statvfs(self.root).f_files)

    def step(self, operation):
        """Whether it was done, and not left out."""
        self.look_before(operation)
        stamp = Stamp()
        try:
            expected = self.model.do(operation, stamp)
        except Refused as error:
            expected = error
        except Skipped:
            return False
        outcome, found = self.act(*operation)
        stamp.end()
        try:
            self.compare(operation, expected, outcome, found)
            self.settle(stamp)
        except Difference as error:
            self.done.append(operation)
            error.kind = (operation[0], error.kind)
            raise
        return True

    def compare(self, operation, expected, outcome, found):
        if isinstance(expected, Refused):
            if outcome != "failed" or found not in expected.codes:
                what = errors([found]) if outcome == "failed" else f"the answer {found!r:.200}"
                self.fail(operation, f"{what}, expected {errors(expected.codes)}")
            self.met[errors([found])] += 1
        elif outcome == "failed":
            self.fail(operation, f"{errors([found])}, expected {expected!r:.200}")
        else:
            if operation[0] == "statfs":
                found -= self.n_others
            self.check(operation, expected, found)

    def check(self, what, expected, found):
        difference = self.matcher.match(expected, found)
        if difference:
            self.fail(what, difference)

    @staticmethod
    def fail(what, difference):
        error = Difference(f"{what}: {difference}")
        error.kind = difference.partition(":")[0] if ":" in difference else None
        raise error

    def act(self, what, number, *arguments):
        """("done", value) or ("failed", errno)."""
        arguments = list(arguments)
        for place in PATHS.get(what, ()):
            arguments[place] = self.path(arguments[place])
        if what in ("fork", "exit", "kill"):
            return "done", getattr(self.crew, what)(number, *arguments)
        if what == "open":
            arguments[2] = sum(getattr(os, "O_" + word) for word in arguments[2].split("|"))
        elif what in ("write", "pwrite"):
            length, tag = arguments[-2:]
            arguments[-2:] = [content(tag, length)]
        elif what == "mmap":
            arguments.append(self.model.file(number, *arguments).upload is None)
        elif what == "statfs":
            arguments.append(self.root)
        outcome, found = self.crew.ask(number, what, *arguments)
        if what == "list" and outcome == "done":
            found = [(name, inode) for name, inode in found]
        return outcome, found

    # ---- releases ----

    def count_thrown_away(self):
        return self.mount.log().count("thrown away what was not saved yet")

    def wait_for(self, difference):
        """Until there is none."""
        end = time.monotonic() + self.patience
        while found := difference():
            if time.monotonic() > end:
                self.fail("after the last close", found)
            time.sleep(0.001)

    def look_before(self, operation):
        """The inode numbers of what a release may replace: after it there is no telling the old one from the new."""
        if operation[0] not in ("close", "exit", "kill") or operation[1] not in self.model.processes:
            return
        for file in list(self.model.processes[operation[1]].files.values()):
            if file.upload and file.upload.owes and not file.upload.report.is_removed:
                difference = self.differs(file.upload.report.folder, file.upload.report.name)
                if difference:
                    self.fail(f"before {operation}", difference)

    def settle(self, stamp):
        """The last close of a file is followed by a RELEASE that neither close(2) nor the end of a process waits for:
        so this waits until what it leads to is seen. It may have come after what @stamp says so far."""
        if not self.model.unsettled:
            return
        self.wait_for(self.differs_in_the_log)
        for folder, name in self.model.unsettled:
            if folder is not None:
                self.wait_for(lambda where=(folder, name): self.differs(*where))
        stamp.end()

    def differs_in_the_log(self):
        """A killed writer of a name that others write too leaves no other trace."""
        found, expected = self.count_thrown_away() - self.n_thrown_before, self.model.n_thrown_away
        return f"the log: {found} uploads were thrown away, expected {expected}" if found != expected else None

    def differs(self, folder, name):
        symbol = f"{folder}/{name}"
        try:
            expected = self.model.stat_path(symbol)
        except Refused as error:
            return f"{symbol} exists, expected {errors(error.codes)}" if os.path.lexists(self.path(symbol)) else None
        try:
            return self.matcher.match(expected, workers.describe(os.stat(self.path(symbol))))
        except OSError as error:
            return f"{symbol}: {errors([error.errno])}, expected {expected!r}"

    # ---- what is left ----

    def check_tree(self):
        """All folders, names, attributes and bytes."""
        for folder in "AB":
            if folder not in self.model.folders:
                self.check(folder, False, os.path.lexists(self.path(folder)))
                continue
            self.check(folder, self.model.do_list(0, folder), workers.list_folder(self.path(folder)))
            self.check(folder, self.model.stat_path(folder), workers.describe(os.stat(self.path(folder))))
            for name, report in self.model.folders[folder].saved.items():
                self.check_report(f"{folder}/{name}", report.version)

    def check_report(self, symbol, version):
        path = self.path(symbol)
        with open(path, "rb", buffering=0) as file:
            self.check(symbol, version.data, file.readall())
        self.check(symbol, self.model.stat_path(symbol), workers.describe(os.stat(path)))
        self.check(symbol, self.model.xattrs(version), workers.list_xattrs(path))

    def check_store(self, caureport, store):
        """The same once more, as the tool has it."""
        def ask(*arguments):
            return subprocess.run([caureport, "--store", store, *arguments], stdout=subprocess.PIPE, check=True).stdout

        for folder, found in self.model.folders.items():
            guid = self.guids[folder]
            listed = [(entry["name"], entry["size"]) for entry in json.loads(ask("ls", "-j", guid))]
            saved = [(name, len(found.saved[name].version.data)) for name in sorted(found.saved, key=str.encode)]
            self.check(f"caureport ls {folder}", saved, listed)
            for name, report in found.saved.items():
                info = json.loads(ask("info", "-j", guid, name))
                self.check_info(f"caureport info {folder}/{name}", report.version, info)
                self.check(f"caureport get {folder}/{name}", report.version.data, ask("get", guid, name))

    def check_info(self, what, version, info):
        xattrs, attributes = self.model.xattrs(version), version.attributes
        self.check(what, {"size": len(version.data), "chunks": -(-len(version.data) // CHUNK), "uid": attributes.uid,
                          "gid": attributes.gid, "mode": f"{attributes.mode:04o}", "sha256": xattrs["user.cau.sha256"],
                          "timestamp": xattrs["user.cau.timestamp"]}, info)
