"""Features of samples by name: what is known of them, and what stands in for what is not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from shelfcast.features.definitions import ModelFeature

#: Beyond it a dollar value is taken for an error of the source; keeps float32 finite.
_LARGEST_USD = 1e9
#: Growth beyond a factor of 3 comes from series that were nearly not sold.
LARGEST_RATIO = 3.0
#: The week before Christmas sells several times what the weeks before did.
_LARGEST_SEASON = 10.0


class FeatureValues:
    """The features of N samples."""

    def __init__(self, columns: dict[str, int], features: Tensor) -> None:
        """Reads features.

        Args:
            columns: Place of each feature by name.
            features: double [N, F], NaN where missing.
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
        """Returns where one feature is known, bool [N]."""
        return self._known[:, self._columns[name]]

    def matrix(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns several features, 0 where missing, and where they are known [N, len(names)]."""
        index = _index(tuple(self._columns[name] for name in names), self._values.device)
        return self._values[:, index], self._known[:, index]

    def first_known(self, names: Sequence[str], otherwise: Tensor) -> Tensor:
        """Returns for each sample the first of the features that is known [N]."""
        result = otherwise
        for name in reversed(names):
            result = torch.where(self.known(name), self.get(name), result)
        return result

    def ratio(self, *names: str) -> Tensor:
        """Returns the first known ratio, 1 where none is, within bounds [N]."""
        return self.first_known(names, self.one).clamp(1 / LARGEST_RATIO, LARGEST_RATIO)

    def season(self) -> Tensor:
        """Returns how the department's season of the target week compares with the quarter's [N]."""
        return self.first_known(("dept_season",), self.one).clamp(1 / _LARGEST_SEASON, _LARGEST_SEASON)

    def last_year(self, otherwise: Tensor) -> Tensor:
        """Returns last year's sales of the target week, days before Christmas where they lie now, USD [N].

        52 weeks are a day or two short of a year: some of these days lay in the week before.

        Args:
            otherwise: Where nothing is known of that week, US dollars [N].
        """
        week = self.first_known(("last_year",), otherwise)
        week_before = self.first_known(("last_year_before",), week)
        share = (self.get("christmas_shift").abs() / 7).clamp(0, 1)
        return week * (1 - share) + week_before * share

    def of_any_unit(self, names: Sequence[str]) -> Tensor:
        """Returns inputs made of features of any size and unit, and which are known [N, 2 len(names)]."""
        values, known = self.matrix(names)
        # The logarithm keeps one huge value from hiding all others.
        return torch.cat([values.sign() * values.abs().log1p(), known.float()], dim=1)

    def without_history(self) -> Tensor:
        """Returns where nothing at all is known of the series' own sales, bool [N]: it is new.

        One that has not sold for years is not: its age is known.
        """
        _, known = self.matrix(("weeks_since_first", "rolling_mean_13", "rolling_mean_52", "last_year"))
        return ~known.any(dim=1)


@cache
def _index(places: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns an index; to copy it to a GPU makes the CPU wait until all before is computed."""
    return torch.tensor(places, dtype=torch.int64, device=device)


def feature_columns(features: Sequence[ModelFeature]) -> dict[str, int]:
    """Returns the place of each feature by name."""
    return {feature["name"]: place for place, feature in enumerate(features)}
