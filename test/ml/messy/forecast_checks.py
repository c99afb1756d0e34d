"""Way of a loaded folder to forecasts: features, then a simple forecast or a network of one epoch."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from messy_folders import Messy
from train_here import train_here

from shelfcast.backtest import folder as folders
from shelfcast.backtest import origin as origins
from shelfcast.backtest.origin import Settings
from shelfcast.contracts.specs import Declaration, Preset
from shelfcast.contracts.wire import decode
from shelfcast.features.enough_weeks import check_weeks
from shelfcast.features.training_data import grid_of
from shelfcast.job import UserError

_HORIZON = 2
_TEST_WEEKS = 1


def forecast_end(messy: Messy, directory: Path, preset: Preset) -> tuple[str, str]:
    """Returns how the way from the folder to forecasts ends: ``forecast`` or ``stopped``, and the sentence.

    Raises:
        AssertionError: A forecast is no number, or a series has none.
    """
    declared = None
    if not messy.is_beside and messy.reading.declaration:
        declared = decode(Declaration, messy.reading.declaration, "declaration")
    try:
        source = folders.read(messy.path, directory / "bad.csv", declared)
        weeks = (source.weeks[1] - source.weeks[0]).days // 7 + 1
        validation = max(1, min(8, weeks // 4))
        check_weeks(grid_of(source.sales), _HORIZON, validation, _TEST_WEEKS)
        settings = Settings(_HORIZON, preset, ("naive",), 1, 1, validation)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(origins, "_run_training", lambda job, _processes, _log: train_here(job.absolute()))
            origin = origins.prepare(source, source.weeks[1], directory / "origins", settings)
            rows = origins.forecast(origin, origins.train(origin, settings), None, settings)
    except UserError as error:
        return "stopped", str(error)
    series = source.series(*source.weeks)
    assert len(rows) == _HORIZON * len(series), f"{len(rows)} forecasts of {len(series)} series"
    quantiles = rows[["p10", "p50", "p90"]].to_numpy()
    assert np.isfinite(quantiles).all(), (
        f"forecasts are no numbers: {json.dumps(rows.to_dict('list'), default=str)[:300]}"
    )
    assert (np.diff(quantiles, axis=1) >= 0).all(), "quantiles cross"
    return "forecast", ""
