# SPDX-License-Identifier: MIT
"""Random sequences of operations, by several processes, on a mount and on a model of it.

A sequence that shows a difference is made short and printed as source. When it is fixed it goes into Regressions.
"""
import collections
import glob
import os
import random
import time
import unittest

import amount
import harness
from model import sequences
from model.driver import Difference, Play
from model.state import LIMIT
from model.workers import Crew, Died

# So many sequences share a mount before it is mounted again and all their reports are looked at once more.
BATCH = 20

# What the kernel may believe for how long: changes of this mount are seen at once all the same.
TIMEOUTS = ((), ("attr_timeout=60", "entry_timeout=60"), ("attr_timeout=0", "entry_timeout=0"))

# So many sequences use a store, before all that they left in it is given up.
STORE_LIFE = 50 * BATCH

# So many sequences try every operation.
ENOUGH = 200
SHRINKING = 90  # seconds
PATIENCE_WHEN_SHRINKING = 1


class ModelTest(harness.MountTest):
    def setUp(self):
        super().setUp()
        self.crew = None
        self.patience = harness.PATIENCE  # with what a release leads to; the rest is there at once
        self.n_crews = 0
        self.n_operations = 0
        self.timeouts = TIMEOUTS[0]
        self.mount_again()

    def mount_again(self):
        """A new mount of the store, and nobody who uses it."""
        self.dismiss()
        for mount in self.mounts:
            mount.finish()
        self.mounts.clear()
        path = os.path.join(self.dir, "mnt")
        os.makedirs(path, exist_ok=True)
        self.mount = self.start(f"max_report_size={LIMIT}", *self.timeouts, path=path)

    def dismiss(self):
        if self.crew:
            self.crew.dispose()
            self.held.remove(self.crew)
            self.crew = None

    def hire(self):
        if self.crew is None:
            self.n_crews += 1
            self.crew = self.hold(Crew(harness.PYTHON, os.path.join(self.dir, f"crew{self.n_crews}"), harness.PATIENCE))
        return self.crew

    def begin(self, next_operation):
        """Runs one sequence. Returns: the Play."""
        play = Play(self.mount, self.hire(), self.patience)
        try:
            play.run(next_operation)
        except (Difference, Died, TimeoutError) as error:
            error.operations = play.done
            raise
        finally:
            self.n_operations += len(play.done)
        return play

    def check_again(self, plays):
        """What the mount shows after it was mounted again, and what the tool shows."""
        self.mount_again()
        for play in plays:
            try:
                play.check_tree()
                play.check_store(harness.CAUREPORT, self.store)
            except Difference as error:
                error.operations = play.done
                raise Difference(f"mounted again: {error}") from error

    def play(self, operations):
        """Runs @operations, all to the end."""
        left = iter(operations)
        self.check_again([self.begin(lambda _model: next(left, None))])

    def differs(self, operations):
        """How the mount differs from the model, or None."""
        try:
            self.play(operations)
        except (Difference, Died, TimeoutError) as error:
            self.dismiss()
            return error
        return None


class Random(ModelTest):
    def test_random_sequences_do_what_the_model_says(self):
        self.seed = amount.seed()
        self.plays = []
        self.kinds = set()
        self.met = collections.Counter()
        n_sequences, end = amount.rounds(0), time.monotonic() + amount.seconds(60)
        number = 0
        while number < n_sequences or (n_sequences == 0 and time.monotonic() < end):
            self.run_sequence(number)
            number += 1
        self.check_batch(number)
        refusals = ", ".join(f"{count} {name}" for name, count in self.met.most_common())
        amount.tell(f"{number} sequences, {self.n_operations} operations of {len(self.kinds)} kinds; "
                    f"refused as they should be: {refusals}")
        never = sequences.WEIGHTS.keys() - self.kinds - {"chown", "fchown"}  # those are root's
        self.assertTrue(number < ENOUGH or not never, f"operations that were never tried: {never}")

    def run_sequence(self, number):
        rng = random.Random(f"{self.seed}/{number}")
        try:
            self.plays.append(self.begin(sequences.Maker(rng, is_root=os.geteuid() == 0)))
        except (Difference, Died, TimeoutError) as error:
            self.explain(number, error, error.operations)
        self.kinds |= {operation[0] for operation in self.plays[-1].done}
        self.met += self.plays[-1].met
        if len(self.plays) == BATCH:
            self.check_batch(number + 1)
        if number % STORE_LIFE == STORE_LIFE - 1:
            self.start_over(number)

    def start_over(self, number):
        old = self.store
        self.store = os.path.join(self.dir, f"store{number}.cau")
        self.mount_again()
        for path in glob.glob(f"{old}*"):
            os.unlink(path)

    def check_batch(self, number):
        """Also begins the next one, with other timeouts."""
        self.timeouts = TIMEOUTS[number // BATCH % len(TIMEOUTS)]
        try:
            self.check_again(self.plays)
        except Difference as error:
            self.explain(number, error, error.__cause__.operations)
        self.plays.clear()

    def explain(self, number, error, operations):
        """Makes the sequence short, and fails with it."""
        amount.tell(f"sequence {number}, {len(operations)} operations, mounted with {self.timeouts}: {error}")
        self.dismiss()
        self.patience = PATIENCE_WHEN_SHRINKING
        first = self.differs(operations)
        if first is None:
            self.fail(f"seed {self.seed}, sequence {number}: {error}\nNot seen again when it was repeated:\n"
                      + sequences.as_source(operations))
        short = sequences.shrink(operations, lambda shorter: is_same(self.differs(shorter), first), SHRINKING)
        self.fail(f"seed {self.seed}, sequence {number}: {error}\nAs short as it got: {self.differs(short)}\n"
                  + sequences.as_source(short))


class Regressions(ModelTest):
    """What random sequences found, as short as it got. The mount tests say what each is about."""

    def play(self, operations):
        for self.timeouts in (*TIMEOUTS[1:], TIMEOUTS[0]):  # of the next mount
            super().play(operations)

    def test_closing_what_was_not_written_leaves_the_time_of_what_others_saved(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("open", 0, 0, "A/x", "WRONLY|CREAT", 0o644),
            ("open", 0, 1, "A/x", "WRONLY|CREAT", 0o644),
            ("write", 0, 0, 3, 1),
            ("close", 0, 0),
            ("close", 0, 1),
        ])

    def test_a_second_writer_of_a_new_name_has_its_mode(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("open", 1, 0, "A/x", "WRONLY|CREAT", 0o640),
            ("open", 1, 3, "A/x", "RDWR|CREAT", 0o600),
            ("fstat", 1, 3),
            ("stat", 0, "A/x"),
        ])

    def test_attributes_set_through_an_idle_writer_are_seen_at_once_by_readers(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("mknod", 0, "A/x", "REG", 0o644),
            ("open", 0, 1, "A/x", "RDONLY", 0o644),
            ("open", 0, 2, "A/x", "WRONLY|CREAT", 0o644),
            ("futime", 0, 2, 0, 0),
            ("fstat", 0, 1),
        ])

    def test_attributes_set_through_a_reader_of_a_replaced_version_are_seen_at_once(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("mknod", 0, "A/x", "REG", 0o644),
            ("open", 0, 1, "A/x", "RDONLY", 0o644),
            ("truncate", 0, "A/x", 5),
            ("stat", 0, "A/x"),
            ("fchmod", 0, 1, 0o600),
            ("stat", 0, "A/x"),
        ])

    def test_a_change_of_owner_through_an_idle_writer_takes_the_set_id_bits_away(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("mknod", 0, "A/x", "REG", 0o644),
            ("open", 2, 0, "A/x", "RDWR", 0o644),
            ("chmod", 2, "A/x", 0o4755),
            ("fchown", 2, 0, os.geteuid(), os.getegid()),
            ("stat", 2, "A/x"),
        ])

    def test_a_second_writer_of_a_new_name_begins_with_nothing(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("open", 0, 0, "A/x", "WRONLY|CREAT", 0o644),
            ("write", 0, 0, 500, 1),
            ("open", 1, 0, "A/x", "RDWR|APPEND", 0o644),
            ("write", 1, 0, 40, 2),
            ("seek", 1, 0, "CUR", 0),
        ])

    def test_a_report_without_a_name_that_is_being_written_has_no_link(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("open", 0, 0, "A/x", "WRONLY|CREAT|APPEND", 0o644),
            ("open", 0, 2, "A/y", "RDWR|CREAT", 0o644),
            ("write", 0, 2, 3, 1),
            ("rename", 0, "A/x", "A/y", ""),
            ("fstat", 0, 2),
        ])

    def test_a_truncation_that_is_refused_leaves_what_was_written(self):
        self.play([
            ("mkdir", 0, "A", 0o755),
            ("open", 3, 1, "A/y", "RDWR|CREAT", 0o644),
            ("write", 3, 1, 3, 1),
            ("ftruncate", 3, 1, LIMIT + 1),
            ("truncate", 0, "A/y", LIMIT + 1),
            ("write", 3, 1, 3, 2),
        ])


def is_same(error, first):
    """Whether a shorter sequence fails in the same way, and not in another."""
    return type(error) is type(first) and getattr(error, "kind", None) == getattr(first, "kind", None)


if __name__ == "__main__":
    unittest.main()
