"""Properties of each preset's network, beyond those in test_network.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from train_example import Example, result
from train_here import train_here

from shelfcast.contracts.model import ModelManifest
from shelfcast.contracts.results import TrainResult
from shelfcast.contracts.wire import read_json
from shelfcast.features.definitions import FeatureSet
from shelfcast.job import path_of
from shelfcast.models.lstm import Lstm
from shelfcast.models.network import MEDIAN, Network
from shelfcast.models.presets import PRESETS, build_network
from shelfcast.train.data import read_shard
from shelfcast.train.export import INPUTS, to_onnx
from shelfcast.train.minibatch import BatchReader

FEATURES = FeatureSet(4).model_features
NAMES = [feature.name for feature in FEATURES]


def untrained(preset: str, seed: int = 3) -> Network:
    torch.manual_seed(seed)
    model = build_network(preset, FEATURES, [1, 2, 3], [1, 2], 4).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_graph_answers_any_number_of_rows_as_torch_and_has_the_same_bytes_again(
    example: Example, preset: str
) -> None:
    model = untrained(preset)
    graph = to_onnx(model)
    assert to_onnx(untrained(preset)) == graph
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    shard = read_shard(example.spec, 0, 1)
    for rows in (1, 2, 257):
        batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation.take(slice(0, rows)))
        batch.inputs[0][0, :40] = torch.nan
        batch.inputs[1][0] = 12_345
        fed = dict(zip(INPUTS, (array.numpy() for array in batch.inputs), strict=True))
        with torch.no_grad():
            expected = model(*batch.inputs).numpy()
        np.testing.assert_allclose(session.run(["quantiles"], fed)[0], expected, rtol=1e-4, atol=0.01)


# Those of "global" are in test_train_job.py, those of "ensemble" in test_fit_trees.py.
@pytest.mark.parametrize("preset", ["lstm", "mlp-11"])
def test_two_trainings_give_the_same_bytes(example: Example, tmp_path: Path, preset: str) -> None:
    options = {"preset": preset, "maxEpochs": 1, "processes": 1}
    one = example.job(tmp_path / "one", **options)
    # Nor does the simple forecast beside it change the network.
    other = example.job(tmp_path / "other", **options, withReplacements=True)
    command = [sys.executable, "-m", "shelfcast.train", "--dir", one.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    # A process that has trained others before gives the same as one of its own.
    assert train_here(other) == 0
    trained = read_json(TrainResult, other / "result.json")
    assert trained.model_hash == result(one)["modelHash"]
    assert "simpleForecasts" not in result(one)
    assert trained.simple_forecasts is not None
    assert {"naive", "seasonal_naive"} <= {simple.name for simple in trained.simple_forecasts}
    errors = [simple.validation_wmae for simple in trained.simple_forecasts]
    assert errors == sorted(errors)
    for simple in trained.simple_forecasts:
        manifest = read_json(ModelManifest, path_of(simple.model_uri) / "model.json")
        assert manifest.onnx_sha256 == simple.model_hash
        assert simple.name.startswith(manifest.preset)
    wide = trained.wide_intervals
    assert wide is not None
    assert wide.factor > 1
    shard = read_shard(example.spec, 0, 1)
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation)
    fed = dict(zip(INPUTS, (array.numpy() for array in batch.inputs), strict=True))
    widths = []
    for uri in (trained.model_uri, wide.model_uri):
        session = onnxruntime.InferenceSession(
            path_of(uri) / "model.onnx", providers=["CPUExecutionProvider"]
        )
        quantiles = session.run(["quantiles"], fed)[0]
        widths.append(quantiles[:, MEDIAN + 1] - quantiles[:, MEDIAN])
    np.testing.assert_allclose(widths[1], wide.factor * widths[0], rtol=1e-3, atol=0.1)


def sample(**values: float) -> torch.Tensor:
    """A steady series that sells 1000 USD a week; some values changed."""
    steady = {
        name: 1_000.0 for name in NAMES if name.startswith(("sales", "lag", "rolling", "last", "dept_"))
    }
    return torch.tensor([[{**steady, **values}.get(name, torch.nan) for name in NAMES]], dtype=torch.float64)


@torch.no_grad()
def median(model: Network, features: torch.Tensor) -> float:
    one = torch.ones(1, dtype=torch.int64)
    return float(model(features, one, one, one)[0, MEDIAN])


def test_the_ensemble_forecasts_the_mean_of_its_networks() -> None:
    model = untrained("ensemble")
    model.shares.copy_(torch.tensor([0.4, 0.0, 0.3, 0.3]))
    parts = []
    for start in (0, 2, 4):
        part = build_network("global", FEATURES, [1, 2, 3], [1, 2], 4).eval()
        part.shares.copy_(torch.tensor([0.4, 0.3, 0.3]))
        for own, other in zip(part.members, list(model.members)[start : start + 2], strict=True):
            own.load_state_dict(other.state_dict())
        parts.append(median(part, sample(last_year=1_500.0)))
    assert len(set(parts)) == 3
    assert median(model, sample(last_year=1_500.0)) == pytest.approx(sum(parts) / 3, rel=1e-5)


def test_the_lstm_reads_weeks_of_series_and_department_in_their_order() -> None:
    torch.manual_seed(5)
    layer = Lstm(FEATURES, [1], [1], 4).members[0].body
    inputs = torch.randn(4, layer.layers[0].in_features + 39 - layer.cell.hidden_size)
    # Series 0-12, known 13-25, last year and known 26-35, department 36-48; newest week first.
    weeks = torch.stack([inputs[:, start : start + 13].flip(1) for start in (0, 13, 36)], dim=2)
    whole = torch.nn.LSTM(3, layer.cell.hidden_size, batch_first=True)
    whole.load_state_dict({f"{name}_l0": value for name, value in layer.cell.state_dict().items()})
    _, (state, _) = whole(weeks)
    beside = torch.cat([state[0], inputs[:, 26:36], inputs[:, 49:]], dim=1)
    torch.testing.assert_close(layer(inputs), layer.layers(beside))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_network_computes_on_another_device_than_the_cpu(preset: str) -> None:
    # It computes shapes alone, and refuses what lies on the CPU as a GPU does.
    device = torch.device("meta")
    model = untrained(preset).to(device)
    ids = torch.ones(3, dtype=torch.int64, device=device)
    inputs = torch.ones(3, len(FEATURES), dtype=torch.float64, device=device), ids, ids, ids
    assert model(*inputs).device == device
    assert model.member_quantiles(*inputs).device == device
    # A simple forecast has no weights.
    if list(model.parameters()):
        model.member_quantiles(*inputs).sum().backward()
