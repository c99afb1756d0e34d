"""``materialization.py STORES DEPARTMENTS WEEKS``: seconds of ``materialize`` by each writer, as JSON.

One set of offline tables of generated sales; each writer has a Feast project of its own, so its own online
tables. Each materializes all of them twice: into empty tables, then over the rows that are there. Runs on the
Ray of ``RAY_ADDRESS`` and the database of ``DATABASE_URL``.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from typing import Any

import ray
from feast import FeatureStore, RepoConfig
from psycopg import sql

from shelfcast.database import connect
from shelfcast.features import feast_repository, materialization, offline_tables, training_data
from shelfcast.features.definitions import FeatureSet, View
from shelfcast.features.materialization import Window
from shelfcast.ingest.generator import generate
from shelfcast.job import database_url

FEATURES = FeatureSet(horizon_weeks=8)
SOURCE = "bench_source"
#: By default Feast's engines write every row of the window; told so, only the newest of each entity, as ours.
STOCK = {"materialization": {"pull_latest_features": True}}
WRITERS: dict[str, dict[str, Any]] = {
    "feastLocal": {**STOCK, "batch_engine": {"type": "local"}},
    "feastRay": {**STOCK, "batch_engine": {"type": "ray.engine"}},
    "shelfcast": {},
}


def main(stores: int, departments: int, weeks: int) -> dict[str, Any]:
    """Returns what was measured: rows, values and seconds by writer."""
    ray.init(address="auto", log_to_driver=False)
    url = database_url()
    tables = generate(stores, departments, weeks, 1).tables
    inputs = training_data.prepare(tables["sales"], tables["store_week"], tables["store"])
    window = Window(*inputs.weeks)
    write_offline(url, inputs)
    seconds = {name: measure(name, url, open_store(name, url, own), window) for name, own in WRITERS.items()}
    values = [online_values(url, name) for name in WRITERS]
    if any(other != values[0] for other in values):
        raise RuntimeError("the writers did not write the same; their times cannot be compared")
    return {"salesRows": len(tables["sales"]), "values": len(values[0]), "seconds": seconds}


def write_offline(url: str, inputs: training_data.Inputs) -> None:
    """Fills the offline tables that all writers read."""
    _, last = inputs.weeks
    parts = (
        training_data.series_rows(inputs, number, FEATURES) for number in range(training_data.SERIES_FILES)
    )
    calendar = training_data.calendar_rows(*inputs.weeks)
    with connect(url) as connection:
        offline_tables.replace(
            connection,
            SOURCE,
            FEATURES,
            {
                "sales_history": map(offline_tables.sales_history_rows, parts),
                "store_externals": [offline_tables.store_external_rows(inputs)],
                "store_attributes": [offline_tables.store_attribute_rows(inputs, last)],
                "calendar": [offline_tables.calendar_store_rows(calendar, last)],
            },
            datetime.now(UTC),
        )


def open_store(name: str, url: str, own: dict[str, Any]) -> FeatureStore:
    """Returns the store of a writer, with its tables made."""
    settings = feast_repository.settings(project_of(name), url) | own
    if own:
        settings["online_store"] = {**settings["online_store"], "type": "postgres"}
    store = FeatureStore(config=RepoConfig(**settings))
    views = feast_repository.feature_views(SOURCE, FEATURES)
    store.apply([*feast_repository.entities().values(), *views])
    return store


def measure(name: str, url: str, store: FeatureStore, window: Window) -> list[float]:
    """Returns the seconds of the first and the second materialization."""
    # Ray starts processes and they import Feast: once for a pipeline, so not part of the comparison.
    materialization.materialize(store, window)
    with connect(url) as connection:
        for view in FEATURES.view_columns:
            connection.execute(sql.SQL("truncate {}").format(online_table(name, view)))
    return [seconds_of(store, window) for _ in range(2)]


def seconds_of(store: FeatureStore, window: Window) -> float:
    """Returns the seconds of one materialization of all views."""
    begin = time.perf_counter()
    materialization.materialize(store, window)
    return time.perf_counter() - begin


def online_values(url: str, name: str) -> list[tuple[Any, ...]]:
    """Returns all that a writer wrote, in the order of the keys."""
    statement = (
        "select entity_key, feature_name, value, value_text, event_ts, created_ts from {} order by 1, 2"
    )
    with connect(url) as connection:
        return [
            row
            for view in FEATURES.view_columns
            for row in connection.execute(sql.SQL(statement).format(online_table(name, view)))
        ]


def online_table(name: str, view: View) -> sql.Identifier:
    """Returns the online table of a writer's view."""
    return sql.Identifier("feast_online", offline_tables.table_name(project_of(name), view))


def project_of(name: str) -> str:
    """Returns the Feast project of a writer."""
    return f"bench_{name.lower()}"


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
