"""Feature set version: what changes it, and the features job that stops at another one than the model has."""

from __future__ import annotations

import inspect
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from shelfcast import calendar
from shelfcast.features import definitions, publication_lags, sales_history
from shelfcast.features.build import check_version
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.version import feature_set_version
from shelfcast.job import UserError
from shelfcast.snapshot import Covariate

PROMO = Covariate("promo", "series_week", -2, "in the leaflet")


def version(*covariates: Covariate) -> str:
    return feature_set_version(FeatureSet(8, covariates))


def test_words_about_a_covariate_do_not_change_the_version() -> None:
    assert version(replace(PROMO, description="on the cover")) == version(PROMO)
    # A static covariate's description is that of its feature.
    area = Covariate("area", "store", None, "square feet")
    assert version(replace(area, description="floor area")) == version(area)


@pytest.mark.parametrize("change", [{"known_after_weeks": -1}, {"name": "offer"}, {"of": "store_week"}])
def test_a_covariate_s_lag_name_and_key_change_the_version(change: dict[str, Any]) -> None:
    assert version(replace(PROMO, **change)) != version(PROMO)


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (definitions, '"_before": -1', '"_before": -2'),
        (definitions, "YEAR_WEEKS = 52", "YEAR_WEEKS = 53"),
        (definitions, "max(column.known_after_weeks, 0)", "max(column.known_after_weeks, 1)"),
        (publication_lags, "timedelta(weeks=column", "timedelta(days=column"),
        (sales_history, "_window(sales, 13", "_window(sales, 12"),
    ],
)
def test_a_formula_changes_the_version(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, old: str, new: str
) -> None:
    before = version()
    change_source(monkeypatch, module, old, new)
    assert version() != before


@pytest.mark.parametrize(
    ("module", "old", "new"),
    [
        (definitions, '"sales in t"', '"sales in week t"'),
        (publication_lags, '"consumer price index"', '"index of consumer prices"'),
        (publication_lags, "#: Publication lags that", "#: The lags that"),
        (sales_history, "some first", "some rows first"),
        (calendar, '"""', '"""New words. '),
    ],
)
def test_words_in_the_code_do_not_change_the_version(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, old: str, new: str
) -> None:
    before = version()
    change_source(monkeypatch, module, old, new)
    assert version() == before


def change_source(monkeypatch: pytest.MonkeyPatch, changed: ModuleType, old: str, new: str) -> None:
    """Makes the source of a module another text."""
    sources = inspect.getsource
    assert old in sources(changed)

    def source(module: ModuleType) -> str:
        return sources(module).replace(old, new, 1) if module is changed else sources(module)

    monkeypatch.setattr(inspect, "getsource", source)


def test_a_model_of_the_same_features_or_none_yet_is_fine() -> None:
    features = FeatureSet(4)
    check_version(features, None)
    check_version(features, feature_set_version(features))


@pytest.mark.parametrize("trained_with", ["0" * 12, feature_set_version(FeatureSet(5))])
def test_a_model_of_other_features_asks_for_the_pipeline(trained_with: str) -> None:
    features = FeatureSet(4)
    with pytest.raises(
        UserError, match=f"version {trained_with}.*version {feature_set_version(features)}: run the pipeline"
    ):
        check_version(features, trained_with)
