"""A week that is announced to be shut has the forecast 0, in each preset and in its graph."""

from __future__ import annotations

from typing import get_args

import numpy as np
import onnxruntime
import pytest
import torch

from shelfcast.contracts.specs import Preset
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.open_weeks import OPEN
from shelfcast.models.presets import build_network
from shelfcast.snapshot import Covariate
from shelfcast.train.export import INPUTS, to_onnx

HORIZON = 3


@pytest.mark.parametrize("preset", get_args(Preset))
def test_a_closed_week_has_the_forecast_zero(preset: Preset) -> None:
    features = FeatureSet(HORIZON, (Covariate(OPEN, "store_week", -HORIZON, "open"),)).model_features
    torch.manual_seed(3)
    model = build_network(preset, features, [1, 2], [1, 2], HORIZON).eval()
    rows = 6
    matrix = np.random.default_rng(3).uniform(50, 150, (rows, len(features)))
    names = [feature.name for feature in features]
    matrix[:, names.index("open_ahead")] = [0, 1, np.nan, 0.5, 0, 1]
    ids = np.ones(rows, dtype=np.int64)
    arrays = dict(zip(INPUTS, (matrix, ids, ids, ids), strict=True))
    with torch.no_grad():
        quantiles = model(*(torch.from_numpy(array) for array in arrays.values())).numpy()
    closed = np.array([True, False, False, False, True, False])
    assert (quantiles[closed] == 0).all()
    assert (quantiles[~closed, 2] > 1).all()
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, arrays)
    assert (answers[closed] == 0).all()
    assert answers == pytest.approx(quantiles, rel=1e-4, abs=1e-3)
