"""A column that the user declares reaches the network, in training and in the exported graph."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from train_example import DEPARTMENTS, HORIZON_WEEKS, STORES, WEEKS, Example

from shelfcast.features import training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.training_data import NO_EXTRAS
from shelfcast.ingest.generator import generate
from shelfcast.models.global_model import GlobalModel
from shelfcast.models.network import MEDIAN
from shelfcast.snapshot import Covariate
from shelfcast.train.data import EpochSampler, Shard, read_shard
from shelfcast.train.distributed import Processes
from shelfcast.train.export import write_model
from shelfcast.train.minibatch import BatchReader
from shelfcast.train.normalization import fit_normalization, known_ids
from shelfcast.train.training import Trainer

PROMO = Covariate("planned_promo", "series_week", -HORIZON_WEEKS, "1 in a week with a promotion")


def with_promotions(example: Example, folder: Path, declared: bool) -> Example:
    """Writes the example's weeks once more: sales that only a random promotion moves, by a tenth."""
    tables = generate(STORES, DEPARTMENTS, WEEKS, seed=3).tables
    sales = tables["sales"].select(["store", "dept", "week"])
    rng = np.random.default_rng(8)
    promo = rng.integers(0, 2, len(sales)).astype(float)
    usd = 1000 * sales["dept"].to_numpy() * (0.9 + 0.2 * promo) * rng.normal(1, 0.01, len(sales))
    extras = NO_EXTRAS
    if declared:
        columns = {"name": pa.repeat(PROMO.name, len(sales)), **{n: sales[n] for n in sales.column_names}}
        extras = pa.table({**columns, "value": promo}).cast(NO_EXTRAS.schema)
    features = FeatureSet(HORIZON_WEEKS, (PROMO,) if declared else ())
    folder.mkdir()
    sales = sales.append_column("weekly_sales", pa.array(usd))
    version = training_data.write(
        folder, sales, tables["store_week"], tables["store"], features, extras=extras
    )
    spec = dataclasses.replace(
        example.spec,
        training_data_uri=folder.as_uri(),
        feature_set_version=version,
        learning_rate=0.01,
        processes=1,
        max_epochs=8,
    )
    return dataclasses.replace(example, folder=folder, spec=spec)


def trained(example: Example, processes: Processes) -> tuple[GlobalModel, Shard]:
    shard = read_shard(example.spec, 0, 1)
    sampler = EpochSampler([len(samples) for samples in shard.training], 256, seed=7)
    torch.manual_seed(7)
    model = GlobalModel(shard.table.features, *known_ids(shard, processes), HORIZON_WEEKS)
    fit_normalization(model, shard, sampler, processes)
    Trainer(model, shard, sampler, processes, example.spec).run(lambda _: None)
    return model, shard


def median_error(model: GlobalModel, shard: Shard) -> float:
    """Returns the mean absolute error of the median in weeks after the training, over mean sales."""
    batch = BatchReader(shard.table, torch.device("cpu")).read(shard.validation)
    with torch.no_grad():
        median = model(*batch.inputs)[:, MEDIAN].double()
    return float((median - batch.actual).abs().mean() / batch.actual.abs().mean())


def test_an_announced_promotion_makes_forecasts_clearly_better(
    example: Example, alone: Processes, tmp_path: Path
) -> None:
    without = median_error(*trained(with_promotions(example, tmp_path / "without", False), alone))
    promoted = with_promotions(example, tmp_path / "with", True)
    model, shard = trained(promoted, alone)
    # Half the weeks are 10 % above, half 10 % below what nobody could know better.
    assert without > 0.08
    assert median_error(model, shard) < without / 2

    names = [feature.name for feature in shard.table.features]
    assert {"planned_promo", "planned_promo_ahead"} <= set(names)
    write_model(tmp_path / "model", model, shard.table, shard.validation, promoted.spec)
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    sample = shard.validation.take(slice(0, 50))
    inputs = BatchReader(shard.table, torch.device("cpu")).read(sample).inputs
    fed = dict(zip(("features", "store", "dept", "horizon"), (i.numpy() for i in inputs), strict=True))
    promotion, lift = (fed["features"][:, names.index(n)] for n in ("planned_promo_ahead", "planned_lift"))
    # The effect so far is that of the promotion over the median of weeks with and without one.
    effects = [lift[promotion == value].mean() for value in (0, 1)]
    assert effects[1] / effects[0] == pytest.approx(1.1 / 0.9, rel=0.03)
    answers = []
    for value, effect in zip((0.0, 1.0), effects, strict=True):
        promotion[:], lift[:] = value, effect
        answers.append(session.run(["quantiles"], fed)[0][:, 1])
    assert (answers[1] / answers[0]).mean() == pytest.approx(1.1 / 0.9, rel=0.05)
