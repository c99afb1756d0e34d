"""Writes golden rows into Feast's online tables, with the online store that the pipeline gives Feast."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta

from feast import Entity, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Null, Value
from feast.types import Bool, FeastType, Float32, Float64, Int32, Int64, String

from shelfcast.features.feast_repository import settings
from shelfcast.features.online_store import WidePostgreSQLOnlineStore

PROJECT = "shelfcast_golden"
ORIGIN = datetime(2012, 1, 27, tzinfo=UTC)
NULL = Value(null_val=Null.NULL)

Row = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

#: Features of each view; ``last_year`` is of other types than the pipeline's, as a user's own columns may be.
TYPES: dict[str, dict[str, FeastType]] = {
    "sales_history": {
        "lag_1": Float64,
        "weeks_since_first": Float64,
        "rolling_mean_4": Float32,
        "last_year_h1": Int64,
        "last_year_h2": Int64,
        "last_year_h3": Int32,
        "last_year_h4": Bool,
        **{f"last_year_h{n}": Int64 for n in range(5, 13)},
    },
    "store_externals": {"temperature": Float64},
    "store_attributes": {"size": Float64, "type_code": Int64},
    "calendar": {"is_holiday": Bool, "week_of_year": Int32},
}


def key(**entity: int | str) -> EntityKey:
    """Returns the key of an entity, its join keys in the order given."""
    values = [Value(string_val=v) if isinstance(v, str) else Value(int64_val=v) for v in entity.values()]
    return EntityKey(join_keys=list(entity), entity_values=values)


def sales(store: int, dept: int, at: datetime = ORIGIN, **changed: Value) -> Row:
    """Returns a row of sales_history whose values follow from store and dept."""
    values = {
        "lag_1": Value(double_val=1000.0 * store + dept),
        "weeks_since_first": Value(double_val=99),
        "rolling_mean_4": Value(float_val=0.5 * dept),
        "last_year_h1": Value(int64_val=100 + dept),
        "last_year_h2": Value(int64_val=200 + dept),
        "last_year_h3": Value(int32_val=300 + dept),
        "last_year_h4": Value(bool_val=True),
        **{f"last_year_h{n}": Value(int64_val=100 * n + dept) for n in range(5, 13)},
        **changed,
    }
    return key(store=store, dept=dept), values, at, None


def views() -> dict[str, list[Row]]:
    """Returns the rows of each view. The calendar lacks the weeks 3 to 11 after the origin."""
    weeks = [(ORIGIN + timedelta(weeks=n)).date() for n in (*range(-8, 3), 12)]
    return {
        "sales_history": [
            *(sales(store, dept) for store in (1, 2) for dept in (3, 4)),
            # An estimate, which is in no total.
            sales(2, 30, weeks_since_first=NULL),
            sales(1, 5, lag_1=NULL, last_year_h2=Value()),
            sales(1, 6, lag_1=Value(double_val=float("nan")), rolling_mean_4=Value(float_val=0.1)),
            sales(1, 7, lag_1=Value(double_val=5e-324), last_year_h1=Value(int64_val=-(2**53))),
            sales(1, 8, lag_1=Value(double_val=0.1 + 0.2)),
            sales(1, 9, at=ORIGIN - timedelta(days=28), last_year_h4=Value(bool_val=False)),
            sales(1, 10, at=ORIGIN - timedelta(days=35)),
            sales(-5, -7),
            sales(3, 3),
            sales(4, 3),
        ],
        "store_externals": [
            (key(store=1), {"temperature": Value(double_val=40.25)}, ORIGIN, None),
            (key(store=2), {"temperature": NULL}, ORIGIN, None),
            (key(store=-5), {"temperature": Value(double_val=-12.5)}, ORIGIN, None),
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
    config = RepoConfig(**settings(PROJECT, database_url))
    store = WidePostgreSQLOnlineStore()
    for name, rows in views().items():
        keys = {k: String if k == "week" else Int64 for k in rows[0][0].join_keys}
        entities = [Entity(name=k, value_type=ValueType[t.name]) for k, t in keys.items()]
        features = [Field(name=column, dtype=dtype) for column, dtype in TYPES[name].items()]
        source = FileSource(path="unused.parquet", timestamp_field="event_timestamp")
        view = FeatureView(name=name, entities=entities, schema=features, source=source)
        view.entity_columns = [Field(name=k, dtype=dtype) for k, dtype in keys.items()]
        store.update(config, [], [view])
        store.online_write_batch(config, view, rows, None)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("database_url")
    write_tables(parser.parse_args().database_url)
