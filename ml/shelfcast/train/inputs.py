"""From raw features to what the network sees: a level for each series, simple forecasts, inputs near 0.

All of it is part of the exported graph, so training and serving cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shelfcast.features.definitions import ModelFeature
from shelfcast.features.presets import OWN_DOLLARS, PLAIN, RATIOS, declared_names

#: Beyond it a dollar value is taken for an error of the source; keeps float32 finite.
_LARGEST_USD = 1e9
#: Growth beyond a factor of 3 comes from series that were nearly not sold.
_LARGEST_RATIO = 3.0
#: The week before Christmas sells several times what the weeks before did.
_LARGEST_SEASON = 10.0
#: Simple forecasts that say the same for the week of a holiday as for those around it.
FLAT_FORECASTS = 7
#: Inputs further away, in standard deviations, say no more than "extreme": the network must not extrapolate
#: into weeks of a season that the training has not seen.
_LARGEST_INPUT = 2.5


@dataclass(frozen=True)
class Prepared:
    """What the network works on, for N samples.

    Attributes:
        level: Size of the series, US dollars, positive [N].
        forecasts: Simple forecasts, in levels [N, K]; the first ``FLAT_FORECASTS`` do not follow the season.
        season_shift: How far last year's target week was from the month before, in levels [N].
        inputs: Not yet standardized, all finite [N, I].
    """

    level: Tensor
    forecasts: Tensor
    season_shift: Tensor
    inputs: Tensor


class FeaturePreparation(nn.Module):
    """Computes level, simple forecasts and inputs of samples. It has no learned weights."""

    floor_usd: Tensor

    def __init__(self, features: Sequence[ModelFeature], horizon_weeks: int) -> None:
        super().__init__()
        self._column = {feature["name"]: place for place, feature in enumerate(features)}
        self._declared = self._columns(declared_names(features))
        self._horizon_weeks = horizon_weeks
        self.register_buffer("floor_usd", torch.tensor(1.0))

    def forward(self, features: Tensor, horizon: Tensor) -> Prepared:
        """Prepares N samples.

        Args:
            features: double [N, F], NaN where missing.
            horizon: Weeks ahead, int64 [N].
        """
        known = ~torch.isnan(features)
        values = torch.where(known, features, 0.0).clamp(-_LARGEST_USD, _LARGEST_USD).float()
        level = self._level(values)
        forecasts_usd, shift_usd = self._forecasts(values, known)
        forecasts = forecasts_usd / level[:, None]
        inputs = self._inputs(values, known, level, forecasts, horizon)
        return Prepared(level, forecasts, shift_usd / level, inputs)

    def _columns(self, names: Sequence[str]) -> list[int]:
        return [self._column[name] for name in names]

    def _level(self, values: Tensor) -> Tensor:
        """Returns the largest of several sizes of the series, plus a floor for those without sales."""
        recent, std, year, year_ago = (
            values[:, self._column[name]].abs()
            for name in ("rolling_mean_13", "rolling_std_13", "rolling_mean_52", "last_year_mean_13")
        )
        size = torch.maximum(torch.maximum(recent, std), torch.maximum(year, year_ago) * 0.5)
        return size + self.floor_usd

    def _forecasts(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Returns simple forecasts [N, K] and the shift of the season [N], US dollars.

        Another value stands in for a missing one, so that there always is a forecast.
        """
        zero, one = torch.zeros_like(values[:, 0]), torch.ones_like(values[:, 0])

        def first_known(names: Sequence[str], otherwise: Tensor) -> Tensor:
            result = otherwise
            for name in reversed(names):
                place = self._column[name]
                result = torch.where(known[:, place], values[:, place], result)
            return result

        def ratio(*names: str) -> Tensor:
            return first_known(names, one).clamp(1 / _LARGEST_RATIO, _LARGEST_RATIO)

        month = first_known(("rolling_mean_4", "sales_0", "rolling_mean_13", "rolling_mean_52"), zero)
        quarter = first_known(("rolling_mean_13",), month)
        season = first_known(("dept_season",), one).clamp(1 / _LARGEST_SEASON, _LARGEST_SEASON)
        year_ago = first_known(("last_year",), quarter * season)
        week_before = first_known(("last_year_before",), year_ago)
        week_after = first_known(("last_year_after",), year_ago)
        # 52 weeks are short of a year: some of the days before Christmas lay in the week before.
        shift = (values[:, self._column["christmas_shift"]].abs() / 7).clamp(0, 1)
        aligned = year_ago * (1 - shift) + week_before * shift
        smooth = (week_before + 2 * aligned + week_after) / 4
        growth = ratio("year_on_year_13", "dept_year_on_year_13", "store_year_on_year_13")
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
                # The others hold the season of the target week.
                quarter * season,
                month / ratio("dept_trend_4_13") * season,
                self._deseasoned(first_known(("sales_0",), month), values, known) * season,
                aligned,
                aligned * growth,
                aligned * growth.sqrt(),
                aligned * ratio("year_on_year_4", "year_on_year_13"),
                aligned * ratio("dept_year_on_year_13"),
                aligned + month - month_year_ago,
                aligned + quarter - quarter_year_ago,
            ],
            dim=1,
        )
        return forecasts, (aligned - month_year_ago).abs()

    def _deseasoned(self, sales: Tensor, values: Tensor, known: Tensor) -> Tensor:
        """Returns sales at the origin over the department's there, in its mean of 13 weeks [N]."""
        week, month, trend = self._columns(("dept_mean_0", "dept_mean_4", "dept_trend_4_13"))
        usable = known[:, [week, month, trend]].all(dim=1) & (values[:, week] > 0) & (values[:, trend] > 0)
        factor = values[:, month] / values[:, trend].clamp(min=1e-3) / values[:, week].clamp(min=1.0)
        return sales * torch.where(usable, factor, 1.0).clamp(1 / _LARGEST_RATIO, _LARGEST_RATIO)

    def _inputs(
        self, values: Tensor, known: Tensor, level: Tensor, forecasts: Tensor, horizon: Tensor
    ) -> Tensor:
        dollars, ratios, plain = (self._columns(names) for names in (OWN_DOLLARS, RATIOS, PLAIN))
        # Log of a ratio, so that a half and a double are equally far from 1.
        logs = values[:, ratios].clamp(1 / _LARGEST_RATIO, _LARGEST_RATIO).log()
        ahead = horizon[:, None].float()
        declared = []
        if self._declared:
            own = values[:, self._declared]
            # Of any size and unit: the logarithm keeps one huge value from hiding all others.
            declared = [own.sign() * own.abs().log1p(), known[:, self._declared].float()]
        return torch.cat(
            [
                torch.where(known[:, dollars], values[:, dollars] / level[:, None], 1.0).clamp(-10, 10),
                torch.where(known[:, ratios], logs, 0.0),
                values[:, plain],
                level[:, None].log(),
                ahead / self._horizon_weeks,
                1 / ahead.clamp(min=1),
                forecasts.clamp(-10, 10),
                known[:, dollars + ratios + plain].float(),
                *declared,
            ],
            dim=1,
        )


class Standardization(nn.Module):
    """Shifts and scales inputs by constants of the training samples; what did not vary there becomes 0."""

    mean: Tensor
    factor: Tensor

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("factor", torch.ones(inputs))

    def fit(self, count: float, total: Tensor, squares: Tensor) -> None:
        """Sets the constants.

        Args:
            count: Number of training samples.
            total: Sum of each input over them, float64 [I].
            squares: Sum of its squares, float64 [I].
        """
        mean = total / count
        variance = (squares / count - mean**2).clamp(min=0)
        # Rounding leaves a constant input a variance this much below its square.
        varies = variance > 1e-9 * (mean**2 + 1e-6)
        self.mean.copy_(mean)
        self.factor.copy_(torch.where(varies, variance.rsqrt(), 0.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns inputs with mean 0 and standard deviation 1 in training; within +-2.5."""
        return ((inputs - self.mean) * self.factor).clamp(-_LARGEST_INPUT, _LARGEST_INPUT)
