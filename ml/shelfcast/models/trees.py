"""Regression trees fitted by LightGBM, as one operator of ONNX.

The same operator is in the exported graph and answers here: in torch alone it would take ten times as long. A
sample goes left at a node where its input is at most the node's threshold. Inputs are float32, so thresholds
are rounded down to float32: that changes no decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from shelfcast.features.definitions import ModelFeature
from shelfcast.features.feature_groups import DOLLARS, PRESET_FEATURES, covariate_names
from shelfcast.models.feature_values import FeatureValues, feature_columns
from shelfcast.models.network import Inputs

if TYPE_CHECKING:
    # Takes a second to import, which no other preset pays.
    import lightgbm

#: ONNX' operators for machine learning, in the last version in which TreeEnsembleRegressor is not deprecated.
CUSTOM_OPSETS = {"ai.onnx.ml": 3}
_OPERATOR = "TreeEnsembleRegressor"
_ONNX_IR_VERSION = 8

#: Of the operator, but for ``n_targets``; an entry a node, or a leaf:
#: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsembleRegressor.html
Attributes = dict[str, list[Any]]


class Trees(nn.Module):
    """What the trees see of samples, and what they say; nothing as long as ``grow`` was not called.

    US dollars are in levels, as the forecasts are, so that small and large series share one tree.
    """

    def __init__(self, features: Sequence[ModelFeature]) -> None:
        super().__init__()
        used = PRESET_FEATURES["ensemble"] | set(covariate_names(features))
        self._columns = feature_columns(features)
        self._names = [name for name in self._columns if name in used]
        dollars = [name in DOLLARS for name in self._names]
        self.register_buffer("_dollars", torch.tensor(dollars), persistent=False)
        self._fitted: _Fitted | None = None

    def grow(self, attributes: Attributes) -> None:
        """Sets the trees; see ``attributes_of``."""
        self._fitted = _Fitted(attributes)

    def inputs(self, samples: Inputs, level: Tensor) -> Tensor:
        """Returns what the trees decide by: features, store, department and weeks ahead, float [N, I]."""
        features, store, dept, horizon = samples
        values, known = FeatureValues(self._columns, features).matrix(self._names)
        values = torch.where(self.get_buffer("_dollars"), values / level[:, None], values)
        keys = torch.stack([store, dept, horizon], dim=1).float()
        return torch.cat([torch.where(known, values, torch.nan), keys], dim=1)

    def forward(self, samples: Inputs, level: Tensor) -> Tensor:
        """Returns the forecasts of N samples, US dollars [N]."""
        if self._fitted is None:
            return torch.zeros_like(level)
        said: Tensor = _Evaluate.apply(self.inputs(samples, level), self._fitted)
        return said[:, 0] * level


class _Fitted:
    """Trees that can be asked."""

    def __init__(self, attributes: Mapping[str, list[Any]]) -> None:
        self.attributes = attributes
        self._session = onnxruntime.InferenceSession(
            _graph_of(attributes), _one_thread(), providers=["CPUExecutionProvider"]
        )

    def say(self, inputs: Tensor) -> Tensor:
        """Returns the sums of what all trees say of inputs [N, I], [N, 1]."""
        (said,) = self._session.run(None, {"inputs": inputs.cpu().numpy()})
        return torch.from_numpy(said).to(inputs.device)


def _one_thread() -> onnxruntime.SessionOptions:
    """Returns options by which the same inputs give the same bits on any machine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return options


def _graph_of(attributes: Mapping[str, list[Any]]) -> bytes:
    domain, version = next(iter(CUSTOM_OPSETS.items()))
    node = onnx.helper.make_node(_OPERATOR, ["inputs"], ["said"], domain=domain, n_targets=1, **attributes)
    inputs, said = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["rows", None])
        for name in ("inputs", "said")
    )
    graph = onnx.helper.make_graph([node], "trees", [inputs], [said])
    opset = onnx.helper.make_opsetid(domain, version)
    model = onnx.helper.make_model(graph, opset_imports=[opset], ir_version=_ONNX_IR_VERSION)
    result: bytes = model.SerializeToString()
    return result


class _Evaluate(torch.autograd.Function):
    """Asks the trees; in the exported graph it is the operator itself."""

    @staticmethod
    def forward(_: Any, inputs: Tensor, fitted: _Fitted) -> Tensor:
        """Returns [N, 1] of inputs [N, I]."""
        return fitted.say(inputs)

    @staticmethod
    def symbolic(graph: Any, inputs: Any, fitted: _Fitted) -> Any:
        """Returns the operator."""
        # The exporter wants to know of each attribute whether it is an integer, a float or a string.
        attributes = {
            f"{name}_{type(values[0]).__name__[0]}": values for name, values in fitted.attributes.items()
        }
        said = graph.op(f"ai.onnx.ml::{_OPERATOR}", inputs, n_targets_i=1, **attributes)
        return said.setType(inputs.type().with_sizes([None, 1]))


def attributes_of(booster: lightgbm.Booster) -> Attributes:
    """Returns the trees of a booster as attributes of the operator."""
    nodes: list[dict[str, Any]] = []
    leaves: list[tuple[int, int, float]] = []

    def add(tree: int, node: dict[str, Any], first: int) -> int:
        """Adds a node of a tree, whose root has that place, and all below it; returns its number in it."""
        number, place = len(nodes) - first, len(nodes)
        row = {"treeids": tree, "nodeids": number, "modes": "LEAF", "featureids": 0, "values": 0.0}
        row |= {"truenodeids": 0, "falsenodeids": 0, "missing_value_tracks_true": 0}
        nodes.append(row)
        if "split_feature" not in node:
            leaves.append((tree, number, node["leaf_value"]))
            return number
        threshold = node["threshold"]
        # Where the training had none missing, LightGBM takes a missing value for 0.
        missing_left = node["default_left"] if node["missing_type"] == "NaN" else threshold >= 0
        nodes[place] = row | {
            "modes": "BRANCH_LEQ",
            "featureids": node["split_feature"],
            "values": _rounded_down(threshold),
            "truenodeids": add(tree, node["left_child"], first),
            "falsenodeids": add(tree, node["right_child"], first),
            "missing_value_tracks_true": int(missing_left),
        }
        return number

    for tree, described in enumerate(booster.dump_model()["tree_info"]):
        add(tree, described["tree_structure"], len(nodes))
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
    # In Python's floats: beside a float32, NumPy would make one of the value too.
    return float(nearest if float(nearest) <= value else np.nextafter(nearest, np.float32(-np.inf)))
