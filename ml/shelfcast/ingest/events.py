"""Named events of a source, past and future: ``events.csv`` with a name, a day, and a store if not all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
import pyarrow as pa

from shelfcast.ingest import cell_rules
from shelfcast.ingest.bad_rows import examples
from shelfcast.ingest.dates import ISO_DATE
from shelfcast.ingest.holiday_rows import NamedDays
from shelfcast.ingest.sheet import Layout, Sheet
from shelfcast.ingest.source_file import SourceFile
from shelfcast.ingest.source_ids import known_ids, other_spellings
from shelfcast.job import UserError

REQUIRED: Layout = {"name": ("name", cell_rules.ID)}
_DAYS = ("date", "week")
#: A day or the last day of a week, of which a file has one, and the store.
OPTIONAL: Layout = {
    **dict.fromkeys(_DAYS, ("week", ISO_DATE)),
    "store": ("store", cell_rules.ID_OR_MISSING),
}


def check_day_column(file: SourceFile) -> None:
    """Checks that the file has a column of days or one of weeks.

    Raises:
        UserError: ``BadData``: it has neither, or both.
    """
    days = [name for name in _DAYS if name in file.labels]
    if len(days) != 1:
        has = "has both date and week; keep one of them" if days else "has no column date or week"
        raise UserError("BadData", f"{file.name} {has}: each event needs a day, or the last day of its week")


def event_days(sheet: Sheet, stores: Mapping[str, int]) -> tuple[NamedDays, list[str]]:
    """Returns the events, and sentences about stores with another spelling; rejects those of unknown stores.

    Args:
        sheet: Sheet of the events. Without rows it says that there are none.
        stores: Number of each store by its id.

    Raises:
        UserError: ``BadData``: all rows are bad, which would cancel every event.
    """
    # Without a store, an event is of all; NA may be the id of one.
    read: dict[str, str] = {}
    of_all = {None, *cell_rules.MISSING}.difference(stores)
    if "store" in sheet.values.column_names:
        ids = sheet.values["store"].to_pylist()
        read = known_ids(set(ids) - of_all, stores)
        unknown = np.array([id_ not in of_all and id_ not in read for id_ in ids], dtype=bool)
        rule = f"{sheet.labels['store']} must be a store of the data, or empty for all stores"
        sheet.reject(unknown, ("store",), rule, "store-in-file")
    rows = sheet.values.to_pylist()
    if sheet.row_count > 0 and not rows:
        first = examples(pa.concat_tables(sheet.findings))[0]
        raise UserError(
            "BadData",
            f"no event is good, like {first}; correct the rows, or keep only the header to cancel all events",
        )
    everywhere: list[tuple[date, str]] = []
    by_store: dict[int, list[tuple[date, str]]] = {}
    for row in rows:
        id_, event = row.get("store"), (row["week"], row["name"])
        (everywhere if id_ in of_all else by_store.setdefault(stores[read[id_]], [])).append(event)
    last = max((row["week"] for row in rows), default=date.min)
    return NamedDays(by_store, last, everywhere), other_spellings("store", read.items())
