"""Small folders of the documented layouts: training data, models, oracle; all can be computed by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper

from shelfcast.calendar import calendar_features, week_range
from shelfcast.contracts.model import ModelFeature
from shelfcast.contracts.wire import encode

Sales = dict[tuple[int, int, date], float]

WEEK = timedelta(days=7)
YEAR = timedelta(weeks=52)
HORIZONS = 3
#: 70 weeks; the last is that of Thanksgiving.
WEEKS = week_range(date(2024, 8, 2), date(2025, 11, 28))
STORES = (1, 2, 3)
DEPTS = (1, 2)
DATASET = "toy"

#: The views are mixed on purpose, unlike in the project's own list.
FEATURES: list[ModelFeature] = [
    ModelFeature(name="is_holiday", view="calendar", column="is_holiday"),
    ModelFeature(name="last_year", view="sales_history", column="last_year_h{horizon}"),
    ModelFeature(name="sales_0", view="sales_history", column="sales_0"),
    ModelFeature(name="temperature", view="store_externals", column="temperature"),
    ModelFeature(name="week_of_year", view="calendar", column="week_of_year"),
    ModelFeature(name="rolling_mean_52", view="sales_history", column="rolling_mean_52"),
    ModelFeature(name="last_year_after", view="sales_history", column="last_year_after_h{horizon}"),
    ModelFeature(name="type_code", view="store_attributes", column="type_code"),
    ModelFeature(name="weeks_since_first", view="sales_history", column="weeks_since_first"),
]


def toy_sales() -> Sales:
    """Returns sales that differ by row; series (3, 2) lacks a week that a test week looks back at."""
    sales = {
        (store, dept, week): 1000.0 * store + 100.0 * dept + 3.0 * n + 40.0 * (n * store % 5)
        for store in STORES
        for dept in DEPTS
        for n, week in enumerate(WEEKS)
    }
    del sales[3, 2, WEEKS[-1] - YEAR]
    return sales


def feature_columns(sales: Sales, store: int, dept: int, origin: date) -> dict[str, float | None]:
    """Returns the columns of a row of series-*.parquet beside its keys."""
    known = [
        sales[store, dept, w] for w in (origin - n * WEEK for n in range(52)) if (store, dept, w) in sales
    ]
    first = min(week for *key, week in sales if key == [store, dept])
    ahead = {
        f"{name}_h{h}": sales.get((store, dept, origin + h * WEEK - back))
        for h in range(1, HORIZONS + 1)
        for name, back in (("target", timedelta()), ("last_year", YEAR), ("last_year_after", YEAR - WEEK))
    }
    return {
        "type_code": float(store),
        "temperature": None if store == 2 else 50.0 + origin.month,
        "sales_0": sales[store, dept, origin],
        "rolling_mean_52": sum(known) / len(known),
        "weeks_since_first": float((origin - first).days // 7),
        **ahead,
    }


def write_training_data(
    folder: Path, sales: Sales, features: Sequence[ModelFeature] = FEATURES, files: int = 3
) -> Path:
    """Writes the folder that shelfcast.features.training_data documents."""
    folder.mkdir(parents=True)
    rows = [
        {"store": store, "dept": dept, "origin": origin, **feature_columns(sales, store, dept, origin)}
        for store, dept, origin in sorted(sales)
    ]
    series = sorted({(row["store"], row["dept"]) for row in rows})
    names = [name for name in rows[0] if name not in ("store", "dept", "origin")]
    keys = [("store", pa.int64()), ("dept", pa.int64()), ("origin", pa.date32())]
    schema = pa.schema([*keys, *((name, pa.float64()) for name in names)])
    for number in range(files):
        mine = [row for row in rows if series.index((row["store"], row["dept"])) % files == number]
        pq.write_table(pa.Table.from_pylist(mine, schema), folder / f"series-{number:02}.parquet")
    weeks = week_range(WEEKS[0], WEEKS[-1] + 60 * WEEK)
    calendar = [{"week": week, **calendar_features(week)} for week in weeks]
    pq.write_table(pa.Table.from_pylist(calendar), folder / "calendar.parquet")
    description = {"featureSetVersion": "f00", "horizonWeeks": HORIZONS, "features": list(features)}
    (folder / "features.json").write_text(json.dumps(encode(description)))
    return folder


def linear_graph(weights: Sequence[float], spread: Sequence[float], broken_horizon: int = -1) -> bytes:
    """Returns a graph: sum of weight x feature (0 if missing) + 7 store + 3 dept + horizon + spread.

    Answers infinity ``broken_horizon`` weeks ahead.
    """

    def constant(name: str, values: object, kind: type = np.float64) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, dtype=kind), name)

    keys = {"store": 7.0, "dept": 3.0, "horizon": 1.0}
    nodes = [
        helper.make_node("IsNaN", ["features"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "features"], ["filled"]),
        helper.make_node("MatMul", ["filled", "weights"], ["from_features"]),
        helper.make_node("Equal", ["horizon", "broken_horizon"], ["broken"]),
        helper.make_node("Where", ["broken", "infinity", "zero"], ["start"]),
    ]
    total = "start"
    for name in keys:
        nodes += [
            helper.make_node("Cast", [name], [f"{name}_double"], to=TensorProto.DOUBLE),
            helper.make_node("Mul", [f"{name}_double", f"{name}_weight"], [f"{name}_part"]),
            helper.make_node("Add", [total, f"{name}_part"], [f"with_{name}"]),
        ]
        total = f"with_{name}"
    nodes += [
        helper.make_node("Add", ["from_features", total], ["middle"]),
        helper.make_node("Unsqueeze", ["middle", "last_axis"], ["column"]),
        helper.make_node("Add", ["column", "spread"], ["exact"]),
        helper.make_node("Cast", ["exact"], ["quantiles"], to=TensorProto.FLOAT),
    ]
    initializers = [
        constant("zero", 0.0),
        constant("infinity", np.inf),
        constant("weights", weights),
        constant("broken_horizon", broken_horizon, np.int64),
        constant("spread", [spread]),
        constant("last_axis", [1], np.int64),
        *(constant(f"{name}_weight", weight) for name, weight in keys.items()),
    ]
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["N", len(weights)]),
        *(helper.make_tensor_value_info(name, TensorProto.INT64, ["N"]) for name in keys),
    ]
    outputs = [helper.make_tensor_value_info("quantiles", TensorProto.FLOAT, ["N", len(spread)])]
    graph = helper.make_graph(nodes, "linear", inputs, outputs, initializers)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def write_model(
    folder: Path,
    weights: Mapping[str, float],
    *,
    spread: Sequence[float] = (-100.0, 0.0, 100.0),
    horizon_weeks: int = HORIZONS,
    broken_horizon: int = -1,
    **changes: Any,
) -> Path:
    """Writes model.onnx and model.json; the features are those of the weights, in their order."""
    folder.mkdir(parents=True)
    graph = linear_graph(list(weights.values()), spread, broken_horizon)
    by_name = {feature.name: feature for feature in FEATURES}
    manifest = {
        "formatVersion": 1,
        "preset": "global",
        "dataset": DATASET,
        "feastProject": "toy",
        "snapshotId": "toy-1-000000000000",
        "featureSetVersion": "f00",
        "horizonWeeks": horizon_weeks,
        "quantiles": [0.1, 0.5, 0.9],
        "features": [
            by_name.get(name, ModelFeature(name=name, view="sales_history", column=name)) for name in weights
        ],
        "onnxSha256": hashlib.sha256(graph).hexdigest(),
        **changes,
    }
    (folder / "model.onnx").write_bytes(graph)
    (folder / "model.json").write_text(json.dumps(encode(manifest)))
    return folder


def write_oracle(path: Path, means: Sales) -> Path:
    """Writes oracle.parquet, its rows in no order."""
    keys = list(means)
    np.random.default_rng(1).shuffle(keys)
    columns = {
        "store": pa.array([int(store) for store, _, _ in keys], pa.int64()),
        "dept": pa.array([int(dept) for _, dept, _ in keys], pa.int64()),
        "week": pa.array([week for _, _, week in keys], pa.date32()),
        "expected_sales": [means[store, dept, week] for store, dept, week in keys],
    }
    pq.write_table(pa.table(columns), path)
    return path
