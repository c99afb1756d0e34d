"""Checks that compare rows or files, for any layout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shelfcast.ingest import cell_rules
from shelfcast.ingest.sheet import Sheet

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def check_weekday(*sheets: Sheet) -> None:
    """Rejects rows whose week does not end on the most frequent weekday of all sheets."""
    weekdays = np.concatenate([_weekdays(sheet) for sheet in sheets])
    weekday = int(np.bincount(weekdays, minlength=7).argmax())
    for sheet in sheets:
        rule = f"{sheet.labels['week']} must be a {_WEEKDAYS[weekday]} as most others are"
        sheet.reject(_weekdays(sheet) != weekday, ("week",), rule, "weekday")


def check_store(sheet: Sheet, stores: Sheet, file_name: str) -> None:
    """Rejects rows of stores that the sheet of stores lacks."""
    unknown = ~np.isin(sheet.column("store"), stores.column("store"))
    rule = f"{sheet.labels['store']} must be in {file_name}, with good cells"
    sheet.reject(unknown, ("store",), rule, "store-in-file")


def check_once(sheet: Sheet, names: tuple[str, ...]) -> None:
    """Rejects all rows that share their key (``names`` in ``Sheet.values``)."""
    key = (sheet.column(name) for name in names)
    own = tuple(name for name in names if name not in sheet.constants)
    rule = f"{','.join(sheet.labels[name] for name in own)} must be in the file once"
    if own != names:
        rule += f", as no column is declared for {' and '.join(sheet.constants)}"
    sheet.reject(cell_rules.duplicated(*key), own, rule, "unique-key")


def store_week(sheet: Sheet) -> npt.NDArray[np.int64]:
    """Returns one number for each (store, week): stores have 30 bits, days since 1970 fewer than 32."""
    return (sheet.column("store") << 32) + sheet.column("week")


def _weekdays(sheet: Sheet) -> npt.NDArray[np.int64]:
    """Returns 0 for Monday to 6; 1970-01-01 was a Thursday."""
    return (sheet.column("week") + 3) % 7
