"""Rules of the model card against the networks that follow them."""

from __future__ import annotations

import re

import pytest
import torch

from shelfcast.features.definitions import FeatureSet
from shelfcast.models.imputation import IMPUTATION
from shelfcast.models.mlp_11 import Mlp11

FEATURES = FeatureSet(1).model_features
COLUMN = {feature.name: n for n, feature in enumerate(FEATURES)}
#: Values in the order in which the level of mlp-11 falls back on them.
LEVELS = {"rolling_mean_13": 130.0, "rolling_mean_52": 520.0, "dept_mean_4": 40.0}
#: Values that the level of mlp-11 does not use.
OTHERS = {"sales_0": 1.0, "rolling_mean_4": 4.0, "dept_mean_0": 2.0}


@pytest.mark.parametrize("known", range(len(LEVELS) + 1))
def test_the_level_of_mlp_11_falls_back_in_the_order_of_its_card(known: int) -> None:
    features = torch.full((1, len(FEATURES)), torch.nan, dtype=torch.float64)
    left = dict(list(LEVELS.items())[len(LEVELS) - known :])
    for name, value in (OTHERS | left).items():
        features[0, COLUMN[name]] = value
    prepare = Mlp11(FEATURES, [1], [1], 1).members[0].prepare
    prepare.floor_usd.zero_()
    level = prepare(features, torch.tensor([1])).level.item()
    assert level == next(iter(left.values()), 0.0)


def test_the_card_of_mlp_11_names_that_order() -> None:
    weeks = [name.rpartition("_")[2] for name in LEVELS]
    assert re.findall(r"\d+", IMPUTATION["mlp-11"][1]) == [*weeks, "0"]
