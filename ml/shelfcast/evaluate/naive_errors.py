"""In-sample errors of a naive forecast of each series, the scale of MASE."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shelfcast.features.samples import NUMPY_WEEK, Floats, Integers, series_files

#: Features that are naive forecasts one week ahead; the last one with an error counts.
_NAIVE = ("sales_0", "last_year_h1")


@dataclass(frozen=True)
class NaiveErrors:
    """Mean absolute errors of naive forecasts, US dollars.

    Attributes:
        by_series: Error by (store, dept).
    """

    by_series: dict[tuple[int, int], float]

    def of(self, store: Integers, dept: Integers) -> Floats:
        """Returns the errors of N series [N]; NaN where no error is known or it is 0."""
        keys = zip(store.tolist(), dept.tolist(), strict=True)
        return np.array([self.by_series.get(key, np.nan) for key in keys])


def naive_errors(folder: Path, first_test_week: np.datetime64) -> NaiveErrors:
    """Reads from the training data the errors of the seasonal naive forecast before the test weeks.

    A series without a week one year earlier gets the error of the naive forecast.
    """
    result: dict[tuple[int, int], float] = {}
    before = pc.field("origin") < (first_test_week - NUMPY_WEEK).astype("O")
    keys = ["store", "dept"]
    for path in series_files(folder):
        table = pq.read_table(path, columns=[*keys, "target_h1", *_NAIVE], filters=before)
        for name in _NAIVE:
            error = pc.abs(pc.subtract(table["target_h1"], table[name]))
            means = (
                table.select(keys).append_column("error", error).group_by(keys).aggregate([("error", "mean")])
            )
            for store, dept, mean in zip(*(means[c].to_pylist() for c in (*keys, "error_mean")), strict=True):
                if mean is not None and mean > 0:
                    result[store, dept] = mean
    return NaiveErrors(result)
