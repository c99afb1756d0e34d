"""Regression trees fitted by LightGBM, as one ONNX operator.

The exported graph contains the operator; in training, ONNX Runtime evaluates the same operator, ten times
faster than torch operations could. A sample goes left at a node if its input is at most the node's threshold.
Inputs are float32, so rounding thresholds down to float32 changes no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from shelfcast.contracts.model import ModelFeature
from shelfcast.features.feature_groups import DOLLARS, used_names
from shelfcast.models.feature_values import FeatureValues, feature_columns
from shelfcast.models.network import Inputs

if TYPE_CHECKING:
    # The import takes a second; only this preset needs it.
    import lightgbm

#: Opset of ONNX-ML: the newest version in which TreeEnsembleRegressor is not deprecated.
CUSTOM_OPSETS = {"ai.onnx.ml": 3}
_OPERATOR = "TreeEnsembleRegressor"
_ONNX_IR_VERSION = 8

#: Attributes of TreeEnsembleRegressor except ``n_targets``, one entry a node or leaf:
#: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
Attributes = dict[str, list[Any]]


class Trees(nn.Module):
    """Fitted trees and the preparation of their inputs; they forecast 0 until ``set_trees`` is called.

    US dollars are divided by the level, so small and large series share one tree.
    """

    def __init__(self, features: Sequence[ModelFeature]) -> None:
        super().__init__()
        used = used_names("ensemble", features)
        self._columns = feature_columns(features)
        self._names = [name for name in self._columns if name in used]
        dollars = [name in DOLLARS for name in self._names]
        self.register_buffer("_dollars", torch.tensor(dollars), persistent=False)
        self._fitted: _Fitted | None = None

    def set_trees(self, attributes: Attributes) -> None:
        """Sets the trees; see ``attributes_of``."""
        self._fitted = _Fitted(attributes)

    def inputs(self, samples: Inputs, level: Tensor) -> Tensor:
        """Returns the trees' inputs: features, store, department and weeks ahead, float [N, I]."""
        features, store, dept, horizon = samples
        values, known = FeatureValues(self._columns, features).matrix(self._names)
        values = torch.where(self.get_buffer("_dollars"), values / level[:, None], values)
        keys = torch.stack([store, dept, horizon], dim=1).float()
        return torch.cat([torch.where(known, values, torch.nan), keys], dim=1)

    def forward(self, samples: Inputs, level: Tensor) -> Tensor:
        """Returns the forecasts of N samples, US dollars [N]."""
        if self._fitted is None:
            return torch.zeros_like(level)
        output: Tensor = _Evaluate.apply(self.inputs(samples, level), self._fitted)
        return output[:, 0] * level


class _Fitted:
    """Fitted trees, ready for inference."""

    def __init__(self, attributes: Mapping[str, list[Any]]) -> None:
        self.attributes = attributes
        self._session = onnxruntime.InferenceSession(
            _graph_of(attributes), _one_thread(), providers=["CPUExecutionProvider"]
        )

    def predict(self, inputs: Tensor) -> Tensor:
        """Returns the sum over all trees [N, 1] for inputs [N, I]."""
        (output,) = self._session.run(None, {"inputs": inputs.cpu().numpy()})
        return torch.from_numpy(output).to(inputs.device)


def _one_thread() -> onnxruntime.SessionOptions:
    """Returns options with one thread: sums in a fixed order, so the same inputs give the same bits."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _graph_of(attributes: Mapping[str, list[Any]]) -> bytes:
    domain, version = next(iter(CUSTOM_OPSETS.items()))
    node = onnx.helper.make_node(
        _OPERATOR, ["inputs"], ["forecast"], domain=domain, n_targets=1, **attributes
    )
    inputs, forecast = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", None])
        for name in ("inputs", "forecast")
    )
    graph = onnx.helper.make_graph([node], "trees", [inputs], [forecast])
    opset = onnx.helper.make_opsetid(domain, version)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_ONNX_IR_VERSION)
    result: bytes = model.SerializeToString()
    return result


class _Evaluate(torch.autograd.Function):
    """Evaluates the trees; in the exported graph it becomes the operator."""

    @staticmethod
    def forward(_: Any, inputs: Tensor, fitted: _Fitted) -> Tensor:
        """Maps inputs [N, I] to [N, 1]."""
        return fitted.predict(inputs)

    @staticmethod
    def symbolic(graph: Any, inputs: Any, fitted: _Fitted) -> Any:
        """Adds the operator to the graph and returns its output, float [rows, 1]."""
        # The exporter expects the type of each attribute as a suffix: _i, _f or _s.
        attributes = {
            f"{name}_{type(values[0]).__name__[0]}": values for name, values in fitted.attributes.items()
        }
        output = graph.op(f"ai.onnx.ml::{_OPERATOR}", inputs, n_targets_i=1, **attributes)
        return output.setType(inputs.type().with_sizes([None, 1]))


def attributes_of(booster: lightgbm.Booster) -> Attributes:
    """Returns a booster's trees as attributes of the operator."""
    nodes: list[dict[str, Any]] = []
    leaves: list[tuple[int, int, float]] = []

    def add(tree: int, node: dict[str, Any], first: int) -> int:
        """Adds a node and its descendants; returns the node's id within its tree.

        Args:
            tree: Id of the tree.
            node: The node, as LightGBM dumps it.
            first: Index of the tree's root in ``nodes``.
        """
        index = len(nodes)
        number = index - first
        row = {"treeids": tree, "nodeids": number, "modes": "LEAF", "featureids": 0, "values": 0.0}
        row |= {"truenodeids": 0, "falsenodeids": 0, "missing_value_tracks_true": 0}
        nodes.append(row)
        if "split_feature" not in node:
            leaves.append((tree, number, node["leaf_value"]))
            return number
        threshold = node["threshold"]
        # LightGBM treats a missing value as 0 where training had no missing ones.
        missing_left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
        nodes[index] = row | {
            "modes": "BRANCH_LEQ",
            "featureids": node["split_feature"],
            "values": _rounded_down(threshold),
            "truenodeids": add(tree, node["left_child"], first),
            "falsenodeids": add(tree, node["right_child"], first),
            "missing_value_tracks_true": int(missing_left),
        }
        return number

    for tree, info in enumerate(booster.dump_model()["tree_info"]):
        add(tree, info["tree_structure"], len(nodes))
    trees, numbers, values = (list(column) for column in zip(*leaves, strict=True))
    return {
        **{f"nodes_{name}": [node[name] for node in nodes] for name in nodes[0]},
        "target_treeids": trees,
        "target_nodeids": numbers,
        "target_ids": [0] * len(leaves),
        "target_weights": [float(value) for value in values],
    }


def _rounded_down(value: float) -> float:
    """Returns the largest float32 up to a value."""
    nearest = np.float32(min(value, float(np.finfo(np.float32).max)))
    # Compared as Python floats: NumPy would first round the value to float32.
    return float(nearest if float(nearest) <= value else np.nextafter(nearest, np.float32(-np.inf)))
