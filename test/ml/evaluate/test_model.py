from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from evaluate_folders import DATASET, FEATURES, linear_graph, write_model

from shelfcast.evaluate.model import Model, Role, load_model
from shelfcast.job import UserError

WEIGHTS = {"sales_0": 1.0, "week_of_year": 2.0}


def load(folder: Path, role: Role = "champion") -> Model:
    return load_model(folder.as_uri(), role, DATASET, FEATURES)


def refusal(folder: Path, role: Role = "champion") -> UserError:
    with pytest.raises(UserError) as caught:
        load(folder, role)
    return caught.value


def replace_graph(folder: Path, graph: bytes) -> None:
    manifest = json.loads((folder / "model.json").read_text())
    manifest["onnxSha256"] = hashlib.sha256(graph).hexdigest()
    (folder / "model.json").write_text(json.dumps(manifest))
    (folder / "model.onnx").write_bytes(graph)


def test_a_model_takes_its_own_columns(tmp_path: Path) -> None:
    model = load(write_model(tmp_path / "model", WEIGHTS))
    matrix = np.arange(2.0 * len(FEATURES)).reshape(2, -1)
    one = np.ones(2, np.int64)
    names = [feature.name for feature in FEATURES]
    wanted = matrix[:, names.index("sales_0")] + 2 * matrix[:, names.index("week_of_year")] + 11
    answers = model.predict(matrix, one, one, one)
    np.testing.assert_allclose(answers, np.stack([wanted - 100, wanted, wanted + 100], axis=1))


def test_a_damaged_graph_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", WEIGHTS)
    graph = bytearray((folder / "model.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (folder / "model.onnx").write_bytes(graph)
    error = refusal(folder)
    assert error.type == "InvalidInput"
    assert "is damaged" in str(error)
    assert "restore its folder" in str(error)
    assert refusal(folder, "candidate").type == "CandidateFailed"


@pytest.mark.parametrize("name", ["model.json", "model.onnx"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    folder = write_model(tmp_path / "model", WEIGHTS)
    (folder / name).unlink()
    assert str(folder / name) in str(refusal(folder))


def test_a_feature_that_is_gone_is_named(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", {**WEIGHTS, "moon_phase": 1.0})
    assert "needs the features moon_phase, which the training data lack" in str(refusal(folder))


def test_a_name_over_another_column_is_another_feature(tmp_path: Path) -> None:
    other = {"name": "sales_0", "view": "sales_history", "column": "lag_1"}
    folder = write_model(tmp_path / "model", {"sales_0": 1.0}, features=[other])
    assert "needs the features sales_0, which" in str(refusal(folder))


def test_a_model_of_another_data_set_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", WEIGHTS, dataset="other")
    assert "was trained on the data set 'other', not on 'toy'" in str(refusal(folder))


def test_missing_quantiles_are_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", WEIGHTS, quantiles=[0.1, 0.5, 0.95])
    assert "lacks the quantiles [0.9]" in str(refusal(folder))


def test_a_graph_with_other_inputs_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", WEIGHTS)
    graph = onnx.load_from_string((folder / "model.onnx").read_bytes())
    for node in graph.graph.node:
        node.input[:] = ["shop" if name == "store" else name for name in node.input]
    graph.graph.input[1].name = "shop"
    replace_graph(folder, graph.SerializeToString())
    assert "has the inputs ['dept', 'features', 'horizon', 'shop']" in str(refusal(folder))


def test_an_answer_of_another_shape_is_refused(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "model", WEIGHTS)
    replace_graph(folder, linear_graph([1.0, 2.0], (-2.0, -1.0, 0.0, 1.0)))
    one = np.ones(1, np.int64)
    with pytest.raises(UserError, match=r"answers float32 \[1, 4\].*wants float32 \[1, 3\]"):
        load(folder).predict(np.ones((1, len(FEATURES))), one, one, one)
