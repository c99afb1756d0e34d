"""Parquet files of sales, with all types that programs write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from messy_cells import Reading
from messy_sales import Row, Shop, pick
from messy_text import write_parquet

_ZONE = "Asia/Kolkata"


def write_sales_parquet(
    rng: np.random.Generator, shop: Shop, names: dict[str, list[str]], folder: Path, reading: Reading
) -> list[Row]:
    """Writes sales.parquet; returns the rows that count."""
    rows, unknown = list(shop.rows), set[int]()
    amounts = [Decimal(row.amount) for row in rows]
    columns: dict[str, pa.Array] = {}
    for role, ids in (("store", [row.store for row in rows]), ("dept", [row.dept for row in rows])):
        kind = shop.store_kind if role == "store" else shop.dept_kind
        for part, name in enumerate(names[role]):
            columns[name.strip()] = _ids(rng, [cells[part] for cells in ids], kind, reading)
    columns[names["week"][0].strip()] = _days(rng, rows, shop, reading)
    sales, amounts_read = _amounts(rng, amounts, reading)
    rows = [
        Row(row.store, row.dept, row.day, row.second, amount)
        for row, amount in zip(rows, amounts_read, strict=True)
    ]
    count = len(rows)
    if rng.random() < 0.4:
        unknown = set(rng.integers(0, count, max(1, count // 30)).tolist())
        sales = pa.array([None if n in unknown else v for n, v in enumerate(sales.to_pylist())], sales.type)
    columns[names["sales"][0].strip()] = sales
    if rng.random() < 0.3:
        columns["note"] = pa.array([None] * count, pa.null())
    if rng.random() < 0.2:
        columns["tags"] = pa.array([["a"]] * count)
    (folder / "sales.parquet").write_bytes(write_parquet(columns))
    reading.kinds.append("file: parquet")
    # A row without an amount counts as none.
    return [row for n, row in enumerate(rows) if n not in unknown]


def _ids(rng: np.random.Generator, cells: Sequence[str], kind: str, reading: Reading) -> pa.Array:
    numbers = [cell.removesuffix(".0") for cell in cells]
    is_number = kind in ("numbers", "floats", "number parts") and all(n.isdecimal() for n in numbers)
    options = ["string", "large_string", "dictionary", "binary"]
    if is_number:
        options += ["int64", "int32", "float64", "decimal", "uint64", "float32"]
    if kind == "barcodes" and all(cell[0] != "0" for cell in cells):
        options += ["int64", "float64", "decimal"]
    type_ = pick(rng, options)
    reading.kinds.append(f"parquet id: {type_}")
    match type_:
        case "dictionary":
            return pa.array(cells).dictionary_encode()
        case "binary":
            return pa.array([cell.encode() for cell in cells], pa.binary())
        case "decimal":
            return pa.array([Decimal(n) for n in numbers], pa.decimal128(20, int(pick(rng, [0, 2]))))
        case "string" | "large_string":
            return pa.array(cells, getattr(pa, type_)())
    return pa.array([int(n) for n in numbers], pa.int64()).cast(getattr(pa, type_)())


def _days(rng: np.random.Generator, rows: Sequence[Row], shop: Shop, reading: Reading) -> pa.Array:
    options = ["date32", "date64", "timestamp", "local timestamp", "utc timestamp", "text", "dictionary"]
    if shop.grain == "sale":
        options = ["timestamp", "local timestamp", "utc timestamp", "text"]
    kind = pick(rng, options)
    reading.kinds.append(f"parquet day: {kind}")
    unit = pick(rng, ["s", "ms", "us", "ns"])
    moments = [datetime.combine(row.day, time()) + timedelta(seconds=row.second) for row in rows]
    match kind:
        case "timestamp":
            return pa.array(moments, pa.timestamp(unit))
        case "local timestamp" | "utc timestamp":
            aware = [moment.replace(tzinfo=ZoneInfo(_ZONE)).astimezone(UTC) for moment in moments]
            if kind == "utc timestamp":
                reading.declaration["timeZone"] = _ZONE
            return pa.array(aware, pa.timestamp(unit, _ZONE if kind.startswith("local") else "UTC"))
        case "text" | "dictionary":
            texts = pa.array([str(m) if shop.grain == "sale" else str(m.date()) for m in moments])
            return texts.dictionary_encode() if kind == "dictionary" else texts
    days: list[date] = [row.day for row in rows]
    return pa.array(days, getattr(pa, kind)())


def _amounts(
    rng: np.random.Generator, amounts: Sequence[Decimal], reading: Reading
) -> tuple[pa.Array, list[str]]:
    """Returns the column, and the amounts as they are in it."""
    options = ["float64", "float32", "text", "large text"]
    is_whole = all(amount == int(amount) for amount in amounts)
    if all(amount == round(amount, 2) for amount in amounts):
        options += ["decimal", "decimal256"]
    if is_whole:
        options += ["int64", "int32" if max(map(abs, amounts)) < 2**31 else "int64"]
    type_ = pick(rng, options)
    reading.kinds.append(f"parquet sales: {type_}")
    texts = [str(amount) for amount in amounts]
    match type_:
        case "float32":
            floats = np.array([float(amount) for amount in amounts], np.float32)
            return pa.array(floats), [str(value) for value in floats]
        case "text" | "large text":
            return pa.array(texts, pa.string() if type_ == "text" else pa.large_string()), texts
        case "decimal" | "decimal256":
            form: Any = pa.decimal128(20, 4) if type_ == "decimal" else pa.decimal256(40, 2)
            return pa.array(list(amounts), form), texts
        case "float64":
            return pa.array([float(amount) for amount in amounts]), texts
    return pa.array([int(amount) for amount in amounts], getattr(pa, type_)()), texts
