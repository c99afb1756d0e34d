"""Folders of sales as real retailers send them, from a seed, each with the truth about its rows."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from messy_cells import Reading, cells_of, choose_amounts, choose_dates, is_sold_out
from messy_dirt import Line, add_dirt
from messy_junk import write_junk
from messy_parquet import write_sales_parquet
from messy_sales import Row, Shop, Truth, make_shop, pick, summed, weekly
from messy_side_files import add_side_files
from messy_text import choose_style, compressed, write_text
from messy_workbook import write_sales_workbook

#: Names of lengths of a history, by the fewest weeks.
_LENGTHS = {53: "53 and more", 10: "10 to 52", 2: "2 to 9", 1: "1"}
_JUNK_SHARE, _PARQUET_SHARE, _FLAGS_SHARE = 0.08, 0.25, 0.15
_WORKBOOK_SHARE, _FISCAL_SHARE, _STOCK_SHARE = 0.15, 0.15, 0.15
_SUNDAY, _FEW_WEEKS = 6, 5
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: Share of bad rows that a load allows by default.
DEFAULT_SHARE = 0.01
LARGEST_SALES = 1e9
#: Names that people give to the columns, by role.
_NAMES = {
    "store": ["shop", "Filiale", "store_nbr", "Outlet ID", "Geschäft"],
    "dept": ["item", "Artikel", "sku", "Family, Group"],
    "week": ["date", "Datum", "week_ending", "ds"],
    "sales": ["units", "Umsatz", "Weekly Sales", "y"],
}
_UNREAD = {
    "note": ['said "no"', "one\ntwo", "a;b,c|d\te", "", "ok", "NA"],
    "updated": ["2024-01-01 10:00:00", ""],
    "price": ["1.99", "2.49", ""],
    "comment": [""],
}


@dataclass
class Messy:
    """Folder, and what must come of it.

    Attributes:
        path: Folder or file of sales.
        reading: Expectation of the declaration, and of the sentences that stop the load.
        truth: Sales that must be loaded.
        bad: Names of the rules of which each bad row of sales breaks one, by the line of the file.
        is_beside: Whether the declaration is in the folder, not in the input.
        max_bad_row_share: Share of bad rows that stops the load.
        row_count: Rows of all files.
        weeks_end: Weekday of the weeks to which days are summed, Monday is 0; None for the default.
        side_bad: Number of bad rows of other files, and of sales of stores that stores.csv lacks.
        has_flags: Whether the file of sales has holiday flags.
        unlisted: Stores that stores.csv lacks, or lists in bad rows.
        more: Generator of what came later, which leaves the rest of a seed as it was.
    """

    path: Path
    reading: Reading = field(default_factory=Reading)
    truth: Truth = field(default_factory=dict)
    bad: dict[int, set[str]] = field(default_factory=dict)
    is_beside: bool = False
    max_bad_row_share: float = 1.0
    row_count: int = 0
    weeks_end: int | None = None
    side_bad: int = 0
    has_flags: bool = False
    unlisted: set[str] = field(default_factory=set)
    more: np.random.Generator = field(default_factory=np.random.default_rng)


def is_loadable(messy: Messy) -> bool:
    """Whether the folder loads for certain, with the share of bad rows that is allowed by default."""
    bad = len(messy.bad) + messy.side_bad
    stops = messy.reading.must_stop or messy.reading.may_stop
    return not stops and bad <= min(messy.max_bad_row_share, DEFAULT_SHARE) * messy.row_count


def write_messy_folder(seed: int, folder: Path) -> Messy:
    """Writes the folder of a seed."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    messy = Messy(
        folder,
        max_bad_row_share=pick(rng, [DEFAULT_SHARE, 1.0]),
        is_beside=bool(rng.random() < 0.5),
        more=np.random.default_rng([seed, 2]),
    )
    if rng.random() < _JUNK_SHARE:
        write_junk(rng, folder, messy.reading)
        return messy
    shop = _with_time(rng, make_shop(rng), messy)
    names = _names(rng, shop, messy.reading)
    messy.has_flags = bool(np.random.default_rng([seed, 1]).random() < _FLAGS_SHARE)
    write = partial(_write_typed, write_sales_parquet) if rng.random() < _PARQUET_SHARE else _write_csv
    if messy.more.random() < _WORKBOOK_SHARE:
        write = partial(_write_typed, write_sales_workbook)
    rows = add_side_files(rng, shop, write(rng, shop, names, messy), messy)
    _conclude(shop, rows, messy)
    _declare(rng, messy)
    return messy


def _with_time(rng: np.random.Generator, shop: Shop, messy: Messy) -> Shop:
    """Declares days as such, or not; returns the shop, moved to weeks that are not over now and then."""
    reading = messy.reading
    reading.kinds += [
        f"rows: {shop.grain}",
        f"stores: {shop.store_kind}",
        f"departments: {shop.dept_kind}",
        f"sales: {shop.amount_kind}",
        f"weeks: {_length((shop.days[-1] - shop.days[0]).days // 7 + 1)}",
    ]
    if shop.grain != "week" and rng.random() < 0.1 and _is_daily(shop):
        reading.kinds.append("declaration: days, not declared")
        reading.must_stop += ["days, not weeks", "no weeks", "bad-row-share", "no good row"]
    elif shop.grain != "week":
        reading.declaration["sum"] = "days"
        if rng.random() < 0.4:
            messy.weeks_end = int(rng.integers(7))
            reading.declaration["weekEnds"] = WEEKDAYS[messy.weeks_end]
    elif rng.random() < 0.04:
        ahead = timedelta(weeks=(datetime.now(UTC).date() - shop.days[-1]).days // 7 + 2)
        reading.kinds.append("weeks: not over")
        # A series of one row may then be the only one far from the others.
        reading.must_stop += ["future-week", "far-date"]
        return replace(shop, rows=[replace(row, day=row.day + ahead) for row in shop.rows])
    return shop


def _write_typed(
    write: Callable[..., list[Row]],
    rng: np.random.Generator,
    shop: Shop,
    names: dict[str, list[str]],
    messy: Messy,
) -> list[Row]:
    """Writes sales with a writer of typed cells, which writes no flags; returns the rows that count."""
    messy.has_flags = False
    messy.row_count = len(shop.rows)
    return write(rng, shop, names, messy.path, messy.reading)


def _length(weeks: int) -> str:
    return next(name for least, name in _LENGTHS.items() if weeks >= least)


def _is_daily(shop: Shop) -> bool:
    """Whether all series have so many days that they cannot be weeks."""
    days: dict[tuple[tuple[str, ...], tuple[str, ...]], set[date]] = defaultdict(set)
    for row in shop.rows:
        days[row.store, row.dept].add(row.day)
    return all(len(of_series) > 20 for of_series in days.values())


def _names(rng: np.random.Generator, shop: Shop, reading: Reading) -> dict[str, list[str]]:
    """Returns the columns by role, and declares them."""
    names = {"store": ["store"], "dept": ["dept"], "week": ["week"], "sales": ["sales"]}
    kind = pick(rng, {"layout": 4.0, "case": 1.0, "declared": 3.0, "not declared": 0.3, "wrong": 0.3})
    parts = {"store": len(shop.rows[0].store), "dept": len(shop.rows[0].dept)}
    columns: dict[str, Any] = {}
    if kind == "case":
        names = {role: [pick(rng, [role.upper(), role.title(), f" {role} ", f"{role}_"])] for role in names}
    if kind in ("declared", "not declared", "wrong"):
        for role in names:
            if rng.random() < 0.6 or role == "sales":
                names[role] = [pick(rng, _NAMES[role])]
                columns[role] = names[role][0]
    for role, count in parts.items():
        if count > 1:
            names[role] = [f"{role}_region", f"{role} no"]
            columns[role] = names[role]
    if kind == "not declared":
        columns = {role: name for role, name in columns.items() if parts.get(role, 1) > 1}
        # One name alone may be that of a column of the layout.
        reading.must_stop.append("no column")
    if kind == "wrong":
        columns["sales"] = pick(rng, ["turnover net", "sales2", names["sales"][0] + " x"])
        reading.must_stop += ["no column", "which no file has"]
    reading.kinds.append(f"columns: {kind}")
    if columns:
        reading.declaration["columns"] = columns
    return names


def _write_csv(rng: np.random.Generator, shop: Shop, names: dict[str, list[str]], messy: Messy) -> list[Row]:
    """Writes sales.csv and returns the rows that count."""
    reading = messy.reading
    render = choose_dates(rng, shop, reading, messy.more)
    style = choose_style(rng, len(shop.rows), [shop.store_kind, shop.dept_kind])
    amount = choose_amounts(rng, shop, style.delimiter, reading)
    reading.kinds += [f"text: {style.encoding}", f"separator: {style.delimiter!r}"]
    lines: list[Line] = []
    for row in shop.rows:
        cells = cells_of(row, render, amount)
        # Without a declaration, commas are decimal ones between other separators only.
        may_have_comma = style.delimiter != "," and "amounts: comma" in reading.kinds
        is_declared = "decimal" in reading.declaration
        is_unreadable = not is_declared and not may_have_comma and "," in cells["sales"][0]
        lines.append(Line(row, cells, {"number"} if is_unreadable else set()))
    if rng.random() < 0.5:
        add_dirt(rng, shop, lines, render, amount, reading)
    if rng.random() < 0.3:
        lines = [lines[n] for n in rng.permutation(len(lines))]
    if messy.has_flags:
        reading.kinds.append("holiday flags")
        names = names | {"holiday": ["holiday"]}
    names = names | _more_columns(shop, messy)
    header, columns = _header(rng, names)
    texts = [
        _misfit(line.cells, len(header) + style.spare_cells, rng)
        if "cell-count" in line.rules
        else [_cell(rng, column, line.cells) for column in columns]
        for line in lines
    ]
    data, numbers = write_text(header, texts, style)
    ending = f".{style.compression}" if style.compression else ""
    reading.kinds.append(f"file: csv{ending}")
    (messy.path / f"sales.csv{ending}").write_bytes(compressed(data, style.compression))
    messy.bad = {number: line.rules for number, line in zip(numbers, lines, strict=True) if line.rules}
    messy.row_count = len(lines)
    return [line.row for line in lines if line.row is not None and not line.rules]


def _more_columns(shop: Shop, messy: Messy) -> dict[str, list[str]]:
    """Returns numbers of fiscal weeks, and shares in stock with their declaration, of some files."""
    reading, names = messy.reading, {}
    if messy.more.random() < _FISCAL_SHARE:
        reading.kinds.append("fiscal columns")
        names |= {role: [role] for role in ("fiscal_year", "fiscal_week")}
    if messy.more.random() < _STOCK_SHARE and shop.grain == "week":
        reading.kinds.append("stock-outs")
        reading.declaration.setdefault("columns", {})["available"] = "on_shelf"
        if len({row.day for row in shop.rows if not is_sold_out(row.day)}) < _FEW_WEEKS:
            # No row may be left that is good and in stock.
            reading.may_stop.append("shut or out of stock")
        names["available"] = ["on_shelf"]
    return names


def _header(rng: np.random.Generator, names: dict[str, list[str]]) -> tuple[list[str], list[tuple[str, int]]]:
    """Returns the names of the columns, and the role and part of each."""
    columns = [(role, part) for role, parts in names.items() for part in range(len(parts))]
    header = {column: names[column[0]][column[1]] for column in columns}
    for name in _UNREAD:
        if rng.random() < 0.15:
            header[name, 0] = name
    if rng.random() < 0.1:
        header["blank", 0] = ""
    order = [list(header)[n] for n in rng.permutation(len(header))]
    return [header[column] for column in order], order


def _cell(rng: np.random.Generator, column: tuple[str, int], cells: dict[str, list[str]]) -> str:
    role, part = column
    if role in cells:
        return cells[role][part]
    return pick(rng, _UNREAD[role]) if role in _UNREAD else ""


def _misfit(cells: dict[str, list[str]], width: int, rng: np.random.Generator) -> list[str]:
    """Returns a row with more cells than the header, or with a single one."""
    texts = [cell or "x" for parts in cells.values() for cell in parts]
    return [texts[n % len(texts)] for n in range(width + 1)] if rng.random() < 0.5 else texts[:1]


def _conclude(shop: Shop, rows: list[Row], messy: Messy) -> None:
    """Computes the truth from the rows that count, and what must stop the load."""
    stops = messy.reading.must_stop
    if not rows:
        stops += ["no good row", "bad-row-share", "no event is good"]
        return
    weeks_end = _SUNDAY if messy.weeks_end is None else messy.weeks_end
    messy.truth = weekly(rows) if shop.grain == "week" else summed(rows, weeks_end)
    if not messy.truth:
        stops.append("no good row")
    bad = len(messy.bad) + messy.side_bad
    if bad > messy.max_bad_row_share * messy.row_count:
        stops.append("bad-row-share")
    if any(abs(value) > LARGEST_SALES for value in messy.truth.values()):
        stops.append("sales-range")


def _declare(rng: np.random.Generator, messy: Messy) -> None:
    """Writes shelfcast.json if the declaration is in the folder."""
    reading = messy.reading
    if not reading.declaration:
        messy.is_beside = False
    if messy.is_beside:
        text = json.dumps(reading.declaration, ensure_ascii=bool(rng.random() < 0.5))
        (messy.path / "shelfcast.json").write_text(text, encoding="utf-8")
    reading.kinds.append(f"declaration: {'in the folder' if messy.is_beside else 'in the input'}")
