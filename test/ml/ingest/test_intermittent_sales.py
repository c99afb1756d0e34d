"""Data with many weeks without sales get a mark, and keep it."""

from __future__ import annotations

import pytest
from test_load_checks import NOTHING, tables

from shelfcast.features.intermittent import DECLARED
from shelfcast.ingest.intermittent_sales import with_intermittency
from shelfcast.missing_weeks import declared_row
from shelfcast.snapshot import ALL_WEEKS, EXTRAS, Covariate, covariates_of


def marks(load: dict, known: dict = NOTHING) -> list[Covariate]:
    return covariates_of(with_intermittency(load, known)["declared_column"])


@pytest.mark.parametrize(("every", "marked"), [(3, True), (4, True), (5, False)])
def test_a_quarter_of_weeks_without_sales_makes_the_mark(every: int, marked: bool) -> None:
    rows = [(1, 1, week, float(week % every)) for week in range(60)]
    assert marks(tables(rows)) == ([DECLARED] if marked else [])
    # All of the data set counts, not the load alone.
    assert marks(tables(rows[:1]), tables(rows[1:])) == ([DECLARED] if marked else [])
    assert marks(NOTHING, NOTHING) == []


def test_missing_weeks_count_where_they_are_zero() -> None:
    load = tables([(1, 1, week, 5.0) for week in range(0, 60, 2)])
    assert marks(load) == []
    row = declared_row("zero", 0, ALL_WEEKS, EXTRAS.schema)
    assert marks({**load, "extra": row}) == [DECLARED]
