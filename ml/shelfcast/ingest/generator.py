"""Generator of synthetic sales, with the covariates that caused them.

``sales = expected * (1 + sigma * eps)``, rounded to cents, with eps standard normal and sigma a share that
belongs to the department. The expected sales of a series (store, dept) in a week are a product:

- level: of the department, times the store's size and type, times the department's strength in that store;
- trend: yearly growth of the store and of the department, and a slow local up and down;
- season: two harmonics of the year, by department;
- holidays of ``shelfcast.calendar``: lifts by department, the days before Christmas, the week after it;
- promotions: each kind of markdown lifts some departments, in the weeks and stores where it runs;
- weather (warmer than usual for place and season), price of fuel, CPI and unemployment: a little.

Two things replace the product: a store that is closed sells nothing for 1 to 4 weeks, and in some
departments a rare week brings more returns than sales, so both are below zero. ``expected_sales`` knows all
of that.

The eps of a week depends on nothing before it, so no forecast can beat ``expected_sales`` on average: its
error is a lower bound. No forecast reaches it, because it knows the target week's markdowns, weather,
closures, returns and local ups and downs, which nobody knows at the origin. As eps is symmetric,
expected sales are mean and median at once.

All randomness comes from streams that belong to one store, department or series, and is drawn week by week:
more weeks, stores or departments leave the rows of the others as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shelfcast import calendar
from shelfcast.snapshot import EXTERNALS, SALES, STORE_WEEKS, STORES, empty_tables

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

FIRST_WEEK = date(2024, 11, 8)
MARKDOWNS = 5

_STORE, _STORE_WEEK, _DEPARTMENT, _SERIES, _SERIES_WEEK = range(5)
_FUEL_USD, _CPI, _UNEMPLOYMENT_PERCENT = 3.5, 310.0, 6.0
#: AR(1) coefficient of the slow deviations.
_SLOWNESS = 0.9


@dataclass(frozen=True)
class Generated:
    """Generated rows.

    Attributes:
        tables: Rows by table name of ``shelfcast.snapshot``.
        oracle: store, dept (int64), week (date32), expected_sales (double, USD), rows as in ``sales``.
        sigmas: Standard deviation of the noise as a share of the expected sales, by department.
    """

    tables: dict[str, pa.Table]
    oracle: pa.Table
    sigmas: dict[int, float]


def generate(stores: int, departments: int, weeks: int, seed: int) -> Generated:
    """Returns all ``stores * departments * weeks`` rows; the first week is ``FIRST_WEEK``."""
    store_ids, dept_ids = np.arange(1, stores + 1), np.arange(1, departments + 1)
    days = calendar.week_range(FIRST_WEEK, FIRST_WEEK + (weeks - 1) * calendar.WEEK)
    store = _Stores(seed, store_ids)
    dept = _Departments(seed, dept_ids)
    state = _StoreWeeks(seed, store_ids, store, days)

    series = [(int(s), int(d)) for s in store_ids for d in dept_ids]
    draws = _stream(seed, _SERIES_WEEK, series, lambda rng: rng.standard_normal((weeks, 4)))
    local, noise, return_draw, return_size = np.moveaxis(draws.reshape(stores, departments, weeks, 4), 3, 0)
    affinity = _stream(seed, _SERIES, series, lambda rng: rng.standard_normal(1)).reshape(stores, departments)
    level = store.level[:, None] * dept.level * np.exp(0.25 * affinity)
    growth = store.growth[:, None] + dept.growth
    expected = level[..., None] * np.exp(
        growth[..., None] * np.arange(weeks) / 52
        + 0.03 * _slow(local)
        + dept.season(days)
        + dept.holidays(days)
        + _promotions(dept, state)
        + _externals(dept, state)
    )
    returned = dept.has_returns[:, None] & (return_draw > 2.7)
    expected = np.where(returned, -0.05 * level[..., None] * np.exp(0.5 * return_size), expected)
    expected = np.where(state.closed[:, None], 0.0, expected).round(2)
    sales = (expected * (1 + dept.sigma[:, None] * noise)).round(2)
    tables = _tables(store_ids, dept_ids, days, store, state, sales)
    oracle = tables[SALES.name].select(SALES.key).append_column("expected_sales", pa.array(expected.ravel()))
    return Generated(tables, oracle, dict(zip(dept_ids.tolist(), dept.sigma.tolist(), strict=True)))


class _Stores:
    """Constant properties of the stores; arrays [S]."""

    def __init__(self, seed: int, ids: npt.NDArray[np.int64]) -> None:
        draws = _stream(seed, _STORE, [(int(n),) for n in ids], lambda rng: rng.random(8)).T
        kind = np.searchsorted([0.5, 0.85], draws[0])
        self.type = np.array(["A", "B", "C"])[kind]
        self.size = np.round(np.array([130_000, 80_000, 35_000])[kind] * (1 + 0.6 * draws[1]))
        self.level = (self.size / 100_000) ** 0.8 * np.array([1.1, 1.0, 0.85])[kind] * _spread(draws[2], 1.3)
        self.growth = -0.08 + 0.2 * draws[3]
        self.warmth = 45 + 28 * draws[4]
        self.fuel_premium = 0.5 * draws[5] - 0.25
        self.cpi = _CPI * (0.95 + 0.1 * draws[6])
        self.unemployment = _UNEMPLOYMENT_PERCENT * (0.7 + 0.6 * draws[7])


class _Departments:
    """Constant properties of the departments; arrays [D] or [D, n]."""

    def __init__(self, seed: int, ids: npt.NDArray[np.int64]) -> None:
        draws = _stream(seed, _DEPARTMENT, [(int(n),) for n in ids], lambda rng: rng.random(22)).T
        self.level = 4_000 * 8 ** draws[0]
        self.growth = -0.1 + 0.26 * draws[1]
        self.sigma = 0.03 + 0.06 * draws[2]
        self.has_returns = draws[3] < 0.25
        self._amplitude = 0.04 + np.array([[0.36], [0.12]]) * draws[4:6]
        self._phase = 2 * np.pi * draws[6:8]
        # Most holidays hardly change the sales of most departments.
        self._lift = np.array([0.3, 0.2, 0.6, 0.8, 0.4])[:, None] * draws[8:13] ** 2
        self._after_christmas = -0.25 * draws[13]
        self.markdown_lift = 0.16 * np.maximum(draws[14:19] - 0.5, 0)
        self.weather = 0.03 * (2 * draws[19] - 1)
        self.fuel = -0.06 * draws[20]
        self.economy = draws[21]

    def season(self, days: Sequence[date]) -> Array:
        """Returns the logarithm of the season's factor, [D, W]."""
        year = 2 * np.pi * np.array([day.timetuple().tm_yday for day in days]) / 365.25
        (a1, a2), (p1, p2) = self._amplitude[..., None], self._phase[..., None]
        factor: Array = a1 * np.cos(year - p1) + a2 * np.cos(2 * year - p2)
        return factor

    def holidays(self, days: Sequence[date]) -> Array:
        """Returns the logarithm of the holidays' factor, [D, W]."""
        shapes = np.array([_holiday_shapes(day) for day in days])
        factor: Array = np.zeros((len(self.level), len(days)))
        for lift, shape in zip([*self._lift, self._after_christmas], shapes.T, strict=True):
            factor += lift[:, None] * shape
        return factor


def _holiday_shapes(week: date) -> tuple[float, ...]:
    """Returns each holiday's share of its sales lift in each week; 1 is the whole lift."""
    at = {name: calendar.weeks_to(rule, week) for name, rule in calendar.HOLIDAYS.items()}
    before_christmas = 0.4 * calendar.december_days(week, 1, 14) + calendar.december_days(week, 15, 24)
    return (
        {0: 1.0, 1: 0.4}.get(at["super_bowl"], 0.0),
        {0: 1.0, 1: 0.3}.get(at["labor_day"], 0.0),
        {0: 1.0, 1: 0.4}.get(at["thanksgiving"], 0.0),
        before_christmas / 7,
        # A week ends before its Sunday, so purchases for Easter fall into the week before.
        {0: 0.2, 1: 1.0, 2: 0.3}.get(calendar.weeks_to(calendar.easter, week), 0.0),
        float(at["christmas"] == -1),
    )


class _StoreWeeks:
    """Weekly states of the stores; arrays [S, W], markdowns [5, S, W]."""

    def __init__(self, seed: int, ids: npt.NDArray[np.int64], store: _Stores, days: Sequence[date]) -> None:
        weeks = np.arange(len(days))
        keys = [(int(n),) for n in ids]
        draws = np.moveaxis(
            _stream(seed, _STORE_WEEK, keys, lambda rng: rng.random((len(days), 4 + 2 * MARKDOWNS))), 2, 0
        )
        (country,) = _stream(seed, _STORE_WEEK, [(0,)], lambda rng: rng.standard_normal((len(days), 2)))
        # January is coldest; weather is the deviation from this curve.
        season = -22 * np.cos(2 * np.pi * np.array([day.timetuple().tm_yday - 20 for day in days]) / 365.25)
        self.warmer_by = 18 * _slow(draws[0] - 0.5)
        self.temperature = (store.warmth[:, None] + season + self.warmer_by).round(2)
        self.fuel_price = (_FUEL_USD + 0.35 * _slow(country[:, 0]) + store.fuel_premium[:, None]).round(3)
        self.cpi = (store.cpi[:, None] * 1.03 ** (weeks / 52)).round(4)
        # Published by quarter.
        quarter = 0.5 * _slow(country[:, 1])[weeks // 13 * 13]
        self.unemployment = (store.unemployment[:, None] + quarter).round(3)
        self.markdowns = _markdowns(draws[4 : 4 + MARKDOWNS], draws[4 + MARKDOWNS :])
        self.closed = _closed(draws[1], draws[2])


def _markdowns(run_draws: Array, amount_draws: Array) -> Array:
    """Returns USD by kind, store and week; NaN where no promotion of the kind runs."""
    runs = np.zeros(run_draws.shape, dtype=bool)
    for week in range(run_draws.shape[2]):
        before = runs[..., week - 1] if week else np.zeros(run_draws.shape[:2], dtype=bool)
        runs[..., week] = run_draws[..., week] < np.where(before, 0.5, 0.08)
    return np.where(runs, (1_000 * 10**amount_draws).round(2), np.nan)


def _closed(start_draws: Array, length_draws: Array) -> Mask:
    """Returns which stores are closed in which weeks, [S, W]."""
    starts, lengths = start_draws < 0.0015, 1 + np.floor(4 * length_draws)
    closed = starts.copy()
    for later in range(1, 4):
        closed[:, later:] |= (starts & (lengths > later))[:, :-later]
    return closed


def _promotions(dept: _Departments, state: _StoreWeeks) -> Array:
    """Returns the logarithm of the promotions' factor, [S, D, W]."""
    factor: Array = np.zeros((state.closed.shape[0], len(dept.level), state.closed.shape[1]))
    for lift, markdown in zip(dept.markdown_lift, state.markdowns, strict=True):
        # 1 for USD 1,000, 2 for USD 10,000.
        factor += lift[:, None] * np.log10(np.nan_to_num(markdown, nan=100) / 100)[:, None]
    return factor


def _externals(dept: _Departments, state: _StoreWeeks) -> Array:
    """Returns the logarithm of the factor of weather, fuel, prices and unemployment, [S, D, W]."""
    economy = 0.3 * np.log(state.cpi / _CPI) - 0.01 * (state.unemployment - _UNEMPLOYMENT_PERCENT)
    factor: Array = (
        dept.weather[:, None] * (state.warmer_by / 10)[:, None]
        + dept.fuel[:, None] * (state.fuel_price - _FUEL_USD)[:, None]
        + dept.economy[:, None] * economy[:, None]
    )
    return factor


def _slow(draws: Array) -> Array:
    """Returns an AR(1) process along the last axis, with the draws' variance."""
    values = draws.copy()
    for week in range(1, draws.shape[-1]):
        values[..., week] = _SLOWNESS * values[..., week - 1] + np.sqrt(1 - _SLOWNESS**2) * draws[..., week]
    return values


def _spread(draws: Array, ratio: float) -> Array:
    """Returns factors from 1 / ratio to ratio."""
    return np.asarray(ratio ** (2 * draws - 1))


def _stream(
    seed: int, kind: int, keys: Sequence[tuple[int, ...]], draw: Callable[[np.random.Generator], Array]
) -> Array:
    """Returns one draw for each key, each from a stream that no other key or kind shares."""
    streams = (np.random.SeedSequence(seed, spawn_key=(kind, *key)) for key in keys)
    return np.array([draw(np.random.Generator(np.random.PCG64(stream))) for stream in streams])


def _tables(
    stores: npt.NDArray[np.int64],
    depts: npt.NDArray[np.int64],
    days: Sequence[date],
    store: _Stores,
    state: _StoreWeeks,
    sales: Array,
) -> dict[str, pa.Table]:
    weeks = np.array(days, dtype="datetime64[D]")
    holiday = np.array([calendar.is_holiday(day) for day in days])
    externals = [state.temperature, state.fuel_price, state.cpi, state.unemployment, *state.markdowns]
    tables = {
        SALES: pa.table(
            {
                "store": np.repeat(stores, len(depts) * len(days)),
                "dept": np.tile(np.repeat(depts, len(days)), len(stores)),
                "week": np.tile(weeks, len(stores) * len(depts)),
                "weekly_sales": sales.ravel(),
                "is_holiday": np.tile(holiday, len(stores) * len(depts)),
            }
        ),
        STORE_WEEKS: pa.table(
            {
                "store": np.repeat(stores, len(days)),
                "week": np.tile(weeks, len(stores)),
                **{
                    name: pa.array(values.ravel(), from_pandas=True)
                    for name, values in zip(EXTERNALS, externals, strict=True)
                },
                "is_holiday": np.tile(holiday, len(stores)),
            }
        ),
        STORES: pa.table({"store": stores, "type": store.type.tolist(), "size": store.size}),
    }
    return {**empty_tables(), **{table.name: rows.cast(table.schema) for table, rows in tables.items()}}
