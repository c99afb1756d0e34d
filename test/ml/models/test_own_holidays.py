"""Networks of a data set with holidays of its own read these, and not the American ones."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from shelfcast.contracts.specs import Preset
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.feature_groups import covariate_names, preset_features
from shelfcast.features.own_holidays import (
    COVARIATES,
    DEPT_SEASON,
    HOLIDAY_AHEAD,
    LAST_YEAR,
    holiday_flag,
)
from shelfcast.features.preset_features import preset_features as simple_features
from shelfcast.models.network import MEDIAN, Network
from shelfcast.models.presets import PRESETS, build_network
from shelfcast.models.simple import FORMULAS

HORIZON = 4
#: Presets of networks; a simple forecast reads no holiday.
LEARNED = [preset for preset in PRESETS if preset not in FORMULAS]
OWN, PLAIN = FeatureSet(HORIZON, COVARIATES), FeatureSet(HORIZON)
NAMES = [feature.name for feature in OWN.model_features]
AMERICAN = [
    name
    for name in NAMES
    if name.startswith(("is_holiday", "weeks_to_", "is_"))
    and not name.endswith(("christmas", "easter", "missing"))
]


def network(preset: Preset) -> Network:
    torch.manual_seed(5)
    built = build_network(preset, OWN.model_features, [1, 2], [1, 2], HORIZON)
    for tensor in built.parameters():
        tensor.data += 0.1 * torch.randn_like(tensor)
    return built.eval()


def medians(built: Network, changed: Mapping[str, float]) -> Tensor:
    """Returns the medians of a few samples in which some features have another value."""
    generator = torch.Generator().manual_seed(1)
    features = 100 + 20 * torch.rand(6, len(NAMES), dtype=torch.float64, generator=generator)
    features[:, NAMES.index(HOLIDAY_AHEAD)] = 0
    features[:, NAMES.index("christmas_shift")] = 0
    for name, value in changed.items():
        features[:, NAMES.index(name)] = value
    ids = torch.ones(6, dtype=torch.int64)
    with torch.no_grad():
        return built(features, ids, ids, ids)[:, MEDIAN]


@pytest.mark.parametrize("preset", LEARNED)
def test_own_flags_move_the_forecasts_and_american_ones_do_not(preset: Preset) -> None:
    built = network(preset)
    usual = medians(built, {})
    assert "weeks_to_super_bowl" in AMERICAN
    assert torch.equal(medians(built, dict.fromkeys(AMERICAN, 1.0)), usual)
    assert not torch.equal(medians(built, {HOLIDAY_AHEAD: 1.0}), usual)
    # An unknown flag is no error.
    assert torch.isfinite(medians(built, {HOLIDAY_AHEAD: float("nan")})).all()


@pytest.mark.parametrize("preset", ["global", "lstm", "ensemble", "seasonal_average"])
def test_last_year_is_that_of_the_week_with_the_same_holiday(preset: Preset) -> None:
    built = network(preset)
    usual = medians(built, {})
    assert (medians(built, {"last_year_alike": 400.0}) > usual).all()
    unknown = {"last_year_alike": float("nan")}
    assert torch.equal(medians(built, unknown | {"last_year": 110.0}), medians(built, _both(110.0)))


def _both(value: float) -> dict[str, float]:
    return dict.fromkeys(("last_year", "last_year_alike"), value)


def test_holidays_of_its_own_are_no_covariates_that_loosen_the_network() -> None:
    assert covariate_names(OWN.model_features) == []


@pytest.mark.parametrize("preset", LEARNED)
def test_the_features_of_a_preset_are_those_that_its_network_reads(preset: Preset) -> None:
    def used(features: FeatureSet) -> set[str]:
        return {feature.name for feature in preset_features(preset, features)}

    assert holiday_flag(used(OWN)) == HOLIDAY_AHEAD
    assert not used(OWN) & set(AMERICAN)
    assert "is_holiday" in used(PLAIN)


@pytest.mark.parametrize("preset", FORMULAS)
def test_a_simple_forecast_with_a_season_reads_that_of_the_week_that_is_alike(preset: Preset) -> None:
    used = {feature.name for feature in simple_features(preset, OWN)}
    assert (LAST_YEAR in used) == (preset in ("seasonal_average", "simple"))
    assert (DEPT_SEASON in used) == (preset in ("seasonal_average", "structural", "simple"))
    assert not {LAST_YEAR, DEPT_SEASON} & {feature.name for feature in simple_features(preset, PLAIN)}
