# SPDX-License-Identifier: MIT
"""Mounting by mount(8), which finds caufs in the folders where it would be installed."""
import unittest

import harness
import namespace


@harness.needs_root
class SystemMount(namespace.NamespaceTest):
    prepare = """
        mount -t tmpfs caufs-test /usr/local/sbin
        ln -s "$CAUFS" /usr/local/sbin/caufs
    """

    # Daemons become children of the session's first process, which this script is.
    FINISH = """
pid, = harness.children()
subprocess.run(UNMOUNT, check=True)
assert harness.exit_status(pid) == 0
assert not caufs_mounts_at(mnt)
"""

    def test_mount_t_fuse_caufs_mounts(self):
        self.session("""
subprocess.run(['mount', '-t', 'fuse.caufs', '-o', 'allow_other,max_report_size=1K,nosuid', store, mnt], check=True)
os.mkdir(folder)
write_file(folder + '/a', bytes(1000))
try:
    write_file(folder + '/b', bytes(2000))
    raise SystemExit('max_report_size does not count')
except OSError as error:
    assert error.errno == errno.EFBIG, error
found, = caufs_mounts_at(mnt)
assert found[2] == store and {'allow_other', 'nosuid'} <= set(found[3].split(',')), found
""" + self.FINISH.replace("UNMOUNT", "['umount', mnt]"))

    def test_a_line_of_fstab_mounts(self):
        self.session("""
line = f'{store} {mnt} fuse.caufs rw,noauto,nofail,_netdev,user,allow_other,worm,x-systemd.requires=a.target 0 0'
write_file(home + '/fstab', line.encode())
subprocess.run(['mount', '-T', home + '/fstab', mnt], check=True)
os.mkdir(folder)
write_file(folder + '/a', b'one')
try:
    os.unlink(folder + '/a')
    raise SystemExit('worm does not count')
except PermissionError:
    pass
""" + self.FINISH.replace("UNMOUNT", "['fusermount3', '-u', mnt]"))

    def test_a_failure_reaches_mount(self):
        said = self.session("""
write_file(store, b'this is a text, and no store at all\\n' * 100)
done = subprocess.run(['mount', '-t', 'fuse.caufs', store, mnt], stderr=subprocess.PIPE, text=True)
assert done.returncode != 0
print(done.stderr)
assert not caufs_mounts_at(mnt)
""")
        self.assertTrue([line for line in said if line.startswith("caufs: ") and "store.cau" in line], said)


if __name__ == "__main__":
    unittest.main()
