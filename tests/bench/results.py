# SPDX-License-Identifier: MIT
"""What the records amount to: medians, spreads, ratios."""
import statistics


class Figure:
    """The values of one work on one contender, operations or bytes per second."""

    def __init__(self, values):
        self.values = values
        self.median = statistics.median(values)
        self.least = min(values)
        self.most = max(values)

    def as_json(self):
        return {"median": self.median, "least": self.least, "most": self.most, "values": self.values}


class Results:
    """figures: {work: {contender: Figure}} of the rounds that were timed. traced: {work: {contender: record}} of the
    one whose requests were counted."""

    def __init__(self, records, kinds, disk=None, growth=None, orchestrators=None):
        """@kinds: {contender: kind}. @disk: {contender: {"saved": bytes, "on_disk": bytes}}. @growth and
        @orchestrators: the points of Growth."""
        self.kinds = kinds
        self.disk = disk or {}
        self.growth = growth or {}
        self.orchestrators = orchestrators or []
        self.traced = {}
        self.timed = {}
        for record in records:
            work, contender = record["work"], record["contender"]
            if record["traced"]:
                self.traced.setdefault(work, {})[contender] = record
            else:
                self.timed.setdefault(work, {}).setdefault(contender, []).append(record)
        self.figures = {work: {name: Figure([record["value"] for record in those])
                               for name, those in by_name.items()} for work, by_name in self.timed.items()}

    def median(self, work, contender):
        """None when it was not measured."""
        figure = self.figures.get(work, {}).get(contender)
        return figure.median if figure else None

    def ratio(self, work, contender, reference, reference_work=None):
        """How many times as fast the first is, or None."""
        ours = self.median(work, contender)
        theirs = self.median(reference_work or work, reference)
        return ours / theirs if ours is not None and theirs else None

    def best(self, work, kinds, without=()):
        """The name of the fastest contender of these kinds, or None."""
        names = [name for name in self.figures.get(work, {}) if self.kinds[name] in kinds and name not in without]
        return max(names, key=lambda name: self.median(work, name), default=None)

    def cpu_seconds(self, work, contender):
        """(of the daemon, of the client) for one operation or byte, over all rounds that were timed; None for what was
        not measured."""
        records = self.timed.get(work, {}).get(contender, [])
        amount = sum(record["amount"] for record in records)
        if not amount:
            return None, None
        daemon = [record["daemon_cpu"] for record in records]
        return (None if None in daemon else sum(daemon) / amount,
                sum(record["client_cpu"] for record in records) / amount)

    def peak_memory(self, work, contender):
        """Bytes, of the daemon, or None."""
        return max((record["daemon_peak"] for record in self.timed.get(work, {}).get(contender, [])
                    if record["daemon_peak"]), default=None)

    def growth_point(self, reports, contender="caufs"):
        """The figures at one size, or None."""
        return next((point for point in self.growth.get(contender, []) if point["reports"] == reports), None)

    def as_json(self):
        return {work: {name: figure.as_json() for name, figure in figures.items()}
                for work, figures in self.figures.items()}
