"""The model's folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pytest
import torch
from train_example import Example

from shelfcast.models.global_model import GlobalModel
from shelfcast.models.presets import PRESETS, build_network
from shelfcast.train.data import Shard, read_shard
from shelfcast.train.export import INPUTS, check_graph, to_onnx, write_model
from shelfcast.train.minibatch import BatchReader


@pytest.fixture(scope="module")
def shard(example: Example) -> Shard:
    return read_shard(example.spec, 0, 1)


@pytest.fixture(scope="module")
def model(shard: Shard) -> GlobalModel:
    torch.manual_seed(3)
    model = GlobalModel(shard.table.features, [1, 2, 3], [1, 2], 4)
    with torch.no_grad():
        for member in model.members:
            member.head.weight.normal_(std=0.2)
    model.size_edges_usd.copy_(torch.tensor([500.0, 1_000.0, 2_000.0, 4_000.0]))
    model.widening.copy_(torch.rand_like(model.widening) + 0.5)
    return model.eval()


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, example: Example, model: GlobalModel, shard: Shard
) -> Path:
    folder = tmp_path_factory.mktemp("model") / "model"
    write_model(folder, model, shard.table, shard.validation, example.spec)
    return folder


def inputs(shard: Shard, rows: int) -> dict[str, np.ndarray]:
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation.take(slice(0, rows)))
    return dict(zip(INPUTS, (array.numpy() for array in batch.inputs), strict=True))


def expected(model: GlobalModel, fed: dict[str, np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return model(*(torch.from_numpy(array) for array in fed.values())).numpy()


@pytest.mark.parametrize("rows", [1, 2, 257])
def test_onnxruntime_answers_as_torch(folder: Path, model: GlobalModel, shard: Shard, rows: int) -> None:
    fed = inputs(shard, rows)
    fed["features"][0, :40] = np.nan
    fed["store"][0] = 12_345
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["quantiles"], fed)[0]
    assert found.shape == (rows, 5)
    np.testing.assert_allclose(found, expected(model, fed), rtol=1e-4, atol=0.01)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_graph_of_every_preset_answers_as_its_network(preset: str, shard: Shard) -> None:
    torch.manual_seed(4)
    network = build_network(preset, shard.table.features, [1, 2, 3], [1, 2], 4).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    check_graph(to_onnx(network), network, shard.table, shard.validation)


def test_the_same_model_gives_the_same_bytes(model: GlobalModel) -> None:
    assert to_onnx(model) == to_onnx(model)


def test_a_graph_that_answers_differently_is_refused(model: GlobalModel, shard: Shard) -> None:
    graph = to_onnx(model)
    check_graph(graph, model, shard.table, shard.validation)
    with torch.no_grad():
        model.members[0].head.bias += 0.01
    try:
        with pytest.raises(RuntimeError, match="differs from the model"):
            check_graph(graph, model, shard.table, shard.validation)
    finally:
        with torch.no_grad():
            model.members[0].head.bias -= 0.01


def test_a_process_without_validation_samples_compares_other_rows(
    tmp_path: Path,
    folder: Path,
    example: Example,
    model: GlobalModel,
    shard: Shard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = to_onnx(model)
    none = shard.validation.take(slice(0, 0))
    write_model(tmp_path / "model", model, shard.table, none, example.spec)
    assert (tmp_path / "model" / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    with torch.no_grad():
        model.members[0].head.bias += 0.01
    monkeypatch.setattr("shelfcast.train.export.to_onnx", lambda _: graph)
    try:
        with pytest.raises(RuntimeError, match="differs from the model"):
            write_model(tmp_path / "model", model, shard.table, none, example.spec)
    finally:
        with torch.no_grad():
            model.members[0].head.bias -= 0.01


def test_model_json_follows_the_contract(folder: Path, example: Example) -> None:
    manifest = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert manifest == {
        "formatVersion": 1,
        "preset": "global",
        "dataset": "example",
        "feastProject": "example",
        "snapshotId": "example-1-000000000000",
        "featureSetVersion": example.spec.feature_set_version,
        "horizonWeeks": 4,
        "quantiles": [0.025, 0.1, 0.5, 0.9, 0.975],
        "features": json.loads((example.folder / "features.json").read_text(encoding="utf-8"))["features"],
        "onnxSha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
    }


def test_mlflow_loads_the_folder(folder: Path, model: GlobalModel, shard: Shard) -> None:
    fed = inputs(shard, 5)
    assert mlflow.onnx.load_model(str(folder)).graph.output[0].name == "quantiles"
    loaded = mlflow.pyfunc.load_model(str(folder))
    np.testing.assert_allclose(loaded.predict(fed)["quantiles"], expected(model, fed), rtol=1e-4, atol=0.01)
    names = [column.name for column in loaded.metadata.get_input_schema()]
    assert names == ["features", "store", "dept", "horizon"]


def test_a_folder_of_an_earlier_attempt_is_replaced(
    folder: Path, example: Example, model: GlobalModel, shard: Shard
) -> None:
    before = (folder / "model.onnx").read_bytes()
    (folder / "left-over").touch()
    write_model(folder, model, shard.table, shard.validation, example.spec)
    assert (folder / "model.onnx").read_bytes() == before
    assert not (folder / "left-over").exists()
