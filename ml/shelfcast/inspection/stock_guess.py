"""Guess of the column that tells weeks without stock.

A guess is shown and never becomes part of the declaration: such weeks are unknown demand, which changes every
forecast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest.cell_rules import NUMBER_OR_MISSING
from shelfcast.inspection.columns import Column
from shelfcast.inspection.roles import Guess

#: Names of such columns by role, in letters alone.
_NAMES = {
    "available": re.compile(
        r"((in|on)?(stock|shelf)?(availab(le|ility))|osa|instock)(pct|percent|share|rate|flag)?"
    ),
    "stock": re.compile(
        r"(closing|ending|end|eod|eow)?(stock|inventory|onhand|stockonhand|inventoryonhand|soh|bestand|lagerbestand)"
        r"(level|qty|quantity|units|onhand|end)?"
    ),
}


def guess_stock(columns: Sequence[Column], guess: Guess) -> Iterator[tuple[str, str]]:
    """Yields the name of each column that may tell weeks without stock, and a sentence about it."""
    if {"available", "stock"} & set(guess.columns):
        return
    for column in columns:
        role = _role(column)
        if role is not None and column.name not in guess.columns.values():
            yield column.name, _sentence(role, column)


def _role(column: Column) -> str | None:
    plain = re.sub(r"[^a-z]", "", column.name.casefold())
    if column.is_date or not column.is_number:
        return None
    return next((role for role, names in _NAMES.items() if names.fullmatch(plain)), None)


def _sentence(role: str, column: Column) -> str:
    values = NUMBER_OR_MISSING.check(column.cells)[0]
    known = pc.sum(pc.is_valid(values)).as_py() or 0
    largest = pc.max(values).as_py()
    if role == "available" and largest is not None and largest > 1:
        return f"{column.name} is above 1, up to {largest:,.10g}: to declare it, give shares from 0 to 1"
    limit = pa.scalar(1.0 if role == "available" else 0.0)
    is_out = pc.less(values, limit) if role == "available" else pc.less_equal(values, limit)
    out = pc.sum(is_out).as_py() or 0
    means = "below 1" if role == "available" else "0 or below"
    return f"guess: --column {role}={column.name}; {out:,} of {known:,} rows are {means}, so out of stock"
