# SPDX-License-Identifier: MIT
"""The unit for systemd, as far as that can be tested without systemd running: see docs/security.md."""
import errno
import os
import re
import socket
import subprocess
import sys
import unittest

import harness
import namespace

UNIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "systemd", "caufs@.service")

# What systemd would give the unit a mount namespace of its own for (exec_needs_mount_namespace() in its
# src/core/execute.c), in which the mount would be seen by nobody else.
NAMESPACE = {"BindPaths", "BindReadOnlyPaths", "DynamicUser", "ExecPaths", "ExtensionDirectories", "ExtensionImages",
             "InaccessiblePaths", "LogNamespace", "MountFlags", "MountImages", "NoExecPaths", "PrivateDevices",
             "PrivateIPC", "PrivateTmp", "PrivateUsers", "ProcSubset", "ProtectControlGroups", "ProtectHome",
             "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc", "ProtectSystem",
             "ReadOnlyPaths", "ReadWritePaths", "RootDirectory", "RootImage", "TemporaryFileSystem"}


def directives():
    with open(UNIT, encoding="utf-8") as file:
        return [line.rstrip("\n").split("=", 1) for line in file if re.match("[A-Z]", line)]


def analyze(*arguments):
    done = subprocess.run(["systemd-analyze", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C.UTF-8"}, timeout=60)
    return done.stdout


def members(name):
    """The system calls of a set, which may have others in it."""
    if not name.startswith("@"):
        return {name}
    found = set()
    for line in analyze("syscall-filter", name).splitlines()[1:]:
        if not line.strip().startswith("#"):
            found |= members(line.strip())
    return found


class Unit(harness.MountTest):
    def test_systemd_rates_it_below_3(self):
        rating = re.search(r"Overall exposure level for \S+: ([\d.]+)", analyze("security", "--offline=true", UNIT))
        print(f"# rated {rating[1]}", file=sys.stderr)
        self.assertLess(float(rating[1]), 3.0)

    def test_systemd_knows_every_directive(self):
        unit = os.path.join(self.dir, "caufs@i.service")
        with open(UNIT, encoding="utf-8") as file:
            text = file.read().replace("ExecStart=caufs", f"ExecStart={harness.CAUFS}")
        with open(unit, "w", encoding="utf-8") as file:
            file.write(text)
        said = [line for line in analyze("verify", unit).splitlines() if "man caufs(8)" not in line]
        self.assertFalse([line for line in said if "caufs@i.service" in line], said)
        with open(unit, "a", encoding="utf-8") as file:
            file.write("[Service]\nNoSuchDirective=yes\n")
        self.assertIn("NoSuchDirective", analyze("verify", unit))

    def test_nothing_hides_the_mount_from_others(self):
        self.assertFalse([name for name, _ in directives() if name in NAMESPACE])
        self.assertIn(["PrivateMounts", "no"], directives())

    def allowed(self):
        calls = set()
        for name, value in directives():
            if name != "SystemCallFilter":
                continue
            found = set().union(*[members(word) for word in value.lstrip("~").split()])
            calls = calls - found if value.startswith("~") else calls | found
        return calls

    def test_the_daemon_needs_no_system_call_that_is_refused(self):
        trace = os.path.join(self.dir, "trace")
        mount = self.start("allow_other", environment={"NOTIFY_SOCKET": os.path.join(self.dir, "none")}, wrapper=(
            *harness.sanitizers_told("detect_leaks=0"), "strace", "-f", "-qq", "-e", "signal=none", "-o", trace))
        folder = os.path.join(mount.path, harness.GUID)
        os.mkdir(folder)
        for number, size in enumerate((0, 10, 100_000, 5_000_000)):
            path = os.path.join(folder, f"{number}")
            harness.write_file(path, harness.random_bytes(size))
            self.assert_report(path, harness.random_bytes(size))
        os.rename(path, path + ".xml")
        os.unlink(path + ".xml")
        self.child("os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b'x'); os.kill(os.getpid(), 9)",
                   os.path.join(folder, "killed")).wait()
        os.statvfs(mount.path)
        mount.finish()
        used = set(re.findall(r"^\d+ +(\w+)\(", harness.read_file(trace).decode(errors="replace"), re.MULTILINE))
        print(f"# {len(used)} system calls used", file=sys.stderr)
        self.assertGreater(len(used), 30)
        # Setting it is tried by GLib, which does without. Unmounting root does by itself.
        self.assertEqual(used - self.allowed() - {"sched_setattr"}, set())


def shell_of(name):
    """The script that the unit's directive @name gives to sh, as systemd passes it on."""
    value = dict(directives())[name]
    return re.fullmatch(r"[-+]*sh -c '([^']*)'", value)[1].replace("$$", "$")


@harness.needs_root
class Stopping(namespace.NamespaceTest):
    """What the unit's commands unmount, and what not."""

    def stop(self, script, what):
        """What kinds of mounts are on MOUNTPOINT before and after each run(main_pid) in @what, a line each."""
        return self.session(f"""
def kinds():
    print(*[kind for path, kind, _, _ in harness.mounts() if path == mnt] or ['none'])
def run(main_pid=''):
    kinds()
    subprocess.run(['sh', '-c', {script!r}], env={{**os.environ, 'MOUNTPOINT': mnt, 'MAINPID': str(main_pid)}})
    kinds()
{what}
subprocess.run('umount -l {self.home}/mnt 2>/dev/null; umount -l {self.home}/mnt 2>/dev/null', shell=True)
""")

    def test_a_dead_mount_is_cleared(self):
        self.assertEqual(self.stop(shell_of("ExecStopPost"), """
mount = Mount(store, mnt, ['allow_other']).wait_ready()
mount.crash()
run()
"""), ["fuse.caufs", "none"])

    def test_a_dead_mount_on_a_volume_is_cleared_and_the_volume_stays(self):
        self.assertEqual(self.stop(shell_of("ExecStopPost"), """
subprocess.run(['mount', '-t', 'tmpfs', 'caufs-test', mnt], check=True)
mount = Mount(store, mnt, ['allow_other']).wait_ready()
mount.crash()
run()
run()
"""), ["tmpfs fuse.caufs", "tmpfs", "tmpfs", "tmpfs"])

    def test_a_mount_of_another_daemon_stays(self):
        found = self.stop(shell_of("ExecStopPost"), """
mount = Mount(store, mnt).wait_ready()
run()
subprocess.run(['umount', mnt])
""")
        self.assertEqual(found, ["fuse.caufs", "fuse.caufs"])

    def test_a_living_mount_is_ended_when_the_unit_is_stopped(self):
        self.assertEqual(self.stop(shell_of("ExecStop"), """
mount = Mount(store, mnt).wait_ready()
run(mount.process.pid)
mount.wait_ended()
"""), ["fuse.caufs", "none"])

    def test_what_is_there_after_the_daemon_ended_stays(self):
        self.assertEqual(self.stop(shell_of("ExecStop"), """
subprocess.run(['mount', '-t', 'tmpfs', 'caufs-test', mnt], check=True)
run()
"""), ["tmpfs", "tmpfs"])


class Notify(harness.MountTest):
    def told(self, address):
        """What a daemon tells the socket at @address."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(address)
            listener.settimeout(harness.PATIENCE)
            name = address.replace("\0", "@")
            mount = self.start(environment={"NOTIFY_SOCKET": name})
            said = listener.recv(1000)
            mount.finish()
            self.assertNotIn("cannot be told", mount.log())
        return said

    def test_systemd_is_told_when_the_mount_is_there(self):
        self.assertIn(["Type", "notify"], directives())
        self.assertEqual(self.told(os.path.join(self.dir, "notify")), b"READY=1")

    def test_an_abstract_socket_is_told_too(self):
        self.assertEqual(self.told(f"\0{self.dir}/notify"), b"READY=1")

    def test_a_socket_that_nobody_reads_is_no_reason_to_fail(self):
        mount = self.start(environment={"NOTIFY_SOCKET": os.path.join(self.dir, "none")})
        os.mkdir(os.path.join(mount.path, harness.GUID))
        self.assertIn("systemd cannot be told", mount.log())

    def test_nothing_is_told_before_the_mount_is_there(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            listener.bind(os.path.join(self.dir, "notify"))
            self.run_program(harness.CAUFS, "-f", self.store, os.path.join(self.dir, "none"), status=1,
                             env={"NOTIFY_SOCKET": os.path.join(self.dir, "notify")})
            listener.setblocking(False)
            with self.refused(errno.EAGAIN):
                listener.recv(1000)


if __name__ == "__main__":
    unittest.main()
