"""Levels of totals: series by store, by department, by a column of stores or items, and all together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shelfcast.ids import Ids, Shown
from shelfcast.job import write_json

Integers = NDArray[np.int64]

#: Key that decides the member of a series.
LevelOf = Literal["store", "dept"]

TOTAL = "total"
#: Levels of every data set; the others are declared.
USUAL_LEVELS = ("store", "dept", TOTAL)

_FILE = "levels.json"


@dataclass(frozen=True)
class DeclaredLevel:
    """Level that a declaration names.

    Attributes:
        of: Key that decides the member.
        members: Member of each store or department by its number; those without one are of no member.
    """

    of: LevelOf
    members: Mapping[int, str]


@dataclass(frozen=True)
class Groups:
    """Groups of N series at a level.

    Attributes:
        of_series: Group of each series [N], -1 for a series of no known member.
        names: Member of each group as people see it.
    """

    of_series: Integers
    names: list[Shown]


@dataclass(frozen=True)
class Levels:
    """Levels of a snapshot.

    Attributes:
        declared: Levels by name, without ``USUAL_LEVELS``.
    """

    declared: Mapping[str, DeclaredLevel] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: pa.Table) -> Levels:
        """Returns the levels of rows of ``snapshot.LEVELS``; of equal keys the last one counts."""
        declared: dict[str, DeclaredLevel] = {}
        members: dict[str, dict[int, str]] = {}
        for row in {(row["level"], row["of"], row["number"]): row for row in rows.to_pylist()}.values():
            of_level = members.setdefault(row["level"], {})
            declared[row["level"]] = DeclaredLevel(row["of"], of_level)
            if row["member"] is not None:
                of_level[row["number"]] = row["member"]
        return cls(declared)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all levels."""
        return ("store", "dept", *self.declared, TOTAL)

    def key_of(self, name: str) -> LevelOf:
        """Returns the key that decides the member of a series; for the total, which has one, either does."""
        if name in self.declared:
            return self.declared[name].of
        return "dept" if name == "dept" else "store"

    def groups(self, name: str, numbers: Integers, ids: Ids) -> Groups:
        """Returns the groups of N series at a level.

        Args:
            name: Name of the level.
            numbers: Number of the store or department of each series, whichever ``key_of`` names, [N].
            ids: Ids of stores and departments.
        """
        if name == TOTAL:
            return Groups(np.zeros(len(numbers), dtype=np.int64), [TOTAL])
        known, index = np.unique(numbers, return_inverse=True)
        if name not in self.declared:
            return Groups(index, [ids.shown(self.key_of(name), int(number)) for number in known])
        members = [self.declared[name].members.get(int(number)) for number in known]
        names = sorted({member for member in members if member is not None})
        codes = {member: code for code, member in enumerate(names)}
        of_known = np.array([-1 if m is None else codes[m] for m in members], dtype=np.int64)
        return Groups(of_known[index], [*names])


#: Levels of data that declare none.
NO_LEVELS = Levels()


def write_levels(folder: Path, levels: Levels) -> None:
    """Writes levels.json to the folder, unless no level is declared."""
    if levels.declared:
        write_json(
            folder / _FILE,
            {name: {"of": level.of, "members": level.members} for name, level in levels.declared.items()},
        )
    else:
        (folder / _FILE).unlink(missing_ok=True)


def read_levels_file(folder: Path) -> Levels:
    """Returns the levels that ``write_levels`` wrote; none of a declaration without a file."""
    path = folder / _FILE
    if not path.exists():
        return NO_LEVELS
    return Levels(
        {
            name: DeclaredLevel(level["of"], {int(n): member for n, member in level["members"].items()})
            for name, level in json.loads(path.read_text(encoding="utf-8")).items()
        }
    )
