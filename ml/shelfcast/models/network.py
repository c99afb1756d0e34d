"""Base classes shared by all presets: Network, its members, and the preparation in front of them.

Notable features:
- one global network for all series, with embeddings of store and department; unknown ids get their mean
- imputation and scaling are part of the exported graph, so training and serving cannot differ
- dollars are divided by the series' level, so small and large series share the weights
- the median is a softmax mixture of simple forecasts plus a bounded correction: it cannot run away
- quantiles are the median plus cumulated softplus distances, so they never cross
- each member is trained on its own pinball loss; members are only averaged afterwards
- a week that is announced to be shut has the forecast 0
- intervals are scaled by split conformal prediction, by horizon and size of the series
docs/model.md has a diagram, the shapes and a reading order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfcast.contracts.model import LevelScales, ModelFeature
from shelfcast.features.feature_groups import covariate_names
from shelfcast.features.open_weeks import OPEN_AHEAD
from shelfcast.models.feature_values import feature_columns

#: Quantile level of each output column.
QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
#: Output column of the median.
MEDIAN = 2
#: Nominal coverage of the inner and outer prediction interval.
COVERAGES = (0.8, 0.95)
#: Number of calibration bins; series of similar level share one, with its own conformal scales.
CALIBRATION_BINS = 5
#: Outputs of a quantile head: median correction, then inner and outer distance below and above the median.
QUANTILE_OUTPUTS = 5

#: Bias before softplus; softplus(-1.5) = 0.2, so intervals start at +-20 %.
_INITIAL_DISTANCE = -1.5
#: Bound of standardized inputs: the network must not extrapolate into seasons that training has not seen.
_MAX_INPUT = 2.5

#: Arguments of ``Network.forward``: features, store, dept, horizon.
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class ModelInputs:
    """Prepared inputs of a member, for N samples.

    Attributes:
        level: Scale of the series, US dollars, positive [N].
        forecasts: Simple forecasts, divided by the level [N, K].
        inputs: Network inputs before standardization, all finite [N, I].
        penalty: Subtracted from the mixture logits [N, K].
        seasonal: Last year's sales with this year's growth, divided by the level [N].
        structural: The structural forecast, divided by the level [N].
    """

    level: Tensor
    forecasts: Tensor
    inputs: Tensor
    penalty: Tensor
    seasonal: Tensor
    structural: Tensor


@dataclass(frozen=True)
class MemberForecast:
    """A member's forecast of N samples, US dollars.

    Attributes:
        median: Median [N].
        distances: Non-negative distance of each quantile from the median: inner below, outer below, inner
            above, outer above [N, 4].
        correction: Learned correction of the median, as a share of the mixture [N].
    """

    median: Tensor
    distances: Tensor
    correction: Tensor

    def quantiles(self, scales: Tensor) -> Tensor:
        """Returns the quantiles [N, 5], never crossing; ``scales`` are the conformal scales [N, 2]."""
        inner = self.distances[:, [0, 2]] * scales[:, :1]
        outer = torch.maximum(self.distances[:, [1, 3]] * scales[:, 1:], inner)
        lower, upper = self.median[:, None] - outer, self.median[:, None] + outer
        near = torch.stack([self.median - inner[:, 0], self.median, self.median + inner[:, 1]], dim=1)
        return torch.cat([lower[:, :1], near, upper[:, 1:]], dim=1)


class Preparation(nn.Module, ABC):
    """Maps features to level, simple forecasts and inputs, without learned weights.

    Attributes:
        floor_usd: Amount added to every level, so that a series without sales has a positive one, too.
    """

    floor_usd: Tensor

    def __init__(self, features: Sequence[ModelFeature], horizon_weeks: int) -> None:
        super().__init__()
        self._columns = feature_columns(features)
        self._covariates = covariate_names(features)
        self._horizon_weeks = horizon_weeks
        self.register_buffer("floor_usd", torch.tensor(1.0))

    def closed(self, features: Tensor) -> Tensor | None:
        """Returns whether each target week is announced to be shut, bool [N]; None if no data say so."""
        column = self._columns.get(OPEN_AHEAD)
        return None if column is None else features[:, column] == 0

    @abstractmethod
    def forward(self, features: Tensor, horizon: Tensor) -> ModelInputs:
        """Prepares N samples.

        Args:
            features: Features, double, NaN where missing [N, F].
            horizon: Weeks ahead, int64 [N].
        """


class Member(nn.Module, ABC):
    """A sub-network trained on its own loss.

    Attributes:
        prepare: Preparation of its inputs; members may share one.
        standardize: Standardization of the prepared inputs.
        weight_decay: Weight decay of AdamW.
    """

    prepare: Preparation
    standardize: Standardization
    weight_decay: float

    @abstractmethod
    def forecast(self, prepared: ModelInputs, store: Tensor, dept: Tensor) -> MemberForecast:
        """Forecasts N samples; store and dept are int64 [N]."""


class Network(nn.Module):
    """The network of a preset: members, their combination and interval scales.

    Attributes:
        custom_opsets: Version of each ONNX operator set that the graph needs in addition to the default one.
        feature_count: Number of features.
        mean_level_usd: Mean level of the training samples; the unit of the loss.
        size_edges_usd: Levels between the calibration bins, ascending, US dollars [CALIBRATION_BINS - 1].
        widening: Conformal scales of the inner and outer interval, by horizon and calibration bin
            [H, CALIBRATION_BINS, 2].
        level_scales: Scales of the totals at each level, which are no part of the graph.
        non_negative: Whether no forecast is below 0. It is set after the training, and only where no sales
            were below 0, so the graph of a model of data with returns does not change.
    """

    custom_opsets: ClassVar[dict[str, int]] = {}
    feature_count: int
    mean_level_usd: Tensor
    size_edges_usd: Tensor
    widening: Tensor
    level_scales: dict[str, LevelScales]
    non_negative: bool

    def __init__(self, feature_count: int, horizon_weeks: int, members: Sequence[Member]) -> None:
        super().__init__()
        self.feature_count = feature_count
        self.level_scales = {}
        self.non_negative = False
        self.parts = nn.ModuleList(members)
        self.register_buffer("mean_level_usd", torch.tensor(1.0))
        self.register_buffer("size_edges_usd", torch.full((CALIBRATION_BINS - 1,), torch.inf))
        self.register_buffer("widening", torch.ones(horizon_weeks, CALIBRATION_BINS, len(COVERAGES)))

    @property
    def members(self) -> list[Member]:
        """The sub-networks, each trained on its own loss."""
        return [part for part in self.parts if isinstance(part, Member)]

    def forward(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns the quantiles of sales in US dollars, float [N, 5], never crossing.

        Args:
            features: Features in the constructor's order, double, NaN where missing [N, F].
            store: Store ids, int64 [N].
            dept: Department ids, int64 [N].
            horizon: Weeks ahead, from 1, int64 [N].
        """
        prepared, forecasts = self._member_forecasts((features, store, dept, horizon))
        ahead = (horizon - 1).clamp(0, len(self.widening) - 1)
        scales = self.widening[ahead, self._bin(prepared[0].level)]
        quantiles = self.combine((features, store, dept, horizon), prepared, forecasts).quantiles(scales)
        if self.non_negative:
            quantiles = quantiles.clamp(min=0)
        closed = self.members[0].prepare.closed(features)
        return quantiles if closed is None else torch.where(closed[:, None], 0.0, quantiles)

    def calibration_bin(self, features: Tensor, horizon: Tensor) -> Tensor:
        """Returns the calibration bin of each sample, int64 [N]; see ``forward``."""
        prepared: ModelInputs = self.members[0].prepare(features, horizon)
        return self._bin(prepared.level)

    def _bin(self, level: Tensor) -> Tensor:
        return (level[:, None] > self.size_edges_usd).long().sum(dim=1)

    def combine(
        self,
        inputs: Inputs,  # noqa: ARG002
        prepared: Sequence[ModelInputs],  # noqa: ARG002
        member_forecasts: Sequence[MemberForecast],
    ) -> MemberForecast:
        """Combines the members' forecasts; the base class has a single member."""
        return member_forecasts[0]

    def member_quantiles(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns each member's quantiles without conformal scales [M, N, 5]; see ``forward``."""
        ones = torch.ones(len(horizon), len(COVERAGES), device=features.device)
        return torch.stack(
            [
                member.forecast(inputs, store, dept).quantiles(ones)
                for member, inputs in zip(self.members, self._prepared(features, horizon), strict=True)
            ]
        )

    def _member_forecasts(self, samples: Inputs) -> tuple[list[ModelInputs], list[MemberForecast]]:
        """Returns the prepared inputs and the forecast of each member."""
        features, store, dept, horizon = samples
        prepared = self._prepared(features, horizon)
        members = zip(self.members, prepared, strict=True)
        return prepared, [member.forecast(inputs, store, dept) for member, inputs in members]

    def _prepared(self, features: Tensor, horizon: Tensor) -> list[ModelInputs]:
        """Returns each member's prepared inputs; a shared preparation runs once."""
        preparations = dict.fromkeys(member.prepare for member in self.members)
        prepared = {prepare: prepare(features, horizon) for prepare in preparations}
        return [prepared[member.prepare] for member in self.members]


def quantile_forecast(base: Tensor, outputs: Tensor, level: Tensor, max_correction: float) -> MemberForecast:
    """Turns the outputs of a quantile head into a forecast.

    Args:
        base: Median before the correction, divided by the level [N].
        outputs: Outputs of the head [N, QUANTILE_OUTPUTS].
        level: Level, US dollars [N].
        max_correction: Bound of the correction, as a share of the base.
    """
    unit = base.abs() + 0.1
    correction = max_correction * torch.tanh(outputs[:, 0] / max_correction)
    median = base + unit * correction
    steps = functional.softplus(outputs[:, 1:] + _INITIAL_DISTANCE) * unit[:, None]
    distances = torch.stack(
        [steps[:, 0], steps[:, 0] + steps[:, 1], steps[:, 2], steps[:, 2] + steps[:, 3]], dim=1
    )
    return MemberForecast(median * level, distances * level[:, None], correction)


class IdEmbedding(nn.Module):
    """Learned vectors of known ids; an unknown id gets the mean vector."""

    known: Tensor

    def __init__(self, known: Sequence[int], size: int) -> None:
        super().__init__()
        self.register_buffer("known", torch.tensor(sorted(known), dtype=torch.int64))
        self.vectors = nn.Parameter(torch.randn(len(known), size) * 0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """Returns a vector for each id, [N] -> [N, size]."""
        matches = ids[:, None] == self.known
        # Index 0 is the vector of unknown ids.
        index = torch.where(matches.any(dim=1), matches.int().argmax(dim=1) + 1, 0)
        table = torch.cat([self.vectors.mean(dim=0, keepdim=True), self.vectors])
        return table[index]


class Standardization(nn.Module):
    """Standardizes inputs with training mean and standard deviation; constant inputs become 0."""

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
        # Rounding can give a constant input a variance of this order.
        varies = variance > 1e-9 * (mean**2 + 1e-6)
        self.mean.copy_(mean)
        self.factor.copy_(torch.where(varies, variance.rsqrt(), 0.0))

    def forward(self, inputs: Tensor) -> Tensor:
        """Returns standardized inputs, clamped [N, I]."""
        return ((inputs - self.mean) * self.factor).clamp(-_MAX_INPUT, _MAX_INPUT)


class ForecastMixture(Member):
    """A member whose median is a mixture of simple forecasts plus a small correction.

    A network computes the mixture weights and the correction. On unseen weeks the mixture is more accurate
    than a plain network: errors of simple forecasts cancel out, and none can run away.
    """

    #: Bound of the logits, so that no simple forecast gets all or none of the weight.
    _MAX_LOGIT = 2.0

    def __init__(
        self,
        prepare: Preparation,
        feature_count: int,
        embeddings: tuple[IdEmbedding, IdEmbedding],
        body: MixtureBody,
    ) -> None:
        """Creates the layers.

        Args:
            prepare: Preparation of the inputs.
            feature_count: Number of features.
            embeddings: Embeddings of stores and of departments.
            body: Layers between inputs and head.
        """
        super().__init__()
        self.prepare = prepare
        self.store, self.dept = embeddings
        self.weight_decay = body.weight_decay
        self.max_correction = body.max_correction
        # The preparation alone knows the number of its inputs and forecasts.
        sample = torch.zeros(1, feature_count, dtype=torch.float64), torch.ones(1, dtype=torch.int64)
        prepared: ModelInputs = prepare(*sample)
        inputs, forecasts = prepared.inputs.shape[1], prepared.forecasts.shape[1]
        self.standardize = Standardization(inputs)
        ids = sum(embedding.vectors.shape[1] for embedding in embeddings)
        self.body = body.layers(inputs + ids, body.hidden)
        self.head = nn.Linear(body.hidden, forecasts + QUANTILE_OUTPUTS)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forecast(self, prepared: ModelInputs, store: Tensor, dept: Tensor) -> MemberForecast:
        """See ``Member``."""
        inputs = [self.standardize(prepared.inputs), self.store(store), self.dept(dept)]
        outputs = self.head(self.body(torch.cat(inputs, dim=1)))
        logits = self._MAX_LOGIT * torch.tanh(outputs[:, :-QUANTILE_OUTPUTS] / self._MAX_LOGIT)
        weights = torch.softmax(logits - prepared.penalty, dim=1)
        base = (weights * prepared.forecasts).sum(dim=1)
        return quantile_forecast(base, outputs[:, -QUANTILE_OUTPUTS:], prepared.level, self.max_correction)


@dataclass(frozen=True)
class MixtureBody:
    """Settings of a ``ForecastMixture``'s network.

    Attributes:
        layers: Constructor of the layers, from their number of inputs and of outputs.
        hidden: Number of outputs of the layers.
        weight_decay: Weight decay of AdamW.
        max_correction: Bound of the correction, as a share of the mixture.
    """

    layers: Callable[[int, int], nn.Module]
    hidden: int
    weight_decay: float
    max_correction: float


def perceptron(activation: type[nn.Module]) -> Callable[[int, int], nn.Module]:
    """Returns a constructor of two fully connected layers, for ``MixtureBody``."""

    def layers(inputs: int, hidden: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, hidden), activation(), nn.Linear(hidden, hidden), activation())

    return layers
