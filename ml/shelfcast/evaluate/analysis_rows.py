"""Analysis rows: known weeks that the canary analysis sends to the deployed endpoint and compares."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shelfcast.contracts.results import AnalysisRow
from shelfcast.contracts.wire import encode
from shelfcast.evaluate.backtest import Backtest
from shelfcast.evaluate.model import Model
from shelfcast.features.samples import Integers, OriginTable

_SEED = 20_101
#: Upper bound of the rows to choose from; larger backtests are sampled with a fixed seed.
_POOL_ROWS = 50_000


def spread(groups: Sequence[NDArray[np.generic]], count: int) -> Integers:
    """Returns up to ``count`` indices into the groups' arrays [N], spread evenly over each group's values.

    Each pick is the row with the least picked values so far, so any prefix of the result is spread, too.
    The cost of a pick is the number of values of the group, so that all groups have the same weight.
    """
    pool = np.random.default_rng(_SEED).permutation(len(groups[0]))[:_POOL_ROWS]
    codes = [np.unique(values[pool], return_inverse=True) for values in groups]
    cost = np.zeros(len(pool))
    picked = []
    for _ in range(min(count, len(pool))):
        row = int(cost.argmin())
        picked.append(pool[row])
        for values, code in codes:
            cost[code == code[row]] += len(values)
        cost[row] = np.inf
    return np.array(picked)


def write_analysis_rows(
    path: Path, table: OriginTable, backtest: Backtest, candidate: Model, count: int
) -> int:
    """Writes one ``AnalysisRow`` a line and returns how many.

    ``expected`` has the candidate's float32 quantiles in the backtest; JSON's decimals represent them
    exactly.
    """
    chosen = spread([backtest.store, backtest.dept, backtest.horizon, backtest.target_week], count)
    matrix = table.matrix(backtest.row[chosen], backtest.horizon[chosen])
    names = [table.features[column].name for column in candidate.columns]
    with path.open("w", encoding="utf-8") as file:
        for row, values in zip(chosen, matrix[:, candidate.columns].tolist(), strict=True):
            line = AnalysisRow(
                store=int(backtest.store[row]),
                dept=int(backtest.dept[row]),
                horizon=int(backtest.horizon[row]),
                target_week=backtest.target_week[row].item(),
                features={name: None if np.isnan(v) else v for name, v in zip(names, values, strict=True)},
                actual=float(backtest.actual[row]),
                expected=backtest.quantiles["candidate"][row].tolist(),
            )
            file.write(json.dumps(encode(line), allow_nan=False) + "\n")
    return len(chosen)
