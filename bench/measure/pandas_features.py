"""The features computed as in a notebook, with pandas in one process.

It is the benchmark's peer, so it is written to be fast: each step works on all series at once, and nothing is
done for each group or row in Python.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa

SERIES = ["store", "dept"]
FILES = 16
LAGS = (*range(1, 14), 26, 51, 52)
#: Weeks after which each external is known.
EXTERNALS = {"temperature": 1, "fuel_price": 1, "cpi": 7, "unemployment": 7} | {
    f"markdown{n}": 0 for n in range(1, 6)
}
YEAR = 52
NOTHING_USD = 0.005


def write(
    directory: Path, sales: pa.Table, store_weeks: pa.Table, stores: pa.Table, horizon_weeks: int
) -> None:
    """Writes the series files of ``shelfcast.features.training_data``, the same values to 9 digits.

    Args:
        directory: Must exist.
        sales: Table in the form of ``shelfcast.snapshot``, like the others.
        store_weeks: One row a store and week.
        stores: One row a store.
        horizon_weeks: Largest number of weeks ahead.
    """
    frames = (table.to_pandas(date_as_object=False) for table in (sales, store_weeks, stores))
    rows = features(*frames, horizon_weeks)
    for number, part in rows.groupby(rows.groupby(SERIES).ngroup() % FILES):
        part.to_parquet(directory / f"series-{number:02}.parquet", index=False)


def features(
    sales: pd.DataFrame, store_weeks: pd.DataFrame, stores: pd.DataFrame, horizon_weeks: int
) -> pd.DataFrame:
    """Returns keys, features and targets, one row for each series and origin week, ordered by them."""
    # Every series gets every week, so that shift and rolling count weeks.
    by_week = sales.pivot(index="week", columns=SERIES, values="weekly_sales").sort_index(axis=1)
    weekly = by_week.asfreq("7D").unstack()
    of_series = pd.DataFrame(
        of_each_series(weekly) | same_weeks_last_year(weekly, horizon_weeks) | targets(weekly, horizon_weeks)
    )
    mean_13 = of_series["rolling_mean_13"]
    total = mean_13.groupby(level=["store", "week"]).transform("sum")
    of_series["share_of_store"] = ratio(mean_13, total)
    rows = of_series[weekly.notna()].reset_index(names=[*SERIES, "origin"])
    first = rows.groupby(SERIES)["origin"].transform("min")
    rows["weeks_since_first"] = (rows["origin"] - first).dt.days / 7
    beside = [
        (of_each_department(sales, horizon_weeks), ["dept", "origin"]),
        (of_each_store(sales), ["store", "origin"]),
        *(
            (of_store_weeks(store_weeks, weeks), ["store", "origin"])
            for weeks in sorted(set(EXTERNALS.values()))
        ),
        (attributes(stores), ["store"]),
    ]
    keys = rows[[*SERIES, "origin"]]
    joined = [keys.merge(other, on=on, how="left").drop(columns=keys.columns) for other, on in beside]
    rows = pd.concat([rows, *joined], axis=1)
    missing = rows[list(EXTERNALS)].isna().astype(float).add_suffix("_is_missing")
    return pd.concat([rows, missing], axis=1)


def of_each_series(sales: pd.Series) -> dict[str, pd.Series]:
    """Returns lags and rolling statistics of sales that have every week of every series."""
    columns = {"sales_0": sales, **{f"lag_{n}": shift(sales, n) for n in LAGS}}
    for n in (4, 13, 52):
        columns[f"rolling_mean_{n}"] = rolling(sales, n, "mean")
        columns[f"rolling_std_{n}"] = rolling(sales, n, "std")
        columns[f"rolling_median_{n}"] = rolling(sales, n, "median")
    columns["rolling_min_13"] = rolling(sales, 13, "min")
    columns["rolling_max_13"] = rolling(sales, 13, "max")
    columns["observed_weeks_13"] = rolling(sales, 13, "count")
    columns["weeks_since_last_sale"] = weeks_since_last_sale(sales)
    columns["trend_4_13"] = ratio(columns["rolling_mean_4"], columns["rolling_mean_13"])
    for n in (4, 13):
        columns[f"last_year_mean_{n}"] = shift(columns[f"rolling_mean_{n}"], YEAR)
        columns[f"year_on_year_{n}"] = year_on_year(sales, n)
    return columns


def same_weeks_last_year(sales: pd.Series, horizon_weeks: int) -> dict[str, pd.Series]:
    """Returns the sales around each target week a year before."""
    columns = {}
    for h in range(1, horizon_weeks + 1):
        columns[f"last_year_h{h}"] = shift(sales, YEAR - h)
        columns[f"last_year_before_2_h{h}"] = shift(sales, YEAR + 2 - h)
        columns[f"last_year_before_h{h}"] = shift(sales, YEAR + 1 - h)
        columns[f"last_year_after_h{h}"] = shift(sales, YEAR - 1 - h)
        columns[f"last_year_after_2_h{h}"] = shift(sales, YEAR - 2 - h)
    return columns


def targets(sales: pd.Series, horizon_weeks: int) -> dict[str, pd.Series]:
    """Returns the sales of the weeks to forecast."""
    return {f"target_h{h}": shift(sales, -h) for h in range(1, horizon_weeks + 1)}


def of_each_department(sales: pd.DataFrame, horizon_weeks: int) -> pd.DataFrame:
    """Returns the columns of departments over all stores, one row for each department and week."""
    weekly = sales.pivot_table(index="week", columns="dept", values="weekly_sales").asfreq("7D").unstack()
    mean_4, mean_13 = rolling(weekly, 4, "mean"), rolling(weekly, 13, "mean")
    level = shift(mean_13, YEAR)
    columns = {
        "dept_mean_0": weekly,
        **{f"dept_lag_{n}": shift(weekly, n) for n in range(1, 13)},
        "dept_mean_4": mean_4,
        "dept_trend_4_13": ratio(mean_4, mean_13),
        "dept_year_on_year_13": year_on_year(weekly, 13),
        **{f"dept_season_h{h}": ratio(shift(weekly, YEAR - h), level) for h in range(1, horizon_weeks + 1)},
    }
    return pd.DataFrame(columns).reset_index(names=["dept", "origin"])


def of_each_store(sales: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns of stores over all departments, one row for each store and week."""
    weekly = (
        sales.pivot_table(index="week", columns="store", values="weekly_sales", aggfunc="sum")
        .asfreq("7D")
        .unstack()
    )
    columns = {
        "store_trend_4_13": ratio(rolling(weekly, 4, "mean"), rolling(weekly, 13, "mean")),
        "store_year_on_year_13": year_on_year(weekly, 13),
    }
    return pd.DataFrame(columns).reset_index(names=["store", "origin"])


def of_store_weeks(store_weeks: pd.DataFrame, known_after_weeks: int) -> pd.DataFrame:
    """Returns externals with their publication lag, by store and the week in which they become known."""
    names = [name for name, weeks in EXTERNALS.items() if weeks == known_after_weeks]
    known = store_weeks["week"] + pd.Timedelta(weeks=known_after_weeks)
    return store_weeks[["store", *names]].assign(origin=known)


def attributes(stores: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns of stores, one row for each."""
    code = stores["type"].map(ord) - ord("A") + 1.0
    return pd.DataFrame({"store": stores["store"], "type_code": code, "size": stores["size"]})


def weeks_since_last_sale(sales: pd.Series) -> pd.Series:
    """Returns the weeks since sales were above 0."""
    week = pd.Series(sales.index.get_level_values("week"), sales.index)
    return (week - week.where(sales > 0).groupby(level=SERIES).ffill()).dt.days / 7


def shift(sales: pd.Series, weeks: int) -> pd.Series:
    """Returns the values of a number of weeks before."""
    return sales.groupby(level=sales.index.names[:-1]).shift(weeks)


def rolling(sales: pd.Series, weeks: int, statistic: str) -> pd.Series:
    """Returns a statistic over the weeks up to each week, of those that exist."""
    keys = sales.index.names[:-1]
    window = sales.groupby(level=keys).rolling(weeks, min_periods=0 if statistic == "count" else 1)
    return getattr(window, statistic)().set_axis(sales.index)


def year_on_year(sales: pd.Series, weeks: int) -> pd.Series:
    """Returns the sum of the weeks known in both years over the sum one year before."""
    before = shift(sales, YEAR)
    this_year, last_year = sales.where(before.notna()), before.where(sales.notna())
    return ratio(rolling(this_year, weeks, "sum"), rolling(last_year, weeks, "sum"))


def ratio(numerator: pd.Series, denominator: pd.Series) -> pd.Series:
    """Returns the quotient, unknown where the denominator is not above zero."""
    return numerator / denominator.where(denominator > NOTHING_USD)
