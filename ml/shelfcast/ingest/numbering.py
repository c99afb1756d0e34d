"""Numbers of the ids of a load: those of earlier loads, and new ones for new ids.

An id that is the plain one of a free number (``ids.plain_id``) gets that number, so whole numbers stay as
they are. Every other id gets the number after the largest one. The numbers depend only on the ids and on the
order of the loads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import get_args

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ids import IdOf, plain_id, plain_number
from shelfcast.ingest.holiday_rows import NEW_STORE
from shelfcast.job import UserError
from shelfcast.snapshot import (
    DATA_SET_AS_A_WHOLE,
    EXTRAS,
    IDS,
    LEVELS,
    MERGES,
    SALES,
    STORE_AS_A_WHOLE,
    STORE_WEEKS,
    STORES,
)

#: Largest number of a new id: trees see numbers as float32, which holds every whole number up to it.
MAX_NUMBER = 2**24 - 1


class Numbering:
    """Numbers of the ids of a data set, which grow during a load."""

    def __init__(self, known: Mapping[str, pa.Table]) -> None:
        """Takes over the numbers of earlier loads.

        Args:
            known: Rows of the data set's newest snapshot by table name.
        """
        self._numbers: dict[IdOf, dict[str, int]] = {of: {} for of in get_args(IdOf)}
        self._former: set[tuple[IdOf, str]] = set()
        self._new: set[tuple[IdOf, str]] = set()
        self._renamed: set[tuple[IdOf, str]] = set()
        for row in known[IDS.name].to_pylist():
            self._numbers[row["of"]][row["id"]] = row["number"]
        # A load of version 0.1.0 names no ids.
        for of, used in _used_numbers(known).items():
            unnamed = used.difference(self._numbers[of].values())
            self._add(of, {plain_id(of, number): number for number in sorted(unnamed)})
        self.add("type", _types(known))

    def of(self, of: IdOf) -> Mapping[str, int]:
        """Returns the number of each id so far, former ones included."""
        return self._numbers[of]

    def add(self, of: IdOf, ids: Iterable[str]) -> None:
        """Gives a number to each id that has none.

        Raises:
            UserError: ``BadData``: there are more ids than numbers.
        """
        used = set(self._numbers[of].values())
        new = sorted(set(ids).difference(self._numbers[of]))
        numbers = {id_: number for id_ in new if (number := _own_number(of, id_)) and number not in used}
        used.update(numbers.values())
        others = [id_ for id_ in new if id_ not in numbers]
        self._add(of, numbers | dict(zip(others, _free_numbers(used, len(others)), strict=True)))

    def rename(self, of: IdOf, former: str, current: str) -> None:
        """Makes an id the current one of another id's number, which must be known.

        Raises:
            UserError: ``BadData``: the new id has a number of its own.
        """
        numbers = self._numbers[of]
        number = numbers[former]
        if numbers.setdefault(current, number) != number:
            raise UserError(
                "BadData",
                f"{of} {former!r} cannot be renamed to {current!r}, which has a history of its own; rename "
                'it to a new id, or declare "merged" to sum the sales of both',
            )
        names: set[tuple[IdOf, str]] = {(of, id_) for id_, other in numbers.items() if other == number}
        self._renamed |= names
        self._former = (self._former | names) - {(of, current)}

    def rows(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Returns the rows of ``IDS`` for renamed ids, and for new ids that the tables of the load use."""
        used = _used_numbers(tables) | {"type": {self._numbers["type"][id_] for id_ in _types(tables)}}
        new = {(of, id_) for of, id_ in self._new if self._numbers[of][id_] in used[of]}
        keys = sorted(new | self._renamed)
        return pa.table(
            {
                "of": [of for of, _ in keys],
                "id": [id_ for _, id_ in keys],
                "number": [self._numbers[of][id_] for of, id_ in keys],
                "is_current": [key not in self._former for key in keys],
            },
            IDS.schema,
        )

    def _add(self, of: IdOf, numbers: Mapping[str, int]) -> None:
        self._numbers[of].update(numbers)
        self._new.update((of, id_) for id_ in numbers)


def plain_ids(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table]) -> pa.Table:
    """Returns the rows of ``IDS`` for tables whose numbers are the ids.

    Args:
        tables: Rows of the load by table name.
        known: Rows of the data set's newest snapshot by table name.

    Raises:
        UserError: ``InvalidInput``: the numbers stand for other ids in the data set.
    """
    numbering = Numbering(known)
    for of, used in _used_numbers(tables).items():
        numbering.add(of, (plain_id(of, number) for number in used))
        numbers = numbering.of(of)
        if any(numbers[plain_id(of, number)] != number for number in used):
            raise UserError(
                "InvalidInput",
                f"the data set has text ids of {of}s, and this source has whole numbers; load it into "
                "another data set",
            )
    numbering.add("type", _types(tables))
    return numbering.rows(tables)


def _own_number(of: IdOf, id_: str) -> int | None:
    number = plain_number(of, id_)
    return None if number is None or number > MAX_NUMBER else number


def _free_numbers(used: set[int], count: int) -> list[int]:
    """Returns the numbers after the largest used one, then those between."""
    last = max((number for number in used if number <= MAX_NUMBER), default=0)
    numbers = list(range(last + 1, min(last + count, MAX_NUMBER) + 1))
    between = (number for number in range(1, last) if number not in used)
    numbers += islice(between, count - len(numbers))
    if len(numbers) < count:
        raise UserError("BadData", f"a data set has at most {MAX_NUMBER:,} stores and as many departments")
    return numbers


def _used_numbers(tables: Mapping[str, pa.Table]) -> dict[IdOf, set[int]]:
    """Returns the numbers of stores and departments in the tables."""
    used: dict[IdOf, set[int]] = {"store": set(), "dept": set()}
    for raw in (SALES, STORE_WEEKS, STORES, EXTRAS):
        for of in used:
            if of in raw.schema.names:
                used[of].update(pc.unique(tables[raw.name][of]).to_pylist())
    for row in tables[LEVELS.name].select(["of", "number"]).to_pylist():
        used[row["of"]].add(row["number"])
    for row in tables[MERGES.name].to_pylist():
        used[row["of"]] |= {row["number"], row["into_number"]}
    used["dept"].discard(STORE_AS_A_WHOLE)
    used["store"] -= {NEW_STORE, DATA_SET_AS_A_WHOLE}
    return used


def _types(tables: Mapping[str, pa.Table]) -> list[str]:
    types: list[str] = pc.unique(tables[STORES.name]["type"].drop_null()).to_pylist()
    return types
