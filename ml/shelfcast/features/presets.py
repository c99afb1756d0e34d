"""Which features each preset of a network uses."""

from __future__ import annotations

from collections.abc import Sequence

from shelfcast.features.definitions import (
    LAGS,
    ROLLING_WEEKS,
    STORE_EXTERNALS,
    Feature,
    FeatureSet,
    ModelFeature,
)

#: US dollars of the series itself.
OWN_DOLLARS = (
    "sales_0",
    *(f"lag_{n}" for n in LAGS),
    *(f"rolling_{stat}_{n}" for stat in ("mean", "std", "median") for n in ROLLING_WEEKS),
    "rolling_min_13",
    "rolling_max_13",
    "last_year_mean_4",
    "last_year_mean_13",
    "last_year",
    "last_year_before",
    "last_year_after",
    "dept_mean_0",
    "dept_mean_4",
)
RATIOS = (
    "trend_4_13",
    "year_on_year_4",
    "year_on_year_13",
    "dept_trend_4_13",
    "dept_year_on_year_13",
    "store_trend_4_13",
    "store_year_on_year_13",
    "dept_season",
)
PLAIN = (
    "observed_weeks_13",
    "weeks_since_first",
    "share_of_store",
    *STORE_EXTERNALS,
    "type_code",
    "size",
    "is_holiday",
    "is_holiday_last_year",
    "december_days_before_christmas",
    "christmas_shift",
    "easter_shift",
)
#: By preset: features that every data set has. A network uses all declared ones beside them.
PRESETS: dict[str, frozenset[str]] = {"global": frozenset((*OWN_DOLLARS, *RATIOS, *PLAIN))}


def declared_names(features: Sequence[ModelFeature]) -> list[str]:
    """Returns the names of those that come from a data set's own declarations, in order."""
    usual = {feature["name"] for feature in FeatureSet(horizon_weeks=1).model_features}
    return [feature["name"] for feature in features if feature["name"] not in usual]


def preset_features(preset: str, features: FeatureSet) -> list[Feature]:
    """Returns the features that a network of the preset uses."""
    used = PRESETS[preset] | set(declared_names(features.model_features))
    return [feature for feature in features.features if feature.name in used]
