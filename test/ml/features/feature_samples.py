"""Random snapshots for the tests of features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from shelfcast.features.definitions import STORE_EXTERNALS
from shelfcast.features.training_data import NO_EXTRAS
from shelfcast.snapshot import Covariate

FIRST_WEEK = date(2024, 1, 5)


def week(number: int) -> date:
    """Returns the week with that number, 0 the first."""
    return FIRST_WEEK + number * timedelta(weeks=1)


@dataclass(frozen=True)
class Tables:
    """The tables of a snapshot, as ``shelfcast.snapshot`` reads them."""

    sales: pa.Table
    store_weeks: pa.Table
    stores: pa.Table
    extras: pa.Table = field(default_factory=NO_EXTRAS.slice)


#: Covariates of each kind: published late, known at once, known in advance, static; and an external known in
#: advance.
DECLARED = (
    Covariate("returns_usd", "series_week", 2, "returned goods"),
    Covariate("shelf_price", "series_week", -2, "price on the shelf"),
    Covariate("visitors", "store_week", 0, "visitors"),
    Covariate("planned_promo", "store_week", -3, "planned promotion"),
    Covariate("parking_lots", "store", None, "parking lots"),
    Covariate("markdown1", "store_week", -1, "announced markdown"),
)

#: (name, store, dept or 0, week number or None) -> value.
Extras = dict[tuple[str, int, int, int | None], float | None]
Sales = dict[tuple[int, int, int], float]
Externals = dict[tuple[int, int], list[float | None]]


def random_sales(
    rng: np.random.Generator, series: int, weeks: int, gaps: float, departments: int = 4
) -> Sales:
    """Returns (store, dept, week number) -> sales of up to so many series; some shorter."""
    sales = {}
    for store, dept in {
        (int(rng.integers(1, 4)), int(rng.integers(1, departments + 1))) for _ in range(series)
    }:
        first, last = sorted(rng.integers(0, weeks, 2)) if rng.random() < 0.5 else (0, weeks - 1)
        for number in range(first, last + 1):
            if rng.random() >= gaps:
                # Returns below zero and weeks of nothing occur.
                value = float(rng.normal(100, 120)) * (rng.random() >= 0.1)
                sales[store, dept, number] = round(value, 2)
    return sales or {(1, 1, 0): 5.0}


def random_externals(rng: np.random.Generator, weeks: int) -> Externals:
    """Returns (store, week number) -> values of ``STORE_EXTERNALS``, with gaps."""
    return {
        (store, number): [None if rng.random() < 0.3 else float(rng.normal()) for _ in STORE_EXTERNALS]
        for store in range(1, 5)
        for number in range(weeks)
        if rng.random() < 0.9
    }


def random_extras(rng: np.random.Generator, columns: Sequence[Covariate], weeks: int) -> Extras:
    """Returns values of the declared columns, with gaps; also of weeks and series without sales."""
    extras: Extras = {}
    for column in columns:
        if column.name in STORE_EXTERNALS:
            continue
        departments = range(1, 5) if column.of == "series_week" else (0,)
        numbers = (None,) if column.of == "store" else tuple(range(weeks + 6))
        for key in [(store, dept, n) for store in range(1, 5) for dept in departments for n in numbers]:
            always = column.of == "store"
            if always or rng.random() < 0.8:
                unknown = not always and rng.random() < 0.2
                extras[column.name, *key] = None if unknown else float(rng.normal())
    return extras


def extras_table(extras: Extras) -> pa.Table:
    """Returns the rows as ``snapshot.read_extras`` does."""
    rows = [
        {
            "name": name,
            "store": store,
            "dept": dept,
            "week": None if number is None else week(number),
            "value": value,
        }
        for (name, store, dept, number), value in extras.items()
    ]
    fields = [column.with_nullable(True) for column in NO_EXTRAS.schema]
    return pa.Table.from_pylist(rows, pa.schema(fields))


def tables_of(sales: Sales, externals: Externals, extras: Extras | None = None) -> Tables:
    """Returns the tables; stores 1 to 4 have the types A, B, C, A."""
    keys = list(sales)
    store_weeks = {
        "store": pa.array([store for store, _ in externals], pa.int64()),
        "week": pa.array([week(number) for _, number in externals], pa.date32()),
    }
    for place, name in enumerate(STORE_EXTERNALS):
        store_weeks[name] = pa.array([values[place] for values in externals.values()], pa.float64())
    return Tables(
        sales=pa.table(
            {
                "store": pa.array([store for store, _, _ in keys], pa.int64()),
                "dept": pa.array([dept for _, dept, _ in keys], pa.int64()),
                "week": pa.array([week(number) for _, _, number in keys], pa.date32()),
                "weekly_sales": pa.array(list(sales.values()), pa.float64()),
            }
        ),
        store_weeks=pa.table(store_weeks),
        stores=pa.table({"store": [1, 2, 3, 4], "type": ["A", "B", "C", "A"], "size": [1e5, 2e5, 3e5, 4e5]}),
        extras=extras_table(extras or {}),
    )


def random_tables(seed: int, series: int, weeks: int) -> Tables:
    """Returns a random snapshot of many departments."""
    rng = np.random.default_rng(seed)
    return tables_of(random_sales(rng, series, weeks, 0.15, departments=30), random_externals(rng, weeks))
