# SPDX-License-Identifier: MIT
"""caureport with paths in a mount in place of GUIDs and names, and beside a mount."""
import os
import unittest

from caureport_harness import NOT_FOUND, USAGE
from harness import CAUREPORT, GUID, OTHER_GUID, ReportTest, needs_root, read_file, write_file


class InAMount(ReportTest):
    def bare(self, *words, status=0, **how):
        """Runs caureport without --store and CAU_STORE."""
        environment = {"CAU_STORE": "", **how.pop("env", {})}
        return self.run_program(CAUREPORT, *words, status=status, env=environment, **how).decode()

    def test_every_command_takes_a_path(self):
        source = os.path.join(self.dir, "a.xml")
        write_file(source, b"content")
        self.bare("put", self.folder, source)
        self.assertEqual(self.bare("get", self.path("a.xml")), "content")
        self.assertEqual(self.bare("get", self.folder, "a.xml"), "content")
        self.assertIn(f"Orchestrator: {GUID}\n", self.bare("info", self.path("a.xml")))
        self.assertIn(" a.xml\n", self.bare("ls", self.folder))
        self.assertIn(GUID, self.bare("ls", self.root))
        self.bare("put", self.path("b.xml"), source)
        self.bare("mv", self.path("b.xml"), "c.xml")
        self.bare("mv", self.path("c.xml"), self.path("d.xml"))
        self.bare("mkdir", os.path.join(self.root, OTHER_GUID))
        self.bare("mv", self.path("d.xml"), os.path.join(self.root, OTHER_GUID))
        self.bare("mv", self.path("a.xml"), "--to", OTHER_GUID)
        self.assertEqual(self.listed(), [])
        lines = self.bare("get", "--chunks", os.path.join(self.root, OTHER_GUID, "a.xml"))
        self.bare("put", "--chunks", self.path("e.xml"), input=lines.encode())
        self.assert_report(self.path("e.xml"), b"content")
        self.bare("rm", self.path("e.xml"), os.path.join(self.root, OTHER_GUID, "a.xml"))
        self.bare("rm", os.path.join(self.root, OTHER_GUID), "d.xml")
        self.bare("rmdir", os.path.join(self.root, OTHER_GUID))
        self.bare("collect", self.root)
        self.assertEqual(os.listdir(self.root), [GUID])

    def test_relative_paths(self):
        write_file(self.path("a.xml"), b"content")
        self.assertEqual(self.bare("get", "a.xml", cwd=self.folder), "content")
        self.assertEqual(self.bare("get", "./a.xml", cwd=self.folder), "content")
        self.assertEqual(self.bare("get", f"{GUID}/a.xml", cwd=self.root), "content")
        self.assertIn(" a.xml\n", self.bare("ls", ".", cwd=self.folder))
        self.assertIn(GUID, self.bare("ls", "..", cwd=self.folder))
        self.assertIn(GUID, self.bare("ls", ".", cwd=self.root))

    def test_a_guid_in_another_spelling(self):
        write_file(self.path("a.xml"), b"content")
        self.assertEqual(self.bare("get", os.path.join(self.root, "{%s}" % GUID.upper(), "a.xml")), "content")

    def test_through_symbolic_links(self):
        write_file(self.path("a.xml"), b"content")
        os.symlink(self.folder, os.path.join(self.dir, "link"))
        self.assertEqual(self.bare("get", "link/a.xml", cwd=self.dir), "content")
        self.assertIn(" a.xml\n", self.bare("ls", "link/", cwd=self.dir))
        # A link is not the report it leads to, which rm must not remove.
        os.symlink(self.path("a.xml"), os.path.join(self.dir, "b.xml"))
        self.bare("rm", os.path.join(self.dir, "b.xml"), status=USAGE)
        self.assertIn("neither the GUID of an orchestrator nor a path in a caufs mount", self.stderr)
        self.assertEqual(self.listed(), ["a.xml"])

    def test_a_mountpoint_with_odd_characters(self):
        odd = os.path.join(self.dir, "a b\\040\tc\nü#")
        os.mkdir(odd)
        store = os.path.join(self.dir, "st ore\\.db")
        mount = self.start(store=store, path=odd)
        os.mkdir(os.path.join(odd, OTHER_GUID))
        write_file(os.path.join(odd, OTHER_GUID, "a.xml"), b"odd")
        self.assertEqual(self.bare("get", os.path.join(odd, OTHER_GUID, "a.xml")), "odd")
        mount.finish()

    @needs_root
    def test_a_bind_mount_of_an_orchestrator(self):
        write_file(self.path("a.xml"), b"content")
        script = 'mount --bind "$1" "$2" && "$3" get "$2/a.xml"'
        place = os.path.join(self.dir, "place")
        os.mkdir(place)
        out = self.run_program("unshare", "--mount", "sh", "-c", script, "sh", self.folder, place, CAUREPORT)
        self.assertEqual(out, b"content")

    def test_the_path_decides_which_store(self):
        write_file(self.path("a.xml"), b"content")
        other = os.path.join(self.dir, "other.db")
        self.caureport("put", "--mkdir", GUID, self.path("a.xml"), store=other)
        self.bare("rm", self.path("a.xml"), env={"CAU_STORE": other})
        self.assertEqual(self.listed(), [])
        self.assertEqual(self.caureport("get", GUID, "a.xml", store=other), b"content")
        self.bare("--store", other, "ls", self.folder, status=USAGE)
        self.assertIn("leave one of them out", self.stderr)
        os.symlink(self.store, os.path.join(self.dir, "same.db"))
        self.bare("--store", os.path.join(self.dir, "same.db"), "ls", self.folder)

    def test_moving_between_stores_is_refused(self):
        write_file(self.path("a.xml"), b"content")
        second = self.start(store=os.path.join(self.dir, "second.db"))
        os.mkdir(os.path.join(second.path, GUID))
        self.bare("mv", self.path("a.xml"), os.path.join(second.path, GUID, "a.xml"), status=USAGE)
        self.assertIn("different stores", self.stderr)
        self.assertEqual(self.listed(), ["a.xml"])

    def test_a_store_that_is_not_where_it_was(self):
        here, there = os.path.join(self.dir, "here"), os.path.join(self.dir, "there")
        os.mkdir(here)
        mount = self.start(store=os.path.join(here, "store.db"))
        folder = os.path.join(mount.path, OTHER_GUID)
        os.mkdir(folder)
        write_file(os.path.join(folder, "a.xml"), b"content")
        os.rename(here, there)
        self.bare("ls", folder, status=NOT_FOUND)
        self.assertEqual(self.stderr, f"caureport: {mount.path} is a mount of {here}/store.db, which cannot be seen "
                                      "from here: name the store with --store\n")
        self.assertEqual(self.bare("--store", f"{there}/store.db", "get", os.path.join(folder, "a.xml")), "content")
        os.rename(there, here)

    def test_paths_that_lead_nowhere(self):
        for word, words in {
                "neither": ["ls", self.dir], "malformed|not a GUID|GUID": ["ls", os.path.join(self.root, "x")],
                "names a report": ["ls", self.path("a.xml")], "deeper": ["get", self.path("a/b")],
                "where a report is meant": ["get", self.root], "where an orchestrator is meant": ["mkdir", self.root],
                "names a report, where": ["mkdir", self.path("a")], "whole store": ["put", self.root, "a"]}.items():
            self.bare(*words, status=USAGE)
            self.assertRegex(self.stderr, word)
        self.bare("get", self.path("absent.xml"), status=NOT_FOUND)

    def test_of_a_daemon_that_died(self):
        write_file(self.path("a.xml"), b"content")
        self.mount.crash()
        self.assertEqual(self.bare("get", self.path("a.xml")), "content")

    def test_a_report_is_put_from_the_mount_and_got_into_it(self):
        write_file(self.path("a.xml"), b"content" * 100000)
        self.bare("put", self.path("b.xml"), self.path("a.xml"))
        self.assert_report(self.path("b.xml"), b"content" * 100000)
        # The mount has no files without a name, so this takes the other way to a whole file.
        self.bare("get", "-o", self.path("c.xml"), self.path("a.xml"))
        self.assert_report(self.path("c.xml"), b"content" * 100000)
        self.bare("get", "-o", self.path("c.xml"), self.path("b.xml"))
        self.assertEqual(self.listed(), ["a.xml", "b.xml", "c.xml"])

    def test_beside_a_mount(self):
        write_file(self.path("a.xml"), b"through the mount")
        self.assertEqual(self.caureport("get", GUID, "a.xml"), b"through the mount")
        with open(self.path("a.xml"), "rb") as reader:
            self.caureport("rm", GUID, "a.xml")
            self.assertEqual(reader.read(), b"through the mount")
        source = os.path.join(self.dir, "b.xml")
        write_file(source, b"by the tool")
        self.caureport("put", GUID, source)
        self.assertEqual(read_file(self.path("b.xml")), b"by the tool")


if __name__ == "__main__":
    unittest.main()
