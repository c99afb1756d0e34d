from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from evaluate_folders import (
    DATASET,
    HORIZONS,
    WEEK,
    WEEKS,
    YEAR,
    Sales,
    toy_sales,
    write_model,
    write_oracle,
    write_training_data,
)

from shelfcast.calendar import is_holiday
from shelfcast.contracts.results import ForecasterLeftOut
from shelfcast.evaluate import backtest as backtest_module
from shelfcast.evaluate.backtest import (
    Backtest,
    LeftOut,
    _forecasters_left_out,
    join_oracle,
    run_backtest,
)
from shelfcast.evaluate.model import Model, Role, load_model
from shelfcast.evaluate.naive_errors import NaiveErrors
from shelfcast.features.samples import OriginTable, read_origin_table
from shelfcast.job import UserError

CANDIDATE = {"rolling_mean_52": 0.5, "is_holiday": 50.0, "last_year": 0.5, "week_of_year": 1.0}
#: The same features in another order, which must not matter.
CHAMPION = {"week_of_year": 1.0, "last_year": 0.5, "rolling_mean_52": 0.5, "is_holiday": 50.0}
TEST_WEEKS = 4

SCALE = NaiveErrors({(1, 2): 5.0})

Run = Callable[..., Backtest]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> OriginTable:
    return read_origin_table(write_training_data(tmp_path_factory.mktemp("backtest") / "data", toy_sales()))


@pytest.fixture
def model(tmp_path: Path, table: OriginTable) -> Callable[..., Model]:
    def load(role: Role, weights: dict[str, float], **options: Any) -> Model:
        folder = write_model(tmp_path / role, weights, **options)
        return load_model(folder.as_uri(), role, DATASET, table.features)

    return load


@pytest.fixture
def run(table: OriginTable) -> Run:
    def of(
        *models: Model,
        oracle: pa.Table | None = None,
        weeks: int = TEST_WEEKS,
        simple: Sequence[Model] = (),
    ) -> Backtest:
        samples = table.samples(np.datetime64(WEEKS[-weeks]), np.datetime64(WEEKS[-1]))
        roles = {m.role: m for m in models}
        return run_backtest(table, samples, roles, oracle, SCALE, lambda _: None, simple)

    return of


def wanted_rows(sales: Sales) -> list[tuple[int, int, date, int]]:
    """Returns store, dept, target week and weeks ahead of all rows that every baseline can forecast."""
    return sorted(
        (store, dept, week, h)
        for store, dept, week in sales
        for h in range(1, HORIZONS + 1)
        if week >= WEEKS[-TEST_WEEKS]
        and (store, dept, week - h * WEEK) in sales
        and (store, dept, week - YEAR) in sales
    )


def rows_of(backtest: Backtest) -> list[tuple[int, int, date, int]]:
    weeks = backtest.target_week.astype(object).tolist()
    return list(
        zip(backtest.store.tolist(), backtest.dept.tolist(), weeks, backtest.horizon.tolist(), strict=True)
    )


def test_own_holidays_are_the_holiday_weeks(model: Callable[..., Model], table: OriginTable) -> None:
    own = [replace(f, name="holiday_ahead") if f.name == "week_of_year" else f for f in table.features]
    # Week 47 is the week before Thanksgiving.
    calendar = np.where(table.calendar == 47, 1.0, 0.0)
    with_own = replace(table, features=tuple(own), calendar=calendar)
    samples = table.samples(np.datetime64(WEEKS[53]), np.datetime64(WEEKS[-1]))
    candidate = model("candidate", {"last_year": 1.0})
    backtest = run_backtest(with_own, samples, {"candidate": candidate}, None, SCALE, lambda _: None)
    weeks = backtest.target_week.astype(object)
    assert backtest.holiday.tolist() == [week.isocalendar().week == 47 for week in weeks]
    assert backtest.holiday.any()


def test_every_forecaster_by_hand(model: Callable[..., Model], run: Run) -> None:
    sales = toy_sales()
    backtest = run(model("candidate", CANDIDATE))
    assert sorted(rows_of(backtest)) == wanted_rows(sales)
    interval = backtest.interval("candidate", 0.1, 0.9)
    assert interval is not None
    for n, (store, dept, week, h) in enumerate(rows_of(backtest)):
        origin, year_before = week - h * WEEK, sales[store, dept, week - YEAR]
        recent = [sales[key] for key in ((store, dept, origin - i * WEEK) for i in range(52)) if key in sales]
        assert backtest.actual[n] == sales[store, dept, week]
        assert backtest.forecasts["naive"][n] == sales[store, dept, origin]
        assert backtest.forecasts["seasonal_naive"][n] == year_before
        assert backtest.holiday[n] == is_holiday(week)
        assert backtest.store_type[n] == store
        assert backtest.mean_sales[n] == pytest.approx(np.mean(recent))
        assert backtest.age_weeks[n] == (origin - WEEKS[0]).days // 7
        np.testing.assert_equal(backtest.scale[n], 5.0 if (store, dept) == (1, 2) else np.nan)
        middle = (
            0.5 * np.mean(recent)
            + 50 * is_holiday(week)
            + 0.5 * year_before
            + week.isocalendar().week
            + (7 * store + 3 * dept + h)
        )
        assert backtest.forecasts["candidate"][n] == pytest.approx(middle, rel=1e-6)
        assert interval[n] == pytest.approx([middle - 100, middle + 100], rel=1e-6)
        assert backtest.quantiles["candidate"][n].tolist() == pytest.approx(
            [middle - 100, middle, middle + 100], rel=1e-6
        )
    assert "champion" not in backtest.forecasts
    assert "oracle" not in backtest.forecasts


def test_the_toy_weeks_hold_a_holiday_that_its_origins_do_not(model: Callable[..., Model], run: Run) -> None:
    backtest = run(model("candidate", CANDIDATE))
    assert backtest.holiday.any()
    origins = (backtest.target_week - backtest.horizon * np.timedelta64(7, "D")).astype(object)
    assert [is_holiday(week) for week in origins] != backtest.holiday.tolist()


def test_rows_left_out_are_counted(model: Callable[..., Model], run: Run) -> None:
    backtest = run(model("candidate", CANDIDATE))
    # Series (3, 2) lacks the week 52 weeks before the last one: its target of each number of weeks ahead.
    assert backtest.left_out == [
        LeftOut(
            forecaster="seasonal_naive",
            reason="no sales are known 52 weeks before the target week",
            rows=HORIZONS,
        )
    ]
    assert backtest.found == len(backtest.row) + HORIZONS


def test_small_batches_give_the_same(
    model: Callable[..., Model], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = model("candidate", CANDIDATE)
    whole = run(candidate)
    monkeypatch.setattr(backtest_module, "BATCH_ROWS", 7)
    parts = run(candidate)
    assert len(whole.row) % 7 != 0
    np.testing.assert_array_equal(parts.quantiles["candidate"], whole.quantiles["candidate"])
    np.testing.assert_array_equal(parts.forecasts["naive"], whole.forecasts["naive"])


def test_a_champion_with_another_column_order_answers_the_same(model: Callable[..., Model], run: Run) -> None:
    backtest = run(model("candidate", CANDIDATE), model("champion", CHAMPION))
    np.testing.assert_allclose(backtest.forecasts["champion"], backtest.forecasts["candidate"], rtol=1e-6)
    np.testing.assert_allclose(backtest.quantiles["champion"], backtest.quantiles["candidate"], rtol=1e-6)


def test_quantiles_are_found_by_their_level(model: Callable[..., Model], run: Run) -> None:
    candidate = model(
        "candidate", CANDIDATE, spread=(-200.0, -100.0, 0.0, 30.0), quantiles=[0.05, 0.1, 0.5, 0.9]
    )
    backtest = run(candidate)
    interval = backtest.interval("candidate", 0.1, 0.9)
    assert interval is not None
    low, high = (interval - backtest.forecasts["candidate"][:, None]).T
    np.testing.assert_allclose(low, -100, atol=0.01)
    np.testing.assert_allclose(high, 30, atol=0.01)
    assert backtest.quantiles["candidate"].shape[1] == 4
    assert backtest.interval("candidate", 0.025, 0.975) is None
    assert backtest.interval("naive", 0.1, 0.9) is None


def test_a_champion_with_a_shorter_horizon_limits_all_forecasters(
    model: Callable[..., Model], run: Run
) -> None:
    candidate, champion = model("candidate", CANDIDATE), model("champion", CHAMPION, horizon_weeks=2)
    alone, backtest = run(candidate), run(candidate, champion)
    assert set(backtest.horizon.tolist()) == {1, 2}
    assert len(backtest.row) == (alone.horizon <= 2).sum()
    entry, *others = backtest.left_out
    assert entry.forecaster == "champion"
    assert entry.rows == backtest.found // HORIZONS
    # A row that two cannot answer is counted for both.
    assert [other.rows for other in others] == [HORIZONS]


def test_a_champion_without_a_finite_forecast_leaves_the_row_out(
    model: Callable[..., Model], run: Run
) -> None:
    backtest = run(model("candidate", CANDIDATE), model("champion", CHAMPION, broken_horizon=2))
    assert set(backtest.horizon.tolist()) == {1, 3}
    assert backtest.left_out[0].forecaster == "champion"


def test_a_champion_without_a_finite_interval_is_left_out_by_name(
    model: Callable[..., Model], run: Run
) -> None:
    champion = model("champion", CHAMPION, spread=(-np.inf, 0.0, 100.0))
    backtest = run(model("candidate", CANDIDATE), champion)
    assert backtest.forecasters_left_out == [
        ForecasterLeftOut(
            forecaster="champion",
            reason="it has no finite forecast, or the target is more weeks ahead than it answers, for 72 of "
            "72 rows",
        )
    ]
    assert set(backtest.forecasts) == {"candidate", "naive", "seasonal_naive"}
    assert set(backtest.quantiles) == set(backtest.quantile_levels) == {"candidate"}
    # The other forecasters are scored as if there were no champion.
    assert len(backtest.row) == backtest.found - HORIZONS


def test_a_candidate_without_a_finite_forecast_fails(model: Callable[..., Model], run: Run) -> None:
    with pytest.raises(UserError, match=r"no finite forecast for 24 of 72 rows.*store 1, dept 1") as caught:
        run(model("candidate", CANDIDATE, broken_horizon=2))
    assert caught.value.type == "CandidateFailed"


def test_the_oracle_is_joined_on_the_target_week(
    model: Callable[..., Model], run: Run, tmp_path: Path
) -> None:
    means = {key: value + 0.25 for key, value in toy_sales().items()}
    del means[1, 1, WEEKS[-2]]
    oracle = pq.read_table(write_oracle(tmp_path / "oracle.parquet", means))
    backtest = run(model("candidate", CANDIDATE), oracle=oracle)
    np.testing.assert_array_equal(backtest.forecasts["oracle"], backtest.actual + 0.25)
    assert (1, 1, WEEKS[-2]) not in {row[:3] for row in rows_of(backtest)}
    counts = {entry.forecaster: entry.rows for entry in backtest.left_out}
    assert counts == {"seasonal_naive": HORIZONS, "oracle": HORIZONS}
    # The same rows for all, the baselines too.
    assert {len(values) for values in backtest.forecasts.values()} == {len(backtest.row)}
    assert len(backtest.row) == backtest.found - 2 * HORIZONS


def test_the_oracle_may_use_small_integers() -> None:
    oracle = pa.table(
        {
            "store": pa.array([2, 1], pa.int32()),
            "dept": pa.array([1, 1], pa.int32()),
            "week": pa.array([WEEKS[0], WEEKS[0]], pa.date32()),
            "expected_sales": [20.0, 10.0],
        }
    )
    keys = np.array([1, 2, 3]), np.array([1, 1, 1]), np.array([np.datetime64(WEEKS[0])] * 3)
    np.testing.assert_array_equal(join_oracle(oracle, *keys), [10.0, 20.0, np.nan])


def test_an_oracle_with_two_means_for_a_week_is_refused(
    run: Run, model: Callable[..., Model], tmp_path: Path
) -> None:
    oracle = pq.read_table(write_oracle(tmp_path / "oracle.parquet", toy_sales()))
    with pytest.raises(ValueError, match="more than one row"):
        run(model("candidate", CANDIDATE), oracle=pa.concat_tables([oracle, oracle]))


@pytest.mark.parametrize(("known", "is_compared"), [(24, True), (12, True), (11, False), (0, False)])
def test_a_forecaster_that_lacks_most_rows_does_not_decide_which_count(
    model: Callable[..., Model], run: Run, tmp_path: Path, known: int, is_compared: bool
) -> None:
    targets = [key for key in toy_sales() if key[2] >= WEEKS[-TEST_WEEKS]]
    assert len(targets) == 24
    # A mean of another week keeps the file from being empty.
    means = dict.fromkeys([(1, 1, WEEKS[0]), *targets[:known]], 1.0)
    oracle = pq.read_table(write_oracle(tmp_path / "oracle.parquet", means))
    backtest = run(model("candidate", CANDIDATE), oracle=oracle)
    assert ("oracle" in backtest.forecasts) == is_compared
    reason = f"the generator's means lack the target week, for {72 - 3 * known} of 72 rows"
    left_out = [] if is_compared else [ForecasterLeftOut(forecaster="oracle", reason=reason)]
    assert backtest.forecasters_left_out == left_out
    assert len(backtest.row) == (min(3 * known, 69) if is_compared else 69)


@pytest.mark.parametrize(
    ("champion", "seasonal_naive", "left_out"),
    [
        ("0000", "1100", []),
        ("1110", "0000", []),
        ("1111", "0000", ["champion"]),
        ("1110", "0001", ["seasonal_naive"]),
        ("1111", "1111", ["champion", "seasonal_naive"]),
        ("0000", "1110", ["seasonal_naive"]),
    ],
)
def test_a_forecaster_is_left_out_that_leaves_no_row_for_the_others(
    champion: str, seasonal_naive: str, left_out: list[str]
) -> None:
    def mask(text: str) -> np.ndarray:
        return np.array([letter == "1" for letter in text])

    missing = {"candidate": mask("0000"), "champion": mask(champion), "naive": mask("0000")}
    assert _forecasters_left_out({**missing, "seasonal_naive": mask(seasonal_naive)}) == left_out


def test_each_simple_forecast_as_the_candidate(model: Callable[..., Model], run: Run) -> None:
    best, second = model("simple", {"sales_0": 1}), model("second", {"last_year": 1})
    backtest = run(model("candidate", CANDIDATE), model("champion", CHAMPION), simple=[best, second])
    assert list(backtest.forecasts) == ["candidate", "champion", "simple", "naive", "seasonal_naive"]
    # The models add store, department and weeks ahead to their features.
    keys = 7 * backtest.store + 3 * backtest.dept + backtest.horizon
    for index, baseline in enumerate(("naive", "seasonal_naive")):
        simple = backtest.with_simple_as_candidate(index)
        assert list(simple.forecasts) == ["candidate", "champion", "naive", "seasonal_naive"]
        np.testing.assert_allclose(simple.forecasts["candidate"], backtest.forecasts[baseline] + keys)
        assert simple.quantiles["candidate"] is backtest.simple[index]
        assert simple.forecasts["champion"] is backtest.forecasts["champion"]
    np.testing.assert_array_equal(
        backtest.forecasts["simple"], backtest.with_simple_as_candidate(0).forecasts["candidate"]
    )
