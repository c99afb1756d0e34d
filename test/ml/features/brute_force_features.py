"""The feature definitions once more, one value at a time from a dictionary: slow and plain."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable

from feature_samples import Sales

from shelfcast.snapshot import Covariate

NAN = math.nan
Series = Callable[[int], float | None]


def known(series: Series, weeks: range) -> list[float]:
    """Returns the values of the weeks that exist."""
    return [value for week in weeks if (value := series(week)) is not None]


def last(t: int, n: int) -> range:
    """Returns the n weeks that end at t."""
    return range(t - n + 1, t + 1)


def mean(values: list[float]) -> float:
    """Returns the mean, NaN of nothing."""
    return math.fsum(values) / len(values) if values else NAN


def ratio(a: float, b: float) -> float:
    """Returns a / b, NaN where b is less than half a cent."""
    return a / b if b > 0.005 else NAN


def year_on_year(series: Series, t: int, n: int) -> float:
    """Returns the sum of weeks known in both years, this year over last year."""
    both = [w for w in last(t, n) if series(w) is not None and series(w - 52) is not None]
    return ratio(math.fsum(known_at(series, both)), math.fsum(known_at(series, [w - 52 for w in both])))


def known_at(series: Series, weeks: list[int]) -> list[float]:
    """Returns the values of weeks that all exist."""
    return [value for week in weeks if (value := series(week)) is not None]


def value_or_nan(value: float | None) -> float:
    """Returns NaN for a missing value."""
    return NAN if value is None else value


class BruteForce:
    """Features of a series at an origin."""

    def __init__(self, sales: Sales) -> None:
        self.sales = sales
        self.keys = {(store, dept) for store, dept, _ in sales}

    def series(self, store: int, dept: int) -> Series:
        """Returns the sales of a series by week."""
        return lambda week: self.sales.get((store, dept, week))

    def department(self, dept: int) -> Series:
        """Returns the mean over the stores by week."""

        def average(week: int) -> float | None:
            values = [
                v for s, d in sorted(self.keys) if d == dept and (v := self.series(s, d)(week)) is not None
            ]
            return mean(values) if values else None

        return average

    def store_total(self, store: int) -> Series:
        """Returns the sum over the departments by week."""

        def total(week: int) -> float | None:
            values = [v for s, d in self.keys if s == store and (v := self.series(s, d)(week)) is not None]
            return math.fsum(values) if values else None

        return total

    def features(self, store: int, dept: int, t: int, horizon_weeks: int) -> dict[str, float]:
        """Returns the columns of ``sales_history``."""
        y = self.series(store, dept)
        d, total = self.department(dept), self.store_total(store)
        window = {n: known(y, last(t, n)) for n in (4, 13, 52)}
        row = {"sales_0": value_or_nan(y(t))}
        for n in (*range(1, 14), 26, 51, 52):
            row[f"lag_{n}"] = value_or_nan(y(t - n))
        for n, values in window.items():
            row[f"rolling_mean_{n}"] = mean(values)
            row[f"rolling_std_{n}"] = statistics.stdev(values) if len(values) > 1 else NAN
            row[f"rolling_median_{n}"] = statistics.median(values)
        row["rolling_min_13"], row["rolling_max_13"] = min(window[13]), max(window[13])
        row["observed_weeks_13"] = len(window[13])
        row["weeks_since_first"] = t - min(w for s, k, w in self.sales if (s, k) == (store, dept))
        sold = [w for w in range(t + 1) if (y(w) or 0) > 0]
        row["weeks_since_last_sale"] = t - sold[-1] if sold else NAN
        row["trend_4_13"] = ratio(mean(window[4]), mean(window[13]))
        for n in (4, 13):
            row[f"last_year_mean_{n}"] = mean(known(y, last(t - 52, n)))
            row[f"year_on_year_{n}"] = year_on_year(y, t, n)
        row["share_of_store"] = ratio(mean(window[13]), self.sum_of_means(store, t))
        row["dept_mean_0"] = value_or_nan(d(t))
        for n in range(1, 13):
            row[f"dept_lag_{n}"] = value_or_nan(d(t - n))
        row["dept_mean_4"] = mean(known(d, last(t, 4)))
        row["dept_trend_4_13"] = ratio(mean(known(d, last(t, 4))), mean(known(d, last(t, 13))))
        row["dept_year_on_year_13"] = year_on_year(d, t, 13)
        row["store_trend_4_13"] = ratio(mean(known(total, last(t, 4))), mean(known(total, last(t, 13))))
        row["store_year_on_year_13"] = year_on_year(total, t, 13)
        level = mean(known(d, last(t - 52, 13)))
        for h in range(1, horizon_weeks + 1):
            w = t + h
            row[f"last_year_h{h}"] = value_or_nan(y(w - 52))
            row[f"last_year_before_2_h{h}"] = value_or_nan(y(w - 54))
            row[f"last_year_before_h{h}"] = value_or_nan(y(w - 53))
            row[f"last_year_after_h{h}"] = value_or_nan(y(w - 51))
            row[f"last_year_after_2_h{h}"] = value_or_nan(y(w - 50))
            row[f"dept_season_h{h}"] = ratio(value_or_nan(d(w - 52)), level)
        return row

    def sum_of_means(self, store: int, t: int) -> float:
        """Returns the sum of rolling_mean_13 over a store's departments."""
        means = [mean(known(self.series(s, d), last(t, 13))) for s, d in self.keys if s == store]
        return math.fsum(value for value in means if not math.isnan(value))


def weekly_value(series: Series, column: Covariate, t: int, horizon_weeks: int) -> dict[str, float]:
    """Returns the features of a weekly column beside sales."""
    after = column.known_after_weeks
    assert after is not None
    row = {column.name: value_or_nan(series(t - after if after > 0 else t))}
    if after < 0:
        for h in range(1, horizon_weeks + 1):
            row[f"{column.name}_h{h}"] = value_or_nan(series(t + h)) if t + h + after <= t else NAN
    return row
