"""Training-serving skew check: a sample of features in the training data, offline and online, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from shelfcast.database import connect, identifiers
from shelfcast.features import offline_tables
from shelfcast.features.definitions import FeatureSet, ModelFeature, View
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS
from shelfcast.features.samples import Integers, OriginTable, read_origin_table
from shelfcast.job import write_json

if TYPE_CHECKING:
    from feast import FeatureStore

SAMPLE_SIZE = 100
Floats = NDArray[np.float64]
#: Values of a column, one an instance; None is unknown.
Columns = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Sample:
    """N instances as the predictor is asked for them, and what the training data say of them.

    Attributes:
        origin: The last week with sales, of all of them.
        keys: ``store``, ``dept`` and ``week``, the target week's ISO date, [N].
        horizons: Weeks ahead, [N].
        features: All of the data set, F.
        values: [N, F]; NaN where unknown.
    """

    origin: date
    keys: list[dict[str, Any]]
    horizons: list[int]
    features: tuple[ModelFeature, ...]
    values: Floats

    def column(self, place: int, row: int) -> str:
        """Returns the column of a feature for an instance's number of weeks ahead."""
        return self.features[place]["column"].replace("{horizon}", str(self.horizons[row]))

    def matrix(self, columns: Columns) -> Floats:
        """Returns the features of the instances out of the columns of all numbers of weeks ahead, [N, F]."""
        rows, places = range(len(self.keys)), range(len(self.features))
        return np.array([[columns[self.column(f, n)][n] for f in places] for n in rows], dtype=np.float64)


def check(url: str, spec: dict[str, Any], directory: Path, features: FeatureSet, origin: date) -> Path:
    """Compares a sample of the newest origin; returns the path of ``skew-sample.json``, which holds it.

    Args:
        url: Of the database.
        spec: ``FeaturesSpec`` of ``contracts/jobs.ts``.
        directory: Holds the training data; gets ``SkewSample`` of ``contracts/jobs.ts``.
        features: Of the data set.
        origin: Last week with sales.

    Raises:
        RuntimeError: A value differs; worth another try.
    """
    # Takes seconds to import: by now it was.
    from shelfcast.features import feast_repository

    project, snapshot = spec["feastProject"], spec["snapshot"]
    sample = draw(directory, origin, snapshot["batchId"])
    with connect(url) as connection:
        offline = read_offline(connection, project, features, sample)
    require_same(sample, sample.matrix(offline), "Feast's offline table has")
    online = read_online(feast_repository.open_store(project, url), features, sample)
    require_same(sample, sample.matrix(online), "Feast answers online")
    path = directory / "skew-sample.json"
    write_json(path, describe(sample, features, snapshot["id"]))
    return path


def draw(directory: Path, origin: date, seed: int) -> Sample:
    """Returns a random sample of the training data's series with sales in the week ``origin``."""
    table = read_origin_table(directory, first_origin=np.datetime64(origin))
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(table.store))[:SAMPLE_SIZE])
    return sample_of(table, rows, rng.integers(1, table.horizon_weeks + 1, len(rows)))


def sample_of(table: OriginTable, rows: Integers, horizons: Integers) -> Sample:
    """Returns N rows of one origin as instances, each so many weeks ahead."""
    weeks = table.target_week(rows, horizons).astype(str)
    columns = (table.store[rows].tolist(), table.dept[rows].tolist(), weeks.tolist())
    keys = [
        dict(zip(("store", "dept", "week"), values, strict=True)) for values in zip(*columns, strict=True)
    ]
    origin = table.origin[rows[0]].astype(date)
    return Sample(origin, keys, horizons.tolist(), table.features, table.matrix(rows, horizons))


def read_offline(
    connection: psycopg.Connection, project: str, features: FeatureSet, sample: Sample
) -> dict[str, list[float | None]]:
    """Returns all columns of the instances' newest offline rows up to the origin."""
    columns: dict[str, list[float | None]] = {}
    for view, names in features.view_columns.items():
        rows = connection.execute(*_newest_rows(project, view, names, sample)).fetchall()
        columns |= {name: [row[place] for row in rows] for place, name in enumerate(names)}
    return columns


def read_online(store: FeatureStore, features: FeatureSet, sample: Sample) -> dict[str, list[float | None]]:
    """Returns all columns of the instances as Feast's SDK answers them."""
    names = [f"{view}:{name}" for view, columns in features.view_columns.items() for name in columns]
    answer: dict[str, list[float | None]]
    answer = store.get_online_features(features=names, entity_rows=sample.keys).to_dict()
    return answer


def require_same(sample: Sample, found: Floats, has: str) -> None:
    """Compares with the training data; every missing value is alike, and 0 is not -0.

    Raises:
        RuntimeError: A value differs; worth another try.
    """
    different = np.argwhere(_bits(sample.values) != _bits(found))
    if len(different) == 0:
        return
    row, place = different[0]
    view, column = sample.features[place]["view"], sample.column(place, row)
    entity = ", ".join(f"{key} {sample.keys[row][key]}" for key in JOIN_KEYS[view])
    trained, other = _shown(sample.values[row, place]), _shown(found[row, place])
    raise RuntimeError(
        f"{view} of {entity}: {column} is {trained} in the training data, {has} {other} ({len(different)} of "
        f"{found.size} sampled values differ); run the job again; if that does not help, look for another "
        "program that writes to these tables"
    )


def describe(sample: Sample, features: FeatureSet, snapshot_id: str) -> dict[str, Any]:
    """Returns the content of ``skew-sample.json``."""
    names = [feature["name"] for feature in sample.features]
    rows = [[None if np.isnan(value) else value for value in row] for row in sample.values.tolist()]
    return {
        "snapshotId": snapshot_id,
        "featureSetVersion": features.version,
        "origin": sample.origin.isoformat(),
        "comparedValues": sample.values.size,
        "sample": [
            {
                "store": key["store"],
                "dept": key["dept"],
                "horizon": horizon,
                "targetWeek": key["week"],
                "features": dict(zip(names, row, strict=True)),
            }
            for key, horizon, row in zip(sample.keys, sample.horizons, rows, strict=True)
        ],
    }


def _newest_rows(
    project: str, view: View, columns: list[str], sample: Sample
) -> tuple[sql.Composed, dict[str, Any]]:
    """Returns the query for the newest offline row of each instance, in their order, and its parameters."""
    keys = JOIN_KEYS[view]
    types = ", ".join(f"%({key})s::{'text' if key == 'week' else 'bigint'}[]" for key in keys)
    statement = sql.SQL("""
        select {columns} from unnest({types}) with ordinality as asked ({keys}, place)
        left join lateral (
          select * from {table} rows where ({row_keys}) = ({asked_keys}) and {event} <= %(origin)s
          order by rows.{event} desc, rows.{created} desc limit 1
        ) newest on true
        order by place
    """).format(
        columns=identifiers(columns, "newest"),
        types=sql.SQL(types),
        keys=identifiers(keys),
        table=offline_tables.identifier(project, view),
        row_keys=identifiers(keys, "rows"),
        asked_keys=identifiers(keys, "asked"),
        event=sql.Identifier(EVENT),
        created=sql.Identifier(CREATED),
    )
    return statement, {"origin": sample.origin, **{key: [row[key] for row in sample.keys] for key in keys}}


def _bits(values: Floats) -> NDArray[np.int64]:
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def _shown(value: float) -> str:
    return "unknown" if np.isnan(value) else repr(float(value))
