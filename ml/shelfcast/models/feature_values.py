"""Access to a sample's features by name, with fallbacks for missing values."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from shelfcast.contracts.model import ModelFeature
from shelfcast.features import own_holidays
from shelfcast.features.definitions import PLANNED_LIFT, STRUCTURAL

#: Bound of dollar values; larger ones are errors of the source, and float32 would overflow.
_LARGEST_USD = 1e9
#: Bound of growth ratios; larger ones come from series with almost no sales.
LARGEST_RATIO = 3.0
#: Bound of the seasonal ratio; the week before Christmas sells several times the weeks before it.
_LARGEST_SEASON = 10.0

#: Bound of what a plan does to sales.
_LARGEST_LIFT = 10.0
#: Weeks ahead at which the logarithm of growth has fallen to 1/e. Gardner and McKenzie, "Forecasting trends
#: in time series", Management Science 31 (1985): trends do not last.
_GROWTH_WEEKS = 26.0


class FeatureValues:
    """The features of N samples."""

    def __init__(self, columns: dict[str, int], features: Tensor) -> None:
        """Splits features into values, as bounded float32, and a mask of the known ones.

        Args:
            columns: Column of each feature by name.
            features: Features, double, NaN where missing [N, F].
        """
        self._columns = columns
        self._known = ~torch.isnan(features)
        self._values = torch.where(self._known, features, 0.0).clamp(-_LARGEST_USD, _LARGEST_USD).float()
        self.zero = torch.zeros_like(self._values[:, 0])
        self.one = torch.ones_like(self.zero)

    def get(self, name: str) -> Tensor:
        """Returns the values of one feature, 0 where missing [N]."""
        return self._values[:, self._columns[name]]

    def known(self, name: str) -> Tensor:
        """Returns whether one feature is known, bool [N]."""
        return self._known[:, self._columns[name]]

    def matrix(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns several features, 0 where missing, and whether each is known, both [N, len(names)]."""
        index = _index(tuple(self._columns[name] for name in names), self._values.device)
        return self._values[:, index], self._known[:, index]

    def first_known(self, names: Sequence[str], otherwise: Tensor) -> Tensor:
        """Returns each sample's first known feature, ``otherwise`` if none is known [N]."""
        result = otherwise
        for name in reversed(names):
            result = torch.where(self.known(name), self.get(name), result)
        return result

    def ratio(self, *names: str) -> Tensor:
        """Returns the first known ratio, 1 where none is, within bounds [N]."""
        return self.first_known(names, self.one).clamp(1 / LARGEST_RATIO, LARGEST_RATIO)

    def season(self) -> Tensor:
        """Returns the department's seasonal ratio: target week over recent quarter, a year ago [N]."""
        names = self.present(own_holidays.DEPT_SEASON, "dept_season")
        return self.first_known(names, self.one).clamp(1 / _LARGEST_SEASON, _LARGEST_SEASON)

    def last_year(self, otherwise: Tensor) -> Tensor:
        """Returns last year's sales of the target week, aligned to Christmas, US dollars [N].

        In a data set with holidays of its own, they are aligned to these first.
        52 weeks are a day or two short of a year, so some of the days were in the week before.

        Args:
            otherwise: Fallback where last year's week is unknown, US dollars [N].
        """
        week = self.first_known(self.present(own_holidays.LAST_YEAR, "last_year"), otherwise)
        week_before = self.first_known(("last_year_before",), week)
        share = (self.get("christmas_shift").abs() / 7).clamp(0, 1)
        return week * (1 - share) + week_before * share

    def structural(self, otherwise: Tensor) -> Tensor:
        """Returns the structural forecast, ``otherwise`` where it is unknown, US dollars [N]."""
        return self.first_known((STRUCTURAL,), otherwise)

    def lifted(self, usd: Tensor) -> Tensor:
        """Returns forecasts of the usual level, [N] or [N, K], with the effect of the target week's plan."""
        if PLANNED_LIFT not in self._columns:
            return usd
        lift = self.first_known((PLANNED_LIFT,), self.one).clamp(1 / _LARGEST_LIFT, _LARGEST_LIFT)
        return usd * (lift if usd.ndim == 1 else lift[:, None])

    def present(self, *names: str) -> list[str]:
        """Returns the names of those features that the data set has."""
        return [name for name in names if name in self._columns]

    def holidays(self) -> list[Tensor]:
        """Returns the inputs about the data set's own holidays, [N, 2 C]; nothing if it has none."""
        if not own_holidays.has_own_holidays(self._columns):
            return []
        values, known = self.matrix(own_holidays.INPUTS)
        return [torch.cat([values, known.float()], dim=1)]

    def of_any_unit(self, names: Sequence[str]) -> Tensor:
        """Returns signed logs of features of any unit, and whether each is known [N, 2 len(names)]."""
        values, known = self.matrix(names)
        # The logarithm keeps one huge value from dominating the standardization.
        return torch.cat([values.sign() * values.abs().log1p(), known.float()], dim=1)

    def without_history(self) -> Tensor:
        """Returns which samples belong to new series, without any sales so far, bool [N].

        A series that stopped selling years ago is not new: its age is known.
        """
        _, known = self.matrix(("weeks_since_first", "rolling_mean_13", "rolling_mean_52", "last_year"))
        return ~known.any(dim=1)


def damped(growth: Tensor, horizon: Tensor) -> Tensor:
    """Returns the yearly growth that is left ``horizon`` weeks ahead, [N]: it fades with half a year."""
    return growth ** torch.exp(-horizon.float() / _GROWTH_WEEKS)


@cache
def _index(columns: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns an index tensor, cached: copying it to a GPU would synchronize at each step."""
    return torch.tensor(columns, dtype=torch.int64, device=device)


def feature_columns(features: Sequence[ModelFeature]) -> dict[str, int]:
    """Returns the column of each feature by name."""
    return {feature.name: column for column, feature in enumerate(features)}
