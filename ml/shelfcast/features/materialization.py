"""Materialization of the newest feature rows: choice of the window, the copy by Feast, and its check."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from shelfcast.contracts.model import AGE_FEATURE, View
from shelfcast.database import identifiers
from shelfcast.features import offline_tables
from shelfcast.features.changed_origins import first_changed_origin
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class Window:
    """Origin weeks to materialize, first and last included."""

    start: date
    end: date


def choose_window(
    connection: psycopg.Connection,
    project: str,
    dataset: str,
    batch_id: int,
    weeks: Window,
    features: FeatureSet,
    everything: bool,
) -> Window:
    """Returns the window in which the newest rows may differ from the online rows.

    Rows before the first origin that may differ from the watermark's snapshot are online already.

    Args:
        connection: Connection to the database of raw tables and watermark.
        project: Feast project.
        dataset: Data set of the raw rows.
        batch_id: Batch of the snapshot.
        weeks: First and last origin of the snapshot.
        features: Feature set; it decides from which origin on a value is read.
        everything: Whether the definitions changed, so that any row may differ.
    """
    online = online_snapshot(connection, project)
    if everything or online is None:
        return weeks
    first = first_changed_origin(connection, online, dataset, batch_id, features)
    return weeks if first is None else Window(max(weeks.start, min(first, weeks.end)), weeks.end)


def online_snapshot(connection: psycopg.Connection, project: str) -> str | None:
    """Returns the id of the newest snapshot that is online completely, or None."""
    row = connection.execute(
        "select snapshot_id from ops.feature_watermark where feast_project = %s", [project]
    ).fetchone()
    return None if row is None else str(row[0])


def materialize(store: FeatureStore, window: Window) -> None:
    """Lets Feast copy the newest row of each entity in the window to the online store.

    Raises:
        Exception: Error of the compute engine.
    """
    store.materialize(*_times(window))


def rewind_online(
    connection: psycopg.Connection, store: FeatureStore, window: Window, snapshot_id: str
) -> None:
    """Replaces the online rows by the rows of a snapshot that does not follow the previous one.

    Materialization cannot do this: it never writes an older event time. The rows are replaced in the
    connection's transaction, together with the offline tables, so that readers always see rows of one
    snapshot. In a project without a watermark the online rows are left from a killed run and are deleted.

    Args:
        connection: Connection to the database of both stores; its offline tables hold the snapshot.
        store: Feast's store of the project.
        window: First and last origin of the snapshot.
        snapshot_id: Id of the snapshot.
    """
    from shelfcast.features import online_store, sql_engine

    views, config = store.list_feature_views(), store.config
    for view in views:
        connection.execute(sql.SQL("delete from {}").format(online_store.identifier(config, view)))
    if online_snapshot(connection, store.project) is None:
        return
    for view in views:
        names = [field.name for field in view.features]
        rows = sql_engine.newest_rows(view, names, *_times(window))
        online_store.upsert(connection, config, view, names, rows)
    move_watermark(connection, store.project, window.end, snapshot_id)


def drop_estimates(connection: psycopg.Connection, project: str) -> None:
    """Deletes online rows of estimates whose offline rows are gone, or older since the series has sales.

    Materialization never deletes a row, and never writes an older event time. The rows of a store without
    sales end where its first sale is of an earlier week.
    """
    is_estimate = {"sales_history": f"{AGE_FEATURE} is null", "store_externals": "true"}
    for view in offline_tables.WEEKLY:
        connection.execute(
            sql.SQL(
                f"delete from {{online}} online where {is_estimate[view]} and not exists (select from "
                "{offline} rows where ({row_keys}) = ({keys}) and rows.{event} >= online.event_ts)"
            ).format(
                online=sql.Identifier("feast_online", table_name(project, view)),
                offline=offline_tables.identifier(project, view),
                row_keys=identifiers(JOIN_KEYS[view], "rows"),
                keys=identifiers(JOIN_KEYS[view], "online"),
                event=sql.Identifier(EVENT),
            )
        )


def _times(window: Window) -> tuple[datetime, datetime]:
    midnight = time(tzinfo=UTC)
    return datetime.combine(window.start, midnight), datetime.combine(window.end, midnight)


def check_online(
    connection: psycopg.Connection, project: str, features: FeatureSet, window: Window
) -> dict[View, int]:
    """Checks that the online rows are exactly the newest offline row of every entity.

    It compares in the database and does not trust the engine: Feast's own logs a failed write and reports
    success.

    Returns:
        Number of entities of each view with the newest row in the window.

    Raises:
        RuntimeError: An online row is missing, differs or has no offline row; another try may help.
    """
    entities: dict[View, int] = {}
    for view, columns in features.view_columns.items():
        entities[view], different, example = _compare(connection, project, view, columns, window)
        if different:
            raise RuntimeError(
                f"{different} entities of {view} in project {project}, such as {example}, are not online as "
                "their newest offline rows, although no write failed; run the job again; "
                "if that does not help, look for another program that writes to these tables"
            )
    return entities


def _compare(
    connection: psycopg.Connection, project: str, view: View, columns: list[str], window: Window
) -> tuple[int, int, str | None]:
    """Returns the number of entities in the window, the number of entities that differ, and one of them."""
    keys = JOIN_KEYS[view]
    statement = """
        select count(*) filter (where newest.{event} >= {start}), count(*) filter (where different),
          min({entity}) filter (where different)
        from (
          select newest.* from (select distinct {keys} from {offline}) entities
          cross join lateral (
            select * from {offline} rows where ({row_keys}) = ({entity_keys})
            order by rows.{event} desc, rows.{created} desc limit 1
          ) newest
        ) newest
        full join {online} online on ({online_keys}) = ({newest_keys})
        cross join lateral (
          select (online.event_ts, {online_values}) is distinct from (newest.{event}, {newest_values})
        ) comparison (different)
    """
    row = connection.execute(
        sql.SQL(statement).format(
            event=sql.Identifier(EVENT),
            created=sql.Identifier(CREATED),
            start=sql.Literal(window.start),
            entity=sql.SQL(" || ', ' || ").join(
                sql.SQL("{} || coalesce(newest.{key}, online.{key})").format(
                    sql.Literal(f"{key} "), key=sql.Identifier(key)
                )
                for key in keys
            ),
            keys=identifiers(keys),
            row_keys=identifiers(keys, "rows"),
            entity_keys=identifiers(keys, "entities"),
            newest_keys=identifiers(keys, "newest"),
            online_keys=identifiers(keys, "online"),
            offline=offline_tables.identifier(project, view),
            online=sql.Identifier("feast_online", table_name(project, view)),
            online_values=identifiers(columns, "online"),
            newest_values=identifiers(columns, "newest"),
        )
    ).fetchone()
    assert row is not None
    return row


def move_watermark(connection: psycopg.Connection, project: str, week: date, snapshot_id: str) -> None:
    """Records that the snapshot is online completely; ``week`` is its last week, the newest origin."""
    connection.execute(
        """
        insert into ops.feature_watermark (feast_project, watermark, snapshot_id) values (%s, %s, %s)
        on conflict (feast_project) do update
          set watermark = excluded.watermark, snapshot_id = excluded.snapshot_id, updated_at = now()
        """,
        [project, week, snapshot_id],
    )
