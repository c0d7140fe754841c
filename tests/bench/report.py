# SPDX-License-Identifier: ISC
"""Tables of a benchmark: what was measured, and the goals it is held to."""

import dataclasses


@dataclasses.dataclass
class Table:
    """Rows of texts under a title; the first column says what."""

    title: str
    columns: list
    rows: list = dataclasses.field(default_factory=list)

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def text(self):
        lines = [self.columns, *self.rows]
        widths = [max(len(line[n]) for line in lines)
                  for n in range(len(self.columns))]
        out = ["", self.title, "-" * len(self.title)]
        for line in lines:
            first = line[0].ljust(widths[0])
            rest = [cell.rjust(width)
                    for cell, width in zip(line[1:], widths[1:])]
            out.append("  ".join([first, *rest]).rstrip())
        return "\n".join(out)


@dataclasses.dataclass
class Goal:
    """One figure the project promised; at least or at most so much."""

    what: str
    value: float
    least: float = None
    most: float = None
    unit: str = ""

    @property
    def met(self):
        if self.least is not None and self.value < self.least:
            return False
        return self.most is None or self.value <= self.most

    def wanted(self):
        if self.least is not None:
            return f"at least {self.least:g}{self.unit}"
        return f"at most {self.most:g}{self.unit}"


@dataclasses.dataclass
class Result:
    """What one part found."""

    tables: list = dataclasses.field(default_factory=list)
    goals: list = dataclasses.field(default_factory=list)
    figures: dict = dataclasses.field(default_factory=dict)

    def table(self, title, *columns):
        self.tables.append(Table(title, list(columns)))
        return self.tables[-1]

    def goal(self, what, value, **limits):
        self.goals.append(Goal(what, value, **limits))


def goals_table(goals):
    table = Table("Goals", ["", "measured", "wanted", ""])
    for goal in goals:
        table.add(goal.what, f"{goal.value:.2f}{goal.unit}", goal.wanted(),
                  "met" if goal.met else "MISSED")
    return table


def rate(value):
    return f"{value:,.0f}/s"


def times(value):
    return f"{value:.2f}x"


def percent(value):
    return f"{value * 100:.0f} %"


def seconds(value):
    return f"{value:.2f} s"
