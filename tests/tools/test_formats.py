# SPDX-License-Identifier: MIT
"""Stores of older formats open, and are brought up to date with all that they hold."""
import gzip
import hashlib
import os
import unittest

from caureport_harness import SAMPLES, UNAVAILABLE, StoreTest, read_file

FIRST = "5b3c1f60-1d2e-4f3a-8b4c-5d6e7f8091a2"
SECOND = "5b3c1f60-1d2e-4f3a-8b4c-5d6e7f8091a3"

# What store-format-1.cau.gz was written with; "appended" was in two versions that shared chunks.
SUMS = {
    (FIRST, "CauReport-20120920203244.xml"): "e3931e376ad230d80f7b260abae3a78c25a7c356a281400017d2aac4cf68e11b",
    (FIRST, "appended"): "f43240650987e1302567f8f126a380414524e5c5272a9b6f74239a35fc09992c",
    (FIRST, "empty"): "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    (FIRST, "hole"): "886715e4051e827f4fe215df3053af3f85ad0d352db2c829c7487af6d78efe30",
    (FIRST, "replaced"): "480c2336b410f1ad5f8bf1b28944490255804b65350c527787e74ebdd511e3a4",
    (SECOND, "CauReport-20240109030000.xml"): "b58f4246dcc53ff9c2b7bf18d744c4150c57f3b1d40c4d5a890f0e36d21651ec",
}


# What store-format-2.cau.gz was written with, through a mount; "appended" shares chunks with a version that is gone.
SECOND_SUMS = {
    (FIRST, "CauReport-20120920203244.xml"): "e3931e376ad230d80f7b260abae3a78c25a7c356a281400017d2aac4cf68e11b",
    (FIRST, "appended"): "b0f7961049d4a097bd0635c70a86b99a40d4f45c5d672b7bd59121e10cf0a39c",
    (FIRST, "empty"): "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    (FIRST, "hole"): "886715e4051e827f4fe215df3053af3f85ad0d352db2c829c7487af6d78efe30",
    (FIRST, "renamed"): "b5e9329dced47815bd94ed1de15a2bd42cf125a6e68e81beb3eca339cbf02f86",
    (FIRST, "replaced"): "f3425e4e23b23a528d10343743caad1617910e7ef66a578323525ffae8448d64",
    (SECOND, "CauReport-20240109030000.xml"): "b58f4246dcc53ff9c2b7bf18d744c4150c57f3b1d40c4d5a890f0e36d21651ec",
}


class FormatTest(StoreTest):
    def unpack(self, name):
        with gzip.open(os.path.join(SAMPLES, name)) as packed, open(self.store, "wb") as store:
            store.write(packed.read())

    def sums(self):
        return {(guid, report["name"]): self.json("info", guid, report["name"])["sha256"]
                for guid in (FIRST, SECOND) for report in self.json("ls", guid)}

    def format(self):
        with open(self.store, "rb") as store:
            return int.from_bytes(store.read(64)[60:], "big")


class FirstFormat(FormatTest):
    def setUp(self):
        super().setUp()
        self.unpack("store-format-1.cau.gz")

    def test_reading_only_says_what_to_do(self):
        os.chmod(self.store, 0o444)
        self.refuse(UNAVAILABLE, "older store format 1; open it for writing once", "ls", FIRST)
        self.assertEqual(self.format(), 1)

    def test_all_of_it_is_there_after_the_first_change(self):
        self.put("new", b"a new report", guid=FIRST)
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.assertEqual(self.format(), 2)
        self.assertEqual(self.get("new", guid=FIRST), b"a new report")
        self.run_tool("rm", FIRST, "new")
        self.assertEqual(self.sums(), SUMS)
        for guid, name in SUMS:
            self.get(name, guid=guid)
        self.assertEqual(self.sql("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.sql("PRAGMA foreign_key_check"), [])

    def test_no_id_is_given_out_again(self):
        before = dict(self.sql("SELECT name, seq FROM sqlite_sequence"))
        self.put("new", b"a new report", guid=FIRST)
        self.run_tool("mkdir", "5b3c1f60-1d2e-4f3a-8b4c-5d6e7f8091a5")
        self.assertGreater(self.sql("SELECT max(id) FROM versions")[0][0], before["versions"])
        self.assertGreater(self.sql("SELECT max(id) FROM orchestrators")[0][0], before["orchestrators"])

    def test_shared_chunks_go_with_the_last_version(self):
        for guid, name in SUMS:
            self.run_tool("rm", guid, name)
        self.assertEqual(self.sql("SELECT (SELECT count(*) FROM chunks), (SELECT count(*) FROM inherited)"), [(0, 0)])

    def test_recover_says_what_to_do(self):
        self.bare("recover", self.store, self.path("new.db"), status=UNAVAILABLE)
        self.assertIn("older store format 1", self.messages)
        self.assertIn("caureport collect", self.messages)


class SecondFormat(FormatTest):
    """Stores of this format are read as they are."""

    def setUp(self):
        super().setUp()
        self.unpack("store-format-2.cau.gz")

    def assert_whole(self):
        self.assertEqual(self.sums(), SECOND_SUMS)
        for (guid, name), expected in SECOND_SUMS.items():
            self.assertEqual(hashlib.sha256(self.get(name, guid=guid)).hexdigest(), expected, name)

    def test_it_is_read_without_a_change(self):
        before = read_file(self.store)
        os.chmod(self.store, 0o444)
        self.assert_whole()
        self.run_tool("verify")
        self.assertEqual(self.json("info", FIRST, "renamed")["mode"], "0600")
        self.assertEqual(read_file(self.store), before)

    def test_it_is_written_to(self):
        self.put("new", b"a new report", guid=FIRST)
        self.put("replaced", b"once more", guid=FIRST)
        self.run_tool("rm", FIRST, "new")
        self.assertEqual(self.get("replaced", guid=FIRST), b"once more")
        self.run_tool("verify")
        self.assertEqual(self.sums(), {**SECOND_SUMS, (FIRST, "replaced"): hashlib.sha256(b"once more").hexdigest()})

    def test_it_is_recovered(self):
        new = self.path("new.db")
        self.bare("recover", self.store, new)
        self.store = new
        self.assert_whole()


if __name__ == "__main__":
    unittest.main()
