# SPDX-License-Identifier: MIT
"""What the daemon gives up, and what its mount and its store's files let others do: see docs/security.md."""
import glob
import os
import re
import resource
import signal
import stat
import unittest

import amount
import harness
import namespace
from harness import GUID, random_bytes, read_file, wait_until, write_file

O_CLOEXEC = 0o2000000
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

# Capability numbers, linux/capability.h: CHOWN, DAC_OVERRIDE, FOWNER, SYS_PTRACE, SYS_ADMIN.
KEPT_BY_ROOT = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 19 | 1 << 21


class Daemon(harness.ReportTest):
    def test_no_thread_keeps_what_it_does_not_need(self):
        write_file(self.path(), random_bytes(5_000_000))  # so that the encoders have worked
        found = harness.threads(self.mount.process.pid)
        self.assertGreater(len(found), 4)
        for thread in found:
            self.assertEqual(thread["Umask"], "0077")
            for kind in ("CapInh", "CapAmb"):
                self.assertEqual(int(thread[kind], 16), 0, thread)
            for kind in ("CapPrm", "CapEff"):
                self.assertEqual(int(thread[kind], 16) & ~KEPT_BY_ROOT, 0, thread)
            if os.geteuid() == 0:
                self.assertEqual(thread["NoNewPrivs"], "1", thread)
                self.assertEqual(int(thread["CapBnd"], 16) & ~KEPT_BY_ROOT, 0, thread)

    def test_no_descriptor_would_be_inherited(self):
        reader, writer = self.path("read"), self.path("written")
        write_file(reader, b"one")
        self.open(reader)
        os.write(self.open(writer, NEW), random_bytes(3_000_000))
        folder = f"/proc/{self.mount.process.pid}/fdinfo"
        open_ones = [int(name) for name in os.listdir(folder) if int(name) > 2]
        self.assertGreater(len(open_ones), 4)
        for fd in open_ones:
            flags = re.search(r"flags:\s+([0-7]+)", read_file(f"{folder}/{fd}").decode())
            self.assertTrue(int(flags[1], 8) & O_CLOEXEC, os.readlink(f"{folder[:-4]}/{fd}"))

    def test_the_mount_has_no_devices_and_no_set_user_id_and_checks_permissions(self):
        options = harness.caufs_mounts_at(self.root)[0][3].split(",")
        for option in ("nosuid", "nodev", "default_permissions"):
            self.assertIn(option, options)


class CoreDump(harness.MountTest):
    def dump(self, *flags):
        """What the core dump of a daemon has that holds the bytes which are returned, too."""
        wrapper = (*harness.sanitizers_told("disable_coredump=0"), "bash", "-c", 'ulimit -c unlimited; cd "$0"; exec "$@"', self.dir)
        mount = self.start(flags=flags, wrapper=wrapper)
        folder = os.path.join(mount.path, GUID)
        if not harness.exists(folder):
            os.mkdir(folder)
        secret = random_bytes(50_000)
        os.write(self.open(os.path.join(folder, "a"), NEW), secret)
        mount.process.send_signal(signal.SIGABRT)
        mount.judge_end(-signal.SIGABRT)
        for fd in list(self.descriptors):
            self.descriptors.discard(fd)
            with self.refused(harness.errno.ENOTCONN, harness.errno.ECONNABORTED):
                os.close(fd)
        core, = (path for path in self.files() if read_file(path).startswith(b"\x7fELF"))
        content = read_file(core)
        os.unlink(core)
        return secret[1000:1100] in content

    def files(self):
        return [entry.path for entry in os.scandir(self.dir) if entry.is_file()]

    def test_the_kernel_is_told_to_leave_the_memory_of_the_daemon_out_of_core_dumps(self):
        self.assertEqual(int(read_file(f"/proc/{self.start().process.pid}/coredump_filter"), 16), 0x10)

    def test_no_core_dump_has_what_was_written(self):
        pattern = read_file("/proc/sys/kernel/core_pattern").strip()
        if not pattern or pattern.startswith(b"|") or b"/" in pattern \
                or resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
            # That is the machine's, and nothing is wrong with it: no failure in CI, as a skipped test would be.
            amount.tell(f"no core dump was looked at: core_pattern is {pattern}")
            return
        self.assertFalse(self.dump("-f"))
        self.assertTrue(self.dump("-d"), "what is looked for would be found")


class StoreFiles(harness.MountTest):
    def test_a_new_store_is_for_its_owner_alone(self):
        mount = self.start(wrapper=("bash", "-c", 'umask 0; exec "$@"', "bash"))
        os.mkdir(os.path.join(mount.path, GUID))
        for name in glob.glob(self.store + "*"):
            self.assertEqual(stat.S_IMODE(os.stat(name).st_mode), 0o600, name)
        self.assertNotIn("mode 0", mount.log())

    def test_a_laxer_store_is_named_in_the_log(self):
        self.start().finish()
        os.chmod(self.store, 0o644)
        mount = self.start()
        self.assertIn(f"{self.store} has mode 0644", mount.log())
        mount.finish()
        os.chmod(self.store, 0o600)
        os.chmod(self.dir, 0o777)
        self.assertIn(f"{self.dir} has mode 0777", self.start().log())


class Log(harness.ReportTest):
    options = ("max_size=4M",)

    def kill_writer_of(self, n):
        child = self.child(f"for n in range({n}):\n"
                           "    os.write(os.open(f'{sys.argv[1]}{n}', os.O_CREAT | os.O_WRONLY), b'x')\n"
                           "say(); hear()", self.path("killed-"))
        child.expect()
        child.kill()

    def test_a_flood_of_notices_is_cut_off_and_hides_no_warning(self):
        self.kill_writer_of(200)  # two lines each
        wait_until(lambda: not any(harness.exists(self.path(f"killed-{n}")) for n in range(200)),
                   "the uploads are thrown away")
        with self.refused(harness.errno.ENOSPC):
            write_file(self.path(), random_bytes(8_000_000))
        self.mount.finish()
        log = self.mount.log()
        about_killed = len(re.findall(r"killed-\d+", log))
        left_out = re.search(r"(\d+) messages were left out", log)
        self.assertLessEqual(about_killed, 200)
        self.assertEqual(about_killed + int(left_out[1]), 400)
        self.assertIn("no space left", log)

    def test_a_line_is_a_line_whatever_the_name_of_a_store(self):
        store = os.path.join(self.dir, "a\nb\x1b[2J")
        self.start(store=store).finish()
        os.chmod(store, 0o644)
        mount = self.start(store=store)
        self.assertIn("a?b?[2J has mode 0644", mount.log())


@harness.needs_root
class MountingUser(namespace.NamespaceTest):
    """A daemon that is not root and may mount, as the unit for systemd starts it."""

    run_as = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+sys_admin",
              "--ambient-caps=-all,+sys_admin", "--bounding-set=-all,+sys_admin", "--no-new-privs")
    prepare = """
        mount -t tmpfs -o mode=755 caufs-test "$dir/dev"
        mknod -m 666 "$dir/dev/fuse" c 10 229
        mount --bind "$dir/dev/fuse" /dev/fuse
    """

    def test_it_has_no_privilege_once_it_has_mounted(self):
        self.session("""
import ctypes, os
mount = Mount(store, mnt, ['allow_other']).wait_ready()
os.mkdir(folder)
write_file(folder + '/a', bytes(range(256)) * 10000)
found = harness.threads(mount.process.pid)
assert len(found) > 4, found
for thread in found:
    for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
        assert int(thread[kind], 16) == 0, thread
    assert thread['NoNewPrivs'] == '1', thread
options = caufs_mounts_at(mnt)[0][3].split(',')
assert 'default_permissions' in options and 'allow_other' in options, options
assert ctypes.CDLL(None).umount2(os.fsencode(mnt), 0) == 0
mount.wait_ended()
""")


if __name__ == "__main__":
    unittest.main()
