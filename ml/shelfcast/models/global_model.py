"""The preset ``global``: one model for all series and horizons; docs/decisions/0025 gives the reasons.

It averages four forecasts with different errors: a mixture based on summaries of the series, a mixture based
on its weeks, last year's sales with this year's growth, and the structural forecast. Errors on weeks that did
not train them choose the weights (``train.shares``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from shelfcast.contracts.model import ModelFeature
from shelfcast.features.feature_groups import covariate_names
from shelfcast.models.network import (
    ForecastMixture,
    IdEmbedding,
    Inputs,
    MemberForecast,
    MixtureBody,
    ModelInputs,
    Network,
    perceptron,
)
from shelfcast.models.summaries import Summaries
from shelfcast.models.windows import Windows

_HIDDEN = 128
#: Components of the median that are formulas, the last ones of ``GlobalModel.shares``.
FORMULAS = ("seasonal", "structural")
#: Weight decay. It is strong where the inputs identify single weeks: the data has few weeks, however many
#: series, and the network must not memorize them.
_SUMMARIES_DECAY, _WINDOWS_DECAY = 1.0, 0.02
#: Bound of the correction, as a share of the mixture. The mixture extrapolates better than a network, so the
#: bound is tight; only covariates, which no simple forecast reads, need a larger one.
_MAX_CORRECTION, _MAX_CORRECTION_WITH_COVARIATES = 0.05, 0.5


class GlobalModel(Network):
    """Two kinds of mixtures and the seasonal forecast, averaged.

    Attributes:
        networks: Number of mixtures of each kind.
        prior_trained: Prior ensemble weight of each trained component.
        prior_structural: Prior share of the structural forecast in what the trained components leave.
        shares: Ensemble weights of the median's components, the trained ones first, then ``FORMULAS``; they
            sum to 1 [P].
    """

    networks = 1
    prior_trained: tuple[float, ...] = (0.3,)
    prior_structural = 0.6
    shares: Tensor

    def __init__(
        self,
        features: Sequence[ModelFeature],
        stores: Sequence[int],
        depts: Sequence[int],
        horizon_weeks: int,
    ) -> None:
        count, has_covariates = len(features), bool(covariate_names(features))
        correction = _MAX_CORRECTION_WITH_COVARIATES if has_covariates else _MAX_CORRECTION
        summaries_body = MixtureBody(perceptron(nn.SiLU), _HIDDEN, _SUMMARIES_DECAY, correction)
        windows_body = MixtureBody(perceptron(nn.GELU), _HIDDEN, _WINDOWS_DECAY, correction)
        summaries = Summaries(features, horizon_weeks)
        windows = Windows(features, horizon_weeks)
        members = []
        for _ in range(self.networks):
            members += [
                ForecastMixture(
                    summaries, count, (IdEmbedding(stores, 4), IdEmbedding(depts, 8)), summaries_body
                ),
                ForecastMixture(
                    windows, count, (IdEmbedding(stores, 6), IdEmbedding(depts, 12)), windows_body
                ),
            ]
        super().__init__(count, horizon_weeks, members)
        rest = 1 - sum(self.prior_trained)
        formulas = rest * (1 - self.prior_structural), rest * self.prior_structural
        self.register_buffer("shares", torch.tensor((*self.prior_trained, *formulas)))
        # No formula reflects the covariates of the target week.
        self._corrects_formulas = has_covariates

    def combine(
        self, inputs: Inputs, prepared: Sequence[ModelInputs], member_forecasts: Sequence[MemberForecast]
    ) -> MemberForecast:
        """See ``Network``."""
        correction = _mean([forecast.correction for forecast in member_forecasts])
        forecasts = torch.stack(self._components(inputs, prepared[0], member_forecasts))
        median = (self.shares[:, None] * forecasts).sum(dim=0)
        return MemberForecast(
            median, _mean([forecast.distances for forecast in member_forecasts]), correction
        )

    def forecasts(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns the components of the median, US dollars [P, N]; same arguments as ``forward``."""
        inputs = features, store, dept, horizon
        prepared, member_forecasts = self._member_forecasts(inputs)
        return torch.stack(self._components(inputs, prepared[0], member_forecasts))

    def _components(
        self, inputs: Inputs, prepared: ModelInputs, member_forecasts: Sequence[MemberForecast]
    ) -> list[Tensor]:
        formulas = [prepared.seasonal * prepared.level, prepared.structural * prepared.level]
        if self._corrects_formulas:
            correction = 1 + _mean([forecast.correction for forecast in member_forecasts])
            formulas = [formula * correction for formula in formulas]
        return [*self._trained(inputs, prepared, member_forecasts), *formulas]

    def _trained(
        self,
        inputs: Inputs,  # noqa: ARG002
        prepared: ModelInputs,  # noqa: ARG002
        member_forecasts: Sequence[MemberForecast],
    ) -> list[Tensor]:
        """Returns the trained components of the median, US dollars, each [N]."""
        return [_mean([forecast.median for forecast in member_forecasts])]


def _mean(values: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(values)).mean(dim=0)
