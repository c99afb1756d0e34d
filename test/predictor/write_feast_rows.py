"""Writes golden rows into Feast's online tables, with Feast's own code for tables, keys and values."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from urllib.parse import urlparse

from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.infra.online_stores.postgres_online_store.postgres import PostgreSQLOnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Null, Value
from feast.types import Float64

PROJECT = "shelfcast_golden"
ORIGIN = datetime(2012, 1, 27, tzinfo=UTC)
NULL = Value(null_val=Null.NULL)

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]


def key(**entity: int | str) -> EntityKey:
    """Returns the key of an entity, its join keys in the order given."""
    values = [Value(string_val=v) if isinstance(v, str) else Value(int64_val=v) for v in entity.values()]
    return EntityKey(join_keys=list(entity), entity_values=values)


def sales(store: int, dept: int, at: datetime = ORIGIN, **changed: Value) -> Row:
    """Returns a row of sales_history whose values follow from store and dept."""
    values = {
        "lag_1": Value(double_val=1000.0 * store + dept),
        "rolling_mean_4": Value(float_val=0.5 * dept),
        **{f"last_year_h{h}": Value(int64_val=100 * h + dept) for h in range(1, 5)},
        **changed,
    }
    return key(store=store, dept=dept), values, at, None


def without(row: Row, *names: str) -> Row:
    """Returns the row without some of its columns."""
    return row[0], {name: value for name, value in row[1].items() if name not in names}, row[2], row[3]


def views() -> dict[str, list[Row]]:
    """Returns the rows of each view. The calendar ends two weeks after the origin."""
    weeks = [(ORIGIN + timedelta(weeks=n)).date() for n in range(-8, 3)]
    return {
        "sales_history": [
            *(sales(store, dept) for store in (1, 2) for dept in (3, 4)),
            sales(1, 5, lag_1=NULL, last_year_h2=Value()),
            sales(1, 6, lag_1=Value(double_val=float("nan")), rolling_mean_4=Value(int32_val=-40)),
            sales(1, 7, lag_1=Value(double_val=5e-324), rolling_mean_4=Value(bool_val=True)),
            sales(1, 8, lag_1=Value(string_val="many")),
            sales(1, 9, at=ORIGIN - timedelta(days=28)),
            sales(1, 10, at=ORIGIN - timedelta(days=35)),
            without(sales(1, 11), "rolling_mean_4"),
            # The second write leaves last_year_h1 at the older date, as after a run with a shorter horizon.
            sales(1, 12, at=ORIGIN - timedelta(days=7)),
            without(sales(1, 12), "last_year_h1"),
            sales(-5, -7),
            sales(3, 3),
            sales(4, 3),
        ],
        "store_externals": [
            (key(store=1), {"temperature": Value(double_val=40.25)}, ORIGIN, None),
            (key(store=2), {"temperature": NULL}, ORIGIN, None),
            (key(store=-5), {"temperature": Value(float_val=-12.5)}, ORIGIN, None),
            (key(store=4), {"temperature": Value(double_val=-999.0)}, ORIGIN, None),
        ],
        "store_attributes": [
            (key(store=s), {"size": Value(double_val=1e5 + s), "type_code": Value(int64_val=s)}, ORIGIN, None)
            for s in (1, 2, 3, 4, -5)
        ],
        "calendar": [
            (
                key(week=week.isoformat()),
                {
                    "is_holiday": Value(bool_val=n == 10),
                    "week_of_year": Value(int32_val=week.isocalendar().week),
                },
                ORIGIN,
                None,
            )
            for n, week in enumerate(weeks)
        ],
    }


def write_tables(database_url: str) -> None:
    """Creates the online tables as `feast apply` does, and writes the rows as `materialize` does."""
    url = urlparse(database_url)
    config = RepoConfig(
        project=PROJECT,
        provider="local",
        registry="unused.db",
        entity_key_serialization_version=3,
        online_store={
            "type": "postgres",
            "host": url.hostname,
            "port": url.port,
            "database": url.path.lstrip("/"),
            "db_schema": "feast_online",
            "user": url.username,
            "password": url.password,
            "sslmode": "disable",
        },
    )
    store = PostgreSQLOnlineStore()
    for name, rows in views().items():
        entities = [
            Entity(name=k, value_type=ValueType.STRING if k == "week" else ValueType.INT64)
            for k in rows[0][0].join_keys
        ]
        schema = [Field(name=column, dtype=Float64) for column in rows[0][1]]
        source = FileSource(path="unused.parquet", timestamp_field="event_timestamp")
        view = FeatureView(name=name, entities=entities, schema=schema, source=source)
        store.update(config, [], [view], [], entities, partial=True)
        # One by one: of two rows for a series the later must win column by column.
        for row in rows:
            store.online_write_batch(config, view, [row], None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("database_url")
    write_tables(parser.parse_args().database_url)
