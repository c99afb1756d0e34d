"""Checks that compare rows or files, for any layout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.ingest import cell_rules
from shelfcast.ingest.days import WEEKDAYS, weekdays_of
from shelfcast.ingest.declaration_needed import DeclarationNeededError
from shelfcast.ingest.quality import first_names
from shelfcast.ingest.sheet import Sheet
from shelfcast.job import UserError

#: Years of dates; others are placeholders for unknown dates, such as 1900-01-01 or 9999-12-31.
_YEARS = (1980, 2100)
#: Longest time without any row. Rows behind a longer one are dates gone wrong, such as 1970-01-02.
_LARGEST_GAP_DAYS = 731
#: Share of rows on one weekday above which the dates are ends of weeks, not days.
_WEEKLY = 0.6
#: Days between the dates of a series from which these are months.
_MONTHLY = 20
#: Share of a store's rows on one weekday, from which its weeks end on it.
_STORE_WEEKLY = 0.9


def check_far_dates(known: npt.NDArray[np.int64], *sheets: Sheet) -> None:
    """Rejects rows whose date lies apart from all others, so that no table has to span the time between.

    Args:
        known: Weeks of the data set as days since 1970-01-01.
        sheets: Files with ``week``.
    """
    low, high = (np.datetime64(f"{year}-01-01").astype(int) for year in _YEARS)
    for sheet in sheets:
        day = sheet.column("week")
        rule = f"{sheet.labels['week']} must be from {_YEARS[0]} to {_YEARS[1] - 1}"
        sheet.reject((day < low) | (day >= high), ("week",), rule, "far-date")
    days, counts = np.unique(np.concatenate([known, *map(_days, sheets)]), return_counts=True)
    if len(days) == 0:
        return
    group = np.concatenate([[0], np.cumsum(np.diff(days) > _LARGEST_GAP_DAYS)])
    largest = np.bincount(group, counts).argmax()
    first, last = days[group == largest][[0, -1]]
    near = f"within two years of the others, which are from {_shown(first)} to {_shown(last)}"
    for sheet in sheets:
        day = sheet.column("week")
        rule = f"{sheet.labels['week']} must be {near}"
        sheet.reject((day < first) | (day > last), ("week",), rule, "far-date")


def check_weekday(known: npt.NDArray[np.int64], *sheets: Sheet) -> None:
    """Rejects rows whose week does not end on the weekday of the data set, or else of most rows.

    Args:
        known: Weeks of the data set as days since 1970-01-01.
        sheets: Files with ``week``.
    """
    of_rows = np.concatenate([weekdays_of(_days(sheet)) for sheet in sheets])
    weekday = int(np.bincount(weekdays_of(known) if len(known) else of_rows, minlength=7).argmax())
    as_others = "as in the data set" if len(known) else "as most others are"
    for sheet in sheets:
        weekdays = weekdays_of(_days(sheet))
        others = {} if np.all(weekdays == weekday) else _weekday_by_store(sheet, weekdays)
        label = sheet.labels["week"]
        for other in sorted(set(others.values()) - {weekday}):
            stores = [store for store, day in others.items() if day == other]
            mask = (weekdays != weekday) & np.isin(sheet.column("store"), stores)
            ids = pc.unique(sheet.texts("store").filter(pa.array(mask))).to_pylist()
            rule = (
                f"{label} must be a {WEEKDAYS[weekday]} {as_others}; the weeks of {sheet.labels['store']} "
                f"{first_names(ids)} end on {WEEKDAYS[other]}s, so load these as a data set of their own"
            )
            sheet.reject(mask, ("week",), rule, "weekday")
            weekdays = weekdays_of(_days(sheet))
        rule = f"{label} must be a {WEEKDAYS[weekday]} {as_others}"
        sheet.reject(weekdays != weekday, ("week",), rule, "weekday")


def refuse_days(sales: Sheet, name: str) -> None:
    """Refuses sales of days or months instead of weeks.

    Raises:
        DeclarationNeededError: The rows are days.
        UserError: ``BadData``: the rows are months.
    """
    key = [sales.column(column) for column in ("store", "dept", "week")]
    if len(key[0]) == 0:
        return
    share = np.bincount(weekdays_of(key[2])) / len(key[2])
    order = np.lexsort(key[::-1])
    store, dept, day = (column[order] for column in key)
    gaps = np.diff(day)[(np.diff(store) == 0) & (np.diff(dept) == 0)]
    gaps = gaps[gaps > 0]
    if share.max() > _WEEKLY or len(gaps) == 0:
        return
    weekdays = f"{int((share > 0).sum())} different weekdays"
    label = sales.labels["week"]
    if np.median(gaps) < 7:
        raise DeclarationNeededError(
            f"{name}: {label} has days, not weeks: its dates lie on {weekdays}, and most series have a row "
            f'after {np.median(gaps):.0f} day(s); declare "sum": "days" (--sum days) to sum them to weeks',
            {"sum": "days"},
        )
    if np.median(gaps) > _MONTHLY:
        raise UserError(
            "BadData",
            f"{name}: {label} has months, not weeks: most series have a row after {np.median(gaps):.0f} "
            "days; forecasts are weekly, so give sales of weeks or of days",
        )


def _weekday_by_store(sheet: Sheet, weekdays: npt.NDArray[np.int64]) -> dict[int, int]:
    """Returns the weekday of the stores with two rows or more, most of them on one weekday."""
    stores, index = np.unique(sheet.column("store"), return_inverse=True)
    counts = np.bincount(index * 7 + weekdays, minlength=7 * len(stores)).reshape(-1, 7)
    rows = counts.sum(axis=1)
    is_weekly = (rows > 1) & (counts.max(axis=1, initial=0) >= _STORE_WEEKLY * rows)
    return {int(stores[n]): int(counts[n].argmax()) for n in np.flatnonzero(is_weekly)}


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


def _days(sheet: Sheet) -> npt.NDArray[np.int64]:
    return sheet.column("week")


def _shown(day: np.int64) -> str:
    return str(np.datetime64(int(day), "D"))
