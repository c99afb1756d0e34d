"""Training-serving skew check: a sample of features in the training data, offline and online, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from shelfcast.contracts.model import ModelFeature, View
from shelfcast.contracts.results import SkewInstance, SkewSample
from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.database import connect, identifiers
from shelfcast.features import offline_tables
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS
from shelfcast.features.samples import Integers, OriginTable, read_origin_table
from shelfcast.features.version import feature_set_version
from shelfcast.ids import PLAIN_IDS, Ids
from shelfcast.job import write_json

if TYPE_CHECKING:
    from feast import FeatureStore

#: Number of series in the sample.
SAMPLE_SIZE = 100
Floats = NDArray[np.float64]
#: Column name -> one value for each instance; None is unknown.
Columns = Mapping[str, Sequence[float | None]]


class Keys(TypedDict):
    """Entity keys of an instance; ``week`` is the target week's ISO date."""

    store: int
    dept: int
    week: str


@dataclass(frozen=True)
class Sample:
    """Sample of N instances, in the form of predict requests, with their features in the training data.

    Attributes:
        origin: Origin of all instances, the last week with sales.
        keys: Entity keys of each instance, [N].
        horizons: Weeks ahead, [N].
        features: All features of the data set, F.
        values: Features in the training data, [N, F]; NaN where unknown.
        ids: Ids of stores and departments, for messages.
    """

    origin: date
    keys: list[Keys]
    horizons: list[int]
    features: tuple[ModelFeature, ...]
    values: Floats
    ids: Ids = PLAIN_IDS

    def column(self, feature: int, row: int) -> str:
        """Returns the column of a feature for an instance's number of weeks ahead."""
        return self.features[feature].column.replace("{horizon}", str(self.horizons[row]))

    def matrix(self, columns: Columns) -> Floats:
        """Picks the features of the instances from the columns for all numbers of weeks ahead, [N, F]."""
        rows, features = range(len(self.keys)), range(len(self.features))
        return np.array([[columns[self.column(f, n)][n] for f in features] for n in rows], dtype=np.float64)


def check(url: str, spec: FeaturesSpec, directory: Path, features: FeatureSet, origin: date) -> Path:
    """Checks a sample of the newest origin and writes it to ``skew-sample.json``; returns that path.

    Args:
        url: Address of the database.
        spec: Spec of the job.
        directory: Folder of the training data, and for the ``SkewSample`` of ``contracts/jobs.ts``.
        features: Feature set of the data set.
        origin: Last week with sales.

    Raises:
        RuntimeError: A value differs; another try may help.
    """
    # Feast takes seconds to import; ``build`` has imported it by now.
    from shelfcast.features import feast_repository

    project, snapshot = spec.feast_project, spec.snapshot
    sample = draw(directory, origin, snapshot.batch_id)
    with connect(url) as connection:
        offline = read_offline(connection, project, features, sample)
    require_same(sample, sample.matrix(offline), "Feast's offline table has")
    with feast_repository.open_store(project, url) as store:
        online = read_online(store, features, sample)
    require_same(sample, sample.matrix(online), "Feast answers online")
    path = directory / "skew-sample.json"
    write_json(path, describe(sample, features, snapshot.id))
    return path


def draw(directory: Path, origin: date, seed: int) -> Sample:
    """Draws a random sample of the series with sales in the week ``origin``."""
    table = read_origin_table(directory, first_origin=np.datetime64(origin))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(table.store))[:SAMPLE_SIZE])
    return sample_of(table, rows, rng.integers(1, table.horizon_weeks + 1, len(rows)))


def sample_of(table: OriginTable, rows: Integers, horizons: Integers) -> Sample:
    """Returns N rows of one origin as instances, ``horizons`` weeks ahead."""
    weeks = table.target_week(rows, horizons).astype(str)
    columns = (table.store[rows].tolist(), table.dept[rows].tolist(), weeks.tolist())
    keys = [Keys(store=store, dept=dept, week=week) for store, dept, week in zip(*columns, strict=True)]
    origin = table.origin[rows[0]].astype(date)
    values = table.matrix(rows, horizons)
    return Sample(origin, keys, horizons.tolist(), table.features, values, table.ids)


def read_offline(
    connection: psycopg.Connection, project: str, features: FeatureSet, sample: Sample
) -> dict[str, list[float | None]]:
    """Returns all columns of the instances' newest offline rows up to the origin."""
    columns: dict[str, list[float | None]] = {}
    for view, names in features.view_columns.items():
        rows = connection.execute(*_newest_rows(project, view, names, sample)).fetchall()
        columns |= {name: [row[index] for row in rows] for index, name in enumerate(names)}
    return columns


def read_online(store: FeatureStore, features: FeatureSet, sample: Sample) -> dict[str, list[float | None]]:
    """Returns all columns of the instances as Feast's SDK reads them online."""
    names = [f"{view}:{name}" for view, columns in features.view_columns.items() for name in columns]
    answer: dict[str, list[float | None]]
    answer = store.get_online_features(features=names, entity_rows=sample.keys).to_dict()
    return answer


def require_same(sample: Sample, values: Floats, reader: str) -> None:
    """Checks that the values equal the training data, bit by bit; all missing values are equal.

    Raises:
        RuntimeError: A value differs; another try may help.
    """
    different = np.argwhere(_bits(sample.values) != _bits(values))
    if len(different) == 0:
        return
    row, feature = different[0]
    view, column = sample.features[feature].view, sample.column(feature, row)
    keys = sample.keys[row]
    entity = ", ".join(
        f"{key} {keys[key] if key == 'week' else sample.ids.id(key, keys[key])}" for key in JOIN_KEYS[view]
    )
    trained, other = _shown(sample.values[row, feature]), _shown(values[row, feature])
    raise RuntimeError(
        f"{view} of {entity}: {column} is {trained} in the training data, {reader} {other} "
        f"({len(different)} of {values.size} sampled values differ); run the job again; if that does not "
        "help, look for another program that writes to these tables"
    )


def describe(sample: Sample, features: FeatureSet, snapshot_id: str) -> SkewSample:
    """Returns the content of ``skew-sample.json``."""
    names = [feature.name for feature in sample.features]
    rows = [[None if np.isnan(value) else value for value in row] for row in sample.values.tolist()]
    return SkewSample(
        snapshot_id=snapshot_id,
        feature_set_version=feature_set_version(features),
        origin=sample.origin,
        compared_values=sample.values.size,
        sample=[
            SkewInstance(
                store=key["store"],
                dept=key["dept"],
                horizon=horizon,
                target_week=date.fromisoformat(key["week"]),
                features=dict(zip(names, row, strict=True)),
            )
            for key, horizon, row in zip(sample.keys, sample.horizons, rows, strict=True)
        ],
    )


def _newest_rows(
    project: str, view: View, columns: list[str], sample: Sample
) -> tuple[sql.Composed, dict[str, Any]]:
    """Returns the query for the newest offline row of each instance, in their order, and its parameters."""
    keys = JOIN_KEYS[view]
    types = ", ".join(f"%({key})s::{'text' if key == 'week' else 'bigint'}[]" for key in keys)
    statement = sql.SQL("""
        select {columns} from unnest({types}) with ordinality as instance ({keys}, position)
        left join lateral (
          select * from {table} rows where ({row_keys}) = ({instance_keys}) and {event} <= %(origin)s
          order by rows.{event} desc, rows.{created} desc limit 1
        ) newest on true
        order by position
    """).format(
        columns=identifiers(columns, "newest"),
        types=sql.SQL(types),
        keys=identifiers(keys),
        table=offline_tables.identifier(project, view),
        row_keys=identifiers(keys, "rows"),
        instance_keys=identifiers(keys, "instance"),
        event=sql.Identifier(EVENT),
        created=sql.Identifier(CREATED),
    )
    return statement, {"origin": sample.origin, **{key: [row[key] for row in sample.keys] for key in keys}}


def _bits(values: Floats) -> NDArray[np.int64]:
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def _shown(value: float) -> str:
    return "unknown" if np.isnan(value) else repr(float(value))
