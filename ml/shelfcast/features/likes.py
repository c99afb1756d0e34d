"""Stores and departments that are like another one, from whose history a new one starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shelfcast.features.sales_history import Aggregates
from shelfcast.levels import LevelOf
from shelfcast.snapshot import LIKE_ROWS


@dataclass(frozen=True)
class Likes:
    """Number of the other store or department by that of the new one."""

    stores: Mapping[int, int] = field(default_factory=dict)
    departments: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, *tables: pa.Table) -> Likes:
        """Returns those in rows of ``snapshot.EXTRAS``; later tables replace rows of earlier ones."""
        found: dict[LevelOf, dict[int, int]] = {}
        for of, name in LIKE_ROWS.items():
            rows = [
                row for table in tables for row in table.filter(pc.equal(table["name"], name)).to_pylist()
            ]
            newest = {row[of]: row["value"] for row in rows}
            found[of] = {new: int(other) for new, other in newest.items() if other is not None}
        return cls(found["store"], found["dept"])

    def candidates(self, store: int, dept: int) -> list[tuple[int, int]]:
        """Returns the series from whose history a new one may start: the store's other one comes first."""
        other_store, other_dept = self.stores.get(store), self.departments.get(dept)
        pairs = [(other_store, dept), (store, other_dept), (other_store, other_dept)]
        return [(s, d) for s, d in pairs if s is not None and d is not None]

    def likely_series(
        self, store: NDArray[np.int64], dept: NDArray[np.int64], new: NDArray[np.int64]
    ) -> list[tuple[int, int]]:
        """Returns the series that begin with a new store or department.

        Args:
            store: Store of each series with sales in the newest week.
            dept: Department of each of these series.
            new: Stores without sales.
        """
        sold = set(zip(store.tolist(), dept.tolist(), strict=True))
        of_new = {(n, d) for n in new.tolist() if n in self.stores for s, d in sold if s == self.stores[n]}
        return sorted(
            of_new | {(s, n) for n, other in self.departments.items() for s, d in sold | of_new if d == other}
        )


NO_LIKES = Likes()


def with_like_departments(aggregates: Aggregates, likes: Likes) -> Aggregates:
    """Returns the aggregates in which a department without sales has those of the one that it is like."""
    sales = aggregates.department_sales.copy()
    place = {number: n for n, number in enumerate(aggregates.departments.tolist())}
    for new, other in likes.departments.items():
        if new in place and other in place and np.isnan(sales[place[new]]).all():
            sales[place[new]] = aggregates.department_sales[place[other]]
    return replace(aggregates, department_sales=sales)


def without_likes(extras: pa.Table) -> pa.Table:
    """Returns the rows of ``snapshot.EXTRAS`` that are values of covariates, or other declarations."""
    return extras.filter(pc.invert(pc.is_in(extras["name"], pa.array([*LIKE_ROWS.values()]))))
