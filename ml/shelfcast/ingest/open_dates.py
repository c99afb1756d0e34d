"""Days on which stores opened and closed: in the weeks outside, ``open`` is 0 (``features.open_weeks``).

A data set keeps the days, and each load shuts the weeks up to ``WEEKS_AHEAD`` after its newest one. A week in
which the store was open for a day is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.features.open_weeks import DESCRIPTION, KNOWN_AFTER_WEEKS, OPEN
from shelfcast.ids import Ids
from shelfcast.ingest.dates import ISO_DATE
from shelfcast.ingest.holiday_rows import WEEKS_AHEAD, extras
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.sheet import Layout, Sheet, store_week, whole_numbers
from shelfcast.snapshot import ALL_WEEKS, COVARIATES, EXTRAS, MERGES, SALES, STORE_AS_A_WHOLE, Covariate

Tables = Mapping[str, pa.Table]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_DAY = replace(ISO_DATE, requirement=f"{ISO_DATE.requirement}, or NA", may_be_missing=True)
#: Roles of the file of stores. They count only where they are declared.
ROLES: Layout = {"opened": ("opened", _DAY), "closed": ("closed", _DAY)}
#: Names of the rows with a day, as days since 1970-01-01. Users' columns have no spaces in their names.
_NAMES = {role: f"store {role}" for role in ROLES}
_NEVER = 2**31


@dataclass(frozen=True)
class OpenDates:
    """First and last day of S stores, as days since 1970-01-01; ``_NEVER`` away where unknown [S].

    Attributes:
        store: Numbers in ascending order, without those of merged stores.
        opened: First day of the store, or of one that was merged into it, if that is earlier.
        closed: Last day of the store.
        into: Number of the store that remains by that of each one that was merged into it.
    """

    store: Ints
    opened: Ints
    closed: Ints
    into: Mapping[int, int]

    @classmethod
    def of(cls, *snapshots: Tables) -> OpenDates:
        """Returns the days that tables by name have; those of later tables replace those of earlier ones."""
        days: dict[tuple[str, int], float | None] = {}
        into: dict[int, int] = {}
        for tables in snapshots:
            extras = tables[EXTRAS.name]
            rows = extras.filter(pc.is_in(extras["name"], pa.array([*_NAMES.values()]))).to_pylist()
            days.update({(row["name"], row["store"]): row["value"] for row in rows})
            merges = tables[MERGES.name].to_pylist()
            into.update({row["number"]: row["into_number"] for row in merges if row["of"] == "store"})
        opened, closed = (
            {store: int(day) for (of, store), day in days.items() if of == name and day is not None}
            for name in (_NAMES["opened"], _NAMES["closed"])
        )
        stores = sorted({*opened, *closed}.difference(into))
        parts = {
            store: [store, *(n for n, remaining in into.items() if remaining == store)] for store in stores
        }
        return cls(
            np.array(stores, dtype=np.int64),
            np.array([min(opened.get(n, -_NEVER) for n in parts[s]) for s in stores], dtype=np.int64),
            np.array([closed.get(store, _NEVER) for store in stores], dtype=np.int64),
            into,
        )

    def remaining(self, store: Ints) -> Ints:
        """Returns the stores that remain of stores, after all merges."""
        numbers, index = np.unique(store, return_inverse=True)
        return np.array([self.into.get(n, n) for n in numbers.tolist()], dtype=np.int64)[index]

    def is_outside(self, store: Ints, week: Ints) -> Mask:
        """Returns whether each week, named by its last day, has no day on which its store was open.

        The days of a merged store are those of the one that remains.
        """
        if len(self.store) == 0:
            return np.zeros(len(store), dtype=bool)
        store = self.remaining(store)
        index = np.minimum(np.searchsorted(self.store, store), len(self.store) - 1)
        outside = (week < self.opened[index]) | (week - 6 > self.closed[index])
        return np.asarray(outside & (self.store[index] == store))

    def weeks(self, *sales: pa.Table) -> pa.Table:
        """Returns ``store`` and ``week`` of the weeks to shut, from the first sales to after the newest."""
        days = np.concatenate([whole_numbers(table, "week") for table in sales])
        if len(days) == 0:
            return _store_weeks(days, days)
        span = np.arange(days.min(), days.max() + 7 * WEEKS_AHEAD + 1, 7)
        store, week = np.repeat(self.store, len(span)), np.tile(span, len(self.store))
        is_shut = self.is_outside(store, week)
        return _store_weeks(store[is_shut], week[is_shut])

    def in_words(self, store: int) -> str:
        """Returns the days of a store."""
        remaining = self.into.get(store, store)
        index = int(np.searchsorted(self.store, remaining))
        days = {"opened": self.opened[index], "closed": self.closed[index]}
        known = [f"{role} {np.datetime64(int(day), 'D')}" for role, day in days.items() if abs(day) < _NEVER]
        return ", ".join(known)


def check_order(stores: Sheet) -> None:
    """Rejects stores that close before they open."""
    if not {*ROLES} <= {*stores.values.column_names}:
        return
    is_wrong = pc.less(stores.values["closed"], stores.values["opened"]).fill_null(False)
    rule = f"{stores.labels['closed']} must not be before {stores.labels['opened']}"
    stores.reject(is_wrong.to_numpy(), ("opened", "closed"), rule, "open-dates")


def date_rows(stores: pa.Table) -> pa.Table:
    """Returns the days in good rows of the file of stores, as rows of ``EXTRAS``."""
    tables = [EXTRAS.schema.empty_table()]
    for role, name in _NAMES.items():
        if role in stores.column_names:
            days = stores[role].cast(pa.int32()).cast(pa.float64())
            always = pa.repeat(ALL_WEEKS, len(stores))
            tables.append(extras(pa.repeat(name, len(stores)), stores["store"], always, days))
    return pa.concat_tables(tables)


def with_open_dates(tables: Tables, known: Tables) -> dict[str, pa.Table]:
    """Returns the tables of a load, with the weeks that stores are shut since they are outside their days.

    Weeks that were outside of earlier days, and are inside now, are open again.

    Args:
        tables: Good rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name.
    """
    loaded, sales = tables[EXTRAS.name], known[SALES.name]
    shut = OpenDates.of(known, tables).weeks(sales, tables[SALES.name])
    was_shut = OpenDates.of(known).weeks(sales)
    if len(shut) + len(was_shut) == 0:
        return dict(tables)
    is_told = pc.and_(pc.equal(loaded["name"], OPEN), pc.equal(loaded["dept"], STORE_AS_A_WHOLE))
    is_shut = np.isin(store_week(loaded), store_week(shut))
    kept = loaded.filter(pc.invert(pc.and_(is_told, pa.array(is_shut))))
    keys = np.concatenate([store_week(shut), store_week(loaded.filter(is_told))])
    again = was_shut.filter(pa.array(~np.isin(store_week(was_shut), keys)))
    rows = [
        extras(pa.repeat(OPEN, len(weeks)), weeks["store"], weeks["week"], pa.repeat(value, len(weeks)))
        for weeks, value in ((shut, 0.0), (again, pa.scalar(None, pa.float64())))
    ]
    declared = pa.concat_tables([known[COVARIATES.name], tables[COVARIATES.name]])["name"].to_pylist()
    covariate = Covariate(OPEN, "store_week", KNOWN_AFTER_WEEKS, DESCRIPTION)
    new = [] if OPEN in declared else [asdict(covariate)]
    return {
        **tables,
        EXTRAS.name: pa.concat_tables([kept, *rows]),
        COVARIATES.name: pa.concat_tables(
            [tables[COVARIATES.name], pa.Table.from_pylist(new, COVARIATES.schema)]
        ),
    }


def check_open_dates(tables: Tables, known: Tables, ids: Ids) -> Check:
    """Checks that stores sell only from their first to their last day, where the load tells either."""
    dates = OpenDates.of(known, tables)
    new = OpenDates.of(tables)
    told = dates.remaining(np.array([*new.store.tolist(), *new.into], dtype=np.int64))
    stores = dates.remaining(whole_numbers(known[SALES.name], "store"))
    earlier = known[SALES.name].filter(pa.array(np.isin(stores, told)))
    key = list(SALES.key)
    earlier = earlier.join(tables[SALES.name].select(key), key, join_type="left anti")
    sales = pa.concat_tables([tables[SALES.name], earlier.select(SALES.schema.names).cast(SALES.schema)])
    outside = dates.is_outside(whole_numbers(sales, "store"), whole_numbers(sales, "week"))
    rows = sales.filter(pc.and_(pa.array(outside), pc.not_equal(sales["weekly_sales"], 0)))
    return Check("outside-open-dates", len(rows), [_example(row, dates, ids) for row in _first(rows)])


def _first(rows: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = SALES.in_key_order(rows).slice(0, EXAMPLES).to_pylist()
    return found


def _example(row: Mapping[str, Any], dates: OpenDates, ids: Ids) -> str:
    series = ids.series(row["store"], row["dept"])
    remaining = dates.into.get(row["store"])
    merged = "" if remaining is None else f" merged into {ids.id('store', remaining)!r},"
    return f"{series} {row['week']}: {row['weekly_sales']:g},{merged} {dates.in_words(row['store'])}"


def _store_weeks(store: Ints, week: Ints) -> pa.Table:
    days = pa.array(week.astype(np.int32)).cast(pa.date32())
    return pa.table({"store": pa.array(store, pa.int64()), "week": days})
