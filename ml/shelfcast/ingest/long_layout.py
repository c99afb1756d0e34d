"""The project's own layout: a row for each store, department and week. docs/data.md describes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pyarrow as pa

from shelfcast import calendar
from shelfcast.ingest import rules
from shelfcast.ingest.rules import CellRule
from shelfcast.ingest.sheet import Layout, Sheet
from shelfcast.ingest.sheet_checks import check_once, check_store, check_weekday, store_week
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_rows import SourceRows, source_rows
from shelfcast.job import UserError
from shelfcast.snapshot import EXTERNALS, SALES, STORE_WEEKS, STORES

FileName = Literal["sales", "store_weeks", "stores"]

_HOLIDAY = "holiday"
_STORE: Layout = {"store": ("store", rules.WHOLE_NUMBER)}
_STORE_WEEK: Layout = {**_STORE, "week": ("week", rules.ISO_DATE)}
_WANTED: dict[FileName, Layout] = {
    "sales": {
        **_STORE_WEEK,
        "dept": ("dept", rules.WHOLE_NUMBER),
        "sales": ("weekly_sales", rules.NUMBER),
    },
    "store_weeks": _STORE_WEEK,
    "stores": {**_STORE, "type": ("type", rules.LETTER), "size": ("size", rules.NUMBER_ABOVE_ZERO)},
}
_FLAG: tuple[str, CellRule] = ("is_holiday", rules.FLAG)
_OPTIONAL: dict[FileName, Layout] = {
    "sales": {_HOLIDAY: _FLAG},
    "store_weeks": {_HOLIDAY: _FLAG, **{name: (name, rules.NUMBER_OR_MISSING) for name in EXTERNALS}},
    "stores": {},
}


def wanted_columns(file: FileName) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the columns that a file must have, and those that it may have."""
    return tuple(_WANTED[file]), tuple(_OPTIONAL[file])


def read_long(files: Mapping[FileName, SourceFile], known: Mapping[str, pa.Table]) -> SourceRows:
    """Checks the files; ``sales`` must be among them.

    Args:
        files: As read with ``wanted_columns``.
        known: The data set's newest snapshot, by name of the table in ``shelfcast.snapshot``.

    Raises:
        UserError: ``BadData`` when one of sales and store_weeks has a holiday flag and the other has not.
    """
    _check_flags(files)
    sheets = {name: Sheet(file, {**_WANTED[name], **_OPTIONAL[name]}) for name, file in files.items()}
    sales, weeks, stores = sheets["sales"], sheets.get("store_weeks"), sheets.get("stores")
    if stores is not None:
        check_once(stores, ("store",), ("store",))
    with_weeks = [sales] if weeks is None else [sales, weeks]
    check_weekday("week", *with_weeks)
    if stores is not None and len(known[STORES.name]) == 0:
        for sheet in with_weeks:
            check_store("store", sheet, stores, files["stores"].name)
    check_once(sales, ("store", "dept", "week"), ("store", "dept", "week"))
    if weeks is not None:
        check_once(weeks, ("store", "week"), ("store", "week"))
    if _HOLIDAY in files["sales"].columns:
        _check_one_flag(sales, weeks)
    tables = {
        SALES.name: _with_flags(sales.values).select(SALES.schema.names).cast(SALES.schema),
        STORE_WEEKS.name: _store_weeks(sales, weeks, known[STORE_WEEKS.name]),
        STORES.name: STORES.schema.empty_table()
        if stores is None
        else stores.values.select(STORES.schema.names).cast(STORES.schema),
    }
    return source_rows(tables, list(sheets.values()))


def _check_flags(files: Mapping[FileName, SourceFile]) -> None:
    flagged = [file.name for name, file in files.items() if name != "stores" and _HOLIDAY in file.columns]
    unflagged = [file.name for name, file in files.items() if name != "stores" and file.name not in flagged]
    if flagged and unflagged:
        raise UserError(
            "BadData",
            f"{flagged[0]} has a column {_HOLIDAY} and {unflagged[0]} has none; give it to both, or to "
            "neither and the calendar's holidays count",
        )


def _check_one_flag(sales: Sheet, weeks: Sheet | None) -> None:
    """Rejects sales of a store's week that has both flags, in sales or between sales and store weeks."""
    pairs = [np.stack([store_week(s), s.column("is_holiday")]) for s in (sales, weeks) if s is not None]
    key = np.unique(np.concatenate(pairs, axis=1), axis=1)[0]
    twice = key[1:][key[1:] == key[:-1]]
    rule = "holiday must be the same in all rows of a store's week"
    sales.reject(np.isin(store_week(sales), twice), (_HOLIDAY,), rule, "same-holiday")


def _with_flags(rows: pa.Table) -> pa.Table:
    """Returns the rows with ``is_holiday``; the calendar's where the file has none."""
    if "is_holiday" in rows.column_names:
        return rows
    weeks = rows.column("week").combine_chunks().dictionary_encode()
    flags = pa.array([calendar.is_holiday(week) for week in weeks.dictionary.to_pylist()], pa.bool_())
    return rows.append_column("is_holiday", flags.take(weeks.indices))


def _store_weeks(sales: Sheet, weeks: Sheet | None, known: pa.Table) -> pa.Table:
    """Returns the file's rows, and rows without externals for weeks of sales of which nothing is known."""
    flagged = _with_flags(sales.values)
    key = store_week(sales)
    described = [(known["store"].to_numpy() << 32) + known["week"].cast(pa.int32()).to_numpy()]
    if weeks is not None:
        described.append(store_week(weeks))
    first = np.unique(key, return_index=True)[1]
    new = first[~np.isin(key[first], np.concatenate(described))]
    derived = _with_all_columns(flagged.select(["store", "week", "is_holiday"]).take(pa.array(new)))
    if weeks is None:
        return derived
    return pa.concat_tables([_with_all_columns(_with_flags(weeks.values)), derived])


def _with_all_columns(rows: pa.Table) -> pa.Table:
    for name in EXTERNALS:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(len(rows), pa.float64()))
    return rows.select(STORE_WEEKS.schema.names).cast(STORE_WEEKS.schema)
