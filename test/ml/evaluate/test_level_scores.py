"""Errors of totals, from made-up forecasts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_metrics import backtest as made_up

from shelfcast.contracts.model import LevelScales
from shelfcast.evaluate.level_scores import score_levels
from shelfcast.levels import DeclaredLevel, Levels

SCALES = LevelScales(coverage80=[0.5], coverage95=[0.5])


def test_totals_are_scored_by_level() -> None:
    levels = Levels({"region": DeclaredLevel("store", {0: "north", 1: "north", 2: "south"})})
    # Sales of 10, 20, 30 and 40; the candidate is 0, 1, 2 and 3 too high, and the naive forecast 2 too low.
    backtest = replace(
        made_up(4), levels=levels, dept=np.array([7, 7, 8, 8]), horizon=np.ones(4, dtype=np.int64)
    )
    result = score_levels(backtest, {"candidate": {"total": SCALES, "region": SCALES}})
    assert list(result) == ["store", "dept", "region", "total"]
    total = result["total"]["candidate"]
    assert (total.rows, total.bias, total.wape) == (1, 6.0, pytest.approx(0.06))
    # The summed p10 are 10 below the summed medians of 106 or 4 below the sales; half of that holds no 100.
    assert total.coverage80 == 0.0
    wide = {"candidate": {"total": replace(SCALES, coverage80=[0.7])}}
    assert score_levels(backtest, wide)["total"]["candidate"].coverage80 == 1.0
    assert (result["total"]["naive"].bias, result["total"]["naive"].coverage80) == (-8.0, None)
    # Store 3 is in no region, and departments have no scales.
    assert [result[level]["candidate"].rows for level in levels.names] == [4, 2, 2, 1]
    assert result["dept"]["candidate"].coverage80 is None


def test_totals_of_a_member_are_of_one_week_and_number_of_weeks_ahead() -> None:
    result = score_levels(made_up(4), {})
    assert (result["total"]["candidate"].rows, result["store"]["candidate"].rows) == (2, 4)
