"""Brings the newest feature rows online: which window, by Feast, and whether they really arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from shelfcast.features.definitions import FeatureSet, View
from shelfcast.features.offline_tables import CREATED, EVENT, JOIN_KEYS, table_name

if TYPE_CHECKING:
    from feast import FeatureStore


@dataclass(frozen=True)
class Window:
    """Origin weeks to bring online, both included."""

    start: date
    end: date


def choose_window(
    connection: psycopg.Connection, project: str, dataset: str, batch_id: int, weeks: Window, everything: bool
) -> Window:
    """Returns the window whose newest rows may differ from what is online.

    A feature row knows only weeks up to its origin, so rows before the first week that changed since the
    watermark's snapshot are online as they should be. New weeks and late corrections are both changes.

    Args:
        connection: To the database of raw tables and watermark.
        project: Feast project.
        dataset: Data set of the raw rows.
        batch_id: Batch of the snapshot.
        weeks: First and last origin of the snapshot.
        everything: Whether the definitions changed, so that no row is as it should be.
    """
    row = connection.execute(
        "select snapshot_id from ops.feature_watermark where feast_project = %s", [project]
    ).fetchone()
    online_batch = None if row is None else int(row[0].rsplit("-", 2)[1])
    if everything or online_batch is None or online_batch > batch_id:
        return weeks
    first_change = connection.execute(
        """
        select least(
          (select min(week) from raw.sales
            where dataset = %(dataset)s and batch_id > %(online)s and batch_id <= %(batch)s),
          (select min(week) from raw.store_week
            where dataset = %(dataset)s and batch_id > %(online)s and batch_id <= %(batch)s))
        """,
        {"dataset": dataset, "online": online_batch, "batch": batch_id},
    ).fetchone()
    assert first_change is not None
    return Window(max(weeks.start, min(first_change[0] or weeks.end, weeks.end)), weeks.end)


def materialize(store: FeatureStore, window: Window) -> None:
    """Has Feast copy the newest row of each entity in the window to the online store.

    Raises:
        Exception: What the engine failed of.
    """
    midnight = time(tzinfo=UTC)
    store.materialize(datetime.combine(window.start, midnight), datetime.combine(window.end, midnight))


def check_online(
    connection: psycopg.Connection, project: str, features: FeatureSet, created: datetime, window: Window
) -> dict[View, int]:
    """Returns how many entities of each view came online.

    Counted in the database, whatever the engine reports: Feast's own logs a failed write and reports success.

    Raises:
        RuntimeError: Values are missing online; worth another try.
    """
    entities: dict[View, int] = {}
    for view, columns in features.view_columns.items():
        entities[view] = _count(
            connection,
            "select count(*) from "
            "(select distinct {keys} from {offline} where {event} between %s and %s) entities",
            project,
            view,
            [window.start, window.end],
        )
        written = _count(
            connection, "select count(*) from {online} where created_ts = %s", project, view, [created]
        )
        if written != entities[view] * len(columns):
            raise RuntimeError(
                f"Feast materialized {written} values of {view} in project {project}, but {entities[view]} "
                f"entities have {len(columns)} features each, although no write failed; run the job again; "
                "if that does not help, look for another program that writes to these tables"
            )
    return entities


def _count(
    connection: psycopg.Connection, query: str, project: str, view: View, values: list[date | datetime]
) -> int:
    names = {
        "keys": sql.SQL(", ").join(map(sql.Identifier, JOIN_KEYS[view])),
        "offline": sql.Identifier("feast_offline", table_name(project, view)),
        "online": sql.Identifier("feast_online", table_name(project, view)),
        "event": sql.Identifier(EVENT),
        "created": sql.Identifier(CREATED),
    }
    row = connection.execute(sql.SQL(query).format(**names), values).fetchone()
    assert row is not None
    return int(row[0])


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
