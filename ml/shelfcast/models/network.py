"""What every network is to training, calibration, export and serving."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from shelfcast.features.definitions import ModelFeature
from shelfcast.features.feature_groups import covariate_names
from shelfcast.models.feature_values import feature_columns

#: Of the output's columns.
QUANTILES = (0.025, 0.1, 0.5, 0.9, 0.975)
#: Column of the median.
MEDIAN = 2
#: Shares of actuals that the intervals are to hold: inner, outer.
COVERAGES = (0.8, 0.95)
#: Groups of samples by the size of their series, each with intervals of its own.
SIZE_GROUPS = 5
#: What a head says of quantiles: correction of the median, then inner and outer distance below and above.
QUANTILE_OUTPUTS = 5

#: softplus of it is 0.2: an interval of +-20 % to begin with.
_FIRST_DISTANCE = -1.5
#: Inputs further away, in standard deviations, say no more than "extreme": the network must not extrapolate
#: into weeks of a season that the training has not seen.
_LARGEST_INPUT = 2.5

#: Arguments of ``Network.forward``.
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Prepared:
    """What a member works on, for N samples.

    Attributes:
        level: Size of the series, US dollars, positive [N].
        forecasts: Simple forecasts, in levels [N, K].
        inputs: Not yet standardized, all finite [N, I].
        penalty: Is taken off the weights of the simple forecasts before they are compared [N, K].
        seasonal: Last year's sales with this year's growth, in levels [N].
    """

    level: Tensor
    forecasts: Tensor
    inputs: Tensor
    penalty: Tensor
    seasonal: Tensor


@dataclass(frozen=True)
class Answer:
    """A member's forecast of N samples, US dollars.

    Attributes:
        median: [N].
        distances: Of the quantiles from it, none below 0: inner and outer below, then above [N, 4].
        correction: What the network adds to the simple forecasts, as a share of them [N].
    """

    median: Tensor
    distances: Tensor
    correction: Tensor

    def quantiles(self, widening: Tensor) -> Tensor:
        """Returns ``QUANTILES`` [N, 5], never crossing, their distances times the factors [N, 2]."""
        inner = self.distances[:, [0, 2]] * widening[:, :1]
        outer = torch.maximum(self.distances[:, [1, 3]] * widening[:, 1:], inner)
        lower, upper = self.median[:, None] - outer, self.median[:, None] + outer
        near = torch.stack([self.median - inner[:, 0], self.median, self.median + inner[:, 1]], dim=1)
        return torch.cat([lower[:, :1], near, upper[:, 1:]], dim=1)


class Preparation(nn.Module, ABC):
    """From features to level, simple forecasts and inputs; it has no learned weights.

    Attributes:
        floor_usd: Is added to each level, so that a series without sales has one.
    """

    floor_usd: Tensor

    def __init__(self, features: Sequence[ModelFeature], horizon_weeks: int) -> None:
        super().__init__()
        self._columns = feature_columns(features)
        self._declared = covariate_names(features)
        self._horizon_weeks = horizon_weeks
        self.register_buffer("floor_usd", torch.tensor(1.0))

    @abstractmethod
    def forward(self, features: Tensor, horizon: Tensor) -> Prepared:
        """Prepares N samples.

        Args:
            features: double [N, F], NaN where missing.
            horizon: Weeks ahead, int64 [N].
        """


class Member(nn.Module, ABC):
    """A network that learns by its own loss.

    Attributes:
        prepare: What it works on.
        standardize: Of the prepared inputs.
        weight_decay: AdamW's.
    """

    prepare: Preparation
    standardize: Standardization
    weight_decay: float

    @abstractmethod
    def answer(self, prepared: Prepared, store: Tensor, dept: Tensor) -> Answer:
        """Forecasts N samples; store and dept are int64 [N]."""


class Network(nn.Module):
    """A preset's network.

    Attributes:
        custom_opsets: Operators of the exported graph beside the usual ones, with their version.
        feature_count: Columns of the features.
        mean_level_usd: Of the training samples; the loss is in units of it.
        size_edges_usd: Levels that part the groups of sizes, ascending, US dollars [SIZE_GROUPS - 1].
        widening: Factors that calibration sets, by weeks ahead and group of sizes, for the inner and
            the outer interval [H, SIZE_GROUPS, 2].
    """

    custom_opsets: ClassVar[dict[str, int]] = {}
    feature_count: int
    mean_level_usd: Tensor
    size_edges_usd: Tensor
    widening: Tensor

    def __init__(self, feature_count: int, horizon_weeks: int, members: Sequence[Member]) -> None:
        super().__init__()
        self.feature_count = feature_count
        self.parts = nn.ModuleList(members)
        self.register_buffer("mean_level_usd", torch.tensor(1.0))
        self.register_buffer("size_edges_usd", torch.full((SIZE_GROUPS - 1,), torch.inf))
        self.register_buffer("widening", torch.ones(horizon_weeks, SIZE_GROUPS, len(COVERAGES)))

    @property
    def members(self) -> list[Member]:
        """Are trained side by side."""
        return [part for part in self.parts if isinstance(part, Member)]

    def forward(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns ``QUANTILES`` of sales in US dollars, float [N, 5], never crossing.

        Args:
            features: double [N, F] in the order given to the constructor, NaN where missing.
            store: int64 [N].
            dept: int64 [N].
            horizon: Weeks ahead from 1, int64 [N].
        """
        prepared, answers = self._answers((features, store, dept, horizon))
        ahead = (horizon - 1).clamp(0, len(self.widening) - 1)
        widening = self.widening[ahead, self._group(prepared[0].level)]
        return self.combine((features, store, dept, horizon), prepared, answers).quantiles(widening)

    def size_group(self, features: Tensor, horizon: Tensor) -> Tensor:
        """Returns the group of sizes of each sample, int64 [N]; see ``forward``."""
        prepared: Prepared = self.members[0].prepare(features, horizon)
        return self._group(prepared.level)

    def _group(self, level: Tensor) -> Tensor:
        return (level[:, None] > self.size_edges_usd).long().sum(dim=1)

    def combine(
        self,
        inputs: Inputs,  # noqa: ARG002
        prepared: Sequence[Prepared],  # noqa: ARG002
        answers: Sequence[Answer],
    ) -> Answer:
        """Makes one forecast of its members' ones; without other parts, it is the only member's."""
        return answers[0]

    def member_quantiles(self, features: Tensor, store: Tensor, dept: Tensor, horizon: Tensor) -> Tensor:
        """Returns the quantiles of each member, as training compares them [M, N, 5]; see ``forward``."""
        ones = torch.ones(len(horizon), len(COVERAGES), device=features.device)
        return torch.stack(
            [
                member.answer(inputs, store, dept).quantiles(ones)
                for member, inputs in zip(self.members, self._prepared(features, horizon), strict=True)
            ]
        )

    def _answers(self, inputs: Inputs) -> tuple[list[Prepared], list[Answer]]:
        """Returns what each member works on and what it says."""
        features, store, dept, horizon = inputs
        prepared = self._prepared(features, horizon)
        members = zip(self.members, prepared, strict=True)
        return prepared, [member.answer(own, store, dept) for member, own in members]

    def _prepared(self, features: Tensor, horizon: Tensor) -> list[Prepared]:
        """Returns what each member works on; what several of them share is computed once."""
        preparations = dict.fromkeys(member.prepare for member in self.members)
        prepared = {prepare: prepare(features, horizon) for prepare in preparations}
        return [prepared[member.prepare] for member in self.members]


def quantile_answer(base: Tensor, outputs: Tensor, level: Tensor, largest_correction: float) -> Answer:
    """Turns a head's outputs into a forecast.

    Args:
        base: Forecast that is corrected, in levels [N].
        outputs: ``QUANTILE_OUTPUTS`` columns [N, 5].
        level: US dollars [N].
        largest_correction: As a share of the base.
    """
    unit = base.abs() + 0.1
    correction = largest_correction * torch.tanh(outputs[:, 0] / largest_correction)
    median = base + unit * correction
    steps = functional.softplus(outputs[:, 1:] + _FIRST_DISTANCE) * unit[:, None]
    distances = torch.stack(
        [steps[:, 0], steps[:, 0] + steps[:, 1], steps[:, 2], steps[:, 2] + steps[:, 3]], dim=1
    )
    return Answer(median * level, distances * level[:, None], correction)


class IdEmbedding(nn.Module):
    """Learned vectors of known ids; an unknown id gets their mean."""

    known: Tensor

    def __init__(self, known: Sequence[int], size: int) -> None:
        super().__init__()
        self.register_buffer("known", torch.tensor(sorted(known), dtype=torch.int64))
        self.vectors = nn.Parameter(torch.randn(len(known), size) * 0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """Returns a vector for each id, [N] -> [N, size]."""
        matches = ids[:, None] == self.known
        # Index 0 is the unknown id's own.
        index = torch.where(matches.any(dim=1), matches.int().argmax(dim=1) + 1, 0)
        table = torch.cat([self.vectors.mean(dim=0, keepdim=True), self.vectors])
        return table[index]


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


class Mix(Member):
    """The median is a mix of simple forecasts plus a small correction; a network decides both.

    What the training has not seen, the mix forecasts better than a network: errors of simple forecasts cancel
    out, and none can run away.
    """

    #: No simple forecast gets all or nothing.
    _LARGEST_LOGIT = 2.0

    def __init__(
        self,
        prepare: Preparation,
        feature_count: int,
        embeddings: tuple[IdEmbedding, IdEmbedding],
        body: MixBody,
    ) -> None:
        """Sets up.

        Args:
            prepare: Returns ``Prepared``.
            feature_count: Columns of the features.
            embeddings: Of stores and departments.
            body: How the network in between is made.
        """
        super().__init__()
        self.prepare = prepare
        self.store, self.dept = embeddings
        self.weight_decay = body.weight_decay
        self.largest_correction = body.largest_correction
        nothing = torch.zeros(1, feature_count, dtype=torch.float64), torch.ones(1, dtype=torch.int64)
        empty: Prepared = prepare(*nothing)
        inputs, forecasts = empty.inputs.shape[1], empty.forecasts.shape[1]
        self.standardize = Standardization(inputs)
        ids = sum(embedding.vectors.shape[1] for embedding in embeddings)
        self.body = body.layers(inputs + ids, body.hidden)
        self.head = nn.Linear(body.hidden, forecasts + QUANTILE_OUTPUTS)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def answer(self, prepared: Prepared, store: Tensor, dept: Tensor) -> Answer:
        """See ``Member``."""
        inputs = [self.standardize(prepared.inputs), self.store(store), self.dept(dept)]
        outputs = self.head(self.body(torch.cat(inputs, dim=1)))
        logits = self._LARGEST_LOGIT * torch.tanh(outputs[:, :-QUANTILE_OUTPUTS] / self._LARGEST_LOGIT)
        mix = torch.softmax(logits - prepared.penalty, dim=1)
        base = (mix * prepared.forecasts).sum(dim=1)
        return quantile_answer(base, outputs[:, -QUANTILE_OUTPUTS:], prepared.level, self.largest_correction)


@dataclass(frozen=True)
class MixBody:
    """How the network of a ``Mix`` is made and trained.

    Attributes:
        layers: Makes them of the number of their inputs and of their outputs.
        hidden: Outputs of the layers.
        weight_decay: AdamW's.
        largest_correction: Of the mix, as a share of it.
    """

    layers: Callable[[int, int], nn.Module]
    hidden: int
    weight_decay: float
    largest_correction: float


def perceptron(activation: type[nn.Module]) -> Callable[[int, int], nn.Module]:
    """Returns what makes the layers of a ``MixBody``: two, fully connected."""

    def layers(inputs: int, hidden: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, hidden), activation(), nn.Linear(hidden, hidden), activation())

    return layers
