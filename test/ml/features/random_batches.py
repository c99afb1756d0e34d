"""A data set that grows by random batches, for the tests of the features job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from feature_samples import (
    DECLARED,
    Externals,
    Extras,
    Sales,
    random_externals,
    random_extras,
    tables_of,
    week,
)
from raw_batches import add_batch

from shelfcast.features.definitions import FeatureSet
from shelfcast.snapshot import EXTERNALS, Covariate

WEEKS = 56


@dataclass
class RandomBatches:
    """Batches of a data set, and what each changes.

    Attributes:
        url: Address of the database.
        dataset: Name of the data set.
        rng: Decides.
        sales: All cells so far.
        declared: Columns as of the newest batch.
        snapshots: One a batch.
        changed: Column and week of the weekly values that each batch adds.
    """

    url: str
    dataset: str
    rng: np.random.Generator
    sales: Sales = field(default_factory=dict)
    declared: list[Covariate] = field(default_factory=lambda: list(DECLARED))
    snapshots: list[dict[str, Any]] = field(default_factory=list)
    changed: list[set[tuple[str, date]]] = field(default_factory=list)

    def add_first(self) -> None:
        """Adds ``WEEKS`` weeks of four series, one of which ends before the others, with gaps."""
        sales: Sales = {
            (store, dept, number): round(float(self.rng.normal(100, 50)), 2)
            for store, dept in [(1, 1), (1, 2), (2, 1), (3, 1)]
            for number in range(WEEKS if store < 3 else 40)
            if self.rng.random() < 0.9
        }
        self._add(sales, random_externals(self.rng, WEEKS), random_extras(self.rng, DECLARED, WEEKS))

    def add_random(self) -> None:
        """Adds a batch of one kind of change."""
        rng, last = self.rng, max(number for _, _, number in self.sales)
        value, late = float(rng.normal(100, 50)), int(rng.integers(0, last + 1))
        series = sorted({key[:2] for key in self.sales})
        match rng.choice(["week", "week", "late", "gap", "external", "extra", "store", "declaration"]):
            case "week":
                # Perhaps of a new series too, in the midst of the others.
                came = [key for key in [*series, (1, 3)] if rng.random() < 0.8] or series
                announced = {("planned_promo", int(rng.integers(1, 5)), 0, last + 3): value}
                self._add({(*key, last + 1): value for key in came}, {(1, last + 1): [value] * 9}, announced)
            case "late":
                self._add({list(self.sales)[int(rng.integers(len(self.sales)))]: value}, {}, {})
            case "gap":
                gaps = [(*key, n) for key in series for n in range(last) if (*key, n) not in self.sales]
                self._add({gaps[int(rng.integers(len(gaps)))]: value}, {}, {})
            case "external":
                self._add({}, {(int(rng.integers(1, 5)), late): [value, None] * 4 + [value]}, {})
            case "extra":
                column = DECLARED[int(rng.integers(4))]
                dept = 1 if column.of == "series_week" else 0
                self._add({}, {}, {(column.name, 1, dept, late): value})
            case "store":
                self._add({}, {}, {("parking_lots", 1, 0, None): value}, size=value)
            case "declaration":
                visitors = next(column for column in self.declared if column.name == "visitors")
                known = int(rng.integers(-1, 3))
                self.declared[self.declared.index(visitors)] = replace(visitors, known_after_weeks=known)
                self._add({}, {}, {("visitors", 1, 0, late): value})

    def first_changed(self, before: int, now: int, features: FeatureSet) -> date:
        """Returns the first origin that may know a value that batches after one, up to another, brought."""
        lags = {name: column.known_after_weeks or 0 for name, column in features.sources.items()}
        changed = set().union(*self.changed[before + 1 : now + 1])
        return min((day + timedelta(weeks=lags[name]) for name, day in changed), default=date.max)

    def _add(self, sales: Sales, externals: Externals, extras: Extras, size: float = 1e5) -> None:
        tables = tables_of(sales, externals, extras)
        sizes = pa.array([size, 2e5, 3e5, 4e5])
        tables = replace(tables, stores=tables.stores.set_column(2, "size", sizes))
        self.sales |= sales
        self.snapshots.append(add_batch(self.url, self.dataset, tables, self.declared))
        self.changed.append(
            {("weekly_sales", week(number)) for _, _, number in sales}
            | {(name, week(number)) for _, number in externals for name in EXTERNALS}
            | {(name, week(number)) for name, _, _, number in extras if number is not None}
        )
