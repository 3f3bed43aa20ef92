# SPDX-License-Identifier: MIT
"""Makes sequences of operations, and makes a sequence that shows a difference as short as it can be."""
import time

from .operations import BAD_NAMES, DATED, N_SLOTS
from .state import CHUNK, LIMIT

LENGTH = 60
N_PROCESSES = 4
# A sequence keeps to the names of one of these: with few of them more happens to each.
NAMES = [["x"], ["x", "x", "y"], ["x", "x", "x", "x", "y", "y", "z", DATED]]
FOLDERS = ["A", "AAAB"]
MODES = [0o600, 0o644, 0o640, 0o444, 0o755, 0o4755, 0o2644, 0o6711]
TIMES = [0, -7, 1_500_000_000_987_654_321, 1_600_000_000_123_456_789]
OWNERS = [0, 1, 1234]
SIGNALS = [9, 9, 15, 2, 6]

# How often each operation is tried.
WEIGHTS = {
    "open": 24, "close": 11, "dup": 3, "fork": 3, "exit": 2, "kill": 3,
    "read": 3, "pread": 9, "mmap": 2, "drop": 5, "write": 12, "pwrite": 9, "seek": 3, "setfl": 1,
    "ftruncate": 5, "truncate": 4, "fallocate": 2, "fsync": 5,
    "fstat": 6, "stat": 6, "chmod": 2, "chown": 1, "utime": 2, "fchmod": 2, "fchown": 1, "futime": 2,
    "rename": 9, "unlink": 4, "link": 1, "symlink": 1, "mknod": 1, "mkdir": 2, "rmdir": 1, "list": 4, "statfs": 1,
    "xattrs": 2, "fxattrs": 2, "setxattr": 1,
}


class Maker:
    """Makes the next operation, one that makes sense in the model's state, until there were @length."""

    def __init__(self, rng, length=LENGTH, is_root=True):
        self.rng = rng
        self.left = length
        self.names = rng.choice(NAMES)
        self.folders = rng.choice(FOLDERS)
        self.tag = 0
        # The model knows nothing of permissions: what needs root, or takes rights away, is for root.
        self.weights = {what: weight for what, weight in WEIGHTS.items() if is_root or "chown" not in what}
        self.modes = [mode for mode in MODES if is_root or mode & 0o7600 == 0o600]
        self.first = [("mkdir", 0, "B", 0o755), ("mkdir", 0, "A", 0o700)]

    def __call__(self, model):
        if self.first:
            return self.first.pop()
        if self.left == 0:
            return None
        self.left -= 1
        while True:
            what = self.rng.choices(list(self.weights), list(self.weights.values()))[0]
            arguments = getattr(self, "make_" + what)(model)
            if arguments is not None:
                return (what, *arguments)

    # ---- parts ----

    def process(self):
        return self.rng.choices(range(N_PROCESSES), (8, 5, 3, 2))[0]

    def path(self, model):
        chance = self.rng.random()
        taken = [f"{letter}/{name}" for letter, folder in sorted(model.folders.items())
                 for name in sorted({*folder.saved, *folder.unsaved})]
        if taken and chance > 0.5:
            return self.rng.choice(taken)
        if chance < 0.01:
            return self.rng.choice(["plain", "A", "B"])
        folder = self.rng.choice(self.folders) + (self.rng.choice("^{") if chance > 0.47 else "")
        name = self.rng.choice(list(BAD_NAMES)) if 0.01 <= chance < 0.03 else self.rng.choice(self.names)
        return f"{folder}/{name}"

    def file(self, model):
        """(process, slot) of an open file; rather one that writes, for there is more to do with it."""
        files = [(number, slot, file) for number, process in sorted(model.processes.items())
                 for slot, file in sorted(process.files.items())]
        if not files:
            return None
        number, slot, _file = self.rng.choices(files, [2 if file.upload else 1 for *_, file in files])[0]
        return number, slot

    def data_of(self, model, where):
        return model.processes[where[0]].files[where[1]].data

    def length(self):
        chance = self.rng.random()
        if chance < 0.55:
            return self.rng.randrange(1, 20)
        if chance < 0.8:
            return self.rng.randrange(1, 6000)
        if chance < 0.93:
            return CHUNK * self.rng.randrange(1, 3) + self.rng.choice((-1, 0, 1, 7))
        return self.rng.randrange(1, 200_000)

    def offset(self, size):
        """In a file of @size bytes: near an end of it or of a chunk, or anywhere, also beyond it."""
        chance = self.rng.random()
        if chance < 0.3:
            return 0
        if chance < 0.55:
            return max(0, size + self.rng.choice((-1, 0, 0, 0, 1, 30)))
        if chance < 0.75:
            return max(0, CHUNK * self.rng.randrange(4) + self.rng.choice((-5, -1, 0, 1, 5)))
        return self.rng.randrange(LIMIT + 1) if chance > 0.97 else self.rng.randrange(size + 50)

    def next_tag(self):
        self.tag += 1
        return self.tag

    def with_file(self, model, *rest):
        where = self.file(model)
        return where and (*where, *rest)

    # ---- operations ----

    def make_open(self, model):
        words = [self.rng.choices(("WRONLY", "RDWR", "RDONLY"), (7, 7, 7))[0]]
        words += [word for word, chance in (("CREAT", 0.55), ("EXCL", 0.06), ("TRUNC", 0.3), ("APPEND", 0.3))
                  if self.rng.random() < chance]
        if "CREAT" not in words and "EXCL" in words:
            words.remove("EXCL")
        slot = self.rng.randrange(N_SLOTS)
        return self.process(), slot, self.path(model), "|".join(words), self.rng.choice(self.modes)

    def make_close(self, model):
        return self.with_file(model)

    def make_dup(self, model):
        return self.with_file(model, self.rng.randrange(N_SLOTS))

    def make_fork(self, _model):
        return self.process(), self.process()

    def make_exit(self, _model):
        return self.process(), self.rng.randrange(2)

    def make_kill(self, _model):
        return self.process(), self.rng.choice(SIGNALS)

    def make_read(self, model):
        return self.with_file(model, self.length())

    def make_pread(self, model):
        where = self.file(model)
        if where is None:
            return None
        if self.rng.random() < 0.4:
            return (*where, 0, LIMIT)
        return (*where, self.offset(len(self.data_of(model, where))), self.length())

    def make_mmap(self, model):
        return self.with_file(model)

    def make_drop(self, model):
        return self.with_file(model)

    def make_write(self, model):
        return self.with_file(model, self.length(), self.next_tag())

    def make_pwrite(self, model):
        where = self.file(model)
        return where and (*where, self.offset(len(self.data_of(model, where))), self.length(), self.next_tag())

    def make_seek(self, model):
        where = self.file(model)
        if where is None:
            return None
        whence = self.rng.choice(("SET", "CUR", "END", "DATA", "HOLE"))
        size = len(self.data_of(model, where))
        return (*where, whence, self.rng.choice((0, -3, 4)) if whence in ("CUR", "END") else self.offset(size))

    def make_setfl(self, model):
        return self.with_file(model, self.rng.random() < 0.6)

    def make_ftruncate(self, model):
        where = self.file(model)
        return where and (*where, self.size(len(self.data_of(model, where))))

    def size(self, size):
        return LIMIT + 1 if self.rng.random() < 0.04 else self.offset(size)

    def make_truncate(self, model):
        path = self.path(model)
        return self.process(), path, self.size(self.rng.choice((10, CHUNK)))

    def make_fallocate(self, model):
        where = self.file(model)
        return where and (*where, self.rng.choice(("", "", "KEEP", "PUNCH")),
                          self.size(len(self.data_of(model, where))), self.length())

    def make_fsync(self, model):
        return self.with_file(model, self.rng.random() < 0.5)

    def make_fstat(self, model):
        return self.with_file(model)

    def make_stat(self, model):
        return self.process(), self.rng.choice("AB") if self.rng.random() < 0.1 else self.path(model)

    def make_chmod(self, model):
        return self.process(), self.path(model), self.rng.choice(self.modes)

    def make_chown(self, model):
        return self.process(), self.path(model), self.rng.choice(OWNERS), self.rng.choice(OWNERS)

    def make_utime(self, model):
        return self.process(), self.path(model), self.rng.choice(TIMES), self.rng.choice(TIMES)

    def make_fchmod(self, model):
        return self.with_file(model, self.rng.choice(self.modes))

    def make_fchown(self, model):
        return self.with_file(model, self.rng.choice(OWNERS), self.rng.choice(OWNERS))

    def make_futime(self, model):
        return self.with_file(model, self.rng.choice(TIMES), self.rng.choice(TIMES))

    def make_rename(self, model):
        flag = self.rng.choice(("", "", "", "NOREPLACE", "EXCHANGE"))
        return self.process(), self.path(model), self.path(model), flag

    def make_unlink(self, model):
        return self.process(), self.path(model)

    def make_link(self, model):
        return self.process(), self.path(model), self.path(model)

    def make_symlink(self, model):
        return self.process(), self.path(model)

    def make_mknod(self, model):
        return self.process(), self.path(model), self.rng.choice(("REG", "REG", "FIFO")), self.rng.choice(self.modes)

    def make_mkdir(self, model):
        path = self.path(model) if self.rng.random() < 0.2 else self.rng.choice(("A", "B", "A^", "B{", "plain"))
        return self.process(), path, self.rng.choice((0o700, 0o755))

    def make_rmdir(self, model):
        return self.process(), self.path(model) if self.rng.random() < 0.2 else self.rng.choice("ABB")

    def make_list(self, _model):
        return self.process(), self.rng.choice(("A", "A", "A", "B", "B", "A^"))

    def make_statfs(self, _model):
        return (self.process(),)

    def make_xattrs(self, model):
        return self.process(), self.path(model)

    def make_fxattrs(self, model):
        return self.with_file(model)

    def make_setxattr(self, model):
        return self.process(), self.path(model), self.rng.choice(("user.note", "user.cau.sha256"))


# ---- making them short ----

def shrink(operations, still_differs, seconds):
    """The shortest sequence found in @seconds that @still_differs()."""
    end = time.monotonic() + seconds
    size = max(1, len(operations) // 2)
    while time.monotonic() < end:
        shorter = without_some(operations, size, still_differs, end)
        if shorter is not None:
            operations = shorter
        elif size > 1:
            size //= 2
        else:
            break
    return with_small_numbers(operations, still_differs, end)


def without_some(operations, size, still_differs, end):
    """@operations without @size of them in a row, or None if all are needed."""
    for start in range(len(operations) - size, -1, -size):
        shorter = operations[:start] + operations[start + size:]
        if time.monotonic() < end and still_differs(shorter):
            return shorter
    return None


def with_small_numbers(operations, still_differs, end):
    for place, operation in enumerate(operations):
        for argument in range(2, len(operation)):
            for value in (0, 3):
                if time.monotonic() > end or not isinstance(operation[argument], int) or operation[argument] <= value:
                    break
                changed = (*operation[:argument], value, *operation[argument + 1:])
                attempt = [*operations[:place], changed, *operations[place + 1:]]
                if still_differs(attempt):
                    operations, operation = attempt, changed
                    break
    return operations


def as_source(operations):
    """What can be pasted into a test."""
    return "self.play([\n" + "".join(f"    {operation!r},\n" for operation in operations) + "])"
