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
    """figures: {work: {contender: Figure}} of the rounds that were timed; costs: {work: {contender: record}} of the one
    that was traced."""

    def __init__(self, records, contenders):
        """@contenders: {name: kind}."""
        self.kinds = contenders
        self.figures = {}
        self.costs = {}
        values = {}
        for record in records:
            if record["traced"]:
                self.costs.setdefault(record["work"], {})[record["contender"]] = record
            else:
                values.setdefault(record["work"], {}).setdefault(record["contender"], []).append(record["value"])
        for work, contenders_values in values.items():
            self.figures[work] = {name: Figure(those) for name, those in contenders_values.items()}

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

    def as_json(self):
        return {work: {name: figure.as_json() for name, figure in figures.items()}
                for work, figures in self.figures.items()}
