"""Bad rows of a messy file of sales, each with the rules that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
from messy_cells import Reading, Render, cells_of
from messy_sales import Row, Shop, id_of, pick

#: Cells of an unknown amount: the row counts as none.
_UNKNOWN = ("", "NA")
#: Cells that are no amount, no day and no id.
_NO_AMOUNT = (
    *_UNKNOWN,
    "n/a",
    "-",
    "#N/A",
    "inf",
    "-Infinity",
    "nan",
    "1e400",
    "$12.50",
    "12 %",
    "null",
    "--5",
)
_NO_DAY = ("", "NA", "2024-02-30", "0000-00-00", "2024-13-01", "yesterday", "45296", "2024-W01")
_NO_ID = ("", "NA", "4.01E+12", "x" * 101, "a\x07b")
#: Days that stand for an unknown one.
_FAR = (date(1900, 1, 1), date(9999, 12, 30), date(1970, 1, 1), date(2200, 1, 1))
_KINDS = ("amount", "day", "id", "far", "weekday", "twice", "cells", "total", "header", "huge")
#: Rows from which a few bad ones do not change what the others mean.
_MANY = 20


@dataclass
class Line:
    """Row of the file.

    Attributes:
        row: Sales that count if the row breaks no rule; None if it has none.
        cells: Cells by role.
        rules: Names of the rules of which it breaks one.
    """

    row: Row | None
    cells: dict[str, list[str]]
    rules: set[str]


def add_dirt(
    rng: np.random.Generator,
    shop: Shop,
    lines: list[Line],
    render: Render,
    amount: Callable[[str], str],
    reading: Reading,
) -> None:
    """Adds bad rows at random places, and rows that occur twice."""
    for _ in range(int(rng.integers(1, max(2, len(shop.rows) // 20)))):
        row = shop.rows[int(rng.integers(len(shop.rows)))]
        kind = pick(rng, _KINDS)
        line = Line(None, cells_of(row, render, amount), set())
        if kind == "twice":
            _repeat(shop, row, line, lines)
        elif kind in ("far", "weekday", "huge"):
            _move(rng, shop, row, kind, line, render)
        else:
            _spoil(rng, kind, line)
            if line.cells["sales"][0] in _UNKNOWN:
                line.rules -= {"number"}
                # A row that tells the stock alone would be a second one of its week.
                line.cells["available"] = [""]
        is_unknown = line.cells["sales"][0] in _UNKNOWN
        if line.row is not None or line.rules or is_unknown:
            reading.kinds.append(f"dirt: {kind}")
            lines.insert(int(rng.integers(len(lines) + 1)), line)


def _spoil(rng: np.random.Generator, kind: str, line: Line) -> None:
    """Replaces cells by such as break a rule."""
    cells = line.cells
    match kind:
        case "amount":
            cells["sales"], line.rules = [pick(rng, _NO_AMOUNT)], {"number"}
        case "day":
            cells["week"], line.rules = [pick(rng, _NO_DAY)], {"date"}
        case "id":
            role = pick(rng, ["store", "dept"])
            cells[role][0] = "" if len(cells[role]) > 1 else pick(rng, _NO_ID)
            line.rules = {"id"}
        case "cells":
            line.rules = {"cell-count"}
        case "total":
            cells.update({role: [""] * len(cells[role]) for role in ("store", "dept", "week")})
            cells["store"][0] = "Total"
            line.rules = {"id", "date"}
        case "header":
            cells.update({role: [role] * len(parts) for role, parts in cells.items()})
            line.rules = {"date", "number"}


def _move(rng: np.random.Generator, shop: Shop, row: Row, kind: str, line: Line, render: Render) -> None:
    """Moves a row to another day, or makes its amount too large."""
    if len(shop.rows) < _MANY:
        return
    if kind == "far":
        line.cells["week"], line.rules = [render(pick(rng, _FAR), 0)], {"far-date", "date"}
    elif kind == "weekday" and shop.grain == "week":
        day = row.day + timedelta(days=int(rng.integers(1, 7)))
        line.cells["week"], line.rules = [render(day, 0)], {"weekday", "unique-key"}
    elif kind == "huge" and shop.grain == "week" and len(row.dept) == 1 and rng.random() < 0.1:
        line.cells.update(dept=["HUGE"], sales=["1e300"])
        line.row = replace(row, dept=("HUGE",), amount="1e300")


def _repeat(shop: Shop, row: Row, line: Line, lines: list[Line]) -> None:
    """Repeats a row: of days and sales it counts again, of weeks nobody knows which one is right."""
    if shop.grain != "week":
        line.row = row
        return
    line.rules = {"unique-key"}
    for other in lines:
        if other.row is not None and _key(other.row) == _key(row):
            other.rules = other.rules or {"unique-key"}


def _key(row: Row) -> tuple[str, str, date]:
    return id_of(row.store), id_of(row.dept), row.day
