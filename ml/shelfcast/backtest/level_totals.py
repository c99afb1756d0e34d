"""Totals of a backtest at each level: levels.csv, and their errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

from shelfcast.backtest.scores import QUANTILES
from shelfcast.contracts.model import LevelScales, ModelManifest
from shelfcast.contracts.results import LevelMetrics
from shelfcast.contracts.wire import read_json
from shelfcast.evaluate.level_scores import score_totals
from shelfcast.features.samples import Floats
from shelfcast.ids import Ids
from shelfcast.level_sums import Totals, interval, scales_at, totals
from shelfcast.levels import Levels

#: Lower and upper quantile of each interval of a total, in the order of ``scales_at``.
_INTERVALS = (("p10", "p90"), ("p2_5", "p97_5"))

_KNOWN = "known"
_KEYS = ("origin", "level", "member", "target_week", "horizon", "series", "with_actual")

#: Scales of a model by level.
Scales = Mapping[str, LevelScales]


def scales_of(model: Path) -> Scales:
    """Returns the scales of a model folder; none of a model that was trained without levels."""
    return read_json(ModelManifest, model / "model.json").levels or {}


def level_rows(
    rows: pd.DataFrame, levels: Levels, ids: Ids, scales: Mapping[date, Scales], forecasters: Sequence[str]
) -> pd.DataFrame:
    """Returns the totals of forecasts, one row for each origin, level, member and target week.

    Columns: origin, level, member, target_week, horizon, series (number of summed ones), with_actual (number
    of those with known sales), the quantiles (NaN without scales of the level), the baselines, actual (NaN
    where not all sales are known).

    Args:
        rows: Forecasts with ``actual``, as ``forecasts.csv`` has them.
        levels: Levels of the series.
        ids: Ids of the rows' stores and departments.
        scales: Scales of the model of each origin.
        forecasters: Keys of the forecasters, the model first.
    """
    columns = [*QUANTILES, *forecasters[1:]]
    frames = []
    for origin in rows["origin"].unique():
        part = rows[rows["origin"] == origin]
        values = {name: part[name].to_numpy(np.float64) for name in columns}
        actual = part["actual"].to_numpy(np.float64)
        values |= {"actual": np.nan_to_num(actual), _KNOWN: (~np.isnan(actual)).astype(np.float64)}
        weeks = part["target_week"].to_numpy().astype("datetime64[D]").astype(np.int64)
        for level in levels.names:
            groups = levels.groups(level, part[levels.key_of(level)].to_numpy(), ids)
            sums = totals(groups, weeks, part["horizon"].to_numpy(), values)
            known = sums.values.pop(_KNOWN).astype(np.int64)
            sums.values["actual"][known < sums.rows] = np.nan
            frames.append(
                pd.DataFrame(
                    {
                        "origin": origin,
                        "level": level,
                        "member": [groups.names[group] for group in sums.group],
                        "target_week": sums.week.astype("datetime64[D]").astype(object),
                        "horizon": sums.horizon,
                        "series": sums.rows,
                        "with_actual": known,
                        **sums.values,
                        **_quantiles(sums, scales[origin].get(level)),
                    }
                )
            )
    # Without a row there is no origin.
    return (
        pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*_KEYS, *columns, "actual"])
    )


def _quantiles(sums: Totals, scales: LevelScales | None) -> dict[str, Floats]:
    if scales is None:
        return {name: np.full(len(sums.rows), np.nan) for pair in _INTERVALS for name in pair}
    result: dict[str, Floats] = {}
    for (low, high), scale in zip(_INTERVALS, scales_at(scales, sums.horizon), strict=True):
        ends = interval(sums.values["p50"], sums.values[low], sums.values[high], scale)
        result |= dict(zip((low, high), ends, strict=True))
    return result


def score_level_rows(rows: pd.DataFrame, forecasters: Sequence[str]) -> dict[str, dict[str, LevelMetrics]]:
    """Returns the metrics of ``level_rows`` of forecasts with known sales, by level and forecaster."""
    result = {}
    for level, part in rows.groupby("level", sort=False):
        columns = {name: "p50" if name == forecasters[0] else name for name in forecasters}
        values = {name: part[column].to_numpy() for name, column in columns.items()}
        sums = Totals(
            group=np.zeros(len(part), dtype=np.int64),
            week=np.zeros(len(part), dtype=np.int64),
            horizon=part["horizon"].to_numpy(),
            values=values | {"actual": part["actual"].to_numpy()},
            rows=part["series"].to_numpy(),
        )
        ends = part["p10"].to_numpy(), part["p90"].to_numpy()
        has_ends = not np.isnan(ends[0]).any()
        result[str(level)] = {
            name: score_totals(sums, name, ends if has_ends and name == forecasters[0] else None)
            for name in forecasters
        }
    return result
