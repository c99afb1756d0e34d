"""Properties of the network for any input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor
from train_example import Example, write_example

from shelfcast.features.definitions import FeatureSet
from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import MEDIAN, Network, Preparation
from shelfcast.models.presets import PRESETS, build_network
from shelfcast.models.summaries import Summaries
from shelfcast.models.windows import Windows
from shelfcast.train.data import EpochSampler, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.normalization import fit_normalization, known_ids

FEATURES = FeatureSet(8).model_features
NAMES = [feature.name for feature in FEATURES]
VALUES = st.floats(allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -1e5, 1e300, np.nan])


def random_model(size: float, preset: str = "global") -> Network:
    """A network far from its start, so that nothing holds only because it is near it."""
    torch.manual_seed(1)
    model = build_network(preset, FEATURES, [1, 2, 30], [7, 90], 4).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * size)
    return model


TAME = random_model(0.2)
ALL = [random_model(size, preset) for size in (0.2, 3.0) for preset in PRESETS]


def quantiles(
    features: np.ndarray, store: int = 1, dept: int = 7, horizon: int = 1, model: Network = TAME
) -> np.ndarray:
    count = len(features)
    ids = [torch.full((count,), value) for value in (store, dept, horizon)]
    with torch.no_grad():
        return model(torch.from_numpy(features), *ids).numpy()


def plain_sample(**values: float) -> np.ndarray:
    """A steady series that sells 1000 USD a week; some values changed."""
    sample = {name: 1_000.0 for name in NAMES if name.startswith(("sales", "lag", "rolling", "last"))}
    return np.array([[{**sample, **values}.get(name, np.nan) for name in NAMES]])


@settings(max_examples=200, deadline=None)
@given(arrays(np.float64, (3, len(FEATURES)), elements=VALUES), st.integers(1, 4))
def test_quantiles_are_finite_and_never_cross(features: np.ndarray, horizon: int) -> None:
    for model in ALL:
        answer = quantiles(features, horizon=horizon, model=model)
        assert np.isfinite(answer).all()
        assert (np.diff(answer, axis=1) >= 0).all()


@pytest.mark.parametrize(("store", "dept"), [(3, 7), (1, 8), (-5, 2**62), (0, 0)])
def test_unknown_ids_have_one_place_of_their_own(store: int, dept: int) -> None:
    known, unknown = quantiles(plain_sample()), quantiles(plain_sample(), store, dept)
    assert not np.array_equal(unknown, known)
    swapped = quantiles(plain_sample(), 99 if store != 1 else 1, 99 if dept != 7 else 7)
    assert np.array_equal(unknown, swapped)


@pytest.mark.parametrize("sales", [0.0, -250.0, 1e-9])
def test_series_without_sales_and_with_returns_have_small_finite_forecasts(sales: float) -> None:
    names = [name for name in NAMES if name.startswith(("sales", "lag", "rolling", "last"))]
    answer = quantiles(plain_sample(**dict.fromkeys(names, sales)))
    assert np.isfinite(answer).all()
    assert np.abs(answer[:, MEDIAN]).max() <= 1_000


def test_a_peak_of_last_year_is_forecast_again() -> None:
    model = GlobalModel(FEATURES, [1], [7], 4).eval()
    flat, peak = (
        quantiles(plain_sample(last_year=usd, structural=usd), model=model)[0, MEDIAN]
        for usd in (1_000.0, 5_000.0)
    )
    assert flat == pytest.approx(1_000, rel=0.01)
    assert peak > 3_500


@pytest.mark.parametrize("preparation", [Summaries, Windows])
def test_days_before_christmas_move_to_where_they_lie_this_year(preparation: type[Preparation]) -> None:
    prepare = preparation(FEATURES, 8)

    def seasonal(**values: float) -> float:
        prepared = prepare(torch.from_numpy(plain_sample(**values)), torch.ones(1, dtype=torch.int64))
        return float(prepared.seasonal[0] * prepared.level[0])

    peak_before = {"last_year_before": 8_000.0}
    assert seasonal(**peak_before, christmas_shift=0) == pytest.approx(1_000)
    # One of the seven days was a week earlier; the week that had it has one less.
    assert seasonal(**peak_before, christmas_shift=1) == pytest.approx(2_000)
    assert seasonal(last_year=8_000.0, christmas_shift=-2) == pytest.approx(6_000)


def test_a_larger_series_has_a_larger_forecast_in_proportion() -> None:
    torch.manual_seed(2)
    model = GlobalModel(FEATURES, [1], [7], 4).eval()
    for member in model.members:
        member.prepare.floor_usd.zero_()
    one = torch.from_numpy(plain_sample())
    ids = torch.ones(1, dtype=torch.int64), torch.full((1,), 7), torch.ones(1, dtype=torch.int64)
    # At its start the network ignores its inputs, and with them the level.
    assert torch.allclose(model(one * 1_000, *ids), model(one, *ids) * 1_000)


def fitted(example: Example, processes: Processes) -> dict[str, Tensor]:
    shard = read_shard(example.spec, 0, 1)
    sampler = EpochSampler([len(samples) for samples in shard.training], 256, seed=7)
    torch.manual_seed(7)
    model = GlobalModel(shard.table.features, *known_ids(shard, processes), 4)
    fit_normalization(model, shard, sampler, processes)
    return dict(model.named_buffers())


def test_constants_come_from_training_samples_alone(
    example: Example, alone: Processes, tmp_path: Path
) -> None:
    constants = fitted(example, alone)
    later = fitted(write_example(tmp_path / "later", add_usd_from_week=90 - 12, add_usd=1e6), alone)
    assert constants.keys() == later.keys()
    assert all(torch.equal(constants[name], later[name]) for name in constants)
    # The newest week that is an origin of training samples: constants follow.
    earlier = fitted(write_example(tmp_path / "earlier", add_usd_from_week=90 - 14, add_usd=1e6), alone)
    assert not torch.equal(constants["parts.0.standardize.mean"], earlier["parts.0.standardize.mean"])


def test_inputs_are_standardized_and_constant_ones_are_dropped(example: Example, alone: Processes) -> None:
    constants = fitted(example, alone)
    factor = constants["parts.0.standardize.factor"]
    assert torch.isfinite(factor).all()
    assert (factor > 0).sum() > 50
    # is known and always known in training: says nothing.
    assert (factor == 0).any()
    assert constants["parts.0.store.known"].tolist() == [1, 2, 3, 4, 5]
