"""Writes a model folder that follows contracts/model.ts and whose forecasts can be computed by hand.

p50 = sum over features i of value_i / 2^i (a missing value is 7) + store / 10 + dept / 100 + horizon / 1000
      + offset; p10 and p90 are 10 below and above, the outer quantiles 30.
A temperature of -999 makes all of them infinite.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = [
    ("lag_1", "sales_history", "lag_1"),
    ("rolling_mean_4", "sales_history", "rolling_mean_4"),
    ("last_year", "sales_history", "last_year_h{horizon}"),
    ("temperature", "store_externals", "temperature"),
    ("store_size", "store_attributes", "size"),
    ("store_type", "store_attributes", "type_code"),
    ("is_holiday", "calendar", "is_holiday"),
    ("week_of_year", "calendar", "week_of_year"),
]
SHARES = {"store": 0.1, "dept": 0.01, "horizon": 0.001}
IMPUTED = 7.0
QUANTILES = [0.025, 0.1, 0.5, 0.9, 0.975]
SPREAD = [-30.0, -10.0, 0.0, 10.0, 30.0]
TEMPERATURE = 3


def constant(name: str, values: object, kind: type = np.float64) -> onnx.TensorProto:
    """Returns an initializer of the graph."""
    return numpy_helper.from_array(np.array(values, dtype=kind), name)


def graph(offset: float, width: int) -> onnx.ModelProto:
    """Returns the graph of so many features; inputs and output as in contracts/model.ts."""
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "imputed", "features"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["weighted"]),
        helper.make_node("Gather", ["filled", "temperature_column"], ["temperature"], axis=1),
        helper.make_node("Equal", ["temperature", "broken_sensor"], ["broken"]),
        helper.make_node("Where", ["broken", "infinity", "offset"], ["start"]),
    ]
    total = "start"
    for name in SHARES:
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_double"], to=TensorProto.DOUBLE),
            helper.make_node("Mul", [f"{name}_double", f"{name}_share"], [f"{name}_part"]),
            helper.make_node("Add", [total, f"{name}_part"], [f"with_{name}"]),
        ]
        total = f"with_{name}"
    nodes += [
        helper.make_node("Add", ["weighted", total], ["middle"]),
        helper.make_node("Unsqueeze", ["middle", "last_axis"], ["column"]),
        helper.make_node("Add", ["column", "spread"], ["exact"]),
        helper.make_node("Cast", ["exact"], ["quantiles"], to=TensorProto.FLOAT),
    ]
    initializers = [
        constant("imputed", IMPUTED),
        constant("weights", [2.0**-i for i in range(width)]),
        constant("temperature_column", TEMPERATURE, np.int64),
        constant("broken_sensor", -999.0),
        constant("infinity", np.inf),
        constant("offset", offset),
        constant("spread", [SPREAD]),
        constant("last_axis", [1], np.int64),
        *(constant(f"{name}_share", share) for name, share in SHARES.items()),
    ]
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["N", width]),
        *(
            helper.make_tensor_value_info(name, TensorProto.INT64, ["N"])
            for name in ("store", "dept", "horizon")
        ),
    ]
    outputs = [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["N", len(SPREAD)])]
    model = helper.make_model(
        helper.make_graph(nodes, "weighted_sum", inputs, outputs, initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model)
    return model


def write(
    folder: Path, offset: float, features: Sequence[tuple[str, str, str]] = FEATURES, **facts: str | int
) -> None:
    """Writes model.onnx and model.json.

    Args:
        folder: Folder for both files.
        offset: Offset of the forecasts, US dollars.
        features: Name, view and column of each.
        **facts: Other values of model.json than those of the golden data set.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = graph(offset, len(features)).SerializeToString()
    (folder / "model.onnx").write_bytes(content)
    manifest = {
        "formatVersion": 1,
        "preset": "global",
        "dataset": "golden",
        "feastProject": "shelfcast_golden",
        "snapshotId": "golden-1-000000000000",
        "featureSetVersion": "1",
        "horizonWeeks": 12,
        "quantiles": QUANTILES,
        "features": [{"name": name, "view": view, "column": column} for name, view, column in features],
        "onnxSha256": hashlib.sha256(content).hexdigest(),
        **facts,
    }
    (folder / "model.json").write_text(json.dumps(manifest, indent=2), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path, help="folder that gets one folder a version: 1, 2, ...")
    parser.add_argument("offsets", type=float, nargs="+", help="offset of each version")
    arguments = parser.parse_args()
    for version, version_offset in enumerate(arguments.offsets, start=1):
        write(arguments.root / str(version), version_offset)
