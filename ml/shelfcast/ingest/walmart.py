"""Reads a folder in the layout of the Walmart competition: train.csv, features.csv and stores.csv."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfcast.ingest import rules
from shelfcast.ingest.sheet import Layout, Sheet
from shelfcast.snapshot import SALES, STORE_WEEKS, STORES

_STORE: Layout = {"Store": ("store", rules.WHOLE_NUMBER)}
_STORE_WEEK: Layout = {
    **_STORE,
    "Date": ("week", rules.ISO_DATE),
    "IsHoliday": ("is_holiday", rules.FLAG),
}
_TRAIN: Layout = {
    **_STORE_WEEK,
    "Dept": ("dept", rules.WHOLE_NUMBER),
    "Weekly_Sales": ("weekly_sales", rules.NUMBER),
}
_FEATURES: Layout = {
    **_STORE_WEEK,
    "Temperature": ("temperature", rules.NUMBER_OR_MISSING),
    "Fuel_Price": ("fuel_price", rules.NUMBER_OR_MISSING),
    **{f"MarkDown{n}": (f"markdown{n}", rules.NUMBER_OR_MISSING) for n in range(1, 6)},
    "CPI": ("cpi", rules.NUMBER_OR_MISSING),
    "Unemployment": ("unemployment", rules.NUMBER_OR_MISSING),
}
_STORES: Layout = {
    **_STORE,
    "Type": ("type", rules.LETTER),
    "Size": ("size", rules.NUMBER_ABOVE_ZERO),
}
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Attributes:
        tables: Its good rows, by name of the table in ``shelfcast.snapshot``, in the order of the files.
        findings: What broke rules, with the columns of ``bad_rows.FINDING``.
        row_count: Rows of the three files, good and bad.
    """

    tables: dict[str, pa.Table]
    findings: pa.Table
    row_count: int


def read_folder(path: Path) -> Folder:
    """Reads and checks the three files.

    Raises:
        UserError: ``BadData`` when a file cannot be read at all.
    """
    train = Sheet(path / "train.csv", _TRAIN)
    features = Sheet(path / "features.csv", _FEATURES)
    stores = Sheet(path / "stores.csv", _STORES)

    stores.reject(rules.duplicated(stores.column("store")), ("Store",), "Store must be in the file once")
    weekday = _commonest_weekday(train, features)
    for sheet in (features, train):
        _check_weekday(sheet, weekday)
        _check_store(sheet, stores)
    _check_once(features, ("Store", "Date"), ("store", "week"))
    _check_once(train, ("Store", "Dept", "Date"), ("store", "dept", "week"))
    _check_against_features(train, features)

    sheets = [(SALES, train), (STORE_WEEKS, features), (STORES, stores)]
    return Folder(
        {raw.name: sheet.values.select(raw.schema.names).cast(raw.schema) for raw, sheet in sheets},
        pa.concat_tables([finding for _, sheet in sheets for finding in sheet.findings]),
        sum(sheet.row_count for _, sheet in sheets),
    )


def _commonest_weekday(*sheets: Sheet) -> int:
    weekdays = np.concatenate([_weekdays(sheet) for sheet in sheets])
    return int(np.bincount(weekdays, minlength=7).argmax())


def _check_weekday(sheet: Sheet, weekday: int) -> None:
    rule = f"Date must be a {_WEEKDAYS[weekday]} as most others are"
    sheet.reject(_weekdays(sheet) != weekday, ("Date",), rule)


def _check_store(sheet: Sheet, stores: Sheet) -> None:
    unknown = ~np.isin(sheet.column("store"), stores.column("store"))
    sheet.reject(unknown, ("Store",), "Store must be in stores.csv, with good cells")


def _check_once(sheet: Sheet, columns: tuple[str, ...], names: tuple[str, ...]) -> None:
    key = (sheet.column(name) for name in names)
    sheet.reject(rules.duplicated(*key), columns, f"{','.join(columns)} must be in the file once")


def _check_against_features(train: Sheet, features: Sheet) -> None:
    known = _store_week(features)
    rule = "Store,Date must be in features.csv, with good cells (NA for what is unknown)"
    train.reject(~np.isin(_store_week(train), known), ("Store", "Date"), rule)
    order = np.argsort(known)
    row = order[np.searchsorted(known, _store_week(train), sorter=order)]
    differs = features.column("is_holiday")[row] != train.column("is_holiday")
    train.reject(differs, ("IsHoliday",), "IsHoliday must be as in features.csv")


def _weekdays(sheet: Sheet) -> npt.NDArray[np.int64]:
    """Returns 0 for Monday to 6; 1970-01-01 was a Thursday."""
    return (sheet.column("week") + 3) % 7


def _store_week(sheet: Sheet) -> npt.NDArray[np.int64]:
    """Returns one number for each (store, week): stores have 30 bits, days since 1970 fewer than 32."""
    return (sheet.column("store") << 32) + sheet.column("week")
