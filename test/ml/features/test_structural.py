"""The structural forecast: against a plain loop, and on sales whose rule is known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from feature_samples import week

from shelfcast import calendar
from shelfcast.features import structural
from shelfcast.features.sales_history import SalesGrid
from shelfcast.features.structural import fit_structural, structural_columns
from shelfcast.features.structural_inputs import regressors

HORIZON = 4
NAN = math.nan


def grid_of(
    sales: np.ndarray, store: list[int], dept: list[int], estimated: list[bool] | None = None
) -> SalesGrid:
    weeks = np.array([week(n) for n in range(sales.shape[1])], dtype="datetime64[D]")
    return SalesGrid(
        np.array(store),
        np.array(dept),
        weeks,
        sales,
        np.zeros_like(sales, dtype=bool),
        estimated=np.array(estimated or [], dtype=bool),
    )


def forecasts(grid: SalesGrid, horizon_weeks: int = HORIZON, **settings: object) -> np.ndarray:
    """Returns the forecasts [series, weeks, H]."""
    arguments = {"own_holiday": None, "weeks_back": []} | settings
    columns = structural_columns(fit_structural(grid, horizon_weeks, **arguments), None, horizon_weeks)
    return np.stack([columns[f"structural_h{h}"] for h in range(1, horizon_weeks + 1)], axis=2)


def random_grid(seed: int, weeks: int = 130) -> SalesGrid:
    """Returns series with gaps, weeks without sales, returns and late starts."""
    rng = np.random.default_rng(seed)
    keys = [(s, d) for s in range(4) for d in range(3)]
    season = np.sin(np.arange(weeks) * 2 * math.pi / 52)
    sales = np.exp(rng.normal(5, 1, (12, 1)) + 0.3 * season + rng.normal(0, 0.2, (12, weeks)))
    sales[rng.random(sales.shape) < 0.05] = NAN
    sales[rng.random(sales.shape) < 0.05] = 0
    sales[rng.random(sales.shape) < 0.01] = -5
    for series in range(0, 12, 5):
        sales[series, : rng.integers(1, 90)] = NAN
    return grid_of(sales, [s for s, _ in keys], [d for _, d in keys])


class PlainLoop:
    """The components once more, one series after the other."""

    def __init__(self, grid: SalesGrid) -> None:
        self.grid = grid
        after = grid.weeks[-1] + 7 * np.arange(1, HORIZON + 1)
        found = regressors(np.concatenate([grid.weeks, after]), None)
        self.rows, prior = found.values, found.prior
        self.logs = structural.log_sales(grid.sales)
        self.series = range(len(grid.store))
        self.mean = {d: np.zeros(1 + len(prior)) for d in set(grid.dept.tolist())}
        self.spread = {d: np.diag([0.0, *prior**2]) for d in self.mean}
        self.begun: set[int] = set()
        self.shift = dict.fromkeys(set(grid.store.tolist()), 0.0)
        self.offset, self.drift, self.number = ([0.0] * len(grid.store) for _ in range(3))
        self.noise, self.share = [0.2] * len(grid.store), [1.0] * len(grid.store)
        self.repeats, self.memories = dict.fromkeys(self.mean, 0.0), dict.fromkeys(self.mean, 0.0)

    def season(self, d: int, row: np.ndarray) -> float:
        return float(self.mean[d][1:] @ row)

    def level(self, d: int, week: int) -> float:
        return float(self.mean[d][0]) + self.season(d, self.rows[week])

    def memory(self, s: int, week: int, origin: int) -> float:
        weeks = list(range(max(week - 20, 0), min(week + 20, origin) + 1))
        known = [self.logs[s, w] for w in weeks if not math.isnan(self.logs[s, w])]
        if len(known) < 20 or math.isnan(self.logs[s, week]):
            return NAN
        contrast = self.rows[week] - np.mean(self.rows[weeks], axis=0)
        return float(self.logs[s, week] - np.mean(known) - self.season(self.grid.dept[s], contrast))

    def advance(self, t: int) -> None:
        store, dept = self.grid.store.tolist(), self.grid.dept.tolist()
        sold = [not math.isnan(self.logs[s, t]) for s in self.series]
        going = [s for s in self.series if sold[s] and self.number[s] > 0]
        new = [s for s in self.series if sold[s] and self.number[s] == 0]
        bound = {s: 3 * max(self.noise[s], 0.03) for s in self.series}
        weight = {s: 1 / max(self.noise[s], 0.03) ** 2 for s in going}
        self.shift = {k: 0.99 * value for k, value in self.shift.items()}
        self.drift = [0.85 * value for value in self.drift]
        row = np.append(1.0, self.rows[t])
        surprise = {}
        for s in going:
            rest = (
                self.logs[s, t]
                - self.offset[s]
                - self.drift[s]
                - self.shift[store[s]]
                - self.level(dept[s], t)
            )
            surprise[s] = rest
        for d in self.mean:
            if d in self.begun:
                self.spread[d][0, 0] += 0.01**2
            clipped = {s: min(max(value, -bound[s]), bound[s]) for s, value in surprise.items()}
            self.learn_kappa(d, t, [s for s in going if dept[s] == d], clipped)
        for d in self.mean:
            those = [s for s in going if dept[s] == d]
            if those:
                total = sum(weight[s] for s in those)
                usual = float(np.median([surprise[s] for s in those]))
                near = {s: usual + min(max(surprise[s] - usual, -bound[s]), bound[s]) for s in those}
                innovation = sum(weight[s] * near[s] for s in those) / total
                column = self.spread[d] @ row
                variance = float(row @ column) + 1 / total + 0.02**2
                limit = 4.5 * math.sqrt(variance)
                self.mean[d] = self.mean[d] + column / variance * min(max(innovation, -limit), limit)
                self.spread[d] = self.spread[d] - np.outer(column, column) / variance
            first = [s for s in new if dept[s] == d]
            if first and d not in self.begun:
                self.begun.add(d)
                rest = np.mean([self.logs[s, t] - self.shift[store[s]] for s in first])
                self.mean[d][0] = rest - self.season(d, self.rows[t])
                self.spread[d][0, 0] = 0.05**2
        rest = {s: self.logs[s, t] - self.level(dept[s], t) - self.offset[s] for s in (*going, *new)}
        for k in self.shift:
            those = [s for s in going if store[s] == k]
            if those:
                left = {s: min(max(rest[s] - self.shift[k], -bound[s]), bound[s]) for s in those}
                total = sum(weight[s] for s in those)
                mean = sum(weight[s] * left[s] for s in those) / total
                self.shift[k] += 0.15 * total / (total + 1 / 0.03**2) * mean
        for s in new:
            self.offset[s], self.number[s] = rest[s] - self.shift[store[s]], 1
        for s in going:
            self.learn_series(s, rest[s] - self.shift[store[s]], bound[s])
        self.learn_share(t, sold)

    def learn_kappa(self, d: int, t: int, those: list[int], surprise: dict[int, float]) -> None:
        if t - 52 < 10:
            return
        self.repeats[d] *= 0.99
        self.memories[d] *= 0.99
        for s in those:
            memory = self.memory(s, t - 52, t - 1)
            if not math.isnan(memory):
                noise = max(self.noise[s], 0.03)
                before = min(max(memory / noise, -3), 3)
                self.repeats[d] += before * surprise[s] / noise
                self.memories[d] += before**2

    def learn_series(self, s: int, rest: float, bound: float) -> None:
        self.number[s] += 1
        gain = max(1 / self.number[s], 0.1)
        unexplained = min(max(rest, -bound), bound) - self.drift[s]
        self.offset[s] += gain * unexplained
        self.drift[s] += 0.25 * (1 - gain) * unexplained
        self.noise[s] += 0.1 * (1.25 * min(abs(rest), 4 * bound) - self.noise[s])

    def learn_share(self, t: int, sold: list[bool]) -> None:
        known = [not math.isnan(self.grid.sales[s, t]) for s in self.series]
        for k in self.shift:
            those = [s for s in self.series if self.grid.store[s] == k and known[s]]
            idle = [s for s in those if not sold[s]]
            if len(those) >= 3 and len(idle) > len(those) / 2:
                continue
            for s in those:
                if self.number[s] > 0:
                    self.share[s] += 0.05 * (sold[s] - self.share[s])

    def forecast(self, s: int, t: int, h: int) -> float:
        if self.number[s] == 0:
            return NAN
        d = self.grid.dept[s]
        log = self.level(d, t + h) + self.offset[s]
        log += self.shift[self.grid.store[s]] * 0.99**h + self.drift[s] * 0.85**h
        bound = 3 * max(self.noise[s], 0.03)
        weeks = [t + h - 52 * year for year in (1, 2, 3) if t + h - 52 * year >= 0]
        memories = [m for w in weeks if not math.isnan(m := self.memory(s, w, t))]
        of_all = sum(self.repeats.values()) / max(sum(self.memories.values()) + 1, 1)
        kappa = (self.repeats[d] + 20 * of_all) / (self.memories[d] + 20)
        kappa = min(max(kappa, 0), 0.9)
        recalled = sum(min(max(m, -bound), bound) for m in memories)
        return math.exp(log + recalled * kappa / (1 + max(len(memories) - 1, 0) * kappa)) * self.share[s]


@pytest.mark.parametrize("seed", range(2))
def test_it_is_as_a_plain_loop_computes_it(seed: int) -> None:
    grid = random_grid(seed)
    found, plain = forecasts(grid), PlainLoop(grid)
    for t in range(grid.sales.shape[1]):
        plain.advance(t)
        expected = [[plain.forecast(s, t, h) for h in range(1, HORIZON + 1)] for s in plain.series]
        np.testing.assert_allclose(found[:, t], expected, rtol=1e-7, err_msg=f"week {t}")


def test_a_holiday_53_weeks_after_the_last_one_is_known() -> None:
    weeks = np.array([week(n) for n in range(160)])
    is_labor_day = np.array([calendar.weeks_to(calendar.labor_day, day) == 0 for day in weeks])
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.02, (8, 160))
    sales = np.exp(np.log(1000) + 0.8 * is_labor_day + noise)
    found = forecasts(grid_of(sales, list(range(8)), [1] * 8))
    (late,) = [n for n in np.flatnonzero(is_labor_day) if n >= 53 and is_labor_day[n - 53]][:1]
    assert not is_labor_day[late - 52]
    np.testing.assert_allclose(found[:, late - 1, 0], 1000 * math.exp(0.8), rtol=0.15)
    # The week that had it 52 weeks ago is an ordinary one.
    np.testing.assert_allclose(found[:, late - 2, 0], 1000, rtol=0.15)


def test_a_lasting_change_of_the_level_is_followed() -> None:
    sales = np.full((3, 100), 100.0)
    sales[:, 60:] = 50.0
    found = forecasts(grid_of(sales, [1, 2, 3], [1, 1, 1]))
    np.testing.assert_allclose(found[:, 90], 50, rtol=0.1)


def test_what_came_again_in_single_series_comes_again() -> None:
    rng = np.random.default_rng(2)
    of_series = np.tile(rng.normal(0, 0.3, (30, 52)), 3)
    sales = np.exp(5 + of_series + rng.normal(0, 0.02, of_series.shape))
    grid = grid_of(sales, list(range(30)), [1] * 30)
    error = np.abs(np.log(forecasts(grid)[:, 120:150, 0]) - np.log(sales[:, 121:151])).mean()
    # Without a memory the deviation of single series, 0.3, is all unknown: 0.24 on average.
    assert error < 0.15


def test_weeks_without_sales_lower_the_forecast() -> None:
    rng = np.random.default_rng(3)
    sales = np.where(rng.random((2, 200)) < 0.5, 0.0, 100.0)
    found = forecasts(grid_of(sales, [1, 2], [1, 1]))
    np.testing.assert_allclose(found[:, 150:, 0].mean(), 50, rtol=0.15)


def test_a_shut_store_is_no_sign_of_less_demand() -> None:
    sales = np.full((4, 100), 100.0)
    sales[:, 90:94] = 0.0
    found = forecasts(grid_of(sales, [1, 1, 1, 1], [1, 2, 3, 4]))
    np.testing.assert_allclose(found[:, 99], 100, rtol=0.01)


def test_an_estimate_changes_only_its_own_series() -> None:
    grid = random_grid(4)
    estimate = np.exp(np.random.default_rng(5).normal(5, 0.2, (1, grid.sales.shape[1])))
    sales = np.concatenate([grid.sales, estimate])
    store, dept = [*grid.store.tolist(), 9], [*grid.dept.tolist(), 1]
    both = grid_of(sales, store, dept, [False] * 12 + [True])
    found = forecasts(both)
    assert found[:12].tobytes() == forecasts(grid).tobytes()
    assert np.isfinite(found[12, -1]).all()


def test_a_series_has_no_forecast_before_its_first_sale() -> None:
    sales = np.full((2, 10), 100.0)
    sales[0, :5] = NAN
    sales[1] = 0.0
    found = forecasts(grid_of(sales, [1, 2], [1, 1]))
    assert np.isnan(found[0, :5]).all()
    assert np.isfinite(found[0, 5:]).all()
    assert np.isnan(found[1]).all()


def test_a_series_without_a_row_for_more_than_a_year_has_ended() -> None:
    sales = np.full((2, 120), 100.0)
    sales[0, 40:] = NAN
    found = forecasts(grid_of(sales, [1, 2], [1, 1]))
    assert np.isfinite(found[0, :92]).all()
    assert np.isnan(found[0, 92:]).all()
    sales[0, 100:] = 80.0
    again = forecasts(grid_of(sales, [1, 2], [1, 1]))
    assert np.isfinite(again[0, 100:]).all()


def test_many_departments_share_covariances(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = random_grid(6)
    exact = forecasts(grid)
    monkeypatch.setattr(structural, "_MAX_COVARIANCES", 1)
    shared = forecasts(grid)
    assert not np.array_equal(exact, shared, equal_nan=True)
    assert np.nanmedian(np.abs(np.log(shared[:, 60:] / exact[:, 60:]))) < 0.05


def test_the_memory_follows_the_weeks_that_are_alike() -> None:
    rng = np.random.default_rng(7)
    sales = np.exp(5 + rng.normal(0, 0.02, (20, 140)))
    peak = np.zeros((20, 140), dtype=bool)
    for series in range(20):
        # A feast of each store: 50 weeks after the last one.
        peak[series, 30 + series % 10 : 140 : 50] = True
    sales[peak] *= 2
    grid = grid_of(sales, list(range(20)), [1] * 20)
    back = np.full((20, 140 + HORIZON), 50.0)
    components = fit_structural(grid, HORIZON, np.zeros(140 + HORIZON + 1), [50])
    components = replace(components, kappa=np.full_like(components.kappa, 0.5))
    at_50 = structural_columns(components, back, HORIZON)["structural_h1"]
    at_52 = structural_columns(components, None, HORIZON)["structural_h1"]
    later = peak[:, 1:].nonzero()
    later = tuple(index[later[1] > 100] for index in later)
    assert np.mean(at_50[later]) > np.mean(at_52[later])


def test_a_holiday_of_the_stores_own_is_learned() -> None:
    weeks, rng = 150, np.random.default_rng(8)
    is_holiday = np.isin(np.arange(weeks + HORIZON + 1), [30, 77, 131])
    sales = np.exp(5 + 0.8 * is_holiday[:weeks] + rng.normal(0, 0.02, (6, weeks)))
    grid = grid_of(sales, list(range(6)), [1] * 6)
    own = forecasts(grid, own_holiday=is_holiday.astype(float))
    np.testing.assert_allclose(own[:, 130, 0], sales[:, 131], rtol=0.2)
    np.testing.assert_allclose(own[:, 127, 3], sales[:, 131], rtol=0.2)
    assert (forecasts(grid)[:, 130, 0] < 0.7 * sales[:, 131]).all()


def test_the_days_of_december_count_not_its_weeks() -> None:
    weeks = np.array([week(n) for n in range(120)], dtype="datetime64[D]")
    rows = regressors(weeks, None).values
    of_days = rows[:, 8 + 52 : 8 + 52 + 7]
    in_december = [calendar.december_days(day, 1, 31) / 7 for day in weeks.tolist()]
    np.testing.assert_allclose(of_days.sum(axis=1), in_december, atol=1e-12)
    hats = rows[:, 8 : 8 + 52]
    np.testing.assert_allclose(hats.sum(axis=1), 1)
