"""Ensemble weights of a model's components, chosen by their errors on weeks that did not train them.

The seasonal and the structural forecast are formulas: nothing trained them, so the weeks of the whole last
year say which of the two is better. A trained component knows its training weeks by heart: only the
validation weeks count. They are few and of one season, so they decide a quarter of its weight.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from shelfcast.features.definitions import YEAR_WEEKS
from shelfcast.features.samples import NUMPY_WEEK, Floats
from shelfcast.models.feature_values import feature_columns
from shelfcast.models.global_model import FORMULAS, GlobalModel
from shelfcast.models.network import Network
from shelfcast.train.data import Samples, Shard
from shelfcast.train.distributed import Processes
from shelfcast.train.minibatch import BatchReader, chunks

#: Weeks of evidence that the prior share of a formula counts as.
_PRIOR_WEEKS = 8
#: Weight of the validation weeks against the prior share of a trained component.
_VALIDATION_WEIGHT = 0.25
#: Upper bound of samples of the last year, drawn evenly from each file.
_SAMPLES = 65_536
_TENTHS = torch.arange(11) / 10


@torch.no_grad()
def choose_shares(model: Network, shard: Shard, processes: Processes) -> None:
    """Sets the model's ``shares``, if it has any."""
    if not isinstance(model, GlobalModel):
        return
    model.eval()
    trained = len(model.shares) - len(FORMULAS)
    structural, weeks = _structural_share(model, shard, processes)
    prior = model.prior_structural
    structural = (weeks * structural + _PRIOR_WEEKS * prior) / (weeks + _PRIOR_WEEKS)
    formulas = torch.tensor([1 - structural, structural])
    # Each candidate gives every trained component a tenth or more, or nothing, and the formulas the rest.
    parts = _grid(trained)
    candidates = torch.cat([parts, (1 - parts.sum(dim=1, keepdim=True)) * formulas], dim=1)
    errors, _ = _errors(model, shard, processes, shard.validation, candidates)
    best = parts[int(errors.argmin())]
    shares = (1 - _VALIDATION_WEIGHT) * torch.tensor(model.prior_trained) + _VALIDATION_WEIGHT * best
    model.shares.copy_(torch.cat([shares, (1 - shares.sum()) * formulas]))


def _structural_share(model: GlobalModel, shard: Shard, processes: Processes) -> tuple[float, int]:
    """Returns the best share of the structural forecast in a mean of both formulas, and the weeks it saw.

    The weeks are those of the last year before the test weeks in which both know a year of history.
    """
    samples = _last_year(shard, processes)
    trained = torch.zeros(len(_TENTHS), len(model.shares) - len(FORMULAS))
    candidates = torch.cat([trained, 1 - _TENTHS[:, None], _TENTHS[:, None]], dim=1)
    errors, weeks = _errors(model, shard, processes, samples, candidates)
    return float(_TENTHS[int(errors.argmin())]), weeks


def _last_year(shard: Shard, processes: Processes) -> Samples:
    """Returns samples of the process's files whose targets lie in the last year, with last year's sales."""
    table = shard.table
    validation = table.target_week(shard.validation.rows, shard.validation.horizons)
    newest = [week for part in processes.gather(np.unique(validation)[-1:]) for week in part]
    first = max(newest) - (YEAR_WEEKS - 1) * NUMPY_WEEK
    column = feature_columns(table.features)["last_year"]
    rows, horizons = [], []
    for part in [*shard.training, shard.validation]:
        is_recent = table.target_week(part.rows, part.horizons) >= first
        rows.append(part.rows[is_recent])
        horizons.append(part.horizons[is_recent])
    recent = Samples(np.concatenate(rows), np.concatenate(horizons))
    known = [~np.isnan(table.matrix(part.rows, part.horizons)[:, column]) for part in chunks(recent)]
    recent = recent.take(np.flatnonzero(np.concatenate(known))) if known else recent
    every = max(1, -(-sum(processes.gather(len(recent))) // _SAMPLES))
    return recent.take(slice(None, None, every))


def _errors(
    model: GlobalModel, shard: Shard, processes: Processes, samples: Samples, candidates: Tensor
) -> tuple[Floats, int]:
    """Returns the weighted absolute error of each candidate over all processes [C], and the target weeks."""
    candidates = candidates.to(processes.device)
    errors = torch.zeros(len(candidates), dtype=torch.float64)
    reader = BatchReader(shard.table, processes.device)
    for part in chunks(samples):
        batch = reader.read(part)
        errors_usd = (candidates @ model.forecasts(*batch.inputs) - batch.actual).abs()
        errors += (errors_usd * batch.weight).double().sum(dim=1).cpu()
    weeks = set(shard.table.target_week(samples.rows, samples.horizons).tolist())
    return processes.all_reduce_sum(errors.numpy()), len(set().union(*processes.gather(weeks)))


def _grid(parts: int) -> Tensor:
    """Returns all shares of the components in tenths whose sum is 1 at most [C, P]."""
    grid = torch.cartesian_prod(*[_TENTHS] * parts).reshape(-1, parts)
    return grid[grid.sum(dim=1) < 1 + 1e-6]
