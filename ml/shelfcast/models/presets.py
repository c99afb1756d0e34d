"""Constructors of the models, by preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from shelfcast.contracts.model import ModelFeature
from shelfcast.contracts.specs import Preset
from shelfcast.models.ensemble import Ensemble
from shelfcast.models.global_model import GlobalModel
from shelfcast.models.lstm import Lstm
from shelfcast.models.mlp_11 import Mlp11
from shelfcast.models.network import Network
from shelfcast.models.simple import FORMULAS, SimpleForecast

_Ids = Sequence[int]
_Constructor = Callable[[Sequence[ModelFeature], _Ids, _Ids, int], Network]


def _simple(preset: Preset) -> _Constructor:
    return lambda features, _stores, _depts, horizon_weeks: SimpleForecast(
        FORMULAS[preset], features, horizon_weeks
    )


PRESETS: dict[Preset, _Constructor] = {
    "ensemble": Ensemble,
    "global": GlobalModel,
    "lstm": Lstm,
    "mlp-11": Mlp11,
    **{preset: _simple(preset) for preset in FORMULAS},
}


def build_network(
    preset: Preset, features: Sequence[ModelFeature], stores: _Ids, depts: _Ids, horizon_weeks: int
) -> Network:
    """Returns the untrained model of a preset.

    Args:
        preset: Name of the preset.
        features: All features of the training data, in the order of the matrix.
        stores: Stores with training samples.
        depts: Departments with training samples.
        horizon_weeks: Largest number of weeks ahead.
    """
    return PRESETS[preset](features, stores, depts, horizon_weeks)
