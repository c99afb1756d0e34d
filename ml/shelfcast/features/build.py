"""The features job: from a snapshot to training data, offline tables and online features."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast import job, snapshot
from shelfcast.database import connect, lock
from shelfcast.features import cluster, materialization, offline_tables, skew, training_data
from shelfcast.features.definitions import FeatureSet, View
from shelfcast.features.materialization import Window
from shelfcast.features.training_data import Inputs


def build_features(spec: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Runs the job in a process that is connected to Ray; may be repeated, and goes on after a kill.

    Args:
        spec: ``FeaturesSpec`` of ``contracts/jobs.ts``.
        directory: Gets the training data.

    Returns:
        ``FeaturesResult``.

    Raises:
        UserError: The snapshot, the horizon or the database's setting is at fault.
        RuntimeError: Feast did not bring everything online.
    """
    url, project = job.database_url(), spec["feastProject"]
    dataset, batch_id = spec["snapshot"]["dataset"], spec["snapshot"]["batchId"]
    with connect(url) as connection:
        declared = snapshot.read_columns(connection, dataset, batch_id)
    features = FeatureSet(spec["horizonWeeks"], tuple(declared))
    check_version(features, spec)
    with connect(url) as guard:
        # Another job of the project, or the rest of a killed one, would replace tables that are being read.
        lock(guard, f"features:{project}")
        job.report_progress(directory, "reading the snapshot", fraction=0.02)
        with connect(url) as connection:
            inputs = read_inputs(connection, dataset, batch_id)
        job.report_progress(directory, f"computing features of {len(inputs.grid.store)} series", fraction=0.1)
        files = cluster.start_series(inputs, directory, features)
        training_data.write_shared(directory, inputs, features)
        tables = offline_rows(inputs, features, directory, files)
        served = serve(url, spec, directory, Window(*inputs.weeks), features, tables)
        skew_sample_uri = skew.check(url, spec, directory, features, served.window.end).as_uri()
    series = served.entities["sales_history"]
    job.report_progress(directory, f"{series} series came online, as of {served.window.end}", fraction=1)
    return {
        "featureSetVersion": features.version,
        "trainingDataUri": directory.as_uri(),
        "offlineRows": served.offline_rows["sales_history"],
        "onlineEntities": series,
        "windowStart": served.window.start.isoformat(),
        "windowEnd": served.window.end.isoformat(),
        "skewSampleUri": skew_sample_uri,
    }


def check_version(features: FeatureSet, spec: dict[str, Any]) -> None:
    """Checks that the model in use, if it is what the features are for, was trained with these definitions.

    Raises:
        UserError: ``InvalidInput`` when it was trained with others.
    """
    expected = spec.get("featureSetVersion")
    if expected not in (None, features.version):
        raise job.UserError(
            "InvalidInput",
            f"the model in use was trained with version {expected} of the features, whose definitions are "
            f"now of version {features.version}: run the pipeline, which trains a model with them (`npx "
            "shelfcast ingest FILE --train`); the sales are loaded, the features are as they were",
        )


@dataclass(frozen=True)
class Served:
    """What Feast has now.

    Attributes:
        offline_rows: By view.
        entities: Entities that came online, by view.
        window: Origin weeks that they were taken from.
    """

    offline_rows: dict[View, int]
    entities: dict[View, int]
    window: Window


def serve(
    url: str,
    spec: dict[str, Any],
    directory: Path,
    weeks: Window,
    features: FeatureSet,
    tables: dict[View, Iterable[pa.Table]],
) -> Served:
    """Registers the features with Feast, writes its offline tables and materializes what changed online."""
    # Takes seconds to import: here, while Ray computes.
    from shelfcast.features import feast_repository

    project, batch = spec["feastProject"], spec["snapshot"]
    store = feast_repository.open_store(project, url)
    changed = feast_repository.register_views(store, features)
    report = partial(job.report_progress, directory)
    report("writing the offline tables", fraction=0.4)
    created = datetime.now(UTC)
    with connect(url) as connection:
        follows = offline_tables.update(connection, project, features, batch, tables, created)
        if not follows:
            materialization.go_back(connection, store, weeks, batch["id"])
        window = materialization.choose_window(
            connection,
            project,
            batch["dataset"],
            batch["batchId"],
            weeks,
            features,
            everything=changed or not follows,
        )
    report(f"materializing the newest features of {window.start} to {window.end} online", fraction=0.6)
    materialization.materialize(store, window)
    with connect(url) as connection:
        entities = materialization.check_online(connection, project, features, window)
        materialization.move_watermark(connection, project, weeks.end, batch["id"])
        offline = offline_tables.count_rows(connection, project)
    feast_repository.register_services(store, features)
    return Served(offline, entities, window)


def read_inputs(connection: psycopg.Connection, dataset: str, batch_id: int) -> Inputs:
    """Returns what the snapshot's features are made of."""
    return training_data.prepare(
        snapshot.read_sales(connection, dataset, batch_id),
        snapshot.read_store_weeks(connection, dataset, batch_id),
        snapshot.read_stores(connection, dataset, batch_id),
        snapshot.read_extras(connection, dataset, batch_id),
    )


def offline_rows(
    inputs: Inputs, features: FeatureSet, directory: Path, files: Iterable[Path]
) -> dict[View, Iterable[pa.Table]]:
    """Returns the rows of each view's offline table; those of series come as their files are written."""
    _, last = inputs.weeks
    calendar = pq.read_table(directory / "calendar.parquet")
    return {
        "sales_history": (offline_tables.sales_history_rows(pq.read_table(path)) for path in files),
        "store_externals": [offline_tables.store_external_rows(inputs, features)],
        "store_attributes": [offline_tables.store_attribute_rows(inputs, features, last)],
        "calendar": [offline_tables.calendar_store_rows(calendar, last)],
    }
