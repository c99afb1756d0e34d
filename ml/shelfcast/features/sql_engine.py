"""Compute engine for Feast 0.67 that materializes a view with one SQL statement.

It replaces Feast's engines, which read each row into Python and write it back, where offline and online store
are in one PostgreSQL database; it is about 20 times as fast (``docs/decisions/0019``). In Feast's
configuration it is ``type: shelfcast.features.sql_engine.PostgreSQLComputeEngine`` of ``batch_engine``,
beside ``WidePostgreSQLOnlineStore``.

It implements ``ComputeEngine`` of Feast 0.67, whose abstract methods are ``update``, ``teardown_infra`` and
``_materialize_one``; Feast names the last one with an underscore, but engines must override it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from feast import FeatureView
from feast.infra.common.materialization_job import (
    MaterializationJob,
    MaterializationJobStatus,
    MaterializationTask,
)
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from psycopg import sql

from shelfcast.database import identifiers
from shelfcast.features.online_store import WidePostgreSQLOnlineStore, join_keys, upsert


class PostgreSQLComputeEngineConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """Configuration of the engine; it has no settings."""

    type: Literal["shelfcast.features.sql_engine.PostgreSQLComputeEngine"] = (
        "shelfcast.features.sql_engine.PostgreSQLComputeEngine"
    )


class PostgreSQLComputeEngine(ComputeEngine):  # type: ignore[misc]
    """Engine that copies the newest row of each entity online inside the database."""

    def update(self, *_: Any, **__: Any) -> None:
        """No infrastructure to create."""

    def teardown_infra(self, *_: Any, **__: Any) -> None:
        """No infrastructure to tear down."""

    def _materialize_one(
        self,
        registry: BaseRegistry,  # noqa: ARG002
        task: MaterializationTask,
        **_: Any,
    ) -> MaterializationJob:
        """Upserts a view's newest rows of the window in one transaction.

        Raises:
            NotImplementedError: The view needs one of Feast's own engines.
            psycopg.Error: The statement failed; nothing was written.
        """
        view = task.feature_view
        self._require_plain(view)
        features = [feature.name for feature in view.features]
        source = newest_rows(view, features, task.start_time, task.end_time)
        with self.online_store.transaction(self.repo_config) as connection:
            upsert(connection, self.repo_config, view, features, source)
        return LocalMaterializationJob(
            job_id=f"{view.name}-{task.start_time}-{task.end_time}",
            status=MaterializationJobStatus.SUCCEEDED,
        )

    def _require_plain(self, view: FeatureView) -> None:
        offline, online = self.repo_config.offline_store, self.repo_config.online_store
        # Feast's engines drop rows by the clock when a view has a time to live.
        has_no_ttl = view.ttl in (None, timedelta(0))
        only_online = view.online and not view.offline
        plain = type(view) is FeatureView
        if not (plain and has_no_ttl and only_online) or view.batch_source.field_mapping:
            raise NotImplementedError(
                f"the feature view {view.name} transforms, renames or ages its rows, or is not for the "
                "online store alone; materialize it with Feast's own engine, batch_engine: {type: local}"
            )
        same = all(getattr(offline, name) == getattr(online, name) for name in ("host", "port", "database"))
        if not isinstance(self.online_store, WidePostgreSQLOnlineStore) or not same:
            raise NotImplementedError(
                f"the offline rows of {view.name} are not in the database of a WidePostgreSQLOnlineStore; "
                "materialize it with Feast's own engine, batch_engine: {type: local}"
            )


def newest_rows(view: FeatureView, features: list[str], start: datetime, end: datetime) -> sql.Composed:
    """Returns the query for the newest offline row of each entity in a window, both ends included.

    It makes one lookup in the index of keys and time for each entity instead of sorting all wide rows. The
    left join makes a NULL key fail instead of dropping its row.

    Args:
        view: View whose source is a table or query of PostgreSQL.
        features: Columns of the view, selected after join keys, event time and creation time.
        start: First event time of the window.
        end: Last event time of the window.
    """
    source = view.batch_source
    keys = join_keys(view)
    created = source.created_timestamp_column
    statement = """
        select {entity_keys}, {event}, {created}, {features}
        from (select distinct {row_keys} from {source} rows where {event} between {start} and {end}) entities
        left join lateral (
          select * from {source} rows
          where ({row_keys}) = ({entity_keys}) and {event} between {start} and {end}
          order by {order} limit 1
        ) newest on true
    """
    order = [source.timestamp_field, *([created] if created else [])]
    return sql.SQL(statement).format(
        event=sql.Identifier(source.timestamp_field),
        created=sql.Identifier(created) if created else sql.SQL("null::timestamptz"),
        features=identifiers(features, "newest"),
        source=sql.SQL(source.get_table_query_string()),
        start=sql.Literal(start),
        end=sql.Literal(end),
        row_keys=identifiers(keys, "rows"),
        entity_keys=identifiers(keys, "entities"),
        order=sql.SQL(", ").join(sql.SQL("{} desc").format(sql.Identifier("rows", name)) for name in order),
    )
