"""Our online store beside Feast's own, on a real PostgreSQL: the same rows by both, all bytes compared."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.types import Array, Bool, Float32, Float64, Int32, Int64, String
from feast.utils import _convert_arrow_to_proto
from psycopg.conninfo import conninfo_to_dict

from shelfcast.database import connect
from shelfcast.features.feast_repository import ONLINE_STORE
from shelfcast.features.online_store import CopyPostgreSQLOnlineStore

TYPES = {"double": Float64, "single": Float32, "whole": Int64, "small": Int32, "flag": Bool, "text": String}
TYPES["list"] = Array(Float64)
START = datetime(2024, 1, 5, tzinfo=UTC)
PROJECTS = count()

Write = Callable[[CopyPostgreSQLOnlineStore, RepoConfig, FeatureView, pa.RecordBatch], None]


def view() -> FeatureView:
    keys = [
        Entity(name="week", value_type=ValueType.STRING),
        Entity(name="store", value_type=ValueType.INT64),
    ]
    features = [Field(name=name, dtype=dtype) for name, dtype in TYPES.items()]
    schema = [Field(name="week", dtype=String), Field(name="store", dtype=Int64), *features]
    source = FileSource(path="none", timestamp_field="event", created_timestamp_column="created")
    made = FeatureView(name="several", entities=keys, schema=schema, source=source)
    made.entity_columns, made.features = schema[:2], features
    return made


def random_rows(rng: np.random.Generator, entities: int) -> pa.RecordBatch:
    """Returns rows of all types; a quarter of the values is unknown, some keys come twice."""

    def some(values: list[Any], type_: pa.DataType) -> pa.Array:
        return pa.array([None if rng.random() < 0.25 else value for value in values], type_)

    def times(first: datetime) -> pa.Array:
        days = rng.integers(0, 700, entities).tolist()
        return pa.array(
            [first + timedelta(days=day, microseconds=day) for day in days], pa.timestamp("us", "UTC")
        )

    doubles = rng.normal(0, 1e6, entities) ** 3
    doubles[0] = np.inf
    return pa.record_batch(
        {
            "week": [f"w\u00e9{n}" for n in rng.integers(0, 10, entities).tolist()],
            "store": pa.array(rng.integers(-5, 5, entities), pa.int64()),
            "double": some(doubles.tolist(), pa.float64()),
            "single": some(rng.normal(0, 1, entities).tolist(), pa.float32()),
            # Feast itself turns a whole number into a double when its column has a null.
            "whole": some(rng.integers(-(2**53), 2**53, entities).tolist(), pa.int64()),
            "small": some(rng.integers(-(2**31), 2**31, entities).tolist(), pa.int32()),
            "flag": some((rng.random(entities) < 0.5).tolist(), pa.bool_()),
            "text": some(["\0x"[1:] * int(n) for n in rng.integers(0, 300, entities)], pa.string()),
            "list": pa.array([[float(n), 2.0] for n in rng.integers(0, 9, entities)]),
            "event": times(START),
            "created": times(START + timedelta(days=900)),
        }
    )


def feast_rows(rows: pa.RecordBatch) -> list[Any]:
    return _convert_arrow_to_proto(rows, view(), {"week": ValueType.STRING, "store": ValueType.INT64})


def by_feast(_: object, config: RepoConfig, table: FeatureView, rows: pa.RecordBatch) -> None:
    PostgreSQLOnlineStore().online_write_batch(config, table, feast_rows(rows), None)


def by_objects(
    store: CopyPostgreSQLOnlineStore, config: RepoConfig, table: FeatureView, rows: pa.RecordBatch
) -> None:
    store.online_write_batch(config, table, feast_rows(rows), None)


def by_arrow(
    store: CopyPostgreSQLOnlineStore, config: RepoConfig, table: FeatureView, rows: pa.RecordBatch
) -> None:
    store.write_arrow(config, table, rows)


def config_of(url: str, type_: str, **settings: Any) -> RepoConfig:
    server = conninfo_to_dict(url)
    address = {name: server[name] for name in ("host", "port", "user", "password")}
    online = {"type": type_, **address, "database": server["dbname"], "sslmode": "prefer", **settings}
    return RepoConfig(
        project=f"online_{next(PROJECTS)}",
        provider="local",
        registry="none",
        entity_key_serialization_version=3,
        online_store={**online, "db_schema": "feast_online"},
    )


def stored(url: str, config: RepoConfig) -> list[tuple[Any, ...]]:
    with connect(url) as connection:
        return connection.execute(
            "select entity_key, feature_name, value, value_text, vector_value, event_ts, created_ts "
            f"from feast_online.{config.project}_several order by 1, 2"
        ).fetchall()


def written(url: str, write: Write, batches: list[pa.RecordBatch]) -> list[tuple[Any, ...]]:
    """Returns all that is in a table of its own after these batches."""
    config = config_of(url, "postgres" if write is by_feast else ONLINE_STORE)
    store = PostgreSQLOnlineStore() if write is by_feast else CopyPostgreSQLOnlineStore()
    store.update(config, [], [view()], [], [], partial=False)
    for batch in batches:
        write(store, config, view(), batch)
    return stored(url, config)


@pytest.fixture
def url(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PGTZ", "UTC")
    return database_url


@pytest.mark.parametrize("write", [by_objects, by_arrow])
@pytest.mark.parametrize("seed", range(4))
def test_all_bytes_are_those_of_feasts_own_store(url: str, write: Write, seed: int) -> None:
    rng = np.random.default_rng(seed)
    # 100 keys: batches repeat keys of their own and of those before, with older and newer event times.
    batches = [random_rows(rng, entities) for entities in (1, 60, 700)]
    ours = written(url, write, batches)
    assert len(ours) > 7 * 90
    assert ours == written(url, by_feast, batches)


def test_rows_of_other_entities_and_features_stay(url: str) -> None:
    rows = random_rows(np.random.default_rng(0), 50)
    config, store = config_of(url, ONLINE_STORE), CopyPostgreSQLOnlineStore()
    store.update(config, [], [view()], [], [], partial=False)
    store.write_arrow(config, view(), rows)
    before = stored(url, config)
    key, values, event, _ = feast_rows(rows)[0]
    changed = {"double": values["single"]}
    store.online_write_batch(config, view(), [(key, changed, event, None)], None)
    different = [new for old, new in zip(before, stored(url, config), strict=True) if old != new]
    assert [(row[1], row[2], row[6]) for row in different] == [
        ("double", changed["double"].SerializeToString(), None)
    ]


@pytest.mark.parametrize("write", [by_objects, by_arrow])
def test_no_rows_are_no_change(url: str, write: Write) -> None:
    rows = random_rows(np.random.default_rng(2), 20)
    assert written(url, write, [rows, rows.slice(0, 0)]) == written(url, write, [rows])


@pytest.mark.parametrize("write", [by_objects, by_arrow])
def test_a_write_that_fails_leaves_the_rows_as_they_were_and_the_store_usable(url: str, write: Write) -> None:
    rng = np.random.default_rng(1)
    first, second = random_rows(rng, 40), random_rows(rng, 40)
    config, store = config_of(url, ONLINE_STORE), CopyPostgreSQLOnlineStore()
    store.update(config, [], [view()], [], [], partial=False)
    write(store, config, view(), first)
    before = stored(url, config)
    table = f"feast_online.{config.project}_several"
    with connect(url) as connection:
        connection.execute(
            f"alter table {table} add constraint refuse check (event_ts < '2024-01-05') not valid"
        )
    with pytest.raises(psycopg.errors.CheckViolation):
        write(store, config, view(), second)
    assert stored(url, config) == before
    with connect(url) as connection:
        connection.execute(f"alter table {table} drop constraint refuse")
    write(store, config, view(), second)
    assert stored(url, config) != before


@pytest.mark.parametrize("setting", ["vector_enabled", "enable_openai_compatible_store"])
def test_settings_that_need_other_columns_are_refused(url: str, setting: str) -> None:
    with pytest.raises(ValueError, match="writes no vectors and no value_num; use Feast's type postgres"):
        _ = config_of(url, ONLINE_STORE, **{setting: True}).online_store
