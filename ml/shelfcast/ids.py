"""Ids of stores, departments and store types, which people see, and the numbers that stand for them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import pyarrow as pa

from shelfcast.job import write_json

#: Kinds of things that have an id.
IdOf = Literal["store", "dept", "type"]
#: Id in a file.
Shown = int | str

_LETTERS = 26
_DECIMALS = re.compile(r"[1-9][0-9]{0,17}")
_FILE = "ids.json"


def plain_id(of: IdOf, number: int) -> str:
    """Returns the id of a number that has no other: its decimals, or A for type 1 to Z for type 26."""
    return chr(ord("A") + number - 1) if of == "type" and number <= _LETTERS else str(number)


def plain_number(of: IdOf, id_: str) -> int | None:
    """Returns the number of which this is the plain id; None if there is none."""
    if of == "type" and re.fullmatch("[A-Z]", id_):
        return ord(id_) - ord("A") + 1
    number = int(id_) if _DECIMALS.fullmatch(id_) else None
    return number if of != "type" or (number is not None and number > _LETTERS) else None


@dataclass(frozen=True)
class Ids:
    """Ids of a snapshot, of which people see the current ones.

    Attributes:
        current: Current ids by number, of each kind; a number that has none has its plain id.
    """

    current: Mapping[IdOf, Mapping[int, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: pa.Table) -> Ids:
        """Returns the ids of rows of ``snapshot.IDS``; of rows with the same key the last one counts."""
        current: dict[IdOf, dict[int, str]] = {of: {} for of in get_args(IdOf)}
        for row in {(row["of"], row["id"]): row for row in rows.to_pylist()}.values():
            if row["is_current"] and row["id"] != plain_id(row["of"], row["number"]):
                current[row["of"]][row["number"]] = row["id"]
        return cls(current)

    def id(self, of: IdOf, number: int) -> str:
        """Returns the id of a number."""
        return self.current.get(of, {}).get(number) or plain_id(of, number)

    def series(self, store: int, dept: int) -> str:
        """Returns a series in words."""
        return f"store {self.id('store', store)}, dept {self.id('dept', dept)}"

    def shown(self, of: IdOf, number: int) -> Shown:
        """Returns an id for a file: as a number where all ids of the kind are plain, or else as text."""
        return self.id(of, number) if self.current.get(of) else int(number)

    def number(self, of: IdOf, id_: str) -> int | None:
        """Returns the number of a current id; None if there is none."""
        current = self.current.get(of, {})
        for number, other in current.items():
            if other == id_:
                return number
        plain = plain_number(of, id_)
        return None if plain in current else plain


#: Ids of data whose numbers are the ids.
PLAIN_IDS = Ids()


def write_ids(folder: Path, ids: Ids) -> None:
    """Writes ids.json to the folder, unless all ids are plain."""
    if any(ids.current.values()):
        write_json(folder / _FILE, ids.current)
    else:
        (folder / _FILE).unlink(missing_ok=True)


def read_ids_file(folder: Path) -> Ids:
    """Returns the ids that ``write_ids`` wrote; plain ones without a file."""
    path = folder / _FILE
    if not path.exists():
        return PLAIN_IDS
    current = json.loads(path.read_text(encoding="utf-8"))
    return Ids({of: {int(number): id_ for number, id_ in ids.items()} for of, ids in current.items()})
