"""The trees of a model and of its graph say what LightGBM says."""

from __future__ import annotations

from functools import cache

import lightgbm
import numpy as np
import onnxruntime
import pytest
import torch

from shelfcast.features.definitions import FeatureSet
from shelfcast.models.boosting import boost
from shelfcast.models.ensemble import Ensemble
from shelfcast.models.network import Inputs
from shelfcast.models.trees import Trees, attributes_of
from shelfcast.snapshot import Covariate
from shelfcast.train.export import INPUTS, to_onnx

HORIZON_WEEKS = 4
PROMO = Covariate("planned_promo", "series_week", -HORIZON_WEEKS, "1 in a week with a promotion")
FEATURES = FeatureSet(HORIZON_WEEKS, (PROMO,)).model_features
NAMES = [feature.name for feature in FEATURES]


def random_samples(rows: int, seed: int) -> Inputs:
    """Series of all sizes; a tenth of their values is missing, a tenth 0, a tenth negative."""
    generator = np.random.default_rng(seed)
    features = np.exp(generator.normal(6, 1, (rows, len(FEATURES))))
    kind = generator.random(features.shape)
    features[kind < 0.1] = np.nan
    features[(kind > 0.1) & (kind < 0.2)] = 0.0
    features[(kind > 0.2) & (kind < 0.3)] *= -1
    ids = [torch.from_numpy(generator.integers(1, 5, rows)) for _ in range(3)]
    return torch.from_numpy(features), ids[0], ids[1], ids[2]


def seen(model: Ensemble, samples: Inputs) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns what the trees decide by, and the levels."""
    level = model.members[0].prepare(samples[0], samples[3]).level
    return model.trees.inputs(samples, level), level


@cache
def fitted_trees() -> tuple[Ensemble, lightgbm.Booster]:
    """An ensemble half of which is trees; half of their inputs were never missing in training."""
    torch.manual_seed(3)
    model = Ensemble(FEATURES, [1, 2, 3], [1, 2], HORIZON_WEEKS).eval()
    samples = random_samples(4_000, seed=1)
    inputs = seen(model, samples)[0].numpy()
    inputs[:, ::2] = np.nan_to_num(inputs[:, ::2], nan=0.3)
    generator = np.random.default_rng(2)
    chosen = np.nan_to_num(inputs[:, :20], nan=2.0).clip(-3, 3)
    target = chosen.sum(axis=1) + 3 * (inputs[:, -1] > 2) + generator.normal(size=len(inputs))
    one = np.ones(len(target))
    booster = boost(inputs, target, one, one, rounds=60, seed=1)
    model.trees.set_trees(attributes_of(booster))
    model.shares.copy_(torch.tensor([0.2, 0.5, 0.1, 0.2]))
    return model, booster


def test_the_model_says_what_lightgbm_says() -> None:
    model, booster = fitted_trees()
    samples = random_samples(3_000, seed=4)
    inputs, level = seen(model, samples)
    expected = np.asarray(booster.predict(inputs.numpy()))
    assert expected.std() > 1
    found = (model.trees(samples, level) / level).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_an_input_that_is_just_the_threshold_goes_where_lightgbm_sends_it() -> None:
    _, booster = fitted_trees()
    trees = attributes_of(booster)
    rows = zip(trees["nodes_modes"], trees["nodes_featureids"], trees["nodes_values"], strict=True)
    # LightGBM takes inputs up to 1e-35 for 0, and puts the thresholds at 0 there.
    decides = [
        (feature, np.float32(at)) for mode, feature, at in rows if mode == "BRANCH_LEQ" and abs(at) > 1e-30
    ]
    inputs = np.zeros((3 * len(decides), booster.num_feature()), dtype=np.float32)
    for row, (feature, at) in enumerate(decides):
        near = [np.nextafter(at, np.float32(-np.inf)), at, np.nextafter(at, np.float32(np.inf))]
        inputs[3 * row : 3 * row + 3, feature] = near
    plain = Trees(FEATURES)
    plain.set_trees(trees)
    plain.inputs = lambda *_: torch.from_numpy(inputs)  # type: ignore[method-assign]
    found = plain(random_samples(len(inputs), seed=5), torch.ones(len(inputs))).numpy()
    np.testing.assert_allclose(found, np.asarray(booster.predict(inputs)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rows", [1, 2, 1_500])
def test_the_graph_says_what_the_model_says(rows: int) -> None:
    model, _ = fitted_trees()
    graph = to_onnx(model)
    assert graph == to_onnx(model)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    samples = random_samples(rows, seed=6)
    # New to the training, and without any history.
    samples[1][0], samples[0][0] = 12_345, torch.nan
    fed = dict(zip(INPUTS, (array.numpy() for array in samples), strict=True))
    with torch.no_grad():
        expected = model(*samples).numpy()
    np.testing.assert_allclose(session.run(["quantiles"], fed)[0], expected, rtol=1e-5, atol=0.01)


def test_trees_that_could_not_split_say_one_value_for_all() -> None:
    model = Ensemble(FEATURES, [1], [1], HORIZON_WEEKS).eval()
    samples = random_samples(5, seed=7)
    inputs, level = seen(model, samples)
    one = np.ones(5)
    booster = boost(inputs.numpy(), np.array([1.0, 2, 2, 2, 3]), one, one, rounds=10, seed=1)
    model.trees.set_trees(attributes_of(booster))
    torch.testing.assert_close(model.trees(samples, level), 2 * level)
    model.shares.copy_(torch.tensor([0.2, 0.5, 0.1, 0.2]))
    session = onnxruntime.InferenceSession(to_onnx(model), providers=["CPUExecutionProvider"])
    fed = dict(zip(INPUTS, (array.numpy() for array in samples), strict=True))
    expected = model(*samples).detach().numpy()
    np.testing.assert_allclose(session.run(["quantiles"], fed)[0], expected, rtol=1e-5, atol=0.01)


@pytest.mark.parametrize("value", [np.nan, -1e5, 0.0, 1e300, np.inf, -np.inf])
def test_forecasts_with_trees_are_finite_and_never_cross(value: float) -> None:
    model, _ = fitted_trees()
    samples = random_samples(40, seed=8)
    samples[0][torch.rand(samples[0].shape, generator=torch.manual_seed(9)) < 0.5] = value
    samples[0][0] = value
    with torch.no_grad():
        answer = model(*samples).numpy()
    assert np.isfinite(answer).all()
    assert (np.diff(answer, axis=1) >= 0).all()


@torch.no_grad()
def test_without_a_share_of_trees_the_networks_speak_alone() -> None:
    model, _ = fitted_trees()
    samples = random_samples(50, seed=10)
    networks = Ensemble(FEATURES, [1, 2, 3], [1, 2], HORIZON_WEEKS).eval()
    for own, other in zip(networks.members, model.members, strict=True):
        own.load_state_dict(other.state_dict())
    both, before = model(*samples), model.shares.clone()
    try:
        for each in (model, networks):
            each.shares.copy_(torch.tensor([0.4, 0.0, 0.3, 0.3]))
        torch.testing.assert_close(model(*samples), networks(*samples))
    finally:
        model.shares.copy_(before)
    assert not torch.allclose(both, networks(*samples), rtol=0.01)


def test_dollars_are_in_levels_and_declared_columns_are_inputs() -> None:
    model, _ = fitted_trees()
    samples = random_samples(5, seed=11)
    inputs, level = seen(model, samples)
    for name, unit in (("planned_promo", 1.0), ("size", 1.0), ("sales_0", level)):
        wanted = samples[0][:, NAMES.index(name)].float() / unit
        same = torch.isclose(inputs, wanted[:, None], equal_nan=True, rtol=1e-5)
        assert same.all(dim=0).any(), name
    torch.testing.assert_close(inputs[:, -3:], torch.stack(samples[1:], dim=1).float())
