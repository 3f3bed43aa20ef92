# SPDX-License-Identifier: MIT
"""What each operation answers, and how it changes the state.

An operation is a tuple, ("open", 0, 1, "A/x", "RDWR|CREAT", 0o644): what it does, the number of the process that does
it, and what that needs: a slot of the process for a descriptor, a path. Processes start when they are first used. Two
folders, A and B, stand for orchestrators; "A^" and "A{" are other spellings of A. A path without a slash that is no
folder is a name in the root. BAD_NAMES stand for names that caufs refuses.

Where the answer is not one value it is a matcher (see matching.py), with the reason beside it.
"""
import errno
import hashlib
import stat

from .matching import Any, Either
from .state import CHUNK, LIMIT, Attributes, Folder, Refused, Report, Skipped, Tree, Upload, Version

BAD_NAMES = {"!control": b"a\nb", "!utf8": b"caf\xe9", "!long": b"n" * 256}
DATED = "CauReport-20120920203244.xml"
DATED_TIMESTAMP = "20120920203244.000000+000"
SPELLINGS = "^{"
UMASK = 0o022
N_SLOTS = 4
XATTRS = ["user.cau.chunks", "user.cau.sha256", "user.cau.stored_size", "user.cau.timestamp"]


def content(tag, length):
    """Some bytes that tell which write they are of, and of which place in it."""
    return b"".join((b"%d:%d " % (tag, n)).ljust(32, b"-") for n in range(length // 32 + 1))[:length]


class OpenFile:
    """What descriptors of several processes share: one open."""

    def __init__(self, flags, version=None, upload=None):
        access = [word for word in ("RDONLY", "WRONLY", "RDWR") if word in flags][0]
        self.may_read, self.may_write = access != "WRONLY", access != "RDONLY"
        self.version, self.upload = version, upload
        self.appends = "APPEND" in flags
        self.position = 0  # None: unknown, see write_at_end()
        self.n_open = 0

    @property
    def data(self):
        return self.upload.data if self.upload else self.version.data

    def need(self, allowed):
        if not allowed:
            raise Refused(errno.EBADF)


class Process:
    def __init__(self):
        self.is_alive = True
        self.files = {}    # slot: OpenFile
        self.numbers = {}  # slot: the descriptor's number, once known; the kernel closes in their order


class Model(Tree):
    def __init__(self, owner):
        super().__init__()
        self.owner = owner
        self.processes = {}
        self.stamp = None
        # What the last operation leaves to a RELEASE, which nobody waits for: (folder, name).
        self.unsettled = set()
        self.n_thrown_away = 0  # uploads of killed writers; the log has a line for each

    def do(self, operation, stamp):
        """The answer; Refused for an error; Skipped if it is not to be done now: then nothing has changed."""
        self.stamp = stamp
        self.unsettled = set()
        return getattr(self, "do_" + operation[0])(*operation[1:])

    # ---- processes and descriptors ----

    def process(self, number):
        return self.processes.setdefault(number, Process())

    def file(self, number, slot):
        file = self.process(number).files.get(slot)
        if file is None:
            raise Skipped
        return file

    def place(self, number, slot, file):
        """Puts @file into the free @slot; the answer tells the number of the descriptor."""
        process = self.process(number)
        process.files[slot] = file
        file.n_open += 1
        return Any(lambda descriptor: process.numbers.__setitem__(slot, descriptor))

    def need_free(self, number, slot):
        if slot in self.process(number).files:
            raise Skipped

    def do_fork(self, number, other):
        if other in self.processes:
            raise Skipped
        parent, child = self.process(number), Process()
        child.files, child.numbers = dict(parent.files), dict(parent.numbers)
        for file in child.files.values():
            file.n_open += 1
        self.processes[other] = child

    def do_exit(self, number, _status):
        self.end_process(number, False)

    def do_kill(self, number, _signal):
        self.end_process(number, True)

    def end_process(self, number, is_killed):
        """The kernel closes its files in the order of the descriptors, and releases none before all were closed."""
        if number not in self.processes:
            raise Skipped
        process = self.process(number)
        slots = sorted(process.files, key=lambda slot: process.numbers.get(slot, slot))
        self.check_order_is_defined(process, is_killed)
        for slot in slots:
            try:
                self.flush(process.files[slot], process, is_killed)
            except Refused:
                pass  # there is nobody left to hear of it
        for slot in slots:
            self.drop(process.files[slot])
        process.is_alive = False
        del self.processes[number]

    @staticmethod
    def check_order_is_defined(process, is_killed):
        """The releases of an ending process come in any order: two must not save under one name."""
        files = list(process.files.values())
        late = []
        for file in set(files):
            upload = file.upload
            if upload is None or file.n_open > files.count(file) or upload.report.is_removed:
                continue
            is_bystander = upload.is_closed_by_bystander(process)
            if is_bystander or (upload.owes and not upload.is_written and not is_killed):
                late.append((upload.report.folder, upload.report.name))
            elif upload.failed or (is_killed and upload.is_written):
                late.append((upload.report.folder, upload.report.name))
        if len(late) != len(set(late)):
            raise Skipped

    # ---- open and close ----

    def do_open(self, number, slot, path, flags, mode):
        self.need_free(number, slot)
        words = flags.split("|")
        for_writing = "RDONLY" not in words or "TRUNC" in words
        folder, name, found = self.look_up(path)
        if name is None and {"CREAT", "EXCL"} <= set(words):
            raise Refused(errno.EEXIST)
        if name is None:
            raise Refused(errno.EISDIR) if for_writing or "CREAT" in words else Skipped
        if found is None:
            if "CREAT" not in words:
                raise Refused(errno.ENOENT)
            self.check_new_name(folder, name)
            report = self.make(folder, name)
            file = OpenFile(words, upload=self.new_upload(report, False, mode))
        elif {"CREAT", "EXCL"} <= set(words):
            raise Refused(errno.EEXIST)
        elif for_writing:
            file = OpenFile(words, upload=self.new_upload(found, "TRUNC" in words, mode))
        elif found.version is None:
            raise Refused(errno.EBUSY)
        else:
            file = OpenFile(words, version=found.version)
        return self.place(number, slot, file)

    def new_upload(self, report, truncates, mode):
        """A name that is being written already has its mode and owner from who made it."""
        attributes = Attributes(mode & ~UMASK, self.owner, self.stamp)
        if report.uploads:
            attributes = report.uploads[-1].attributes.copy()
        return Upload(report, truncates, attributes, self.stamp)

    def do_dup(self, number, slot, other):
        file = self.file(number, slot)
        self.need_free(number, other)
        return self.place(number, other, file)

    def do_close(self, number, slot):
        file = self.file(number, slot)
        process = self.process(number)
        del process.files[slot]
        try:
            self.flush(file, process, False)
        finally:
            self.drop(file)

    def flush(self, file, process, is_killed):
        """A close saves what was written; not what only an open or a creation left to save."""
        upload = file.upload
        if upload is None:
            return
        upload.check_failed()
        if not (upload.is_written or upload.owes) or upload.is_closed_by_bystander(process):
            return
        upload.is_killed = is_killed
        if upload.is_written and not is_killed:
            self.save_written(upload)

    def save_written(self, upload):
        upload.is_written = False
        upload.writers.clear()
        self.commit(upload, self.stamp)

    def drop(self, file):
        """One descriptor less; with the last one goes the file."""
        file.n_open -= 1
        upload = file.upload
        if file.n_open or upload is None:
            return
        where = (upload.report.folder, upload.report.name)
        is_unsaved = upload.is_written or upload.owes
        if upload.failed or (upload.is_killed and is_unsaved):
            self.n_thrown_away += not upload.failed
            self.unsettled.add(where)
            self.abandon(upload)
        elif is_unsaved:
            self.unsettled.add(where)
            try:
                self.save_written(upload)
            except Refused:
                self.abandon(upload)
        upload.leave()

    # ---- reading and writing ----

    def do_read(self, number, slot, length):
        file = self.file(number, slot)
        if file.position is None:
            raise Skipped
        data = self.read(file, file.position, length)
        file.position += len(data)
        return data

    def do_pread(self, number, slot, offset, length):
        return self.read(self.file(number, slot), offset, length)

    @staticmethod
    def read(file, offset, length):
        file.need(file.may_read)
        if file.upload and length:
            file.upload.check_failed()
        return bytes(file.data[offset:offset + length])

    def do_mmap(self, number, slot):
        file = self.file(number, slot)
        if not file.data or (file.upload and file.upload.failed):
            raise Skipped
        if not file.may_read:
            raise Refused(errno.EACCES)
        return bytes(file.data)

    def do_drop(self, number, slot):
        """Has the kernel forget the pages."""
        self.file(number, slot)

    def do_write(self, number, slot, length, tag):
        file = self.file(number, slot)
        if file.position is None and not file.appends:
            raise Skipped
        offset = self.write(number, file, file.position, length, tag)
        # After an append, caufs knows where the end is and the kernel may not, if others made the report longer: it
        # then counts from where it believes the end to be.
        file.position = None if file.appends and file.upload.is_rebased else offset + length
        return length

    def do_pwrite(self, number, slot, offset, length, tag):
        self.write(number, self.file(number, slot), offset, length, tag)
        return length

    def write(self, number, file, offset, length, tag):
        """Where it went."""
        file.need(file.may_write)
        upload = file.upload
        upload.check_failed()
        offset = len(upload.data) if file.appends else offset
        if offset + length > LIMIT:
            upload.fail(errno.EFBIG)
        upload.resize(max(len(upload.data), offset))
        upload.data[offset:offset + length] = content(tag, length)
        upload.change(self.process(number), self.stamp, appends=file.appends)
        return offset

    def do_seek(self, number, slot, whence, offset):
        file = self.file(number, slot)
        size = len(file.data)
        if whence in ("DATA", "HOLE") and not 0 <= offset < size:
            raise Refused(errno.ENXIO)
        if whence == "CUR" and file.position is None:
            raise Skipped
        start = {"SET": 0, "CUR": file.position, "END": size, "DATA": 0, "HOLE": size - offset}[whence]
        if start + offset < 0:
            raise Refused(errno.EINVAL)
        file.position = start + offset
        return file.position

    def do_setfl(self, number, slot, appends):
        self.file(number, slot).appends = appends

    def do_ftruncate(self, number, slot, size):
        file = self.file(number, slot)
        if not file.may_write:
            raise Refused(errno.EINVAL)
        self.truncate_upload(self.process(number), file.upload, size)

    def truncate_upload(self, process, upload, size):
        """One that is refused leaves what was written alone."""
        upload.check_failed()
        if size > LIMIT:
            raise Refused(errno.EFBIG)
        upload.resize(size)
        upload.change(process, self.stamp)

    def do_fallocate(self, number, slot, mode, offset, length):
        file = self.file(number, slot)
        file.need(file.may_write)
        if mode == "PUNCH":
            raise Refused(errno.EOPNOTSUPP)
        if mode != "KEEP" and offset + length > len(file.upload.data):
            self.truncate_upload(self.process(number), file.upload, offset + length)

    def do_fsync(self, number, slot, _data_only):
        upload = self.file(number, slot).upload
        if upload:
            upload.check_failed()
            if upload.is_written or upload.owes:
                self.save_written(upload)

    # ---- attributes ----

    def do_fstat(self, number, slot):
        file = self.file(number, slot)
        return self.stat_upload(file.upload) if file.upload else self.stat_version(file.version)

    def stat_version(self, version):
        # The kernel may keep the attributes of a version that was replaced for attr_timeout; those of a removed one it
        # knows at once.
        links = {Version.CURRENT: 1, Version.REPLACED: Either(0, 1), Version.REMOVED: 0}[version.state]
        return self.stat_answer(len(version.data), version.attributes, links, version.number)

    def stat_upload(self, upload):
        # What the open told the kernel of the attributes it may keep for attr_timeout, until the first change.
        gone = 0 if upload.is_changed else Either(0, 1)
        links = gone if upload.report.is_removed else 1
        return self.stat_answer(len(upload.data), upload.attributes, links, upload.number)

    @staticmethod
    def stat_answer(size, attributes, links, number):
        return {"kind": stat.S_IFREG, "size": size, "mode": attributes.mode, "uid": attributes.uid,
                "gid": attributes.gid, "links": links, "number": number, "atime": attributes.atime,
                "mtime": attributes.mtime, "blocks": Any(lambda n: n * 512 < size + 512)}

    def do_stat(self, _number, path):
        return self.stat_path(path)

    def stat_path(self, path):
        folder, name, found = self.look_up(path)
        if name is None:
            attributes = self.folders[folder].attributes
            # Its times change with its names; they are not modelled.
            return {"kind": stat.S_IFDIR, "mode": attributes.mode, "uid": attributes.uid, "gid": attributes.gid,
                    "number": self.folders[folder].number}
        if found is None:
            raise Refused(errno.ENOENT)
        return self.stat_version(found.version) if found.version else self.stat_upload(found.uploads[-1])

    def do_truncate(self, number, path, size):
        _folder, name, found = self.look_up(path)
        if name is None:
            raise Refused(errno.EISDIR)
        if found is None:
            raise Refused(errno.ENOENT)
        if found.version is None:
            # Of several that write a name that was never saved, a path leads to the last that opened it.
            self.truncate_upload(self.process(number), found.uploads[-1], size)
            return
        if size > LIMIT:
            raise Refused(errno.EFBIG)
        upload = Upload(found, False, None, self.stamp)
        upload.resize(size)
        upload.change(None, self.stamp)
        self.commit(upload, self.stamp)
        upload.leave()

    def do_chmod(self, _number, path, mode):
        self.change_path(path, {"mode": mode})

    def do_chown(self, _number, path, uid, gid):
        self.change_path(path, {"uid": uid, "gid": gid})

    def do_utime(self, _number, path, atime, mtime):
        self.change_path(path, {"atime": atime, "mtime": mtime})

    def change_path(self, path, changes):
        folder, name, found = self.look_up(path)
        if name is None:
            self.folders[folder].attributes.__dict__.update(changes)
        elif found is None:
            raise Refused(errno.ENOENT)
        elif found.version:
            found.version.attributes.change(changes)
        else:
            self.change_upload(found.uploads[-1], changes)

    def do_fchmod(self, number, slot, mode):
        self.change_file(number, slot, {"mode": mode})

    def do_fchown(self, number, slot, uid, gid):
        self.change_file(number, slot, {"uid": uid, "gid": gid})

    def do_futime(self, number, slot, atime, mtime):
        self.change_file(number, slot, {"atime": atime, "mtime": mtime})

    def change_file(self, number, slot, changes):
        file = self.file(number, slot)
        if file.upload:
            self.change_upload(file.upload, changes)
        else:
            self.change_version(file.version, changes)

    @staticmethod
    def change_version(version, changes):
        """One that was replaced by writing passes on what is set of it, unless the report was given to another user."""
        current = None if version.report.is_removed else version.report.version
        mode = version.attributes.mode
        if current and current.attributes.uid != version.attributes.uid:
            raise Refused(errno.ESTALE)
        version.attributes.change(changes)
        if current and current is not version:
            if version.attributes.mode != mode:  # the kernel asks for what it knows to be the new mode
                changes = {**changes, "mode": version.attributes.mode}
            current.attributes.change({name: value for name, value in changes.items() if name != "mtime"})

    def change_upload(self, upload, changes):
        """What was not saved yet carries them; else they are saved at once."""
        upload.check_failed()
        mode = upload.attributes.mode
        upload.attributes.change(changes)
        if upload.attributes.mode != mode:
            changes = {**changes, "mode": upload.attributes.mode}
        if upload.is_committed and not upload.is_dirty:
            self.set_saved_attributes(upload, changes)
        else:
            upload.set |= changes.keys()

    # ---- names ----

    def split(self, path):
        """The folder and the name in it; a folder alone has the name None, a name in the root the folder None."""
        folder, slash, name = path.partition("/")
        folder = folder.rstrip(SPELLINGS)
        if not slash and folder not in self.folders:
            return None, path
        if folder not in self.folders:
            raise Refused(errno.ENOENT)
        return folder, name if slash else None

    def look_up(self, path):
        """What split() gives, and the report, or None."""
        folder, name = self.split(path)
        if name == "!long":
            raise Refused(errno.ENAMETOOLONG)
        return folder, name, self.folders[folder].find(name) if folder and name else None

    @staticmethod
    def check_new_name(folder, name):
        if folder is None:
            raise Refused(errno.EPERM)
        if name in BAD_NAMES:
            raise Refused(errno.EINVAL)

    def look_up_new(self, path):
        """The place of a name that must be free."""
        folder, name, found = self.look_up(path)
        if name is None or found:
            raise Refused(errno.EEXIST)
        return folder, name

    def look_up_report(self, path):
        """The place of a name that must lead to a report."""
        folder, name, found = self.look_up(path)
        if found is None:
            raise Refused(errno.ENOENT)
        return folder, name

    def do_rename(self, _number, old, new, flag):
        if "/" not in old:
            raise Skipped
        self.split(old), self.split(new)  # both folders come first
        folder, name = self.look_up_report(old)
        new_folder, new_name, found = self.look_up(new)
        if new_name is None:
            raise Skipped
        if flag == "NOREPLACE" and found:
            raise Refused(errno.EEXIST)
        if flag == "EXCHANGE" and not found:
            raise Refused(errno.ENOENT)
        self.check_new_name(new_folder, new_name)
        act = self.exchange if flag == "EXCHANGE" else self.rename
        act(folder, name, new_folder, new_name)

    def do_unlink(self, _number, path):
        folder, name, found = self.look_up(path)
        if name is None:
            raise Refused(errno.EISDIR)
        if found is None:
            raise Refused(errno.ENOENT)
        self.remove(folder, name)

    def do_link(self, _number, old, new):
        _folder, name, found = self.look_up(old)
        if name is not None and found is None:
            raise Refused(errno.ENOENT)
        self.look_up_new(new)
        raise Refused(errno.EPERM)

    def do_symlink(self, _number, path):
        self.look_up_new(path)
        raise Refused(errno.EPERM)

    def do_mknod(self, _number, path, kind, mode):
        folder, name = self.look_up_new(path)
        if kind != "REG":
            raise Refused(errno.EPERM)
        self.check_new_name(folder, name)
        report = Report(folder, name)
        report.version = Version(report, b"", Attributes(mode & ~UMASK, self.owner, self.stamp), self.stamp)
        self.folders[folder].saved[name] = report

    def do_mkdir(self, _number, path, mode):
        folder = path.rstrip(SPELLINGS)
        if "/" in path:
            self.look_up_new(path)
            raise Refused(errno.EPERM)
        if folder not in "AB":
            raise Refused(errno.EINVAL)
        if folder in self.folders:
            raise Refused(errno.EEXIST)
        self.folders[folder] = Folder(Attributes(mode & ~UMASK, self.owner, self.stamp))

    def do_rmdir(self, _number, path):
        folder, name, found = self.look_up(path)
        if name is not None:
            raise Refused(errno.ENOTDIR if found else errno.ENOENT)
        if self.folders[folder].saved or self.folders[folder].unsaved:
            raise Refused(errno.ENOTEMPTY)
        del self.folders[folder]

    def do_list(self, _number, path):
        folder, name = self.split(path)
        if name is not None:
            raise Refused(errno.ENOENT)
        saved = self.folders[folder].saved
        return [(name.encode(), saved[name].version.number) for name in sorted(saved, key=str.encode)]

    def do_statfs(self, _number):
        return self.count()

    # ---- extended attributes ----

    def do_xattrs(self, _number, path):
        folder, name, found = self.look_up(path)
        if name is None:
            return {}
        if found is None:
            raise Refused(errno.ENOENT)
        return self.xattrs(found.version)

    def do_fxattrs(self, number, slot):
        return self.xattrs(self.file(number, slot).version)

    @staticmethod
    def xattrs(version):
        """What is not saved has none."""
        if version is None:
            return {}
        if version.state == Version.CURRENT:
            stamp = DATED_TIMESTAMP if version.report.name == DATED else version.saved
        else:
            stamp = Any()  # it follows the name, and this version has none
        return {"user.cau.chunks": str(-(-len(version.data) // CHUNK)),
                "user.cau.sha256": hashlib.sha256(version.data).hexdigest(),
                "user.cau.stored_size": Any(lambda text: int(text) <= len(version.data)),
                "user.cau.timestamp": stamp}

    def do_setxattr(self, _number, path, _name):
        _folder, name, found = self.look_up(path)
        if name is not None and found is None:
            raise Refused(errno.ENOENT)
        raise Refused(errno.EOPNOTSUPP)
