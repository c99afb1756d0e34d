"""Data-quality checks of a whole load and of the data set as it would be after the load.

A load may be the whole history, one new week or a few corrections. So checks that compare look at the data
set as it would be after the load, in the weeks of the load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shelfcast.contracts.specs import DEFAULT_UNIT
from shelfcast.ids import Ids
from shelfcast.ingest.covariate_checks import check_covariates, check_stock_outs
from shelfcast.ingest.quality import EXAMPLES, Check
from shelfcast.ingest.quality_rules import LAST_YEAR_WEEKS, LEARN_SEASON_WEEKS
from shelfcast.missing_weeks import ZERO, declared_meaning, missing_weeks
from shelfcast.snapshot import EXTRAS, IDS, MERGES, SALES, STORE_WEEKS, STORES, merged_rows

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Upper bound of a department's weekly sales; it catches a wrong unit or a key in the wrong column.
MAX_SALES = 1e9
#: Physically possible ranges: the coldest and hottest air measured on Earth are -128.6 and 134.1 F (WMO).
EXTERNAL_RANGES = {
    "temperature": (-130.0, 140.0),
    "unemployment": (0.0, 100.0),
    "fuel_price": (np.nextafter(0, 1), np.inf),
    "cpi": (np.nextafter(0, 1), np.inf),
}
#: Number of known weeks nearest to a new week whose median it is compared with.
_NEAREST_WEEKS = 8
_MAX_ROW_CHANGE = 0.5
#: Share of weeks without a row from which their meaning decides what is forecast.
_MANY_GAPS = 0.1
#: Zeros for each week without a row, up to which a source is one of sales alone: returns may end a week at 0.
_FEW_ZEROS = 0.01
#: Christmas weeks of a supermarket are below twice their neighbours; cents instead of dollars are a hundred
#: times them.
_MAX_MEAN_FACTOR = 3.0


@dataclass(frozen=True)
class SalesRows:
    """Sales in key order; arrays [rows], weeks as days since 1970-01-01."""

    store: Ints
    dept: Ints
    week: Ints
    sales: Floats
    ids: Ids

    @classmethod
    def of(cls, ids: Ids, *tables: pa.Table) -> SalesRows:
        """Returns the rows of the tables; of rows with the same key the first table's counts."""
        keys = [
            np.concatenate([_ints(table, name) for table in tables]) for name in ("store", "dept", "week")
        ]
        sales = np.concatenate([table.column("weekly_sales").to_numpy() for table in tables])
        origin = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
        order = np.lexsort((origin, *reversed(keys)))
        keys = [key[order] for key in keys]
        first = np.ones(len(order), dtype=bool)
        first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
        store, dept, week = (key[first] for key in keys)
        return cls(store, dept, week, sales[order][first], ids)

    @property
    def goes_on(self) -> Mask:
        """Whether the next row is of the same series, for each row but the last."""
        same: Mask = (self.store[1:] == self.store[:-1]) & (self.dept[1:] == self.dept[:-1])
        return same

    @property
    def missing_after(self) -> Ints:
        """Number of weeks without a row up to the next row of the series, for each row but the last."""
        return np.where(self.goes_on, np.maximum(np.diff(self.week) // 7 - 1, 0), 0)

    def after_merges(self, merges: pa.Table) -> SalesRows:
        """Returns the rows as they are read: those of ids that are one have their sums."""
        if len(merges) == 0:
            return self
        columns = {
            "store": self.store,
            "dept": self.dept,
            "week": self.week.astype(np.int32),
            "weekly_sales": self.sales,
            "is_holiday": np.zeros(len(self.store), dtype=bool),
        }
        return SalesRows.of(self.ids, merged_rows(SALES, pa.table(columns).cast(SALES.schema), merges))

    def with_zero_weeks(self) -> SalesRows:
        """Returns the rows with one of 0 for each missing week."""
        missing = missing_weeks(self.store, self.dept, self.week)
        keys = [
            np.concatenate(pair) for pair in zip((self.store, self.dept, self.week), missing, strict=True)
        ]
        order = np.lexsort(keys[::-1])
        sales = np.concatenate([self.sales, np.zeros(len(missing[0]))])
        store, dept, week = (key[order] for key in keys)
        return SalesRows(store, dept, week, sales[order], self.ids)

    def examples(self, mask: Mask) -> list[str]:
        """Returns the first masked rows in words."""
        return [
            f"{self.series(n)} {_date(self.week[n])}: {self.sales[n]:g}"
            for n in np.flatnonzero(mask)[:EXAMPLES]
        ]

    def series(self, row: np.intp) -> str:
        """Returns a row's series in words."""
        store, dept = self.ids.id("store", int(self.store[row])), self.ids.id("dept", int(self.dept[row]))
        return f"store {store} dept {dept}"


def check_unit(declared: str | None, known: str | None) -> Check:
    """Checks that a load declares no other unit than the data set; None stands for US dollars there."""
    earlier = known or DEFAULT_UNIT
    differs = declared not in (None, earlier)
    example = f"this load is in {declared}, the data set in {earlier}"
    return Check("unit", int(differs), [example] if differs else [])


def check_load(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table], today: date) -> list[Check]:
    """Checks a load from a source, as opposed to generated sales.

    Args:
        tables: Good rows of the load by table name of ``shelfcast.snapshot``.
        known: Rows of the data set's newest snapshot by table name, empty if there is none.
        today: Current day where the stores are; a week that ends today or later is not over.
    """
    ids = _ids(tables, known)
    sales = SalesRows.of(ids, tables[SALES.name])
    merges = pa.concat_tables([known[MERGES.name], tables[MERGES.name]])
    after = SalesRows.of(ids, tables[SALES.name], known[SALES.name]).after_merges(merges)
    before = SalesRows.of(ids, known[SALES.name]).after_merges(merges)
    declared, earlier = (declared_meaning(rows[EXTRAS.name]) for rows in (tables, known))
    meaning = declared or earlier
    gaps = find_gaps(after)
    if meaning == ZERO:
        after, before = after.with_zero_weeks(), before.with_zero_weeks()
    checks = [
        *_check_content(tables, sales, after, ids),
        Check("undeclared-gaps", gaps.count if gaps.are_many and meaning is None else 0, [gaps.sentence]),
        _replaced(declared, earlier),
        _broken_rows("future-week", sales, sales.week >= (today - date(1970, 1, 1)).days),
        *_unknown_stores(tables, known, ids),
        *check_covariates(tables, known),
        check_stock_outs(tables, ids),
        _short_history(after),
    ]
    if len(known[SALES.name]) == 0:
        return checks
    new = np.setdiff1d(sales.store, _ints(known[SALES.name], "store"))
    return [
        *checks,
        Check("new-store", len(new), _stores(new, ids)),
        *_changes(np.unique(sales.week), before, after),
    ]


@dataclass(frozen=True)
class Gaps:
    """Weeks without a row between the first and the last row of their series.

    Attributes:
        count: Number of these weeks.
        weeks: Number of all weeks between, with a row or without.
        series: Number of series.
        zeros: Number of rows with sales of 0.
    """

    count: int
    weeks: int
    series: int
    zeros: int

    @property
    def are_many(self) -> bool:
        """Whether the meaning of the gaps decides what is forecast."""
        return self.count > 0 and self.count >= _MANY_GAPS * self.weeks

    @property
    def look_like_zero(self) -> bool:
        """Whether the gaps are many and may be the weeks without sales, which have no row otherwise."""
        return self.are_many and self._zeros_are_few

    @property
    def _zeros_are_few(self) -> bool:
        return self.zeros <= _FEW_ZEROS * self.count

    @property
    def sentence(self) -> str:
        """Numbers, and what to declare."""
        found = f"{self.count:,} of {self.weeks:,} weeks of {self.series:,} series have no row and "
        if self._zeros_are_few:
            zeros = f"few rows ({self.zeros:,}) are 0" if self.zeros > 0 else "no series has a 0"
            return found + (
                f'{zeros}: if these are weeks without sales, declare "missingWeeks": "zero" '
                "(--missing-weeks zero)"
            )
        return found + (
            f'{self.zeros:,} rows are 0, so these weeks look unknown: declare "missingWeeks": "unknown" '
            '(--missing-weeks unknown), or "zero" if they are weeks without sales'
        )


def find_gaps(sales: SalesRows) -> Gaps:
    """Returns the gaps of all series."""
    rows, count = len(sales.week), int(sales.missing_after.sum())
    return Gaps(count, rows + count, rows - int(sales.goes_on.sum()), int((sales.sales == 0).sum()))


def _replaced(declared: str | None, earlier: str | None) -> Check:
    is_other = declared is not None and earlier not in (None, declared)
    return Check("gaps-redeclared", int(is_other), [f"{declared} replaces {earlier}, for all weeks"])


def check_content(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table]) -> list[Check]:
    """Checks that apply to any load, the generator's included."""
    ids = _ids(tables, known)
    sales = SalesRows.of(ids, tables[SALES.name])
    after = SalesRows.of(ids, tables[SALES.name], known[SALES.name])
    return _check_content(tables, sales, after, ids)


def _check_content(
    tables: Mapping[str, pa.Table], sales: SalesRows, after: SalesRows, ids: Ids
) -> list[Check]:
    return [
        _broken_rows("sales-range", sales, np.abs(sales.sales) > MAX_SALES),
        _external_ranges(tables[STORE_WEEKS.name], ids),
        _broken_rows("negative-sales", sales, sales.sales < 0),
        _missing_weeks(after),
    ]


def _ids(tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table]) -> Ids:
    return Ids.of(pa.concat_tables([rows[IDS.name] for rows in (known, tables)]))


def _stores(stores: Ints, ids: Ids) -> list[str]:
    return [f"store {ids.id('store', int(store))}" for store in stores[:EXAMPLES]]


def _broken_rows(rule: str, sales: SalesRows, mask: Mask) -> Check:
    return Check(rule, int(mask.sum()), sales.examples(mask))


def _external_ranges(rows: pa.Table, ids: Ids) -> Check:
    broken, examples = np.zeros(len(rows), dtype=bool), []
    for name, (low, high) in EXTERNAL_RANGES.items():
        values = rows.column(name)
        outside = pc.or_(pc.less(values, low), pc.greater(values, high)).fill_null(False)
        mask = outside.to_numpy()
        broken |= mask
        for row in rows.filter(outside).slice(0, EXAMPLES).to_pylist():
            examples.append(f"store {ids.id('store', row['store'])} {row['week']}: {name} {row[name]:g}")
    return Check("external-range", int(broken.sum()), examples[:EXAMPLES])


def _unknown_stores(
    tables: Mapping[str, pa.Table], known: Mapping[str, pa.Table], ids: Ids
) -> Iterable[Check]:
    """Yields the checks that stores are described: a data set may describe none of its stores."""
    described = np.concatenate([_ints(rows[STORES.name], "store") for rows in (tables, known)])
    stores = np.unique(np.concatenate([_ints(rows[SALES.name], "store") for rows in (tables, known)]))
    describes_some = np.isin(stores, described).any()
    unknown = np.setdiff1d(_ints(tables[SALES.name], "store"), described)
    yield Check("unknown-store", len(unknown) if describes_some else 0, _stores(unknown, ids))
    yield Check("no-store-described", 0 if describes_some else len(unknown), _stores(unknown, ids))


def _missing_weeks(sales: SalesRows) -> Check:
    missing = sales.missing_after
    examples = [
        f"{sales.series(n)}: {missing[n]} from {_date(sales.week[n] + 7)}"
        for n in np.flatnonzero(missing > 0)[:EXAMPLES]
    ]
    return Check("missing-week", int(missing.sum()), examples)


def _short_history(sales: SalesRows) -> Check:
    if len(sales.week) == 0:
        return Check("short-history", 0)
    first, last = sales.week.min(), sales.week.max()
    weeks = int(last - first) // 7 + 1
    seasonal = "" if weeks >= LAST_YEAR_WEEKS else f", and {LAST_YEAR_WEEKS} for a seasonal naive forecast"
    return Check(
        "short-history",
        max(0, LEARN_SEASON_WEEKS - weeks),
        [
            f"{weeks} weeks, {_date(first)} to {_date(last)}: {LEARN_SEASON_WEEKS} are needed to learn from "
            f"weeks with a last year{seasonal}"
        ],
        "the history is short",
    )


def _changes(weeks: Ints, before: SalesRows, after: SalesRows) -> Iterable[Check]:
    known, counts, means = _by_week(before)
    changed, new_counts, new_means = _by_week(after)
    loaded = np.isin(changed, weeks)
    for rule, old, new, is_sudden in (
        ("row-count-change", counts, new_counts, _is_other_count),
        ("mean-sales-change", means, new_means, _is_other_mean),
    ):
        yield _sudden(rule, known, old, changed[loaded], new[loaded], is_sudden)


def _sudden(
    rule: str,
    known: Ints,
    old: Floats,
    weeks: Ints,
    new: Floats,
    is_sudden: Callable[[float, float], bool],
) -> Check:
    examples = []
    for week, value in zip(weeks, new, strict=True):
        expected = _expected(week, known, old)
        if is_sudden(value, expected):
            examples.append(f"{_date(week)}: {value:.10g} instead of about {expected:.10g}")
    return Check(rule, len(examples), examples[:EXAMPLES])


def _expected(week: np.int64, known: Ints, values: Floats) -> float:
    """Returns the value of a known week, or the median of the nearest known weeks."""
    distance = np.abs(known - week)
    nearest = distance == 0
    if not nearest.any():
        nearest = np.argsort(distance, kind="stable")[:_NEAREST_WEEKS]
    return float(np.median(values[nearest]))


def _is_other_count(count: float, expected: float) -> bool:
    return abs(count - expected) > _MAX_ROW_CHANGE * expected


def _is_other_mean(mean: float, expected: float) -> bool:
    # A factor makes sense only where the expected sales are above zero.
    return expected > 0 and not expected / _MAX_MEAN_FACTOR <= mean <= expected * _MAX_MEAN_FACTOR


def _by_week(rows: SalesRows) -> tuple[Ints, Floats, Floats]:
    """Returns the weeks in ascending order, their numbers of rows, and their mean sales in USD."""
    weeks, index, counts = np.unique(rows.week, return_inverse=True, return_counts=True)
    return weeks, counts.astype(np.float64), np.bincount(index, rows.sales) / counts


def _ints(table: pa.Table, name: str) -> Ints:
    """Returns the values of a column; a date is its days since 1970-01-01."""
    return table.column(name).to_numpy().astype(np.int64)  # type: ignore[no-any-return]


def _date(day: np.int64) -> str:
    return str(np.datetime64(int(day), "D"))
