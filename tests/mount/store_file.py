# SPDX-License-Identifier: MIT
"""What is in the file of a store, as SQLite shows it."""
import contextlib
import sqlite3

import harness

# What no store in order ever has, in use or not.
RULES = (
    ("PRAGMA integrity_check", [("ok",)]),
    ("PRAGMA foreign_key_check", []),
    ("SELECT id FROM orchestrators AS o WHERE id <> 0 AND n_reports <>"
     " (SELECT count(*) FROM versions WHERE orchestrator = o.id)", []),
    ("SELECT count(*) FROM chunks WHERE id >> 23 NOT IN (SELECT id FROM versions)"
     " AND id NOT IN (SELECT chunk FROM inherited)", [(0,)]),
    ("SELECT count(*) FROM inherited WHERE version NOT IN (SELECT id FROM versions)"
     " OR chunk NOT IN (SELECT id FROM chunks)", [(0,)]),
)


def query(path, sql):
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=harness.PATIENCE)) as database:
        return database.execute(sql).fetchall()


def count_unsaved(path):
    """Uploads, and versions that nothing leads to any more."""
    return query(path, "SELECT count(*) FROM versions WHERE orchestrator IS NULL")[0][0]


def check(path):
    """Nobody writes: no upload remains, no chunk without its version, and the engine's own check finds nothing."""
    unsaved = count_unsaved(path)
    if unsaved != 0:
        raise AssertionError(f"{path}: {unsaved} versions are not saved")
    for sql, expected in RULES:
        found = query(path, sql)
        if found != expected:
            raise AssertionError(f"{path}: {sql}: {found}, not {expected}")
