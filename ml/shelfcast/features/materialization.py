"""Brings the newest feature rows online: which window, by Feast, and whether they really arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from shelfcast.database import identifiers
from shelfcast.features.definitions import FeatureSet, View
from shelfcast.features.known_when import SALES
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name
from shelfcast.snapshot import ALL_WEEKS, EXTERNALS

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class Window:
    """Origin weeks to bring online, both included."""

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
    """Returns the window whose newest rows may differ from what is online.

    A feature row knows only what is known at its origin, so rows before the first origin that may use a value
    that changed since the watermark's snapshot are online as they should be. New weeks and late corrections
    are both changes.

    Args:
        connection: To the database of raw tables and watermark.
        project: Feast project.
        dataset: Data set of the raw rows.
        batch_id: Batch of the snapshot.
        weeks: First and last origin of the snapshot.
        features: Say from which origin on a value is used.
        everything: Whether the definitions changed, so that no row is as it should be.
    """
    row = connection.execute(
        "select snapshot_id from ops.feature_watermark where feast_project = %s", [project]
    ).fetchone()
    online_batch = None if row is None else int(row[0].rsplit("-", 2)[1])
    if everything or online_batch is None or online_batch > batch_id:
        return weeks
    origins = _changed_origins(connection, dataset, online_batch, batch_id, features)
    return Window(max(weeks.start, min([*origins, weeks.end])), weeks.end)


def _changed_origins(
    connection: psycopg.Connection, dataset: str, after: int, up_to: int, features: FeatureSet
) -> list[date]:
    """Returns the first origin that may use the changed values of each column, of the batches between.

    ``after`` is the batch before the first that counts. Columns of stores are left out: their only rows are
    those of the last week, which is always in the window.
    """
    changed = connection.execute(
        """
        with batches as (
          select batch_id from raw.batch
          where dataset = %(dataset)s and batch_id > %(after)s and batch_id <= %(up_to)s
        )
        select %(sales)s, min(week) from raw.sales
          where dataset = %(dataset)s and batch_id in (table batches)
        union all
        select name, min(week) from raw.store_week, unnest(%(externals)s::text[]) name
          where dataset = %(dataset)s and batch_id in (table batches) group by name
        union all
        select name, min(week) from raw.extra
          where dataset = %(dataset)s and batch_id in (table batches) and week <> %(all_weeks)s group by name
        """,
        {
            "dataset": dataset,
            "after": after,
            "up_to": up_to,
            "sales": SALES,
            "externals": list(EXTERNALS),
            "all_weeks": ALL_WEEKS,
        },
    )
    return [features.earliest_origin(column, week) for column, week in changed if week is not None]


def materialize(store: FeatureStore, window: Window) -> None:
    """Has Feast copy the newest row of each entity in the window to the online store.

    Raises:
        Exception: What the engine failed of.
    """
    midnight = time(tzinfo=UTC)
    store.materialize(datetime.combine(window.start, midnight), datetime.combine(window.end, midnight))


def check_online(
    connection: psycopg.Connection, project: str, features: FeatureSet, window: Window
) -> dict[View, int]:
    """Returns how many entities of each view have their newest row in the window.

    Compares in the database, whatever the engine says: Feast's own logs a failed write and reports success.
    Online must be every entity's newest offline row up to the window's end, or a later one.

    Raises:
        RuntimeError: A row is missing online or differs; worth another try.
    """
    entities: dict[View, int] = {}
    for view, columns in features.view_columns.items():
        entities[view], different, example = _compare(connection, project, view, columns, window)
        if different:
            raise RuntimeError(
                f"{different} entities of {view} in project {project}, such as {example}, are not online as "
                f"their newest offline rows up to {window.end}, although no write failed; run the job again; "
                "if that does not help, look for another program that writes to these tables"
            )
    return entities


def _compare(
    connection: psycopg.Connection, project: str, view: View, columns: list[str], window: Window
) -> tuple[int, int, str | None]:
    """Returns the number of entities in the window, the number of all that differ, and one of those."""
    keys = JOIN_KEYS[view]
    statement = """
        select count(*) filter (where newest.{event} >= {start}), count(*) filter (where different),
          min({entity}) filter (where different)
        from (select distinct {keys} from {offline} where {event} <= {end}) entities
        cross join lateral (
          select * from {offline} rows where ({row_keys}) = ({entity_keys}) and {event} <= {end}
          order by rows.{event} desc, rows.{created} desc limit 1
        ) newest
        left join {online} online on ({online_keys}) = ({entity_keys})
        cross join lateral (
          select online.event_ts is null or online.event_ts <= newest.{event}
            and (online.event_ts, {online_values}) is distinct from (newest.{event}, {newest_values})
        ) comparison (different)
    """
    row = connection.execute(
        sql.SQL(statement).format(
            event=sql.Identifier(EVENT),
            created=sql.Identifier(CREATED),
            start=sql.Literal(window.start),
            end=sql.Literal(window.end),
            entity=sql.SQL(" || ', ' || ").join(
                sql.SQL("{} || entities.{}").format(sql.Literal(f"{key} "), sql.Identifier(key))
                for key in keys
            ),
            keys=identifiers(keys),
            row_keys=identifiers(keys, "rows"),
            entity_keys=identifiers(keys, "entities"),
            online_keys=identifiers(keys, "online"),
            offline=sql.Identifier("feast_offline", table_name(project, view)),
            online=sql.Identifier("feast_online", table_name(project, view)),
            online_values=identifiers(columns, "online"),
            newest_values=identifiers(columns, "newest"),
        )
    ).fetchone()
    assert row is not None
    return row


def move_watermark(connection: psycopg.Connection, project: str, week: date, snapshot_id: str) -> None:
    """Records that all series are online as of the snapshot; its last week is the newest origin."""
    connection.execute(
        """
        insert into ops.feature_watermark (feast_project, watermark, snapshot_id) values (%s, %s, %s)
        on conflict (feast_project) do update
          set watermark = excluded.watermark, snapshot_id = excluded.snapshot_id, updated_at = now()
        """,
        [project, week, snapshot_id],
    )
