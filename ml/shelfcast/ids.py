"""Ids of stores, departments and store types, which people see, and the numbers that stand for them."""

from __future__ import annotations

import re
from typing import Literal

#: Kinds of things that have an id.
IdOf = Literal["store", "dept", "type"]

_LETTERS = 26
_DECIMALS = re.compile(r"[1-9][0-9]{0,17}")


def plain_id(of: IdOf, number: int) -> str:
    """Returns the id of a number that has no other: its decimals, or A for type 1 to Z for type 26."""
    return chr(ord("A") + number - 1) if of == "type" and number <= _LETTERS else str(number)


def plain_number(of: IdOf, id_: str) -> int | None:
    """Returns the number of which this is the plain id; None if there is none."""
    if of == "type" and re.fullmatch("[A-Z]", id_):
        return ord(id_) - ord("A") + 1
    number = int(id_) if _DECIMALS.fullmatch(id_) else None
    return number if of != "type" or (number is not None and number > _LETTERS) else None
