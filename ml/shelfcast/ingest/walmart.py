"""Reader of folders in the layout of the Walmart competition: train.csv, features.csv and stores.csv."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from shelfcast.ingest import cell_rules
from shelfcast.ingest.column_search import search_for
from shelfcast.ingest.csv_file import read_csv
from shelfcast.ingest.dates import ISO_DATE
from shelfcast.ingest.holiday_rows import LoadHolidays
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.sheet import Layout, Sheet, store_week, whole_numbers
from shelfcast.ingest.sheet_checks import (
    check_far_dates,
    check_once,
    check_store,
    check_weekday,
)
from shelfcast.ingest.source_ids import number_ids
from shelfcast.ingest.source_rows import SourceRows, source_rows
from shelfcast.snapshot import SALES, STORE_WEEKS, STORES, empty_tables

_STORE: Layout = {"Store": ("store", cell_rules.WHOLE_NUMBER)}
_STORE_WEEK: Layout = {
    **_STORE,
    "Date": ("week", ISO_DATE),
    "IsHoliday": ("is_holiday", cell_rules.FLAG),
}
_TRAIN: Layout = {
    **_STORE_WEEK,
    "Dept": ("dept", cell_rules.WHOLE_NUMBER),
    "Weekly_Sales": ("weekly_sales", cell_rules.NUMBER),
}
_FEATURES: Layout = {
    **_STORE_WEEK,
    "Temperature": ("temperature", cell_rules.NUMBER_OR_MISSING),
    "Fuel_Price": ("fuel_price", cell_rules.NUMBER_OR_MISSING),
    **{f"MarkDown{n}": (f"markdown{n}", cell_rules.NUMBER_OR_MISSING) for n in range(1, 6)},
    "CPI": ("cpi", cell_rules.NUMBER_OR_MISSING),
    "Unemployment": ("unemployment", cell_rules.NUMBER_OR_MISSING),
}
_STORES: Layout = {
    **_STORE,
    "Type": ("type", cell_rules.TYPE),
    "Size": ("size", cell_rules.NUMBER_ABOVE_ZERO),
}


def read_folder(path: Path, known: Mapping[str, pa.Table]) -> SourceRows:
    """Reads and checks the three files.

    Args:
        path: The folder.
        known: Rows of the data set's newest snapshot by table name of ``shelfcast.snapshot``.

    Raises:
        UserError: ``BadData``: a file cannot be read at all.
    """
    train, features, stores = (
        Sheet(read_csv(path / name, search_for(*layout)), layout)
        for name, layout in (("train.csv", _TRAIN), ("features.csv", _FEATURES), ("stores.csv", _STORES))
    )
    numbering = Numbering(known)
    similar = number_ids("store", (stores, features, train), numbering)
    similar += number_ids("dept", (train,), numbering)
    check_once(stores, ("store",))
    known_weeks = whole_numbers(known[SALES.name], "week")
    check_far_dates(known_weeks, train, features)
    check_weekday(known_weeks, train, features)
    for sheet in (features, train):
        check_store(sheet, stores, "stores.csv")
    check_once(features, ("store", "week"))
    check_once(train, ("store", "dept", "week"))
    _check_against_features(train, features)

    sheets = {SALES: train, STORE_WEEKS: features, STORES: stores}
    tables = {
        **empty_tables(),
        **{raw.name: sheet.values.select(raw.schema.names).cast(raw.schema) for raw, sheet in sheets.items()},
    }
    return source_rows(tables, [train, features, stores], numbering, similar, LoadHolidays(has_flags=True))


def _check_against_features(train: Sheet, features: Sheet) -> None:
    known = store_week(features.values)
    rule = "Store,Date must be in features.csv, with good cells (NA for what is unknown)"
    train.reject(~np.isin(store_week(train.values), known), ("store", "week"), rule, "store-week-in-file")
    order = np.argsort(known)
    row = order[np.searchsorted(known, store_week(train.values), sorter=order)]
    differs = features.column("is_holiday")[row] != train.column("is_holiday")
    train.reject(differs, ("is_holiday",), "IsHoliday must be as in features.csv", "same-holiday")
