# SPDX-License-Identifier: MIT
"""A small disk for the store of a test, which only root can have."""
import errno
import os
import subprocess

MIB = 1024 * 1024


class Disk:
    """A filesystem of its own below the folder of @test, until unmount() or the end of the test.

    @kind: tmpfs or ext4. @inodes: for how many files it has room, of a tmpfs."""

    def __init__(self, test, size, kind="tmpfs", inodes=None):
        self.path = os.path.join(test.dir, "disk")
        self.filler = os.path.join(self.path, "filler")
        os.makedirs(self.path, exist_ok=True)
        if kind == "tmpfs":
            # The root has an inode as well.
            options = [f"size={size}", *([] if inodes is None else [f"nr_inodes={inodes + 1}"])]
            command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "caufs-test", self.path]
        else:
            image = os.path.join(test.dir, "image")
            with open(image, "wb") as file:
                file.truncate(size)
            subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", image], check=True)
            command = ["mount", "-o", "loop", image, self.path]
        subprocess.run(command, check=True)
        test.addCleanup(self.dispose)

    def unmount(self):
        subprocess.run(["umount", self.path], check=True)

    def dispose(self):
        """A disk that is busy at the end of its test goes all the same, and fails the test."""
        try:
            if os.path.ismount(self.path):
                self.unmount()
        except subprocess.CalledProcessError:
            subprocess.run(["umount", "-l", self.path], check=True)
            raise

    def resize(self, size):
        """Of a tmpfs."""
        subprocess.run(["mount", "-o", f"remount,size={size}", self.path], check=True)

    def fill(self):
        """As others may, to the last byte; what this takes is given back by empty()."""
        fd = os.open(self.filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for size in (MIB, 4096, 512, 1):
                try:
                    while os.write(fd, bytes(size)):
                        os.fsync(fd)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        finally:
            os.close(fd)

    def empty(self):
        os.unlink(self.filler)

    def available(self):
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize
