from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from shelfcast.baselines import gradient_boosting
from shelfcast.baselines.gradient_boosting import Variant, average_of_four, fit
from shelfcast.features import training_data
from shelfcast.features.definitions import STRUCTURAL, FeatureSet
from shelfcast.features.feature_groups import used_names
from shelfcast.features.own_holidays import COVARIATES, HOLIDAY, HOLIDAY_AHEAD
from shelfcast.features.samples import Floats, Integers, OriginTable, read_origin_table
from shelfcast.features.training_data import NO_EXTRAS
from shelfcast.ingest.generator import generate
from shelfcast.snapshot import SALES, STORE_WEEKS, STORES, Covariate

Samples = tuple[Integers, Integers]
VARIANTS: tuple[Variant, ...] = ("relative", "absolute")


@pytest.fixture(autouse=True)
def small_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_boosting, "ROUNDS", 80)


def training_table(
    folder: Path, times: float = 1.0, covariates: tuple[Covariate, ...] = (), extras: pa.Table = NO_EXTRAS
) -> OriginTable:
    """Returns the training data of 12 series whose year comes again and again, all so many times as high."""
    tables = generate(stores=4, departments=3, weeks=120, seed=3).tables
    sales = tables[SALES.name]
    store, dept = sales["store"].to_numpy(), sales["dept"].to_numpy()
    week = sales["week"].to_numpy().astype("datetime64[W]").astype(np.int64)
    year = np.random.default_rng(0).uniform(0.5, 1.5, 52)
    noise = np.random.default_rng(1).normal(1, 0.03, len(sales))
    weekly_sales = times * 1000 * (store + 3 * dept) * year[week % 52] * noise
    place = sales.schema.get_field_index("weekly_sales")
    folder.mkdir()
    training_data.write(
        folder,
        sales.set_column(place, "weekly_sales", pa.array(weekly_sales)),
        tables[STORE_WEEKS.name],
        tables[STORES.name],
        FeatureSet(1, covariates),
        extras=extras,
    )
    return read_origin_table(folder)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> OriginTable:
    return training_table(tmp_path_factory.mktemp("trees") / "data")


def split(table: OriginTable) -> tuple[Samples, Samples]:
    """Returns the samples of the last 13 target weeks, and those of the weeks before."""
    weeks = np.unique(table.origin)
    return table.samples(weeks[0], weeks[-14]), table.samples(weeks[-13], weeks[-1])


def column(table: OriginTable, samples: Samples, name: str) -> Floats:
    names = [feature.name for feature in table.features]
    return table.matrix(*samples)[:, names.index(name)]


def error(table: OriginTable, samples: Samples, forecast: Floats) -> float:
    rows, horizons = samples
    return float(np.abs(forecast - table.targets[rows, horizons - 1]).mean())


def test_two_fits_are_equal_and_another_seed_is_not(table: OriginTable) -> None:
    past, test = split(table)
    one, same, other = (fit(table, *past, seed=seed).predict(table, *test) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).mean() > 0.9


@pytest.mark.parametrize("variant", VARIANTS)
def test_trees_beat_the_naive_forecast(table: OriginTable, variant: Variant) -> None:
    past, test = split(table)
    forecast = fit(table, *past, variant=variant).predict(table, *test)
    assert error(table, test, forecast) < 0.3 * error(table, test, column(table, test, "sales_0"))


def test_relative_trees_know_no_scale(table: OriginTable, tmp_path: Path) -> None:
    """Four times the sales change no digit of a float, only its exponent."""
    past, test = split(table)
    forecast = fit(table, *past).predict(table, *test)
    times_four = training_table(tmp_path / "data", times=4.0)
    np.testing.assert_allclose(fit(table, *past).predict(times_four, *test), 4 * forecast, rtol=1e-12)
    np.testing.assert_allclose(fit(times_four, *past).predict(table, *test), forecast, rtol=1e-5)


def test_the_average_is_the_mean_of_two_of_each_variant(table: OriginTable) -> None:
    past, test = split(table)
    four = [
        fit(table, *past, variant=variant, seed=seed).predict(table, *test)
        for variant, seed in [("relative", 1), ("relative", 2), ("absolute", 3), ("absolute", 4)]
    ]
    np.testing.assert_allclose(average_of_four(table, *past).predict(table, *test), np.mean(four, axis=0))


def test_holiday_weeks_weigh_more(table: OriginTable, monkeypatch: pytest.MonkeyPatch) -> None:
    (rows, horizons), _ = split(table)
    holiday = column(table, (rows, horizons), "is_holiday") == 1
    holidays = rows[holiday], horizons[holiday]
    weighted = fit(table, rows, horizons).predict(table, *holidays)
    monkeypatch.setattr(gradient_boosting, "HOLIDAY_WEIGHT", 1.0)
    plain = fit(table, rows, horizons).predict(table, *holidays)
    assert error(table, holidays, weighted) < 0.9 * error(table, holidays, plain)


def test_own_holidays_are_inputs_in_place_of_the_american_ones(table: OriginTable, tmp_path: Path) -> None:
    """The comparison with a network is fair: trees lack the structural forecast, which is none of theirs."""
    weeks = [table.origin[0].item() + timedelta(weeks=n) for n in range(120)]
    rows = [
        {"name": HOLIDAY, "store": store, "dept": 0, "week": week, "value": n % 2}
        for store in range(1, 5)
        for n, week in enumerate(weeks)
    ]
    extras = pa.Table.from_pylist(rows, NO_EXTRAS.schema)
    own = training_table(tmp_path / "data", covariates=COVARIATES, extras=extras)
    names = [feature.name for feature in own.features]
    past, test = split(own)
    read = gradient_boosting._names(own)
    usual = gradient_boosting._names(table)
    assert usual == [feature.name for feature in table.features if feature.name != STRUCTURAL]
    networks = used_names("global", own.features) | used_names("lstm", own.features)
    assert [name for name in networks if name not in read] == [STRUCTURAL]
    assert set(usual) - set(read) == {
        *("is_holiday", "is_holiday_last_year", "is_super_bowl", "is_labor_day", "is_thanksgiving"),
        *("weeks_to_super_bowl", "weeks_to_labor_day", "weeks_to_thanksgiving"),
    }
    inputs, _ = gradient_boosting._inputs(own, *test, "absolute")
    expected = own.matrix(*test)[:, [names.index(name) for name in read]]
    np.testing.assert_array_equal(inputs[:, : len(read)], expected)
    # Each second week is a holiday, so the weights count it.
    holiday = column(own, past, HOLIDAY_AHEAD)
    assert 0.4 < holiday.mean() < 0.6
    forecast = fit(own, *past).predict(own, *test)
    calendar = own.calendar.copy()
    in_calendar = [feature.name for feature in own.features if feature.view == "calendar"]
    calendar[:, [n for n, name in enumerate(in_calendar) if name not in read]] = 7
    np.testing.assert_array_equal(fit(own, *past).predict(replace(own, calendar=calendar), *test), forecast)


def test_forecasts_do_not_read_targets(table: OriginTable) -> None:
    past, test = split(table)
    trees = fit(table, *past)
    blind = replace(table, targets=np.full_like(table.targets, np.nan))
    np.testing.assert_array_equal(trees.predict(blind, *test), trees.predict(table, *test))


def test_the_number_of_weeks_ahead_is_an_input(table: OriginTable) -> None:
    rows, horizons = split(table)[1]
    for variant in VARIANTS:
        inputs, _ = gradient_boosting._inputs(table, rows, horizons, variant)
        keys = np.column_stack([table.store[rows], table.dept[rows], horizons])
        # All features but the structural forecast.
        np.testing.assert_array_equal(inputs[:, len(table.features) - 1 :], keys)


def test_targets_must_be_known(table: OriginTable) -> None:
    newest = np.flatnonzero(table.origin >= np.unique(table.origin)[-2])
    with pytest.raises(ValueError, match=f"{len(newest) // 2} of {len(newest)} targets are known"):
        fit(table, newest, np.ones_like(newest))
    none = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="0 of 0 targets are known"):
        fit(table, none, none)
