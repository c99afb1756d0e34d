"""Model manifest: the content of ``model.json``.

Generated from contracts/ by ``npm run generate``; never edited by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from shelfcast.contracts.wire import Bounds

#: Feast feature view; `calendar` is read for the target week, the others for the origin.
View = Literal["sales_history", "store_externals", "store_attributes", "calendar"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFeature:
    """A feature that a model reads.

    Attributes:
        name: Name in the graph and in requests that carry raw features.
        column: Column of the view; `{horizon}` stands for the number of weeks ahead.
    """

    name: str
    view: View
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelScales:
    """Distances of a total's quantiles from its median, as shares of the summed distances of its series.

    Attributes:
        coverage80: Factor for p10 and p90, by weeks ahead.
        coverage95: Factor for p2.5 and p97.5, by weeks ahead.
    """

    coverage80: list[float]
    coverage95: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """Content of model.json.

    Attributes:
        format_version: Version of this format.
        preset: Preset of the model.
        dataset: Name of the data set.
        feast_project: Feast project of the data set.
        snapshot_id: Id of the snapshot that the model was trained on.
        feature_set_version: Version of the feature definitions.
        unit: Unit of the forecasts; absent where they are in USD.
        horizon_weeks: Largest number of weeks ahead that the model answers.
        quantiles: Quantile levels, ascending; contains 0.1, 0.5 and 0.9.
        features: Features in the order of the graph's columns.
        levels: Levels whose totals the model answers; absent from models that were trained without them.
        onnx_sha256: SHA-256 of model.onnx, hex.
    """

    format_version: Literal[1] = 1
    preset: str
    dataset: str
    feast_project: str
    snapshot_id: str
    feature_set_version: str
    unit: str | None = None
    horizon_weeks: Annotated[int, Bounds(1, 9007199254740991)]
    quantiles: list[float]
    features: list[ModelFeature]
    levels: dict[str, LevelScales] | None = None
    onnx_sha256: str


#: Quantiles of an answer: p10, p50 and p90.
SERVED_QUANTILES: tuple[float, ...] = (0.1, 0.5, 0.9)


#: Days by which the newest week of a series may be older than that of all: an older series has ended.
MAX_AGE_DAYS: int = 28


#: Feature, and column of the view sales_history, that is null where the history of the series is estimated.
AGE_FEATURE: str = "weeks_since_first"
