# SPDX-License-Identifier: MIT
"""caufs run by an ordinary user, through fusermount3.

As root, each session is in a mount namespace where /dev/fuse is open to everybody, as udev makes it, and where
the user reaches the build and the tests wherever they are.
"""
import json
import os
import unittest

import harness
import namespace


class OrdinaryUser(namespace.NamespaceTest):
    prepare = """
        mount -t tmpfs -o mode=755 caufs-test "$dir/dev"
        mknod -m 666 "$dir/dev/fuse" c 10 229
        mount --bind "$dir/dev/fuse" /dev/fuse
    """
    run_as = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")

    def refusal(self, script):
        """What caufs says, in one line, when the last command of @script fails."""
        status, said = json.loads(self.session(script)[-1])
        self.assertEqual(status, 1, said)
        lines = [line for line in said.splitlines() if not line.startswith("fusermount3: ")]
        self.assertEqual(len(lines), 1, said)
        self.assertTrue(lines[0].startswith("caufs: "), said)
        return said

    def test_an_ordinary_user_mounts_works_and_unmounts(self):
        self.session("""
mount = Mount(store, mnt).wait_ready()
os.mkdir(folder)
write_file(folder + '/a', b'one')
subprocess.run(['cp', '-a', folder + '/a', folder + '/b'], check=True)
os.rename(folder + '/b', folder + '/c')
assert sorted(os.listdir(folder)) == ['a', 'c'], os.listdir(folder)
assert read_file(folder + '/c') == b'one'
assert os.stat(folder + '/c').st_uid == os.getuid()
os.unlink(folder + '/a')
mount.finish()
mount = Mount(store, mnt).wait_ready()
assert os.listdir(folder) == ['c']
mount.finish()
""")

    def test_a_signal_ends_the_mount_of_an_ordinary_user(self):
        self.session("mount = Mount(store, mnt).wait_ready()\nmount.terminate()")

    def test_a_writer_killed_under_a_daemon_without_privilege_saves_nothing(self):
        self.session("""
mount = Mount(store, mnt).wait_ready()
os.mkdir(folder)
write = "fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT, 0o644); os.write(fd, b'one')\\n"
for threads in ('', 'for _ in range(3): threading.Thread(target=threading.Event().wait, daemon=True).start()\\n'):
    child = harness.Child(threads + write + 'say(); hear()', folder + '/killed')
    child.expect()
    child.kill()
    child.dispose()
    wait_until(lambda: not exists(folder + '/killed'), 'the upload is thrown away')
    child = harness.Child(threads + write + 'os._exit(0)', folder + '/exited')
    assert child.wait() == 0
    child.dispose()
    assert read_file(folder + '/exited') == b'one'
    os.unlink(folder + '/exited')
assert 'killed' in mount.log()
mount.finish()
""")

    def test_a_dead_mount_of_an_ordinary_user_is_cleared(self):
        self.session("""
mount = Mount(store, mnt).wait_ready()
os.mkdir(folder)
mount.crash()
try:
    os.listdir(mnt)
    raise SystemExit('the dead mount still answers')
except OSError as error:
    assert error.errno == errno.ENOTCONN, error
mount = Mount(store, mnt).wait_ready()
assert os.listdir(mnt) == [GUID]
assert len(harness.caufs_mounts_at(mnt)) == 1
mount.finish()
""")

    @harness.needs_root
    def test_a_store_without_permission_is_named(self):
        for name, mode in (("closed", 0o700), ("open", 0o755)):
            folder = os.path.join(self.dir, name)
            os.mkdir(folder, mode)
            mount = self.start(store=os.path.join(folder, "store.cau"))
            os.mkdir(os.path.join(mount.path, harness.GUID))
            mount.finish()
            os.chmod(os.path.join(folder, "store.cau"), 0o600)
            said = self.refusal(f"caufs('-f', {os.path.join(folder, 'store.cau')!r}, mnt)")
            self.assertIn(os.path.join(folder, "store.cau"), said)
            self.assertRegex(said, "[Pp]ermi")
            os.rmdir(os.path.join(self.home, "mnt"))

    @harness.needs_root
    def test_a_mountpoint_without_permission_is_named(self):
        path = os.path.join(self.dir, "roots")
        os.mkdir(path, 0o755)
        said = self.refusal(f"caufs('-f', store, {path!r})")
        self.assertIn(path, said)


if __name__ == "__main__":
    unittest.main()
