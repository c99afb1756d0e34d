"""Preparation from summaries of a series: lags, means and growth.

It is part of the exported graph, so training and serving cannot differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from shelfcast.features.feature_groups import OWN_DOLLARS, PLAIN, RATIOS
from shelfcast.features.own_holidays import without_replaced
from shelfcast.models.feature_values import LARGEST_RATIO, FeatureValues, damped
from shelfcast.models.network import ModelInputs, Preparation

#: Number of leading forecasts without a season: they are the same for a holiday week and the weeks around it.
_FLAT_FORECASTS = 7
#: Penalty of the flat forecasts' logits for each unit of seasonal shift: they hardly count where last year's
#: sales rose or fell by a third of the level. It is fixed because training data contains most holidays once
#: at most.
_SEASON_PENALTY = 10.0


class Summaries(Preparation):
    """Level, simple forecasts and inputs from summaries."""

    def forward(self, features: Tensor, horizon: Tensor) -> ModelInputs:
        """See ``Preparation``."""
        values = FeatureValues(self._columns, features)
        level = self._level(values)
        forecasts_usd, shift_usd, seasonal_usd = self._forecasts(values, horizon)
        forecasts = forecasts_usd / level[:, None]
        flat = torch.arange(forecasts.shape[1], device=features.device) < _FLAT_FORECASTS
        penalty = _SEASON_PENALTY * (shift_usd / level)[:, None] * flat.float()
        inputs = self._inputs(values, level, forecasts, horizon)
        lifted, seasonal = values.lifted(forecasts), values.lifted(seasonal_usd / level)
        return ModelInputs(level, lifted, inputs, penalty, seasonal, lifted[:, -1])

    def _level(self, values: FeatureValues) -> Tensor:
        """Returns the largest of several scale estimates plus the floor, US dollars [N]."""
        recent, std, year, year_ago = (
            values.get(name).abs()
            for name in ("rolling_mean_13", "rolling_std_13", "rolling_mean_52", "last_year_mean_13")
        )
        size = torch.maximum(torch.maximum(recent, std), torch.maximum(year, year_ago) * 0.5)
        return torch.where(values.without_history(), values.get("dept_mean_4").abs(), size) + self.floor_usd

    def _forecasts(self, values: FeatureValues, horizon: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Returns simple forecasts [N, K], seasonal shift [N] and last year with growth [N], US dollars.

        Missing values have fallbacks, so every forecast is finite. A series without any history gets the mean
        of its department.
        """
        first_known, ratio = values.first_known, values.ratio
        new = torch.where(values.without_history(), values.get("dept_mean_4"), values.zero)
        month = first_known(("rolling_mean_4", "sales_0", "rolling_mean_13", "rolling_mean_52"), new)
        quarter = first_known(("rolling_mean_13",), month)
        season = values.season()
        year_ago = first_known(("last_year",), quarter * season)
        week_before = first_known(("last_year_before",), year_ago)
        week_after = first_known(("last_year_after",), year_ago)
        aligned = values.last_year(quarter * season)
        smooth = (week_before + 2 * aligned + week_after) / 4
        growth = damped(ratio("year_on_year_13", "dept_year_on_year_13", "store_year_on_year_13"), horizon)
        month_year_ago = first_known(("last_year_mean_4",), month)
        quarter_year_ago = first_known(("last_year_mean_13",), quarter)
        forecasts = torch.stack(
            [
                first_known(("sales_0",), month),
                month,
                first_known(("rolling_median_4",), month),
                quarter,
                first_known(("rolling_median_13",), quarter),
                first_known(("rolling_mean_52",), quarter),
                smooth * growth,
                # From here on, each forecast has the season of the target week.
                quarter * season,
                month / ratio("dept_trend_4_13") * season,
                _deseasoned(first_known(("sales_0",), month), values) * season,
                aligned,
                aligned * growth,
                aligned * growth.sqrt(),
                aligned * ratio("year_on_year_4", "year_on_year_13"),
                aligned * ratio("dept_year_on_year_13"),
                aligned + month - month_year_ago,
                aligned + quarter - quarter_year_ago,
                values.structural(quarter * season),
            ],
            dim=1,
        )
        return forecasts, (aligned - month_year_ago).abs(), aligned * growth

    def _inputs(self, values: FeatureValues, level: Tensor, forecasts: Tensor, horizon: Tensor) -> Tensor:
        dollars, dollars_known = values.matrix(OWN_DOLLARS)
        ratios, ratios_known = values.matrix(RATIOS)
        plain, plain_known = values.matrix(without_replaced(PLAIN, self._columns))
        # In logs, a half and a double are equally far from no change.
        logs = ratios.clamp(1 / LARGEST_RATIO, LARGEST_RATIO).log()
        ahead = horizon[:, None].float()
        return torch.cat(
            [
                torch.where(dollars_known, dollars / level[:, None], 1.0).clamp(-10, 10),
                torch.where(ratios_known, logs, 0.0),
                plain,
                level[:, None].log(),
                ahead / self._horizon_weeks,
                1 / ahead.clamp(min=1),
                forecasts.clamp(-10, 10),
                torch.cat([dollars_known, ratios_known, plain_known], dim=1).float(),
                values.of_any_unit(self._covariates),
                *values.holidays(),
            ],
            dim=1,
        )


def _deseasoned(sales: Tensor, values: FeatureValues) -> Tensor:
    """Returns sales at the origin without the department's season there, US dollars [N]."""
    dept, known = values.matrix(("dept_mean_0", "dept_mean_4", "dept_trend_4_13"))
    week, month, trend = dept.unbind(dim=1)
    usable = known.all(dim=1) & (week > 0) & (trend > 0)
    factor = month / trend.clamp(min=1e-3) / week.clamp(min=1.0)
    return sales * torch.where(usable, factor, 1.0).clamp(1 / LARGEST_RATIO, LARGEST_RATIO)
