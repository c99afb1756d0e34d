"""Model folder in memory: model.json, and model.onnx checked against its hash."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shelfcast.contracts.model import SERVED_QUANTILES, ModelFeature, ModelManifest
from shelfcast.contracts.results import ErrorType
from shelfcast.contracts.wire import ContractError, read_json
from shelfcast.features.samples import Floats, Integers
from shelfcast.job import UserError, path_of

Role = Literal["candidate", "champion", "simple"]
Quantiles = NDArray[np.float32]

_INPUTS = {"features", "store", "dept", "horizon"}
_OUTPUT = "quantiles"

_ERROR_TYPE: dict[Role, ErrorType] = {
    "candidate": "CandidateFailed",
    "champion": "InvalidInput",
    "simple": "CandidateFailed",
}
_ADVICE: dict[Role, str] = {
    "candidate": "start the run again, so that a new model is trained",
    "champion": "restore its folder, or move the alias champion to another version or remove it",
    "simple": "start the run again, so that a new model is trained",
}


@dataclass(frozen=True)
class Model:
    """Loaded model.

    Attributes:
        role: Role in this backtest.
        manifest: Content of model.json.
        columns: Column of each of its features in the matrix of the training data.
    """

    role: Role
    manifest: ModelManifest
    columns: list[int]
    _session: Any

    @property
    def horizon_weeks(self) -> int:
        """Largest number of weeks ahead that the model forecasts."""
        return self.manifest.horizon_weeks

    def column_of(self, quantile: float) -> int:
        """Returns the column of the quantile in the result of ``predict``."""
        return self.manifest.quantiles.index(quantile)

    def predict(self, matrix: Floats, store: Integers, dept: Integers, horizon: Integers) -> Quantiles:
        """Returns the quantiles in US dollars, [N, Q], in the order of the manifest.

        Args:
            matrix: All features of the training data, in their order, [N, F]; the model selects its own.
            store: Store number, [N].
            dept: Department number, [N].
            horizon: Weeks ahead, [N].

        Raises:
            UserError: The output's type or shape does not follow the contract.
        """
        features = np.ascontiguousarray(matrix[:, self.columns])
        inputs = {"features": features, "store": store, "dept": dept, "horizon": horizon}
        quantiles: Quantiles = self._session.run([_OUTPUT], inputs)[0]
        wanted = (len(store), len(self.manifest.quantiles))
        if quantiles.dtype != np.float32 or quantiles.shape != wanted:
            raise UserError(
                _ERROR_TYPE[self.role],
                f"the {self.role} answers {quantiles.dtype} {list(quantiles.shape)}, contracts/model.ts "
                f"wants float32 {list(wanted)}; {_ADVICE[self.role]}",
            )
        return quantiles


def load_model(uri: str, role: Role, dataset: str, features: Sequence[ModelFeature]) -> Model:
    """Loads a model for training data with these features.

    Raises:
        UserError: A file is missing or damaged, the graph does not follow the contract, or the model belongs
            to another data set or needs a feature that the training data lack.
    """
    folder = path_of(uri)
    try:
        manifest = read_json(ModelManifest, folder / "model.json")
        graph = (folder / "model.onnx").read_bytes()
    except (FileNotFoundError, json.JSONDecodeError, ContractError) as error:
        raise _refusal(role, folder, f"cannot be read: {error}") from error
    digest = hashlib.sha256(graph).hexdigest()
    if digest != manifest.onnx_sha256:
        raise _refusal(
            role,
            folder,
            f"is damaged or is not what was trained: model.onnx has the SHA-256 {digest}, "
            f"model.json says {manifest.onnx_sha256}",
        )
    if manifest.dataset != dataset:
        raise _refusal(role, folder, f"was trained on the data set {manifest.dataset!r}, not on {dataset!r}")
    if lacking := [quantile for quantile in SERVED_QUANTILES if quantile not in manifest.quantiles]:
        raise _refusal(role, folder, f"lacks the quantiles {lacking}")
    return Model(
        role=role,
        manifest=manifest,
        columns=_columns(role, folder, manifest.features, features),
        _session=_session(role, folder, graph),
    )


def _columns(
    role: Role, folder: Path, wanted: list[ModelFeature], features: Sequence[ModelFeature]
) -> list[int]:
    # Name, view and column must agree: a name with another column is another feature.
    if lacking := [feature.name for feature in wanted if feature not in features]:
        raise _refusal(role, folder, f"needs the features {', '.join(lacking)}, which the training data lack")
    return [features.index(feature) for feature in wanted]


def _session(role: Role, folder: Path, graph: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # The session is made of the bytes that were hashed: the file may change in between.
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    inputs = {node.name for node in session.get_inputs()}
    outputs = {node.name for node in session.get_outputs()}
    if inputs != _INPUTS or _OUTPUT not in outputs:
        raise _refusal(
            role,
            folder,
            f"has the inputs {sorted(inputs)} and the outputs {sorted(outputs)}; contracts/model.ts wants "
            f"{sorted(_INPUTS)} and {_OUTPUT!r}",
        )
    return session


def _refusal(role: Role, folder: Path, reason: str) -> UserError:
    return UserError(_ERROR_TYPE[role], f"the {role} in {folder} {reason}; {_ADVICE[role]}")
