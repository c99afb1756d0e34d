"""Feast's Ray engine, for views that are read as they are: writes Arrow tables, and fails when a write fails.

In Feast's configuration it is ``type: shelfcast.features.ray_engine.ArrowRayComputeEngine`` of
``batch_engine``, with the settings of Feast's ``ray.engine`` and the online store of
``shelfcast.features.online_store``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pyarrow as pa
import ray
from feast import FeatureView, RepoConfig
from feast.infra.common.materialization_job import (
    MaterializationJob,
    MaterializationJobStatus,
    MaterializationTask,
)
from feast.infra.common.serde import SerializedArtifacts
from feast.infra.compute_engines.ray.compute import RayComputeEngine
from feast.infra.compute_engines.ray.config import RayComputeEngineConfig
from feast.infra.compute_engines.ray.job import RayMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry

#: Less is not worth another process, which takes seconds to import Feast; PostgreSQL is what takes the time.
_VALUES_PER_TASK = 500_000


class ArrowRayComputeEngineConfig(RayComputeEngineConfig):  # type: ignore[misc]
    """Settings of Feast's ``ray.engine``."""

    type: Literal["shelfcast.features.ray_engine.ArrowRayComputeEngine"] = (
        "shelfcast.features.ray_engine.ArrowRayComputeEngine"
    )


class ArrowRayComputeEngine(RayComputeEngine):  # type: ignore[misc]
    """Reads what Feast's engine reads; writes it in Ray tasks without a pandas frame or an object a value."""

    @property
    def supports_batch(self) -> bool:
        """Feast hands over all views at once, so that the small ones need no task of their own."""
        return True

    def materialize(
        self, registry: BaseRegistry, tasks: MaterializationTask | list[MaterializationTask], **_: Any
    ) -> list[MaterializationJob]:
        """Brings the newest row of each entity online.

        Raises:
            NotImplementedError: A view asks for what only Feast's own engine does.
            psycopg.Error: A query failed, and nothing was written; or a write failed, and others may be done.
        """
        tasks = tasks if isinstance(tasks, list) else [tasks]
        for task in tasks:
            _require_plain(task.feature_view)
        # No write is under way yet when a query fails.
        tables = [self._newest_rows(registry, task) for task in tasks]
        _write_all([task.feature_view for task in tasks], tables, self.repo_config)
        return [
            RayMaterializationJob(
                job_id=f"{task.feature_view.name}-{task.start_time}-{task.end_time}",
                status=MaterializationJobStatus.SUCCEEDED,
            )
            for task in tasks
        ]

    def _newest_rows(self, registry: BaseRegistry, task: MaterializationTask) -> pa.Table:
        view = task.feature_view
        entities = [registry.get_entity(name, task.project) for name in view.entities]
        return self.offline_store.pull_latest_from_table_or_query(
            config=self.repo_config,
            data_source=view.batch_source,
            join_key_columns=[entity.join_key for entity in entities],
            feature_name_columns=[feature.name for feature in view.features],
            timestamp_field=view.batch_source.timestamp_field,
            created_timestamp_column=view.batch_source.created_timestamp_column,
            start_date=task.start_time,
            end_date=task.end_time,
        ).to_arrow()


def _require_plain(view: FeatureView) -> None:
    # Feast's engine drops rows by the clock when a view has a time to live.
    lasting = view.ttl in (None, timedelta(0))
    only_online = view.online and not view.offline
    if type(view) is not FeatureView or not lasting or not only_online or view.batch_source.field_mapping:
        raise NotImplementedError(
            f"the feature view {view.name} transforms, renames or ages its rows, or is not for the online "
            "store alone; materialize it with Feast's own engine, batch_engine: {type: ray.engine}"
        )


def _write_all(views: list[FeatureView], tables: list[pa.Table], config: RepoConfig) -> None:
    """Writes the rows of views in a Ray task or several, each of which takes a part of every view.

    Raises:
        Exception: What one of the tasks failed of; all have ended.
    """
    values = sum(len(rows) * len(view.features) for view, rows in zip(views, tables, strict=True))
    tasks = max(1, min(-(-values // _VALUES_PER_TASK), int(ray.cluster_resources()["CPU"])))
    artifacts = [SerializedArtifacts.serialize(view, config) for view in views]
    write = ray.remote(_write)
    writes = []
    for number in range(tasks):
        parts = [_part(rows, number, tasks) for rows in tables]
        writes.append(write.remote(artifacts, parts))
    ray.wait(writes, num_returns=tasks)
    ray.get(writes)


def _part(rows: pa.Table, number: int, parts: int) -> pa.Table:
    first, end = (len(rows) * place // parts for place in (number, number + 1))
    return rows.slice(first, end - first)


def _write(artifacts: list[SerializedArtifacts], parts: list[pa.Table]) -> None:
    """Writes a table of each view, each in a transaction of its own."""
    for artifact, rows in zip(artifacts, parts, strict=True):
        view, store, _, config = artifact.unserialize()
        for batch in rows.combine_chunks().to_batches():
            store.write_arrow(config, view, batch)
