"""Weeks of last year that are alike: with the same holiday, or without one.

Easter, Ramadan, the Lunar New Year and Diwali move from year to year, and 52 weeks are a day or two short of
a year: the week 52 weeks before a week with a holiday may be an ordinary one, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.definitions import YEAR_WEEKS
from shelfcast.features.own_holidays import MAX_WEEKS_BACK, MIN_WEEKS_BACK

Floats = NDArray[np.float64]
Names = Sequence[frozenset[str]]

_NONE = frozenset[str]()
#: Weeks back, the nearest to a year first.
_NEAREST = sorted(range(MIN_WEEKS_BACK, MAX_WEEKS_BACK + 1), key=lambda back: (abs(back - YEAR_WEEKS), -back))


def weeks_back(flags: Floats, names: Names) -> Floats:
    """Returns how many weeks before each week the week of last year that is alike lies, [weeks].

    - A week with a holiday looks at last year's week with a holiday of the same name, and holidays without a
      name count as one name. Adjacent weeks of one name are matched in order: the third week of a feast of
      five looks at the third week of last year's.
    - The weeks before and after a holiday that moved move with it.
    - Another week without a holiday looks at the nearest such week.
    - Every other week, such as that of a holiday which was not known last year, looks 52 weeks back.

    Args:
        flags: 1 in weeks with a holiday, 0 in others, NaN where unknown, [weeks].
        names: Names of the holidays in each week with one; empty if it has no name.
    """
    unnamed = frozenset({""})
    found = [named or unnamed if flag == 1 else _NONE for flag, named in zip(flags, names, strict=True)]
    runs = {name: _Runs.of([name in here for here in found]) for name in _NONE.union(*found)}
    matched = [_match(week, found, runs) for week in range(len(flags))]
    return np.array([_weeks_back(week, flags, matched) for week in range(len(flags))], dtype=np.float64)


@dataclass(frozen=True)
class _Runs:
    """Runs of adjacent weeks: first week of each, and the week after it."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, weeks: Sequence[bool]) -> _Runs:
        """Returns the runs of true weeks."""
        edges = np.flatnonzero(np.diff(np.pad(np.array(weeks, dtype=np.int8), 1)))
        return cls(edges[::2], edges[1::2])

    def match(self, week: int) -> int | None:
        """Returns how many weeks before a week of a run last year's lies; None if there is none."""
        start = self.starts[np.searchsorted(self.starts, week, side="right") - 1]
        for back in _NEAREST:
            for n in np.flatnonzero(self.starts == start - back):
                return int(week - min(self.starts[n] + week - start, self.ends[n] - 1))
        return None


def _match(week: int, found: Names, runs: Mapping[str, _Runs]) -> int | None:
    """Returns how many weeks before a week with a holiday the one with most of its names lies."""
    backs = [runs[name].match(week) for name in sorted(found[week])]
    usable = [back for back in backs if back is not None and MIN_WEEKS_BACK <= back <= MAX_WEEKS_BACK]
    return max(
        usable,
        key=lambda back: (len(found[week] & found[week - back]), -_NEAREST.index(back)),
        default=None,
    )


def _weeks_back(week: int, flags: Floats, matched: Sequence[int | None]) -> int:
    own = matched[week]
    if own is not None:
        return own
    if flags[week] != 0:
        return YEAR_WEEKS

    def ordinary(back: int) -> bool:
        return back <= week and flags[week - back] == 0

    for neighbour in (week + 1, week - 1):
        moved = matched[neighbour] if 0 <= neighbour < len(flags) else None
        if moved is not None and ordinary(moved):
            return moved
    if week < YEAR_WEEKS or np.isnan(flags[week - YEAR_WEEKS]):
        return YEAR_WEEKS
    near = [back for back in _NEAREST if ordinary(back)]
    apart = [back for back in near if not _beside_holiday(week - back, flags)]
    return (apart or near or [YEAR_WEEKS])[0]


def _beside_holiday(week: int, flags: Floats) -> bool:
    return bool((flags[max(week - 1, 0) : week + 2] == 1).any())
