"""Workbooks of sales as people keep them: typed cells, blank rows, titles, several sheets, errors."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
from messy_cells import Reading
from messy_sales import Row, Shop, pick

#: Kinds of sheets, each with parts of sentences of which one must stop the load.
_SHEETS: dict[str, list[str]] = {
    "plain": [],
    "blank rows": [],
    "hidden sheet": [],
    "declared sheet": [],
    "two sheets": ["sheets with data"],
    "title": ["is no name of a column"],
    "error": ["correct their formulas"],
    "merged": ["is merged"],
    "formula": ["without its result"],
}
_WEIGHTS = {kind: 1.0 if stops else 4.0 for kind, stops in _SHEETS.items()}


def write_sales_workbook(
    rng: np.random.Generator, shop: Shop, names: dict[str, list[str]], folder: Path, reading: Reading
) -> list[Row]:
    """Writes sales.xlsx; returns the rows that count."""
    count = len(shop.rows)
    unknown = set(rng.integers(0, count, max(1, count // 30)).tolist()) if rng.random() < 0.4 else set()
    ids = {
        role: _ids(rng, [getattr(row, role) for row in shop.rows], kind)
        for role, kind in (("store", shop.store_kind), ("dept", shop.dept_kind))
    }
    days, amounts = _days(rng, shop, reading), _amounts(rng, shop, reading)
    rows = [
        [*ids["store"][n], *ids["dept"][n], days[n], None if n in unknown else amounts[n]]
        for n in range(count)
    ]
    header = [name for role in ("store", "dept", "week", "sales") for name in names[role]]
    kind = pick(rng, _WEIGHTS)
    reading.kinds += ["file: xlsx", f"workbook: {kind}"]
    reading.must_stop += _SHEETS[kind]
    if kind == "declared sheet":
        reading.declaration["sheet"] = "sales"
    _book(kind, header, rows).save(folder / "sales.xlsx")
    # A row without an amount counts as none.
    return [row for n, row in enumerate(shop.rows) if n not in unknown]


def _book(kind: str, header: list[str], rows: list[list[Any]]) -> openpyxl.Workbook:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.title = "Sales"
    if kind in ("hidden sheet", "declared sheet", "two sheets"):
        other = book.create_sheet("Lists", 0)
        other.append(["a list"])
        other.sheet_state = "hidden" if kind == "hidden sheet" else "visible"
    if kind == "title":
        sheet.append(["Sales of all shops"])
    for n, row in enumerate([header, *rows]):
        if kind == "blank rows" and n % 5 == 0:
            sheet.append([""])
        sheet.append([""] * len(row))
        for cell, value in zip(sheet[sheet.max_row], row, strict=True):
            cell.value = value
            if isinstance(value, str):
                # A text may begin with an equals sign.
                cell.data_type = "s"
    last = sheet.cell(sheet.max_row, len(header))
    match kind:
        case "error":
            last.value, last.data_type = "#DIV/0!", "e"
        case "formula":
            last.value = "=1+1"
        case "merged":
            # The part of a merged cell that is below another one has no value.
            sheet.merge_cells(start_row=last.row - 1, end_row=last.row, start_column=1, end_column=1)
    return book


def _ids(rng: np.random.Generator, ids: list[tuple[str, ...]], kind: str) -> list[tuple[Any, ...]]:
    numbers = [tuple(cell.removesuffix(".0") for cell in cells) for cells in ids]
    is_number = kind in ("numbers", "floats", "number parts", "barcodes") and all(
        cell.isdecimal() and cell[0] != "0" for cells in numbers for cell in cells
    )
    if is_number and rng.random() < 0.7:
        return [tuple(int(cell) for cell in cells) for cells in numbers]
    return list(ids)


def _days(rng: np.random.Generator, shop: Shop, reading: Reading) -> list[Any]:
    options = {"date": 4.0, "datetime": 2.0, "text": 1.0, "number": 0.5}
    kind = "datetime" if shop.grain == "sale" else pick(rng, options)
    reading.kinds.append(f"workbook day: {kind}")
    moments = [datetime.combine(row.day, time()) + timedelta(seconds=row.second) for row in shop.rows]
    match kind:
        case "datetime":
            return moments
        case "text":
            return [str(row.day) for row in shop.rows]
        case "number":
            return [int(f"{row.day:%Y%m%d}") for row in shop.rows]
    return [row.day for row in shop.rows]


def _amounts(rng: np.random.Generator, shop: Shop, reading: Reading) -> list[Any]:
    kind = pick(rng, {"number": 4.0, "text": 1.0})
    reading.kinds.append(f"workbook sales: {kind}")
    if kind == "text":
        if shop.amount_kind in ("grams", "exponent", "tiny"):
            reading.may_stop.append("two meanings")
        return [row.amount for row in shop.rows]
    return [
        int(amount) if amount == int(amount) else float(amount)
        for amount in (Decimal(row.amount) for row in shop.rows)
    ]
