"""Structural forecast of each series: level, season and holidays of its department, shift of its store.

The logarithm of sales is a sum of components (s series, d its department, k its store, t week):

    log sales[s, t] = level[d, t] + season[d] . regressors[t] + shift[k, t] + offset[s, t] + drift[s, t]
                      + kappa[d] * memory[s, t] + noise

- Level and season of a department are the state of a Kalman filter: the level is a random walk, the effects
  of the regressors are constant and start from a prior of 0 (``structural_inputs``). Its observation is the
  mean of what the other components leave over of the department's series, weighted by their precision.
- The shift of a store, the offset of a series and its short-lived drift are smoothed exponentially.
- The memory of a series is how far its sales lay from its department's season one, two and three years ago;
  kappa says how much of that came again so far.
- A series is not forecast above what it sells: the share of weeks with sales multiplies the forecast.

What lies more than ``_CLIP`` mean absolute deviations away counts as that far away only (Huber): a series
from its department's median, a department from its expectation, whose spread is large where a holiday is new.
A filter reads the weeks in their order, so nothing at week t depends on later ones.

Sources: Harvey, Forecasting, Structural Time Series Models and the Kalman Filter (1989), chapters 3 and 4;
Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35 (1964).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from shelfcast.features.definitions import STRUCTURAL, YEAR_WEEKS
from shelfcast.features.sales_history import Columns, Grid, SalesGrid
from shelfcast.features.structural_inputs import Regressors, regressors

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Integers = NDArray[np.int64]

#: Standard deviation of the weekly change of a department's log level, and of its sales around the model.
_LEVEL_CHANGE, _DEPARTMENT_NOISE = 0.01, 0.02
#: Standard deviation of the first level of a department around its first sales.
_FIRST_LEVEL = 0.05
#: Smoothing constants of store, offset and drift, and of the mean absolute deviation.
_STORE_GAIN, _OFFSET_GAIN, _DRIFT_GAIN, _NOISE_GAIN, _SALE_GAIN = 0.15, 0.1, 0.25, 0.1, 0.05
#: Share of a store's shift and of a drift that is left a week later.
_STORE_DECAY, _DRIFT_DECAY = 0.99, 0.85
#: Noise of a store's mean, against which its number of series counts.
_STORE_NOISE = 0.03
_CLIP, _FIRST_NOISE, _MIN_NOISE = 3.0, 0.2, 0.03
#: Ratio of standard deviation to mean absolute deviation of normal noise.
_TO_DEVIATION = 1.25
#: Sales below this share of what a series usually sells are no sales: a closure, or a week without demand.
_SALE_SHARE, _USUAL_GAIN = 0.05, 0.1
#: Least number of series of a store by which it can be seen to be shut.
_MANY_SERIES = 3
#: Weeks on both sides of a week whose mean is the usual level there.
_USUAL_WEEKS = 20
#: Years of the memory. Evidence on kappa fades, and starts from that of all departments.
_YEARS = 3
_KAPPA_DECAY, _KAPPA_PRIOR, _MAX_KAPPA = 0.99, 20.0, 0.9
#: More departments than this share covariances of the filter, which are large, by age and size.
_MAX_COVARIANCES = 256
_SHARED_AGE_WEEKS = 13


@dataclass(frozen=True)
class Structural:
    """Components of the structural forecast at each origin, for all series of a snapshot or some of them.

    Attributes:
        log_sales: Logarithm of the sales, NaN where there are none [series, weeks].
        offset: Offset of each series, with the shift of its store left out; NaN before its first sale, and
            with more than a year since its newest row, when no other feature knows it [series, weeks].
        drift: Drift of each series [series, weeks].
        noise: Mean absolute deviation of each series, as a standard deviation [series, weeks].
        sale_share: Share of weeks with sales [series, weeks].
        shift: Shift of each series' store [stores, weeks].
        base: Level and season of each department in the weeks after an origin [weeks, H, departments].
        contrast: Season of each department in the week ``lags[n]`` before an origin, over its mean in the
            weeks around that week [weeks, lags, departments].
        kappa: Share of the memory that comes again, by department [weeks, departments].
        lags: Weeks between an origin and the weeks that the memory reads [lags].
        department: Department of each series, an index [series].
        store: Store of each series, an index [series].
    """

    log_sales: Grid
    offset: Grid
    drift: Grid
    noise: Grid
    sale_share: Grid
    shift: Grid
    base: Floats
    contrast: Floats
    kappa: Grid
    lags: Integers
    department: NDArray[np.intp]
    store: NDArray[np.intp]

    def part(self, number: int, of: int) -> Structural:
        """Returns every ``of``-th series, beginning with series ``number``."""
        rows = slice(number, None, of)
        return replace(
            self,
            log_sales=self.log_sales[rows],
            offset=self.offset[rows],
            drift=self.drift[rows],
            noise=self.noise[rows],
            sale_share=self.sale_share[rows],
            department=self.department[rows],
            store=self.store[rows],
        )


def fit_structural(
    grid: SalesGrid, horizon_weeks: int, own_holiday: Floats | None, weeks_back: Sequence[int]
) -> Structural:
    """Returns the components at each week of the grid.

    Estimated sales of new series change the components of these series only.

    Args:
        grid: Sales of all series of the snapshot.
        horizon_weeks: Largest number of weeks ahead.
        own_holiday: Argument of ``structural_inputs.regressors``, for the weeks of the grid and
            ``horizon_weeks`` after them.
        weeks_back: Weeks between a week and the week of last year that is alike, all that occur.
    """
    after = grid.weeks[-1] + 7 * np.arange(1, horizon_weeks + 1)
    inputs = regressors(np.concatenate([grid.weeks, after]), own_holiday)
    return _Filter(grid, inputs, horizon_weeks, _lags(weeks_back, horizon_weeks)).run()


def structural_columns(components: Structural, weeks_back: Grid | None, horizon_weeks: int) -> Columns:
    """Returns ``structural_h1`` .., US dollars, each [series, weeks].

    Args:
        components: Result of ``fit_structural``.
        weeks_back: Weeks back to the week of last year that is alike [series, weeks and the weeks after
            them], NaN where unknown; None for 52.
        horizon_weeks: Largest number of weeks ahead.
    """
    memories = _Memories(components)
    columns = {}
    department, store = components.department, components.store
    for h in range(1, horizon_weeks + 1):
        log = components.base[:, h - 1, department].T + components.offset
        log = log + components.shift[store] * _STORE_DECAY**h + components.drift * _DRIFT_DECAY**h
        log = log + memories.recalled(h, None if weeks_back is None else weeks_back[:, h:])
        columns[f"{STRUCTURAL}_h{h}"] = np.exp(log) * components.sale_share
    return columns


def log_sales(sales: Grid) -> Grid:
    """Returns the logarithm of sales, NaN where they are unknown or no sales [series, weeks]."""
    known = ~np.isnan(sales)
    amounts = np.where(known, sales, 0.0)
    logs, usual = np.full_like(sales, np.nan), np.zeros(len(sales))
    for week, (sold, is_known) in enumerate(zip(amounts.T, known.T, strict=True)):
        counts = is_known & (sold > _SALE_SHARE * usual) & (sold > 0)
        logs[counts, week] = np.log(sold[counts])
        size = np.abs(sold)
        smoothed = np.where(usual == 0, size, usual + _USUAL_GAIN * (size - usual))
        usual = np.where(is_known, smoothed, usual)
    return logs


def _lags(weeks_back: Sequence[int], horizon_weeks: int) -> Integers:
    years = [YEAR_WEEKS * year for year in range(1, _YEARS + 1)]
    lags = {back - h for back in (*years, *weeks_back) for h in range(1, horizon_weeks + 1)}
    return np.array(sorted(lag for lag in lags if lag >= 0), dtype=np.int64)


class _Usual:
    """Means of log sales and of regressors over the weeks around a week, none of them after an origin."""

    def __init__(self, logs: Grid) -> None:
        known = ~np.isnan(logs)
        nothing = np.zeros((len(logs), 1))
        self._logs = logs
        self._sums = np.hstack([nothing, np.cumsum(np.where(known, logs, 0.0), axis=1)])
        self._counts = np.hstack([nothing, np.cumsum(known, axis=1)])

    def distance(self, weeks: Integers, origins: Integers) -> Grid:
        """Returns log sales of weeks over their means around them, NaN where too few are known [series, N].

        Args:
            weeks: Index of each week [N].
            origins: Index of the newest known week of each [N].
        """
        first, end = around(weeks, origins)
        count = self._counts[:, end] - self._counts[:, first]
        mean = (self._sums[:, end] - self._sums[:, first]) / np.maximum(count, 1)
        return np.where(count >= _USUAL_WEEKS, self._logs[:, weeks] - mean, np.nan)


def around(weeks: Integers, origins: Integers) -> tuple[Integers, Integers]:
    """Returns the first of the weeks around each week, and the one after the last, both [N]."""
    return np.maximum(weeks - _USUAL_WEEKS, 0), np.minimum(weeks + _USUAL_WEEKS, origins) + 1


class _Memories:
    """The memory of each series, by lag."""

    def __init__(self, components: Structural) -> None:
        self._components = components
        self._usual = _Usual(components.log_sales)
        self._lag_index = {int(lag): n for n, lag in enumerate(components.lags)}
        self._bound = _CLIP * np.maximum(components.noise, _MIN_NOISE)

    def recalled(self, horizon: int, weeks_back: Grid | None) -> Grid:
        """Returns the logarithm of the factor ``horizon`` weeks ahead, 0 without a memory [series, weeks].

        Args:
            horizon: Weeks ahead.
            weeks_back: Weeks back from the target week of each origin, see ``structural_columns``.
        """
        components = self._components
        total, years = np.zeros_like(components.offset), np.zeros_like(components.offset)
        for year in range(1, _YEARS + 1):
            memory = self._at(YEAR_WEEKS * year - horizon)
            if year == 1 and weeks_back is not None:
                back = weeks_back[:, : memory.shape[1]]
                for lag in np.unique(back[~np.isnan(back)]).astype(int):
                    memory = np.where(back == lag, self._at(int(lag) - horizon), memory)
            known = ~np.isnan(memory)
            total, years = total + np.where(known, memory, 0.0), years + known
        kappa = components.kappa[:, components.department].T
        # The mean of several years is surer than one: Spearman-Brown, kappa being the correlation of two.
        result: Grid = total * kappa / (1 + np.maximum(years - 1, 0) * kappa)
        return result

    def _at(self, lag: int) -> Grid:
        """Returns the memory of the week ``lag`` weeks before each origin, NaN if unknown [series, weeks]."""
        components = self._components
        memory = np.full_like(components.offset, np.nan)
        origins = np.arange(max(lag, 0), memory.shape[1])
        if lag in self._lag_index and len(origins) > 0:
            contrast = components.contrast[origins, self._lag_index[lag]][:, components.department].T
            memory[:, origins] = self._usual.distance(origins - lag, origins) - contrast
        return np.clip(memory, -self._bound, self._bound)


@dataclass
class _Departments:
    """Kalman filter of level and season of D departments; covariances are those of G groups.

    Attributes:
        group: Group of each department [D].
        mean: Level and effects [D, 1 + P].
        covariance: Covariance of each group [G, 1 + P, 1 + P].
    """

    group: NDArray[np.intp]
    prior: Floats
    mean: Floats = field(init=False)
    covariance: Floats = field(init=False)

    def __post_init__(self) -> None:
        size, groups = 1 + len(self.prior), int(self.group.max(initial=-1)) + 1
        self.mean = np.zeros((len(self.group), size))
        self.covariance = np.zeros((groups, size, size))
        self.covariance[:, range(1, size), range(1, size)] = self.prior**2

    def start(self, starts: Mask, level: Floats) -> None:
        """Sets the level of departments that begin, both [D]."""
        self.mean[starts, 0] = level[starts]
        groups = np.unique(self.group[starts])
        fresh = groups[self.covariance[groups, 0, 0] == 0]
        self.covariance[fresh, 0, 0] = _FIRST_LEVEL**2

    def at(self, row: Floats) -> Floats:
        """Returns level and season in a week with these regressors [P], by department [D]."""
        return self.mean[:, 0] + self.season(row)

    def season(self, row: Floats) -> Floats:
        """Returns the season of each department for regressors [P], [D]."""
        # Row by row, so a department more changes no bit of the others.
        season: Floats = np.einsum("dp,p->d", self.mean[:, 1:], row)
        return season

    def advance(self) -> None:
        """Goes on to the next week, in which each level may be another."""
        started = self.covariance[:, 0, 0] > 0
        self.covariance[started, 0, 0] += _LEVEL_CHANGE**2

    def update(self, row: Floats, innovation: Floats, variance: Floats, observed: Mask) -> None:
        """Learns from a week.

        Args:
            row: Regressors of the week [P].
            innovation: Observation minus expectation of each department [D].
            variance: Variance of the observation [D].
            observed: Whether the department has one [D].
        """
        inputs = np.append(1.0, row)
        groups = len(self.covariance)
        count = np.bincount(self.group[observed], minlength=groups)
        noise = _group_sum(self.group[observed], variance[observed], groups) / np.maximum(count, 1)
        column = np.einsum("gij,j->gi", self.covariance, inputs)
        spread = np.einsum("gi,i->g", column, inputs) + noise
        gain = np.where((count > 0)[:, np.newaxis], column / np.maximum(spread, 1e-12)[:, np.newaxis], 0.0)
        bound = 1.5 * _CLIP * np.sqrt(spread)[self.group]
        step = np.where(observed, np.clip(innovation, -bound, bound), 0.0)
        self.mean += gain[self.group] * step[:, np.newaxis]
        self.covariance -= gain[:, :, np.newaxis] * column[:, np.newaxis, :]


def _covariance_groups(department: NDArray[np.intp], logs: Grid, count: int) -> NDArray[np.intp]:
    """Returns the group of each department: one each, unless they are many [D].

    Many departments share the covariance of those that began at the same time with as many series.
    """
    if count <= _MAX_COVARIANCES:
        return np.arange(count)
    known = ~np.isnan(logs)
    first = np.where(known.any(axis=1), known.argmax(axis=1), logs.shape[1])
    first_of = np.full(count, logs.shape[1])
    np.minimum.at(first_of, department, first)
    is_first = first < first_of[department] + _SHARED_AGE_WEEKS
    size = np.log2(np.maximum(np.bincount(department, weights=is_first, minlength=count), 1))
    keys = np.stack([first_of // _SHARED_AGE_WEEKS, size.astype(np.int64)], axis=1)
    groups: NDArray[np.intp] = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
    return groups


class _Filter:
    """All components while the weeks pass by."""

    def __init__(self, grid: SalesGrid, inputs: Regressors, horizon_weeks: int, lags: Integers) -> None:
        departments, self._department = np.unique(grid.dept, return_inverse=True)
        stores, self._store = np.unique(grid.store, return_inverse=True)
        self._known = ~np.isnan(grid.sales)
        self._logs = log_sales(grid.sales)
        self._usual = _Usual(self._logs)
        self._lags, self._horizon = lags, horizon_weeks
        self._rows = inputs.values
        self._row_sums = np.vstack([np.zeros((1, self._rows.shape[1])), np.cumsum(self._rows, axis=0)])
        self._counts_for_all = ~grid.is_estimated[:, 0]
        series, weeks = grid.sales.shape
        self._departments = _Departments(
            _covariance_groups(self._department, self._logs, len(departments)), inputs.prior
        )
        self._has_department = np.zeros(len(departments), dtype=bool)
        self._shift = np.zeros(len(stores))
        self._offset, self._drift, self._number = (np.zeros(series) for _ in range(3))
        self._weeks_without_row = np.zeros(series)
        self._noise, self._share = np.full(series, _FIRST_NOISE), np.ones(series)
        self._repeats, self._memories = (np.zeros(len(departments)) for _ in range(2))
        self._result = Structural(
            log_sales=self._logs,
            offset=np.full((series, weeks), np.nan),
            drift=np.zeros((series, weeks)),
            noise=np.zeros((series, weeks)),
            sale_share=np.ones((series, weeks)),
            shift=np.zeros((len(stores), weeks)),
            base=np.zeros((weeks, horizon_weeks, len(departments))),
            contrast=np.zeros((weeks, len(lags), len(departments))),
            kappa=np.zeros((weeks, len(departments))),
            lags=lags,
            department=self._department,
            store=self._store,
        )

    def run(self) -> Structural:
        """Returns the components at each week."""
        for week in range(self._logs.shape[1]):
            self._advance(week)
            self._record(week)
        return self._result

    def _advance(self, week: int) -> None:
        """Learns from the sales of a week."""
        logs = self._logs[:, week]
        sold = ~np.isnan(logs)
        begins = sold & (self._number == 0)
        goes_on = sold & (self._number > 0)
        bound = _CLIP * np.maximum(self._noise, _MIN_NOISE)
        precision = (goes_on & self._counts_for_all) / np.maximum(self._noise, _MIN_NOISE) ** 2
        self._weeks_without_row = np.where(self._known[:, week], 0, self._weeks_without_row + 1)
        self._departments.advance()
        self._shift *= _STORE_DECAY
        self._drift *= _DRIFT_DECAY
        row = self._rows[week]
        rest = logs - self._offset - self._drift - self._shift[self._store]
        surprise = np.where(goes_on, rest - self._departments.at(row)[self._department], 0.0)
        self._learn_kappa(week, goes_on & self._counts_for_all, np.clip(surprise, -bound, bound))
        # What surprises the whole department is no outlier, so series are clipped around its median.
        usual = _group_median(self._department, surprise, precision > 0)[self._department]
        surprise = usual + np.clip(surprise - usual, -bound, bound)
        total, mean = _group_mean(self._department, precision, surprise, len(self._has_department))
        variance = 1 / np.maximum(total, 1e-9) + _DEPARTMENT_NOISE**2
        self._departments.update(row, mean, variance, total > 0)
        self._begin_departments(logs, begins & self._counts_for_all, row)
        # A new series of no department so far has nothing to begin from.
        begins &= self._has_department[self._department]
        goes_on &= self._has_department[self._department]
        level = self._departments.at(row)[self._department]
        rest = np.where(begins | goes_on, logs - level - self._offset - self._shift[self._store], 0.0)
        total, mean = _group_mean(self._store, precision, np.clip(rest, -bound, bound), len(self._shift))
        self._shift += _STORE_GAIN * total / (total + 1 / _STORE_NOISE**2) * mean
        rest = np.where(begins | goes_on, logs - level - self._offset - self._shift[self._store], 0.0)
        self._learn_series(begins, goes_on, rest, bound)
        self._learn_share(week, sold)

    def _learn_kappa(self, week: int, counts: Mask, surprise: Floats) -> None:
        """Compares what a year ago was unlike the department with what is surprising now."""
        year_ago = week - YEAR_WEEKS
        if year_ago < _USUAL_WEEKS // 2:
            return
        distance = self._usual.distance(np.array([year_ago]), np.array([week - 1]))[:, 0]
        memory = distance - self._contrast(year_ago, week - 1)[self._department]
        noise = np.maximum(self._noise, _MIN_NOISE)
        known = counts & ~np.isnan(memory)
        before = np.where(known, np.clip(memory / noise, -_CLIP, _CLIP), 0.0)
        now = np.where(known, surprise / noise, 0.0)
        for sums, values in ((self._repeats, before * now), (self._memories, before**2)):
            sums *= _KAPPA_DECAY
            sums += np.bincount(self._department, weights=values, minlength=len(sums))

    def _begin_departments(self, logs: Floats, begins: Mask, row: Floats) -> None:
        first = begins & ~self._has_department[self._department]
        if not first.any():
            return
        number = len(self._has_department)
        count = np.bincount(self._department[first], minlength=number)
        rest = logs[first] - self._shift[self._store[first]]
        total = np.bincount(self._department[first], weights=rest, minlength=number)
        level = total / np.maximum(count, 1) - self._departments.season(row)
        self._departments.start(count > 0, level)
        self._has_department |= count > 0

    def _learn_series(self, begins: Mask, goes_on: Mask, rest: Floats, bound: Floats) -> None:
        """Updates offset, drift and noise with what department and store leave over [series]."""
        self._offset = np.where(begins, rest, self._offset)
        self._number += begins | goes_on
        clipped = np.clip(rest, -bound, bound)
        gain = np.maximum(1 / np.maximum(self._number, 1), _OFFSET_GAIN)
        unexplained = clipped - self._drift
        self._offset = np.where(goes_on, self._offset + gain * unexplained, self._offset)
        left = (1 - gain) * unexplained
        self._drift = np.where(goes_on, self._drift + _DRIFT_GAIN * left, self._drift)
        size = _TO_DEVIATION * np.minimum(np.abs(rest), 4 * bound)
        self._noise = np.where(goes_on, self._noise + _NOISE_GAIN * (size - self._noise), self._noise)

    def _learn_share(self, week: int, sold: Mask) -> None:
        """Updates the share of weeks with sales; a week in which most of a store sells nothing is none."""
        known, stores = self._known[:, week], len(self._shift)
        idle = np.bincount(self._store, weights=known & ~sold, minlength=stores)
        count = np.bincount(self._store, weights=known, minlength=stores)
        is_shut = (idle > count / 2) & (count >= _MANY_SERIES)
        learns = known & ~is_shut[self._store] & (self._number > 0)
        self._share = np.where(learns, self._share + _SALE_GAIN * (sold - self._share), self._share)

    def _record(self, week: int) -> None:
        """Keeps the components as they are after a week."""
        result, departments = self._result, self._departments
        is_current = (self._number > 0) & (self._weeks_without_row <= YEAR_WEEKS)
        result.offset[:, week] = np.where(is_current, self._offset, np.nan)
        result.drift[:, week] = self._drift
        result.noise[:, week] = self._noise
        result.sale_share[:, week] = self._share
        result.shift[:, week] = self._shift
        for h in range(1, self._horizon + 1):
            result.base[week, h - 1] = departments.at(self._rows[week + h])
        for n, lag in enumerate(self._lags.tolist()):
            if lag <= week:
                result.contrast[week, n] = self._contrast(week - lag, week)
        # A sum in the order of the departments: one without evidence changes no bit of it.
        repeats, memories = (float(np.cumsum(sums)[-1]) for sums in (self._repeats, self._memories))
        of_all = repeats / max(memories + 1, 1)
        kappa = (self._repeats + _KAPPA_PRIOR * of_all) / (self._memories + _KAPPA_PRIOR)
        result.kappa[week] = np.clip(kappa, 0, _MAX_KAPPA)

    def _contrast(self, week: int, origin: int) -> Floats:
        """Returns the season of a week over its mean around that week, as known now, by department [D]."""
        (first,), (end,) = around(np.array([week]), np.array([origin]))
        mean = (self._row_sums[end] - self._row_sums[first]) / (end - first)
        return self._departments.season(self._rows[week] - mean)


def _group_mean(
    group: NDArray[np.intp], weight: Floats, values: Floats, number: int
) -> tuple[Floats, Floats]:
    """Returns the sum of the weights of each group, and the weighted mean of the values, 0 without any."""
    total = _group_sum(group, weight, number)
    return total, _group_sum(group, weight * values, number) / np.maximum(total, 1e-9)


def _group_median(group: NDArray[np.intp], values: Floats, counts: Mask) -> Floats:
    """Returns the median of the values of each group that count, 0 without any [groups]."""
    number = int(group.max(initial=-1)) + 1
    groups, chosen = group[counts], values[counts]
    chosen = chosen[np.lexsort((chosen, groups))]
    size = np.bincount(groups, minlength=number)
    first = np.cumsum(size) - size
    if len(chosen) == 0:
        return np.zeros(number)
    last = len(chosen) - 1
    low = chosen[np.minimum(first + np.maximum(size - 1, 0) // 2, last)]
    high = chosen[np.minimum(first + size // 2, last)]
    return np.where(size > 0, (low + high) / 2, 0.0)


def _group_sum(group: NDArray[np.intp], values: Floats, number: int) -> Floats:
    """Returns the sum of the values of each group [number]."""
    return np.bincount(group, weights=values, minlength=number).astype(np.float64)
