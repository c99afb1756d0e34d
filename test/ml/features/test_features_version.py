"""The features job stops before a model in use would be fed other features than it was trained with."""

from __future__ import annotations

import pytest

from shelfcast.features.build import check_version
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.version import feature_set_version
from shelfcast.job import UserError


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
