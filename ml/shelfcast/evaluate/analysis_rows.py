"""Known weeks for the rollout: it sends their features to the deployed endpoint and compares the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.model import Model
from shelfcast.features.samples import Integers, OriginTable

_SEED = 20_101
#: The most rows that are weighed against each other; a seeded draw of that size stands for larger backtests.
_POOL_ROWS = 50_000


def spread(groups: Sequence[NDArray[np.generic]], count: int) -> Integers:
    """Returns up to ``count`` places in the groups' arrays [N], spread evenly over the values of every group.

    Each pick is the row whose values were picked least so far, so any first part of the answer is spread too.
    A pick counts in proportion to the number of the group's values, so that the groups weigh the same.
    """
    pool = np.random.default_rng(_SEED).permutation(len(groups[0]))[:_POOL_ROWS]
    codes = [np.unique(values[pool], return_inverse=True) for values in groups]
    cost = np.zeros(len(pool))
    picked = []
    for _ in range(min(count, len(pool))):
        place = int(cost.argmin())
        picked.append(pool[place])
        for values, code in codes:
            cost[code == code[place]] += len(values)
        cost[place] = np.inf
    return np.array(picked)


def write_analysis_rows(
    path: Path, table: OriginTable, backtest: Backtest, candidate: Model, count: int
) -> int:
    """Writes one ``AnalysisRow`` of contracts/jobs.ts a line and returns how many.

    ``expected`` is the candidate's answer in the backtest: float32, which JSON's decimals give back exactly.
    """
    chosen = spread([backtest.store, backtest.dept, backtest.horizon, backtest.target_week], count)
    matrix = table.matrix(backtest.row[chosen], backtest.horizon[chosen])
    names = [table.features[column]["name"] for column in candidate.columns]
    with path.open("w", encoding="utf-8") as file:
        for place, values in zip(chosen, matrix[:, candidate.columns].tolist(), strict=True):
            line = {
                "store": int(backtest.store[place]),
                "dept": int(backtest.dept[place]),
                "horizon": int(backtest.horizon[place]),
                "targetWeek": str(backtest.target_week[place]),
                "features": {name: None if np.isnan(v) else v for name, v in zip(names, values, strict=True)},
                "actual": float(backtest.actual[place]),
                "expected": backtest.quantiles["candidate"][place].tolist(),
            }
            file.write(json.dumps(line, allow_nan=False) + "\n")
    return len(chosen)
