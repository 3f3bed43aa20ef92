# SPDX-License-Identifier: MIT
"""Reports, versions and uploads, and what a commit does.

Nothing here knows how caufs does it: a rule is here because docs/semantics.md says so, or because a local filesystem
does the same. Names of folders are letters: the model knows nothing of GUIDs.
"""
import errno
import time

CHUNK = 128 * 1024
LIMIT = 4 * CHUNK  # max_report_size of the mounts that the model is compared with
SET_ID_BITS = 0o6000
N_WRITERS = 4  # caufs remembers so many processes that wrote; with more, every close saves


class Refused(Exception):
    """The operation fails, with one of these errors."""

    def __init__(self, *codes):
        super().__init__(*(errno.errorcode[code] for code in codes))
        self.codes = frozenset(codes)


class Skipped(Exception):
    """The operation makes no sense now, or what it does is left open: it is not done."""


class Stamp:
    """When something happened: between two looks at the clock."""

    def __init__(self):
        self.low = time.time_ns()
        self.high = None

    def end(self):
        self.high = time.time_ns()


class Number:
    """An inode number that caufs chose: unknown until it is seen, then the same each time, and no other's."""


class Attributes:
    def __init__(self, mode, owner, stamp):
        self.mode = mode
        self.uid, self.gid = owner
        self.atime = self.mtime = stamp

    def copy(self):
        other = Attributes.__new__(Attributes)
        other.__dict__.update(self.__dict__)
        return other

    def change(self, changes):
        """A change of owner takes the set-ID bits away, as the kernel has it (notify_change())."""
        if {"uid", "gid"} & changes.keys():
            keeps_group_bit = not self.mode & 0o010
            self.mode &= ~0o4000 if keeps_group_bit else ~SET_ID_BITS
        self.__dict__.update(changes)


class Version:
    """What was saved once. It never changes but for its attributes, and those only while it is current."""

    CURRENT, REPLACED, REMOVED = range(3)

    def __init__(self, report, data, attributes, stamp):
        self.report = report
        self.data = data
        self.attributes = attributes
        self.saved = stamp
        self.number = Number()
        self.state = self.CURRENT


class Report:
    """What a name leads to, or led to: saved, or only being written (version is None), or removed (folder is None)."""

    def __init__(self, folder, name):
        self.folder = folder
        self.name = name
        self.version = None
        self.uploads = []  # of one that was never saved; the newest last
        self.number = Number()  # likewise

    @property
    def is_removed(self):
        return self.folder is None


class Upload:
    """What a handle for writing will save."""

    def __init__(self, report, truncates, new_attributes, stamp):
        base = report.version
        self.report = report
        self.base = None if truncates else base
        self.data = bytearray(self.base.data) if self.base else bytearray()
        self.attributes = base.attributes.copy() if base else new_attributes
        self.number = base.number if base else report.number
        self.appends = not truncates  # nothing but that since it began or was saved
        self.is_committed = base is not None  # there was a report when it began, or it made one
        self.is_dirty = truncates and base is not None
        self.owes = self.is_dirty or not base  # its last close saves, even if nothing is written
        self.set = set()  # the attributes that were set since
        self.is_rebased = False
        self.is_changed = False
        self.is_written = False  # since a commit began; by whom:
        self.writers = []
        self.is_killed = False  # the last who closed it was ended by a signal
        self.failed = None
        if truncates:
            self.attributes.mtime = stamp
        report.uploads.append(self)

    @property
    def base_size(self):
        return len(self.base.data) if self.base else 0

    def change(self, process, stamp, appends=False):
        """@process changed the bytes."""
        self.appends = self.appends and appends
        self.is_dirty = self.is_written = self.is_changed = True
        self.set.discard("mtime")
        self.attributes.mtime = stamp
        if process not in self.writers:
            self.writers.append(process)

    def resize(self, size):
        del self.data[size:]
        self.data.extend(bytes(size - len(self.data)))

    def fail(self, code):
        self.failed = code
        raise Refused(code)

    def check_failed(self):
        if self.failed:
            raise Refused(self.failed)

    def leave(self):
        if self in self.report.uploads:
            self.report.uploads.remove(self)

    def is_closed_by_bystander(self, process):
        """A process that wrote nothing closes it, while those that did live."""
        return (self.is_written and not self.is_killed and 0 < len(self.writers) <= N_WRITERS
                and process not in self.writers and all(writer.is_alive for writer in self.writers))


class Folder:
    def __init__(self, attributes):
        self.attributes = attributes
        self.saved = {}    # name: Report
        self.unsaved = {}  # likewise; a name can be in both, after a rename over a report that exists
        self.number = Number()

    def find(self, name):
        """What a path leads to: a report that is saved comes first."""
        return self.saved.get(name) or self.unsaved.get(name)


class Tree:
    """The folders and their reports."""

    def __init__(self):
        self.folders = {}

    def count(self):
        return sum(len(folder.saved) for folder in self.folders.values())

    # ---- names ----

    def make(self, folder, name):
        report = Report(folder, name)
        self.folders[folder].unsaved[name] = report
        return report

    @staticmethod
    def end(report):
        """@report has no name any more; who writes it saves nothing."""
        report.folder = None
        if report.version:
            report.version.state = Version.REMOVED

    def take(self, table, name):
        report = table.pop(name, None)
        if report:
            self.end(report)

    def remove(self, folder, name):
        self.take(self.folders[folder].saved, name)
        self.take(self.folders[folder].unsaved, name)

    def put(self, table, folder, name, report):
        if report:
            report.folder, report.name = folder, name
            table[name] = report

    def rename(self, folder, name, new_folder, new_name):
        """A report that exists is replaced by one that is saved at once, and by one that is not when it commits."""
        if (folder, name) == (new_folder, new_name):
            return
        old, new = self.folders[folder], self.folders[new_folder]
        saved, unsaved = old.saved.pop(name, None), old.unsaved.pop(name, None)
        self.take(new.unsaved, new_name)
        if saved:
            self.take(new.saved, new_name)
        self.put(new.saved, new_folder, new_name, saved)
        self.put(new.unsaved, new_folder, new_name, unsaved)

    def exchange(self, folder, name, new_folder, new_name):
        if (folder, name) == (new_folder, new_name):
            return
        old, new = self.folders[folder], self.folders[new_folder]
        for one, other in ((old.saved, new.saved), (old.unsaved, new.unsaved)):
            report, found = one.pop(name, None), other.pop(new_name, None)
            self.put(other, new_folder, new_name, report)
            self.put(one, folder, name, found)

    # ---- commits ----

    def commit(self, upload, stamp):
        """What was written becomes the report. A removed one is not made again."""
        report = upload.report
        if not report.is_removed:
            self.save(upload, report, stamp)
        upload.appends = upload.is_committed = True
        upload.is_dirty = upload.owes = False
        upload.set.clear()

    def save(self, upload, report, stamp):
        folder = self.folders[report.folder]
        saved = report if report.version else folder.saved.get(report.name)
        current = saved.version if saved else None
        if upload.appends and current is not upload.base:
            self.append_to(upload, current)
        version = Version(saved or report, bytes(upload.data), self.attributes_to_save(upload, current), stamp)
        if current:
            current.state = Version.REPLACED
        if report.version is None:
            del folder.unsaved[report.name]
            for other in report.uploads:
                other.report = version.report
        folder.saved[report.name] = version.report
        version.report.version = upload.base = version
        upload.attributes = version.attributes.copy()

    @staticmethod
    def append_to(upload, current):
        """What was only appended goes after the bytes that the report has now."""
        appended = upload.data[upload.base_size:]
        if len(current.data) + len(appended) > LIMIT:
            upload.fail(errno.EFBIG)
        upload.data = bytearray(current.data) + appended
        upload.is_rebased = True
        if not upload.is_dirty and "mtime" not in upload.set:
            upload.attributes.mtime = current.attributes.mtime

    @staticmethod
    def attributes_to_save(upload, current):
        """A report that is replaced keeps its own, but for those that were set through the handle."""
        attributes = upload.attributes.copy()
        if current:
            for name in {"mode", "uid", "gid", "atime"} - upload.set:
                setattr(attributes, name, getattr(current.attributes, name))
            if "mode" not in upload.set:
                attributes.mode &= ~SET_ID_BITS
        return attributes

    def abandon(self, upload):
        """What was not saved is thrown away, and with the last upload a name that was never saved."""
        report = upload.report
        upload.leave()
        if not report.is_removed and not report.version and not report.uploads:
            self.take(self.folders[report.folder].unsaved, report.name)

    def set_saved_attributes(self, upload, changes):
        """Through a handle that has nothing to save: at once. Of a removed report nobody else can see them."""
        if not upload.report.is_removed:
            upload.report.version.attributes.change(changes)
