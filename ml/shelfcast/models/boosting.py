"""Gradient-boosted trees by LightGBM, for the baseline and for the preset ``ensemble``.

The settings are fixed beforehand and read no week that anything is compared on: no early stopping, no search.
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
    # The same trees with any number of threads.
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}
#: Of fewer rows a second thread only waits for the first.
_ROWS_OF_TWO_THREADS = 50_000


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
        inputs: [N, I].
        target_usd: [N].
        unit_usd: What the trees count in [N].
        weight: Of each error in US dollars [N].
        rounds: Number of trees.
        seed: Of the inputs that each tree may see.
        after_round: Is called with the number of trees so far.
    """
    # The error of a divided target counts as much as it does in US dollars.
    weight = weight * unit_usd
    data = lightgbm.Dataset(inputs, target_usd / unit_usd, weight=weight / weight.mean())
    threads = 2 if len(inputs) >= _ROWS_OF_TWO_THREADS else 1
    settings = {**_SETTINGS, "seed": seed, "num_threads": threads}
    return lightgbm.train(settings, data, rounds, callbacks=[lambda env: after_round(env.iteration + 1)])
