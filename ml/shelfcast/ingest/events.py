"""Named events of a source, past and future: ``events.csv`` with a name, a day, and a store if not all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np

from shelfcast.ingest import cell_rules
from shelfcast.ingest.dates import ISO_DATE
from shelfcast.ingest.holiday_rows import NamedDays
from shelfcast.ingest.sheet import Layout, Sheet
from shelfcast.job import UserError

REQUIRED: Layout = {"name": ("name", cell_rules.ID)}
#: A day or a week, and the store.
OPTIONAL: Layout = {
    "date": ("date", ISO_DATE),
    "week": ("week", ISO_DATE),
    "store": ("store", cell_rules.ID_OR_MISSING),
}
#: Cells of the store that mean all of them.
_ALL = (None, *cell_rules.MISSING)


def event_days(sheet: Sheet | None, stores: Mapping[str, int], file_name: str) -> NamedDays | None:
    """Returns the events, and rejects those of unknown stores; None if there is no sheet.

    Args:
        sheet: Sheet of the events.
        stores: Number of each store by its id.
        file_name: Name of the file, for messages.

    Raises:
        UserError: ``BadData``: there is neither a column of days nor one of weeks, or there are both.
    """
    if sheet is None:
        return None
    days = [name for name in ("date", "week") if name in sheet.values.column_names]
    if len(days) != 1:
        has = "has both date and week; keep one of them" if days else "has no column date or week"
        raise UserError("BadData", f"{file_name} {has}: each event needs a day, or the last day of its week")
    if "store" in sheet.values.column_names:
        ids = sheet.values["store"].to_pylist()
        unknown = np.array([id_ not in _ALL and id_ not in stores for id_ in ids], dtype=bool)
        rule = f"{sheet.labels['store']} must be a store of the data, or empty for all stores"
        sheet.reject(unknown, ("store",), rule, "store-in-file")
    everywhere: list[tuple[date, str]] = []
    by_store: dict[int, list[tuple[date, str]]] = {}
    rows = sheet.values.to_pylist()
    for row in rows:
        id_, event = row.get("store"), (row[days[0]], row["name"])
        (everywhere if id_ in _ALL else by_store.setdefault(stores[id_], [])).append(event)
    last = max((row[days[0]] for row in rows), default=date.min)
    return NamedDays(by_store, last, everywhere)
