"""Gradient-boosted trees by LightGBM, for the baseline and for the preset ``ensemble``.

The settings are fixed: no early stopping and no search, so no validation or test week influences them.
The loss is the absolute error in US dollars.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from shelfcast.features.samples import Floats

_SETTINGS: dict[str, Any] = {
    "objective": "regression_l1",
    "learning_rate": 0.05,
    "num_leaves": 63,
    "feature_fraction": 0.5,
    # Any number of threads gives the same trees.
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
#: Minimum number of rows that keep a second thread busy.
_ROWS_FOR_TWO_THREADS = 50_000


def boost(
    inputs: NDArray[np.floating[Any]],
    target_usd: Floats,
    unit_usd: Floats,
    weight: NDArray[np.floating[Any]],
    rounds: int,
    seed: int,
    after_round: Callable[[int], None] = lambda _: None,
) -> lightgbm.Booster:
    """Fits trees to N rows; the same rows and seed give the same trees.

    Args:
        inputs: Inputs, NaN where missing [N, I].
        target_usd: Sales, US dollars [N].
        unit_usd: Unit of each row; the trees predict ``target_usd / unit_usd`` [N].
        weight: Weight of each row's error in US dollars [N].
        rounds: Number of trees.
        seed: Seed of the feature sampling.
        after_round: Callback after each tree, with the number of trees so far.
    """
    # Keeps the loss in US dollars although the target is divided by its unit.
    weight = weight * unit_usd
    data = lightgbm.Dataset(inputs, target_usd / unit_usd, weight=weight / weight.mean())
    threads = 2 if len(inputs) >= _ROWS_FOR_TWO_THREADS else 1
    settings = {**_SETTINGS, "seed": seed, "num_threads": threads}
    return lightgbm.train(settings, data, rounds, callbacks=[lambda env: after_round(env.iteration + 1)])
