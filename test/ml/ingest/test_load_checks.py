from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.ids import PLAIN_IDS
from shelfcast.ingest.generator import generate
from shelfcast.ingest.load_checks import Gaps, SalesRows, check_content, check_load, find_gaps
from shelfcast.ingest.quality import Check
from shelfcast.snapshot import (
    COVARIATES,
    EXTERNALS,
    EXTRAS,
    IDS,
    SALES,
    STORE_WEEKS,
    STORES,
    empty_tables,
)

Tables = dict[str, pa.Table]
Row = tuple[int, int, int, float]

FIRST = date(2020, 1, 3)
TODAY = date(2020, 12, 31)
NOTHING: Tables = empty_tables()


def tables(rows: list[Row], stores: tuple[int, ...] = (1, 2), **externals: float) -> Tables:
    """Returns a load of sales (store, dept, week number, sales in USD) with one row of externals."""
    store, dept, week, sales = zip(*rows, strict=True)
    weeks = [FIRST + timedelta(weeks=n) for n in week]
    flags = [False] * len(rows)
    values = {name: [externals.get(name)] for name in EXTERNALS}
    return {
        **NOTHING,
        "sales": pa.table(
            dict(zip(SALES.schema.names, (store, dept, weeks, sales, flags), strict=True)),
            schema=SALES.schema,
        ),
        "store_week": pa.table(
            {"store": [1], "week": [FIRST], **values, "is_holiday": [False]}, schema=STORE_WEEKS.schema
        ),
        "store": pa.table(
            {"store": stores, "type": ["A"] * len(stores), "size": [1.0] * len(stores)}, schema=STORES.schema
        ),
    }


def found(load: Tables, known: Tables = NOTHING, today: date = TODAY) -> dict[str, Check]:
    return {check.rule: check for check in check_load(load, known, today)}


def history(weeks: range, sales: float = 100, depts: int = 4) -> list[Row]:
    return [(1, dept, week, sales) for dept in range(1, depts + 1) for week in weeks]


def test_a_good_load_breaks_nothing() -> None:
    load = tables(history(range(69)))
    checks = check_load(load, NOTHING, FIRST + timedelta(weeks=69))
    assert [check.rule for check in checks if check.rows] == []


@pytest.mark.parametrize(
    ("weeks", "missing", "seasonal"),
    [(2, 67, True), (52, 17, True), (53, 16, False), (68, 1, False)],
)
def test_a_short_history_is_told_with_numbers(weeks: int, missing: int, seasonal: bool) -> None:
    # Half of it is known already.
    known, load = (tables(history(part)) for part in (range(weeks // 2), range(weeks // 2, weeks)))
    check = found(load, known)["short-history"]
    last = FIRST + timedelta(weeks=weeks - 1)
    also = ", and 53 for a seasonal naive forecast" if seasonal else ""
    assert (check.rows, check.summary) == (missing, "the history is short")
    assert check.examples == [
        f"{weeks} weeks, {FIRST} to {last}: 69 are needed to learn from weeks with a last year{also}"
    ]
    assert found(NOTHING)["short-history"].rows == 0


def test_missing_weeks_are_counted_inside_series_only() -> None:
    rows = [(1, 1, 0, 5.0), (1, 1, 3, 5.0), (1, 2, 7, 5.0), (2, 2, 1, 5.0), (2, 2, 3, 5.0)]
    assert found(tables(rows))["missing-week"] == Check(
        "missing-week", 3, ["store 1 dept 1: 2 from 2020-01-10", "store 2 dept 2: 1 from 2020-01-17"]
    )


def test_a_missing_week_that_the_data_set_has_is_not_missing() -> None:
    load, known = tables([(1, 1, 0, 5.0), (1, 1, 2, 5.0)]), tables([(1, 1, 1, 5.0)])
    assert found(load)["missing-week"].rows == 1
    assert found(load, known)["missing-week"].rows == 0


KEYS = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 12))


@settings(deadline=None)
@given(load=st.sets(KEYS, min_size=1), known=st.sets(KEYS))
def test_missing_weeks_as_counted_one_by_one(
    load: set[tuple[int, int, int]], known: set[tuple[int, int, int]]
) -> None:
    before = tables([(*key, 1.0) for key in known]) if known else NOTHING
    missing = 0
    for series in {key[:2] for key in load | known}:
        weeks = {key[2] for key in load | known if key[:2] == series}
        missing += len(set(range(min(weeks), max(weeks))) - weeks)
    loaded = tables([(*key, 1.0) for key in load])
    assert found(loaded, before)["missing-week"].rows == missing
    series = len({key[:2] for key in load | known})
    gaps = find_gaps(SalesRows.of(PLAIN_IDS, loaded["sales"], before["sales"]))
    assert gaps == Gaps(missing, len(load | known) + missing, series, zeros=0)


@settings(deadline=None)
@given(
    load=st.dictionaries(KEYS, st.floats(-5, 5), min_size=1), known=st.dictionaries(KEYS, st.floats(-5, 5))
)
def test_a_load_s_value_counts_before_the_known_one(
    load: dict[tuple[int, int, int], float], known: dict[tuple[int, int, int], float]
) -> None:
    before = tables([(*key, value) for key, value in known.items()]) if known else NOTHING
    rows = SalesRows.of(
        PLAIN_IDS, tables([(*key, value) for key, value in load.items()])["sales"], before["sales"]
    )
    day = (FIRST - date(1970, 1, 1)).days
    keys = zip(rows.store.tolist(), rows.dept.tolist(), ((rows.week - day) // 7).tolist(), strict=True)
    assert list(zip(keys, rows.sales.tolist(), strict=True)) == sorted({**known, **load}.items())


def test_a_week_is_in_the_future_until_its_day() -> None:
    load = tables([(1, 1, 0, 5.0), (2, 3, 1, 6.0)])
    assert found(load, today=date(2020, 1, 11))["future-week"].rows == 0
    assert found(load, today=date(2020, 1, 10))["future-week"] == Check(
        "future-week", 1, ["store 2 dept 3 2020-01-10: 6"]
    )


def test_stores() -> None:
    load = tables([(1, 1, 0, 5.0), (2, 1, 0, 5.0)], stores=(1,))
    assert found(load)["unknown-store"] == Check("unknown-store", 1, ["store 2"])
    assert "new-store" not in found(load)
    known = tables([(1, 1, 0, 5.0)], stores=(1, 2))
    assert found(load, known)["unknown-store"].rows == 0
    assert found(load, known)["new-store"] == Check("new-store", 1, ["store 2"])


def test_a_data_set_may_describe_none_of_its_stores() -> None:
    load = tables([(1, 1, 0, 5.0), (2, 1, 0, 5.0)], stores=(3,))
    undescribed = Check("no-store-described", 2, ["store 1", "store 2"])
    assert found(load)["unknown-store"].rows == 0
    assert found(load)["no-store-described"] == undescribed
    assert found(load, load)["no-store-described"] == undescribed
    described = tables([(1, 1, 1, 5.0)], stores=(1,))
    assert found(load, described)["unknown-store"] == Check("unknown-store", 1, ["store 2"])
    assert found(load, described)["no-store-described"].rows == 0


def test_examples_have_the_ids_of_the_data() -> None:
    load = tables([(1, 1, 0, -5.0), (1, 1, 2, 2e9), (2, 1, 9, 5.0)], stores=(1,), cpi=-1.0)
    ids = [("store", "CA_1", 1, True), ("store", "CA_2", 2, True), ("dept", "TOYS", 1, True)]
    rows = [dict(zip(IDS.schema.names, row, strict=True)) for row in ids]
    named = {"id": pa.Table.from_pylist(rows, IDS.schema)}
    expected = {
        "negative-sales": "store CA_1 dept TOYS 2020-01-03: -5",
        "sales-range": "store CA_1 dept TOYS 2020-01-17: 2e+09",
        "missing-week": "store CA_1 dept TOYS: 1 from 2020-01-10",
        "external-range": "store CA_1 2020-01-03: cpi -1",
        "unknown-store": "store CA_2",
        "new-store": "store CA_2",
    }
    known = tables([(1, 1, 0, 5.0)], stores=(1,))
    for checks in (found(load | named, known), found(load, known | named)):
        assert {rule: checks[rule].examples[0] for rule in expected} == expected


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("temperature", -130.0, -131.0),
        ("temperature", 140.0, 141.0),
        ("unemployment", 0.0, -0.1),
        ("unemployment", 100.0, 101.0),
        ("fuel_price", 0.01, 0.0),
        ("cpi", 0.01, -1.0),
    ],
)
def test_external_ranges(name: str, good: float, bad: float) -> None:
    assert found(tables(history(range(1)), **{name: good}))["external-range"].rows == 0
    assert found(tables(history(range(1)), **{name: bad}))["external-range"] == Check(
        "external-range", 1, [f"store 1 2020-01-03: {name} {bad:g}"]
    )


def test_sales_ranges() -> None:
    sales = [-1e9, 1e9 + 0.01, -1e9 - 0.01, 0, 0.01]
    checks = found(tables([(1, 1, week, value) for week, value in enumerate(sales)]))
    assert checks["sales-range"].rows == 2
    assert checks["negative-sales"].rows == 2


@pytest.mark.parametrize(("depts", "rows"), [(1, 1), (2, 0), (6, 0), (7, 1)])
def test_rows_of_a_new_week(depts: int, rows: int) -> None:
    checks = found(tables(history(range(9, 10), depts=depts)), tables(history(range(9))))
    assert checks["row-count-change"].rows == rows


@pytest.mark.parametrize(
    ("before", "sales", "rows"),
    [(99, 32, 1), (99, 33, 0), (100, 300, 0), (100, 301, 1), (100, -1, 1), (0.5, 5, 1), (0, 5, 0)],
)
def test_mean_of_a_new_week(before: float, sales: float, rows: int) -> None:
    checks = found(tables(history(range(9, 10), sales)), tables(history(range(9), before)))
    assert checks["mean-sales-change"].rows == rows


def test_a_week_is_compared_with_itself_or_its_neighbours_not_with_far_weeks() -> None:
    """A business that grew: the old weeks have few and small rows, and are loaded again."""
    old, new = history(range(10), 10, depts=1), history(range(10, 20), 100)
    known = tables([*old, *new])
    for load in (tables(old), tables(history(range(-1, 0), 10, depts=1)), tables(history(range(20, 21)))):
        checks = found(load, known)
        assert (checks["row-count-change"].rows, checks["mean-sales-change"].rows) == (0, 0)
    checks = found(tables(history(range(0, 1), 100)), known)
    assert (checks["row-count-change"].rows, checks["mean-sales-change"].rows) == (1, 1)
    assert checks["row-count-change"].examples == ["2020-01-03: 4 instead of about 1"]


def test_a_new_week_is_compared_with_the_eight_nearest_ones() -> None:
    known = tables([*history(range(5), 10, depts=1), *history(range(5, 9))])
    checks = found(tables(history(range(9, 10))), known)
    assert checks["row-count-change"].examples == ["2020-03-06: 4 instead of about 2.5"]


def test_a_known_week_unlike_its_neighbours_may_be_loaded_again() -> None:
    unlike = history(range(5, 6), 100)
    known = tables([*history(range(5), 10, depts=1), *unlike, *history(range(6, 10), 10, depts=1)])
    checks = found(tables(unlike), known)
    assert (checks["row-count-change"].rows, checks["mean-sales-change"].rows) == (0, 0)


def test_one_new_week_alone_and_corrections_of_two_old_weeks() -> None:
    """Rows of a small load: some rows of known weeks, or all rows of a new week."""
    series = [(store, dept) for store in (1, 2) for dept in (1, 2, 3)]
    known = tables([(*key, week, 100.0) for key in series for week in range(9)])
    new = tables([(*key, 9, 150.0) for key in series])
    corrected = tables([(1, 1, 3, 130.0), (2, 3, 7, 20.0)])
    for load in (new, corrected):
        broken = [check.rule for check in check_load(load, known, TODAY) if check.rows]
        assert broken == ["short-history"]
    # A new week of one store of two is half a week, and in cents it is no week.
    half = tables([(1, dept, 9, 100.0) for dept in (1, 2)])
    assert found(half, known)["row-count-change"].examples == ["2020-03-06: 2 instead of about 6"]
    cents = tables([(*key, 9, 10_000.0) for key in series])
    assert found(cents, known)["mean-sales-change"].rows == 1
    wrong = tables([(1, 1, 3, 10_000.0)])
    assert found(wrong, known)["mean-sales-change"].examples == ["2020-01-24: 1750 instead of about 100"]


def declared(load: Tables, of: str, weeks: int | None, values: dict[int, float | None]) -> Tables:
    """Returns the load with column ``extra`` and its values by week number, of store 1 department 2."""
    column = {"name": "extra", "of": of, "known_after_weeks": weeks, "description": "-"}
    rows = [
        {"name": "extra", "store": 1, "dept": 2, "week": FIRST + timedelta(weeks=n), "value": value}
        for n, value in values.items()
    ]
    return {
        **load,
        COVARIATES.name: pa.Table.from_pylist([column], COVARIATES.schema),
        EXTRAS.name: pa.Table.from_pylist(rows, EXTRAS.schema),
    }


@pytest.mark.parametrize(
    ("weeks", "newest", "late"),
    [
        (0, 8, None),
        (0, 7, "2020-02-21, not of 2020-02-28"),
        (2, 6, None),
        (2, 5, "2020-02-07, not of 2020-02-14"),
        (-2, 10, None),
        (-2, 9, "2020-03-06, not of 2020-03-13"),
    ],
)
def test_a_declared_column_is_there_when_it_says(weeks: int, newest: int, late: str | None) -> None:
    load = declared(tables(history(range(9))), "series_week", weeks, {0: 1.0, newest: 0.0, 12: None})
    examples = [] if late is None else [f"extra: the newest value is of {late}"]
    for before in (NOTHING, tables(history(range(9)))):
        checks = found(load, before)
        assert checks["covariate-late"] == Check("covariate-late", len(examples), examples)
        assert checks["covariate-empty"].rows == 0


def test_a_declared_column_without_any_value() -> None:
    full = declared(tables(history(range(9))), "series_week", 0, {8: 1.0})
    empty = declared(tables(history(range(9))), "series_week", 0, {8: None})
    nothing = Check("covariate-empty", 1, ["extra"])
    assert found(empty)["covariate-empty"] == nothing
    assert found(empty)["covariate-late"].rows == 0
    # The one value that the data set had becomes unknown; without it in the load it stays.
    assert found(empty, full)["covariate-empty"] == nothing
    assert found(tables(history(range(9))), full)["covariate-empty"].rows == 0
    assert found(tables(history(range(9))), empty)["covariate-empty"] == nothing
    assert found(declared(tables(history(range(9))), "store", None, {}))["covariate-empty"] == nothing


def test_a_declared_external_has_its_values_with_the_store_weeks() -> None:
    def load(**externals: float) -> Tables:
        external = declared(tables(history(range(1)), **externals), "store_week", -1, {})
        names = external[COVARIATES.name]
        renamed = names.set_column(0, COVARIATES.schema.field("name"), pa.array(["markdown2"]))
        return {**external, COVARIATES.name: renamed}

    assert found(load())["covariate-empty"].examples == ["markdown2"]
    checks = found(load(markdown2=5.0))
    assert checks["covariate-empty"].rows == 0
    assert checks["covariate-late"].examples == [
        "markdown2: the newest value is of 2020-01-03, not of 2020-01-10"
    ]


def test_generated_sales_break_no_rule_of_content() -> None:
    generated = generate(3, 4, 60, seed=5).tables
    rules = {check.rule: check.rows for check in check_content(generated, NOTHING)}
    negative = int(np.sum(generated["sales"]["weekly_sales"].to_numpy() < 0))
    assert rules == {"sales-range": 0, "external-range": 0, "negative-sales": negative, "missing-week": 0}
