"""``materialization.py STORES DEPARTMENTS WEEKS``: seconds of ``materialize`` by each writer, as JSON.

One set of offline tables of generated sales; each writer has a Feast project of its own, so its own online
tables: Feast's engines with Feast's ``postgres`` store, and our engine with ours. Each materializes all of
them twice: into empty tables, then over the rows that are there, after every value has changed. Runs on the
Ray of ``RAY_ADDRESS`` and the database of ``DATABASE_URL``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import ray
from feast import FeatureStore, RepoConfig
from psycopg import sql

from shelfcast.contracts.model import View
from shelfcast.database import connect, identifiers
from shelfcast.features import feast_repository, materialization, offline_tables, training_data
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.materialization import Window
from shelfcast.ingest.generator import generate
from shelfcast.job import database_url

FEATURES = FeatureSet(horizon_weeks=8)
SOURCE = "bench_source"
#: Makes Feast's engines write only the newest row of each entity, as shelfcast's does. By default they write
#: every row of the window.
STOCK = {"materialization": {"pull_latest_features": True}}
WRITERS: dict[str, dict[str, Any]] = {
    "feastLocal": {**STOCK, "batch_engine": {"type": "local"}},
    "feastRay": {**STOCK, "batch_engine": {"type": "ray.engine"}},
    "shelfcast": {},
}


def main(stores: int, departments: int, weeks: int) -> dict[str, object]:
    """Returns the measurements: rows, values and seconds by writer."""
    ray.init(address="auto", log_to_driver=False)
    url = database_url()
    tables = generate(stores, departments, weeks, 1).tables
    inputs = training_data.prepare(tables["sales"], tables["store_week"], tables["store"])
    inputs = training_data.with_structural(inputs, FEATURES)
    window = Window(*inputs.weeks)
    stores_of = {name: open_store(name, url, own) for name, own in WRITERS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in WRITERS}
    values = 0
    for added in (0, 1):
        write_offline(url, inputs, added)
        if added == 0:
            for name, store in stores_of.items():
                warm_up(name, url, store, window)
        for name, store in stores_of.items():
            seconds[name].append(seconds_of(store, window))
        values = compare(url, list(stores_of.values()))
    return {"salesRows": len(tables["sales"]), "values": values, "seconds": seconds}


def write_offline(url: str, inputs: training_data.Inputs, added: int) -> None:
    """Fills the offline tables that all writers read, with a number added to each feature."""
    _, last = inputs.weeks
    parts = (
        training_data.series_rows(inputs, number, FEATURES) for number in range(training_data.SERIES_FILES)
    )
    calendar = training_data.calendar_rows(*inputs.weeks)
    views: dict[View, Iterable[pa.Table]] = {
        "sales_history": map(offline_tables.sales_history_rows, parts),
        "store_externals": [offline_tables.store_external_rows(inputs, FEATURES)],
        "store_attributes": [offline_tables.store_attribute_rows(inputs, FEATURES, last)],
        "calendar": [offline_tables.calendar_store_rows(calendar, last)],
    }
    changed = {view: with_added(view, tables, added) for view, tables in views.items()}
    with connect(url) as connection:
        offline_tables.replace(connection, SOURCE, FEATURES, changed, datetime.now(UTC))
    with psycopg.connect(url, autocommit=True) as connection:
        # Autovacuum would do this at some later time, in the middle of a measurement.
        connection.execute("vacuum analyze")


def with_added(view: View, tables: Iterable[pa.Table], added: int) -> Iterator[pa.Table]:
    """Yields the tables with a number added to each feature."""
    for rows in tables:
        changed = rows
        for name in FEATURES.view_columns[view]:
            column = rows[name]
            sums = pc.add(column, pa.scalar(added, column.type))
            changed = changed.set_column(rows.column_names.index(name), name, sums)
        yield changed


def open_store(name: str, url: str, own: dict[str, Any]) -> FeatureStore:
    """Creates the tables of a writer; returns its store."""
    settings = feast_repository.settings(project_of(name), url) | own
    if own:
        settings["online_store"] = {**settings["online_store"], "type": "postgres"}
    store = FeatureStore(config=RepoConfig(**settings))
    views = feast_repository.feature_views(SOURCE, FEATURES)
    store.apply([*feast_repository.entities().values(), *views])
    return store


def warm_up(name: str, url: str, store: FeatureStore, window: Window) -> None:
    """Materializes once and empties the tables."""
    # Ray's processes start and import Feast once per pipeline, which is not part of the comparison.
    materialization.materialize(store, window)
    with connect(url) as connection:
        for view in FEATURES.view_columns:
            table = sql.Identifier("feast_online", offline_tables.table_name(project_of(name), view))
            connection.execute(sql.SQL("truncate {}").format(table))


def seconds_of(store: FeatureStore, window: Window) -> float:
    """Returns the seconds of one materialization of all views."""
    begin = time.perf_counter()
    materialization.materialize(store, window)
    return time.perf_counter() - begin


def compare(url: str, stores: list[FeatureStore]) -> int:
    """Returns the number of values that Feast's SDK reads online, the same from all stores.

    Raises:
        RuntimeError: They differ, so that times cannot be compared.
    """
    count = 0
    for view, columns in FEATURES.view_columns.items():
        keys = offline_tables.JOIN_KEYS[view]
        statement = sql.SQL("select distinct {} from {}").format(
            identifiers(keys),
            sql.Identifier("feast_offline", offline_tables.table_name(SOURCE, view)),
        )
        with connect(url) as connection:
            entities = [dict(zip(keys, row, strict=True)) for row in connection.execute(statement)]
        refs = [f"{view}:{column}" for column in columns]
        answers = [
            store.get_online_features(features=refs, entity_rows=entities).to_dict() for store in stores
        ]
        if any(answer != answers[0] for answer in answers):
            raise RuntimeError(
                f"the writers wrote different rows of {view}, so their times cannot be compared"
            )
        count += len(entities) * len(columns)
    return count


def project_of(name: str) -> str:
    """Returns the Feast project of a writer."""
    return f"bench_{name.lower()}"


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
