# SPDX-License-Identifier: MIT
"""caureport verify and recover: what they find, save, print and exit with. Damage of every kind is in tests/fault/test-flips.c."""
import errno
import json
import os
import pty
import re
import sqlite3
import subprocess
import unittest

from caureport_harness import (CAUREPORT, DAMAGED, EXISTS, GUID, NOT_FOUND, OTHER_GUID, UNAVAILABLE, USAGE, StoreTest,
                               random_bytes, read_file, samples)

CHUNK = 128 * 1024
PAGE = 4096


class DamageTest(StoreTest):
    def setUp(self):
        super().setUp()
        self.big = random_bytes(5 * CHUNK + 1000)
        self.run_tool("mkdir", GUID, OTHER_GUID)
        self.run_tool("put", GUID, *samples())
        self.put("big", self.big, guid=OTHER_GUID)
        self.put("small", b"a small report", guid=OTHER_GUID)
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def overwrite(self, offset, data):
        with open(self.store, "r+b") as file:
            file.seek(offset)
            file.write(data)

    def change_in(self, table, after, data):
        """Puts @data behind the bytes @after wherever the root page of @table has them: in a row, or where one was."""
        root = (self.tables()[table] - 1) * PAGE
        page = read_file(self.store)[root:root + PAGE]
        found = [match.end() for match in re.finditer(re.escape(after), page)]
        self.assertTrue(found)
        for at in found:
            self.overwrite(root + at, data)

    def tables(self):
        """For each table and index the page its tree begins on."""
        return dict(self.sql("SELECT name, rootpage FROM sqlite_schema"))

    def state(self):
        """All that there is to know of the store's reports."""
        return {(guid, report["name"]): self.json("info", guid, report["name"])
                for guid in (GUID, OTHER_GUID) for report in self.json("ls", guid)}

    def verify(self, *words, status=DAMAGED):
        return json.loads(self.run_tool("verify", "--json", *words, status=status))

    @staticmethod
    def of_status(found, status):
        return [entry for entry in found if entry["status"] == status]


class Verify(DamageTest):
    def show_on_terminal(self, *words):
        """What caureport writes to standard error, a terminal, when it takes its time."""
        try:
            ours, theirs = pty.openpty()
        except OSError as error:
            self.skipTest(f"no pseudo-terminal can be had: {error}")
        self.addCleanup(os.close, ours)
        # A sanitizer wants to be loaded first, and is told that this is no mistake.
        options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        environment = self.environment(LD_PRELOAD=os.environ.get("CAU_CLOCK_SHIM", ""), CAU_CLOCK_HURRIES="1",
                                       ASAN_OPTIONS=options)
        with subprocess.Popen([CAUREPORT, *words], stdout=subprocess.DEVNULL, stderr=theirs, env=environment) as process:
            os.close(theirs)
            shown = b"".join(iter(lambda: self.read_terminal(ours), b""))
        self.assertEqual(process.returncode, 0)
        return shown.decode()

    @staticmethod
    def read_terminal(fd):
        try:
            return os.read(fd, 4096)
        except OSError as error:  # the other end is closed
            if error.errno != errno.EIO:
                raise
            return b""

    def test_progress_on_a_terminal(self):
        size = r"[0-9.]+[KM]?"
        start = rf"\r{re.escape(self.store)}: {size} of {size}, "
        for words in [("--store", self.store, "verify"), ("recover", self.store, self.path("new.db"))]:
            with self.subTest(words):
                shown = self.show_on_terminal(*words)
                self.assertRegex(shown, rf"{start}[1-9]\d?%, {size}/s\x1b\[K")
                self.assertRegex(shown, rf"{start}100%")
                self.assertTrue(shown.endswith("\r\x1b[K"), shown)

    def test_a_good_store(self):
        n = len(samples()) + 2
        size = sum(os.path.getsize(path) for path in samples()) + len(self.big) + len("a small report")
        self.assertEqual(self.run_tool("verify").decode(), f"{n} reports of {size} bytes read whole\n")
        self.assertEqual(self.verify(status=0), [{"status": "summary", "good": n, "damaged": 0, "store": 0,
                                                  "bytes": size, "unused_chunks": 0, "unnamed": 0}])

    def test_all_lists_the_good_ones(self):
        lines = self.run_tool("verify", "--all", OTHER_GUID).decode().splitlines()
        self.assertEqual(lines[:2], [f"good    {OTHER_GUID}/big", f"good    {OTHER_GUID}/small"])
        found = self.verify("--all", OTHER_GUID, "big", status=0)
        self.assertEqual({key: found[0][key] for key in ("status", "orchestrator", "name", "size", "chunks")},
                         {"status": "good", "orchestrator": OTHER_GUID, "name": "big", "size": len(self.big), "chunks": 6})

    def test_damaged_bytes_are_named(self):
        self.damage(self.big, CHUNK + 5000)
        self.damage(self.big, 2 * CHUNK + 5000)
        self.damage(self.big, 5 * CHUNK + 100)
        out = self.run_tool("verify", status=DAMAGED).decode()
        self.assertIn(f"damaged {OTHER_GUID}/big: chunk 1 is damaged: its checksum does not match; "
                      f"bytes {CHUNK}-{3 * CHUNK - 1}, {5 * CHUNK}-{len(self.big) - 1} of {len(self.big)}\n", out)
        self.assertEqual(self.messages, f"caureport: {self.store} is damaged: 1 of {len(samples()) + 2} reports do not "
                                        "read whole\n")
        found = self.verify("--all")
        self.assertEqual(self.of_status(found, "damaged")[0]["damaged_bytes"],
                         [[CHUNK, 3 * CHUNK - 1], [5 * CHUNK, len(self.big) - 1]])
        self.assertEqual(len(self.of_status(found, "good")), len(samples()) + 1)

    def test_only_what_is_asked_for(self):
        self.damage(self.big, 5000)
        self.verify(GUID, status=0)
        self.verify(OTHER_GUID, "small", status=0)
        self.verify(OTHER_GUID)
        self.verify(OTHER_GUID, "small", "big")
        self.refuse(NOT_FOUND, "absent: there is no report", "verify", GUID, "absent")
        self.refuse(NOT_FOUND, "no such orchestrator", "verify", "5b3c1f60-1d2e-4f3a-8b4c-5d6e7f8091a5")

    def test_a_damaged_record(self):
        self.sql("UPDATE versions SET size = size + 1 WHERE name = 'small'")
        damaged = self.of_status(self.verify(), "damaged")
        self.assertEqual([entry["name"] for entry in damaged], ["small"])
        self.assertIn("checksum of its record", damaged[0]["problem"])

    def test_a_list_says_which_records_are_damaged(self):
        self.sql("UPDATE versions SET size = size + 1 WHERE name = 'small'")
        lines = self.run_tool("ls", OTHER_GUID, status=DAMAGED).decode().splitlines()
        self.assertEqual([line.split()[-1] for line in lines[1:]], ["big", "small"])
        self.assertRegex(lines[2], r"^ +damaged +\? +\? +\? +small$")
        self.assertIn("the records of 1 reports are damaged; caureport verify tells more", self.messages)
        for words in [(), ("--sort", "size")]:
            found = json.loads(self.run_tool("ls", "--json", OTHER_GUID, *words, status=DAMAGED))
            self.assertIn({"name": "small", "damaged": True}, found)

    def test_other_bytes_than_were_saved(self):
        self.sql("UPDATE chunks SET data = NULL WHERE id / 8388608 = (SELECT id FROM versions WHERE name = 'small')")
        self.assertEqual([entry["name"] for entry in self.of_status(self.verify(), "damaged")], ["small"])

    def test_counters(self):
        self.sql(f"UPDATE orchestrators SET n_reports = 7 WHERE guid = x'{OTHER_GUID.replace('-', '')}'")
        self.sql("UPDATE orchestrators SET last_version = 3 WHERE id = 0")
        found = self.of_status(self.verify(), "store")
        self.assertIn({"status": "store", "orchestrator": OTHER_GUID,
                       "problem": "its record counts 7 reports, there are 2"}, found)
        self.assertTrue(any("3 is the last version" in entry["problem"] for entry in found), found)
        self.assertIn("though all its reports read", self.messages)

    def test_what_is_left_over_is_no_damage(self):
        self.sql("INSERT INTO chunks (id, checksum) VALUES (9, 0)")
        self.assertEqual(self.verify(status=0)[0]["unused_chunks"], 1)
        self.assertIn("1 stored chunks belong to no report; that is no damage\n", self.run_tool("verify").decode())

    def test_it_goes_on_past_a_tree_that_cannot_be_walked(self):
        for table in ["versions", "versions_by_name", "chunks"]:
            with self.subTest(table):
                whole = read_file(self.store)
                self.overwrite((self.tables()[table] - 1) * PAGE, bytes(PAGE))
                found = self.verify("--all")
                named = {entry["name"] for entry in found if "name" in entry}
                self.assertEqual(named, {"big", "small", *map(os.path.basename, samples())}, found)
                self.assertTrue(self.of_status(found, "store"))
                self.overwrite(0, whole)

    def test_a_store_that_does_not_open(self):
        self.overwrite(0, bytes(100))
        self.refuse(UNAVAILABLE, "not a report store; .*caureport recover may still find reports", "verify")

    def test_an_index_that_has_lost_a_name(self):
        # The name is changed in the index, and nowhere else.
        content = read_file(self.store)
        leaf = (self.tables()["versions_by_name"] - 1) * PAGE
        self.overwrite(content.index(b"small", leaf), b"smalk")
        found = self.verify("--all")
        self.assertEqual([(entry["name"], entry["status"]) for entry in found if entry.get("name", "").startswith("sm")],
                         [("smalk", "damaged"), ("small", "damaged")])


    def told_of(self, found):
        return sorted((entry.get("orchestrator"), entry["name"], entry["status"]) for entry in found if "name" in entry)

    @staticmethod
    def good_samples():
        return [(GUID, os.path.basename(path), "good") for path in samples()]

    def test_a_report_is_told_once_when_guids_are_damaged(self):
        whole, guid = read_file(self.store), bytes.fromhex(OTHER_GUID.replace("-", ""))
        # SQLite takes the GUID from where it found it, so the index leads to the reports whatever the record says.
        for table, status in [("sqlite_autoindex_orchestrators_1", "damaged"), ("orchestrators", "good")]:
            with self.subTest(table):
                self.overwrite(0, whole)
                self.change_in(table, guid[:-1], b"x")
                found = self.verify("--all")
                expected = [(OTHER_GUID, "big", status), (OTHER_GUID, "small", status), *self.good_samples()]
                self.assertEqual(self.told_of(found), sorted(expected))
                self.assertTrue(self.of_status(found, "store"))

    def test_a_report_is_told_once_when_its_name_leads_to_another(self):
        versions = dict(self.sql("SELECT name, id FROM versions"))
        self.change_in("versions_by_name", b"small", bytes([versions["big"]]))
        self.assertEqual(self.told_of(self.verify("--all")),
                         sorted([(OTHER_GUID, "big", "good"), (OTHER_GUID, "small", "damaged"), *self.good_samples()]))


class Recover(DamageTest):
    def setUp(self):
        super().setUp()
        self.new = self.path("new.db")

    def recover(self, *words, status=0):
        before = read_file(self.store)
        out = self.bare("recover", self.store, self.new, "--json", *words, status=status)
        self.assertEqual(read_file(self.store), before)
        self.assertFalse([name for name in os.listdir(self.dir) if "recovering" in name])
        return json.loads(out)

    def use_new(self):
        self.store = self.new

    def test_everything_is_kept(self):
        self.sql("UPDATE orchestrators SET mode = 448, uid = 1234, gid = 99, atime = 5, mtime = 6, ctime = 7"
                 f" WHERE guid = x'{GUID.replace('-', '')}'")
        before, folders = self.state(), self.sql("SELECT * FROM orchestrators ORDER BY id")
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        found = self.recover("--all")
        self.assertEqual(len(self.of_status(found, "saved")), len(samples()) + 2)
        self.use_new()
        self.assertEqual(self.state(), before)
        self.assertEqual(self.sql("SELECT * FROM orchestrators ORDER BY id"), folders)
        self.assertEqual(self.verify(status=0)[0]["good"], len(samples()) + 2)
        self.assertEqual(self.get("big", guid=OTHER_GUID), self.big)
        self.put("more", b"it can be written to", guid=GUID)

    def test_it_is_open_to_the_same_users(self):
        os.chmod(self.store, 0o640)
        if os.geteuid() == 0:
            os.chown(self.store, 65534, 65533)
        self.recover()
        old, new = os.stat(self.store), os.stat(self.new)
        self.assertEqual((new.st_mode, new.st_uid, new.st_gid), (old.st_mode, old.st_uid, old.st_gid))

    def test_without_its_first_page(self):
        before = self.state()
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.overwrite(0, bytes(PAGE))
        self.recover()
        self.use_new()
        self.assertEqual(self.state(), before)

    def test_without_the_tops_of_its_trees(self):
        self.run_tool("put", GUID, *[self.write_file(f"report-{i:04}", b"%d" % i) for i in range(300)])
        before = self.state()
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        content = read_file(self.store)
        for root in self.tables().values():
            if root and content[(root - 1) * PAGE] in (2, 5):
                self.overwrite((root - 1) * PAGE, bytes(PAGE))
        self.run_tool("verify", status=DAMAGED)
        self.recover()
        self.use_new()
        self.assertEqual(self.state(), before)

    def test_what_is_lost_is_listed(self):
        self.damage(self.big, CHUNK + 5000)
        found = self.recover(status=DAMAGED)
        lost = self.of_status(found, "lost")
        self.assertEqual([(entry["orchestrator"], entry["name"]) for entry in lost], [(OTHER_GUID, "big")])
        self.assertEqual(lost[0]["damaged_bytes"], [[CHUNK, 2 * CHUNK - 1]])
        self.assertRegex(self.messages, r"\Acaureport: .*store.db: 1 of \d+ reports could not be saved\n\Z")
        self.use_new()
        self.assertEqual(self.names(OTHER_GUID), ["small"])
        self.verify(status=0)

    def test_parts_of_what_is_lost(self):
        self.damage(self.big, CHUNK + 5000)
        self.recover("--partial", self.path("parts"), status=DAMAGED)
        part = read_file(self.path(f"parts/{OTHER_GUID}/big"))
        self.assert_bytes(part, self.big[:CHUNK] + bytes(CHUNK) + self.big[2 * CHUNK:])
        self.assertEqual(os.listdir(self.path("parts")), [OTHER_GUID])

    def test_parts_do_not_go_beside_those_of_another_attempt(self):
        os.makedirs(self.path("parts"))
        self.write_file("parts/older", b"")
        self.bare("recover", self.store, self.new, "--partial", self.path("parts"), status=USAGE)
        self.assertRegex(self.messages, r"\Acaureport: .*parts is not empty")
        self.assertFalse(os.path.exists(self.new))

    def test_a_lost_record_of_an_orchestrator(self):
        before = self.state()
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self.overwrite((self.tables()["orchestrators"] - 1) * PAGE, bytes(PAGE))
        found = self.recover(status=DAMAGED)
        self.assertEqual({entry.get("orchestrator") for entry in self.of_status(found, "store")}, {GUID, OTHER_GUID, None})
        self.use_new()
        self.assertEqual(self.state(), before)

    def cell_with(self, table, text):
        """The offset of the row in the root page of @table that has @text."""
        root = (self.tables()[table] - 1) * PAGE
        page = read_file(self.store)[root:root + PAGE]
        cells = [int.from_bytes(page[at:at + 2], "big") for at in range(8, 8 + 2 * int.from_bytes(page[3:5], "big"), 2)]
        return root + max(cell for cell in cells if cell < page.rindex(text))

    def test_a_record_that_an_index_puts_right(self):
        before, whole = self.state(), read_file(self.store)
        with self.subTest("its name"):
            self.change_in("versions", b"smal", b"k")
            self.recover()
            os.unlink(self.new)
        with self.subTest("its id"):
            self.overwrite(0, whole)
            cell = self.cell_with("versions", b"small")
            rowid = cell + 1 + (whole[cell] >> 7)
            self.overwrite(rowid, bytes([whole[rowid] ^ 0x20]))
            self.recover()
        self.use_new()
        self.assertEqual(self.state(), before)

    def test_a_lost_guid(self):
        before = self.state()
        self.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        for table in ["orchestrators", "sqlite_autoindex_orchestrators_1"]:
            self.overwrite((self.tables()[table] - 1) * PAGE, bytes(PAGE))
        self.recover(status=DAMAGED)
        self.use_new()
        guids = [entry["guid"] for entry in self.json("ls")]
        self.assertEqual(guids, ["00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"])
        self.assertEqual(self.get("small", guid=guids[1]), b"a small report")
        self.assertEqual(sum(entry["reports"] for entry in self.json("ls")), len(before))

    def test_what_was_removed_does_not_come_back(self):
        self.run_tool("put", GUID, *[self.write_file(f"report-{i:04}", b"%d" % i) for i in range(300)])
        # Deleting all rows of a table frees its pages as they are.
        database = sqlite3.connect(self.store)
        database.executescript("PRAGMA secure_delete=OFF; DELETE FROM versions; DELETE FROM chunks;"
                               "UPDATE orchestrators SET n_reports = 0; PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        whole = read_file(self.store)
        self.assertIn(b"report-0123", whole)
        for what, page in [("nothing", None), ("the free list", 1), ("the map of pages", 2)]:
            with self.subTest(damaged=what):
                self.overwrite(0, whole)
                if page is not None:
                    self.overwrite((page - 1) * PAGE, bytes(PAGE))
                found = self.recover()
                self.assertEqual(found, [entry for entry in found if entry["status"] in ("summary", "note")])
                self.assertEqual(found[-1]["saved"], 0)
                os.unlink(self.new)

    def test_an_existing_file_is_not_touched(self):
        self.write_file("new.db", b"precious")
        self.bare("recover", self.store, self.new, status=EXISTS)
        self.assertIn("new.db exists already", self.messages)
        self.assertEqual(read_file(self.new), b"precious")

    def test_a_log_of_another_store_is_not_made_the_new_ones(self):
        self.write_file("new.db-wal", b"precious")
        self.bare("recover", self.store, self.new, status=EXISTS)
        self.assertIn("new.db-wal exists already", self.messages)
        self.assertFalse(os.path.exists(self.new))

    def test_a_store_in_use_is_not_recovered(self):
        database = sqlite3.connect(self.store)
        database.execute("SELECT count(*) FROM versions").fetchone()
        self.bare("recover", self.store, self.new, status=UNAVAILABLE)
        self.assertRegex(self.messages, r"store.db is in use by process \d+")
        database.close()
        self.recover()

    def test_what_is_no_store(self):
        for data, status in [(b"", UNAVAILABLE), (b"Dear Sir or Madam, " * 1000, UNAVAILABLE), (bytes(PAGE * 4), UNAVAILABLE)]:
            other = self.write_file("letter.txt", data)
            self.bare("recover", other, self.new, status=status)
            self.assertIn("letter.txt is not a report store, nor the rest of one", self.messages)
        self.bare("recover", self.path("absent"), self.new, status=NOT_FOUND)
        self.bare("recover", self.store, self.path("absent/new.db"), status=NOT_FOUND)
        self.assertFalse(os.path.exists(self.new))

    def test_words(self):
        for words in [("recover",), ("recover", self.store), ("recover", self.store, self.new, "more"),
                      ("recover", self.store, self.new, "--store", self.store)]:
            self.bare(*words, status=USAGE)


if __name__ == "__main__":
    unittest.main()
