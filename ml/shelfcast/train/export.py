"""Export of the model folder: ONNX graph, manifest for predictors, and the files of MLflow's format."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from shelfcast.contracts.model import ModelManifest
from shelfcast.contracts.specs import TrainSpec
from shelfcast.features.samples import OriginTable
from shelfcast.job import write_json
from shelfcast.models.network import QUANTILES, Network
from shelfcast.train.data import Samples
from shelfcast.train.minibatch import BatchReader

INPUTS = ("features", "store", "dept", "horizon")
OUTPUT = "quantiles"
_OPSET = 18
#: Maximum difference between graph and model, relative to a row's largest quantile; float32 has 7 digits.
_TOLERANCE = 1e-4
_CHECKED_SAMPLES = 1_000


def write_model(folder: Path, model: Network, table: OriginTable, samples: Samples, spec: TrainSpec) -> str:
    """Writes model.onnx, model.json and the files of MLflow's model format; returns the graph's SHA-256, hex.

    The folder appears atomically and replaces the folder of an earlier attempt. The same model gives the same
    bytes.

    Args:
        folder: Destination.
        model: Calibrated model.
        table: Table of the samples.
        samples: Samples on which graph and model are compared; without any, all rows of the table are.
        spec: Spec of the training.

    Raises:
        RuntimeError: Graph and model differ.
    """
    model = model.cpu().eval()
    graph = to_onnx(model)
    check_graph(graph, model, table, _spread(samples if len(samples) > 0 else _one_week_ahead(table)))
    sha256 = hashlib.sha256(graph).hexdigest()
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    (partial / "model.onnx").write_bytes(graph)
    manifest = ModelManifest(
        preset=spec.preset,
        dataset=spec.snapshot.dataset,
        feast_project=spec.feast_project,
        snapshot_id=spec.snapshot.id,
        feature_set_version=spec.feature_set_version,
        unit=spec.snapshot.unit,
        horizon_weeks=spec.horizon_weeks,
        quantiles=list(QUANTILES),
        features=list(table.features),
        levels=model.level_scales or None,
        onnx_sha256=sha256,
    )
    write_json(partial / "model.json", manifest)
    _write_mlflow_files(partial, len(table.features))
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    return sha256


def _one_week_ahead(table: OriginTable) -> Samples:
    """Returns each row of the table as a sample; the comparison needs no known target."""
    rows = np.arange(len(table.origin))
    return Samples(rows, np.ones_like(rows))


def _spread(samples: Samples) -> Samples:
    """Returns evenly spaced samples, ``_CHECKED_SAMPLES`` at most."""
    count = min(_CHECKED_SAMPLES, len(samples))
    return samples.take(np.linspace(0, len(samples) - 1, count).astype(np.int64))


def to_onnx(model: Network) -> bytes:
    """Returns the graph, by the tracing exporter: it takes 0.3 s, the newer one over 10 s."""
    ids = torch.ones(2, dtype=torch.int64)
    arguments = torch.ones(2, model.feature_count, dtype=torch.float64), ids, ids, ids
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "model.onnx"
        # Deprecation warnings, and tracer warnings about sizes that are constants here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            arguments,
            path,
            dynamo=False,
            opset_version=_OPSET,
            custom_opsets=model.custom_opsets,
            input_names=list(INPUTS),
            output_names=[OUTPUT],
            dynamic_axes={name: {0: "rows"} for name in (*INPUTS, OUTPUT)},
        )
        return _with_all_inputs(path.read_bytes())


def _with_all_inputs(graph: bytes) -> bytes:
    """Adds the inputs that the exporter dropped because the network ignores them.

    Predictors pass all inputs, and ONNX Runtime rejects unknown ones.
    """
    model = onnx.load_from_string(graph)
    missing = [name for name in INPUTS if name not in {value.name for value in model.graph.input}]
    for name in missing:
        model.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["rows"]))
    return model.SerializeToString() if missing else graph


def check_graph(graph: bytes, model: Network, table: OriginTable, samples: Samples) -> None:
    """Compares the outputs of ONNX Runtime and the model.

    Raises:
        RuntimeError: They differ, or are not finite.
    """
    batch = BatchReader(table, torch.device("cpu")).read(samples)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    found = session.run([OUTPUT], dict(zip(INPUTS, (array.numpy() for array in batch.inputs), strict=True)))[
        0
    ]
    with torch.no_grad():
        expected: NDArray[np.float32] = model(*batch.inputs).numpy()
    size = np.abs(expected).max(axis=1, keepdims=True)
    difference = float((np.abs(found - expected) / np.maximum(size, 1)).max())
    if not difference <= _TOLERANCE:
        raise RuntimeError(f"the exported graph differs from the model by {difference:.2g} of a forecast")


def _write_mlflow_files(folder: Path, features: int) -> None:
    """Writes the files of ``mlflow.onnx.save_model``, which imports slowly and adds a time and a random id.

    The files are YAML, of which JSON is a subset.
    """
    requirements = [f"onnx=={onnx.__version__}", f"onnxruntime=={onnxruntime.__version__}"]
    python = ".".join(map(str, sys.version_info[:3]))
    (folder / "requirements.txt").write_text("\n".join(requirements) + "\n", encoding="utf-8")
    environment = {"python": python, "build_dependencies": ["pip"], "dependencies": ["-r requirements.txt"]}
    write_json(folder / "python_env.yaml", environment)

    def tensor(name: str, dtype: str, *columns: int) -> dict[str, Any]:
        return {"name": name, "type": "tensor", "tensor-spec": {"dtype": dtype, "shape": [-1, *columns]}}

    inputs = [tensor("features", "float64", features), *(tensor(name, "int64") for name in INPUTS[1:])]
    write_json(
        folder / "MLmodel",
        {
            "flavors": {
                "onnx": {
                    "data": "model.onnx",
                    "onnx_version": onnx.__version__,
                    "providers": ["CPUExecutionProvider"],
                    "onnx_session_options": None,
                    "code": None,
                },
                "python_function": {
                    "loader_module": "mlflow.onnx",
                    "data": "model.onnx",
                    "env": {"virtualenv": "python_env.yaml"},
                    "python_version": python,
                },
            },
            "signature": {
                "inputs": json.dumps(inputs),
                "outputs": json.dumps([tensor(OUTPUT, "float32", len(QUANTILES))]),
                "params": None,
            },
        },
    )
