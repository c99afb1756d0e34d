"""Features job: computes features of a snapshot and writes training data, offline tables and online rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast import job, snapshot
from shelfcast.contracts.model import View
from shelfcast.contracts.results import FeaturesResult
from shelfcast.contracts.specs import FeaturesSpec
from shelfcast.database import connect, lock
from shelfcast.features import cluster, materialization, offline_tables, skew, training_data
from shelfcast.features.cold_start import likely_series
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.enough_weeks import check_weeks
from shelfcast.features.likes import Likes
from shelfcast.features.materialization import Window
from shelfcast.features.training_data import ForecastRequest, Inputs
from shelfcast.features.version import feature_set_version
from shelfcast.ids import Ids
from shelfcast.levels import Levels


def build_features(spec: FeaturesSpec, directory: Path) -> FeaturesResult:
    """Runs the job in a process that is connected to Ray. It may be repeated after a kill.

    Args:
        spec: Spec of the job.
        directory: Folder for the training data.

    Raises:
        UserError: The snapshot, the horizon or a setting of the database is wrong, or a training follows and
            the snapshot has too few weeks for it.
        RuntimeError: Online rows are missing or differ after the materialization.
    """
    url, project = job.database_url(), spec.feast_project
    dataset, batch_id = spec.snapshot.dataset, spec.snapshot.batch_id
    with connect(url) as connection:
        covariates = snapshot.read_covariates(connection, dataset, batch_id)
    features = FeatureSet(spec.horizon_weeks, tuple(covariates))
    check_version(features, spec.feature_set_version)
    with connect(url) as guard:
        # A second job of the project, or a killed one that still runs, would replace tables while they are
        # read.
        lock(guard, f"features:{project}")
        job.report_progress(directory, "reading the snapshot", fraction=0.02)
        with connect(url) as connection:
            inputs = read_inputs(connection, dataset, batch_id)
        if spec.validation_weeks is not None and spec.test_weeks is not None:
            check_weeks(inputs.grid, spec.horizon_weeks, spec.validation_weeks, spec.test_weeks)
        job.report_progress(directory, f"computing features of {len(inputs.grid.store)} series", fraction=0.1)
        files = cluster.start_series(inputs, directory, features)
        training_data.write_shared(directory, inputs, features)
        tables = offline_rows(inputs, features, directory, files)
        published = publish_features(url, spec, directory, Window(*inputs.weeks), features, tables)
        skew_sample_uri = skew.check(url, spec, directory, features, published.window.end).as_uri()
    series = published.entities["sales_history"]
    job.report_progress(directory, f"{series} series are online as of {published.window.end}", fraction=1)
    return FeaturesResult(
        feature_set_version=feature_set_version(features),
        training_data_uri=directory.as_uri(),
        offline_rows=published.offline_rows["sales_history"],
        online_entities=series,
        window_start=published.window.start,
        window_end=published.window.end,
        skew_sample_uri=skew_sample_uri,
    )


def check_version(features: FeatureSet, expected: str | None) -> None:
    """Checks that the model in use was trained with this version of the features.

    Args:
        features: Features of the data set.
        expected: Version that the model in use was trained with; None if the run trains a model.

    Raises:
        UserError: ``InvalidInput``: the versions differ.
    """
    version = feature_set_version(features)
    if expected not in (None, version):
        raise job.UserError(
            "InvalidInput",
            f"the model in use was trained with version {expected} of the features, and the code "
            f"has version {version}: run the pipeline to train a new model (`npx "
            "shelfcast ingest FILE --train`); the sales are loaded, the features are unchanged",
        )


@dataclass(frozen=True)
class Published:
    """Content of Feast's stores after the job.

    Attributes:
        offline_rows: Rows of the offline table by view.
        entities: Entities that were materialized by view.
        window: Origin weeks that were materialized.
    """

    offline_rows: dict[View, int]
    entities: dict[View, int]
    window: Window


def publish_features(
    url: str,
    spec: FeaturesSpec,
    directory: Path,
    weeks: Window,
    features: FeatureSet,
    tables: dict[View, Iterable[pa.Table]],
) -> Published:
    """Registers the features with Feast, writes the offline tables and materializes changed rows online."""
    # Feast takes seconds to import, which Ray's computation hides here.
    from shelfcast.features import feast_repository

    project, newest = spec.feast_project, spec.snapshot
    with feast_repository.open_store(project, url) as store:
        changed = feast_repository.register_views(store, features)
        report = partial(job.report_progress, directory)
        report("writing the offline tables", fraction=0.4)
        created = datetime.now(UTC)
        with connect(url) as connection:
            follows = offline_tables.update(connection, project, features, newest, tables, created)
            if not follows:
                materialization.rewind_online(connection, store, weeks, newest.id)
            window = materialization.choose_window(
                connection,
                project,
                newest.dataset,
                newest.batch_id,
                weeks,
                features,
                everything=changed or not follows,
            )
            materialization.drop_estimates(connection, project)
        report(f"materializing the newest features of {window.start} to {window.end} online", fraction=0.6)
        materialization.materialize(store, window)
        with connect(url) as connection:
            entities = materialization.check_online(connection, project, features, window)
            materialization.move_watermark(connection, project, weeks.end, newest.id)
            offline = offline_tables.count_rows(connection, project)
        feast_repository.register_services(store, features)
        return Published(offline, entities, window)


def read_inputs(connection: psycopg.Connection, dataset: str, batch_id: int) -> Inputs:
    """Reads the inputs of the snapshot's features."""
    sales = snapshot.read_sales(connection, dataset, batch_id)
    stores = snapshot.read_stores(connection, dataset, batch_id)
    extras = snapshot.read_extras(connection, dataset, batch_id)
    likely = likely_series(training_data.grid_of(sales, extras), stores["store"].to_numpy(), Likes.of(extras))
    inputs = training_data.prepare(
        sales,
        snapshot.read_store_weeks(connection, dataset, batch_id),
        stores,
        extras,
        ForecastRequest(new_series=likely),
        ids=Ids.of(snapshot.read_ids(connection, dataset, batch_id)),
    )
    return replace(inputs, levels=Levels.of(snapshot.read_level_members(connection, dataset, batch_id)))


def offline_rows(
    inputs: Inputs, features: FeatureSet, directory: Path, files: Iterable[Path]
) -> dict[View, Iterable[pa.Table]]:
    """Returns the rows of each view's offline table; rows of series follow as their files are written."""
    _, last = inputs.weeks
    calendar = pq.read_table(directory / "calendar.parquet")
    return {
        "sales_history": (offline_tables.sales_history_rows(pq.read_table(path)) for path in files),
        "store_externals": [offline_tables.store_external_rows(inputs, features)],
        "store_attributes": [offline_tables.store_attribute_rows(inputs, features, last)],
        "calendar": [offline_tables.calendar_store_rows(calendar, last)],
    }
