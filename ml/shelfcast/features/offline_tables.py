"""Feast's offline tables: the whole history of a snapshot, one table for each view."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shelfcast.contracts.model import AGE_FEATURE, View
from shelfcast.contracts.specs import Snapshot
from shelfcast.database import column_types, copy_table, identifiers
from shelfcast.features.changed_origins import first_changed_origin
from shelfcast.features.definitions import FeatureSet
from shelfcast.features.store_features import attribute_columns, external_columns
from shelfcast.features.training_data import Inputs, nullable
from shelfcast.features.version import feature_set_version

JoinKey = Literal["store", "dept", "week"]

EVENT, CREATED = "event_timestamp", "created"
JOIN_KEYS: dict[View, tuple[JoinKey, ...]] = {
    "sales_history": ("store", "dept"),
    "store_externals": ("store",),
    "store_attributes": ("store",),
    "calendar": ("week",),
}
#: Views with a row for each origin; the other views have rows as of the last week only.
WEEKLY: tuple[View, ...] = ("sales_history", "store_externals")
_TIMESTAMP = pa.timestamp("us", "UTC")


def table_name(project: str, view: View) -> str:
    """Returns the name of a view's table, in schema feast_offline as in feast_online."""
    return f"{project}_{view}"


def update(
    connection: psycopg.Connection,
    project: str,
    features: FeatureSet,
    snapshot: Snapshot,
    tables: dict[View, Iterable[pa.Table]],
    created: datetime,
) -> bool:
    """Updates the project's offline tables to a snapshot, in the connection's transaction.

    Rows that cannot differ stay where the tables hold an older snapshot with the same feature definitions.
    All rows stay where they hold this snapshot.

    Args:
        connection: Connection whose transaction is committed before Feast reads the tables.
        project: Feast project.
        features: Feature set, which decides the columns.
        snapshot: Snapshot whose rows the tables get.
        tables: Rows as ``replace`` takes them; all are consumed.
        created: Creation time of the rows that are written, offline and online.

    Returns:
        Whether the snapshot is the previous one or follows it. If not, rows of a later snapshot may be
        online.
    """
    current = connection.execute(
        "select snapshot_id, feature_set_version from ops.offline_snapshot where feast_project = %s",
        [project],
    ).fetchone()
    before, version = current or (None, None)
    since = None
    if before is not None:
        since = first_changed_origin(connection, before, snapshot.dataset, snapshot.batch_id, features)
    follows = since is not None
    if version != feature_set_version(features) or not _have_columns(connection, project, features):
        since = None
    if since is not None and before == snapshot.id:
        for rows in tables.values():
            deque(rows, maxlen=0)
        return follows
    replace(connection, project, features, tables, created, since)
    connection.execute(
        """
        insert into ops.offline_snapshot (feast_project, snapshot_id, feature_set_version) values (%s, %s, %s)
        on conflict (feast_project) do update set snapshot_id = excluded.snapshot_id,
          feature_set_version = excluded.feature_set_version, updated_at = now()
        """,
        [project, snapshot.id, feature_set_version(features)],
    )
    return follows


def replace(
    connection: psycopg.Connection,
    project: str,
    features: FeatureSet,
    tables: dict[View, Iterable[pa.Table]],
    created: datetime,
    since: date | None = None,
) -> None:
    """Replaces the rows of the project's offline tables, in the connection's transaction.

    A snapshot holds the whole history, so its rows replace those of the previous one. Readers see the rows of
    one snapshot, a repeated run ends with the same rows, and a correction leaves no older row behind.

    Args:
        connection: Connection whose transaction is committed before Feast reads the tables.
        project: Feast project.
        features: Feature set, which decides the columns.
        tables: Join keys, ``event_timestamp`` and the features; columns that the view lacks are dropped.
        created: Creation time of the rows that are written, offline and online.
        since: First origin of the weekly rows that are replaced; None creates the tables anew.
    """
    for view, columns in features.view_columns.items():
        table = identifier(project, view)
        first = date.min if since is None or view not in WEEKLY else since
        # An estimate holds at the newest origin only, so all of them are replaced.
        has_estimates = view == "sales_history"
        if since is None:
            _create(connection, table, view, columns)
        else:
            connection.execute(
                sql.SQL("delete from {} where {} >= {}" + (" or {} is null" if has_estimates else "")).format(
                    table, sql.Identifier(EVENT), sql.Literal(first), sql.Identifier(AGE_FEATURE)
                )
            )
        for rows in tables[view]:
            is_wanted = pc.field(EVENT) >= _day(first)
            if has_estimates:
                is_wanted |= pc.field(AGE_FEATURE).is_null()
            wanted = rows.select([*JOIN_KEYS[view], EVENT, *columns]).filter(is_wanted)
            copy_table(connection, table, _with_constant(wanted, CREATED, pa.scalar(created, _TIMESTAMP)))
        if since is None:
            _create_indexes(connection, table, view)


def count_rows(connection: psycopg.Connection, project: str) -> dict[View, int]:
    """Returns the number of rows of each view's table."""
    counts: dict[View, int] = {}
    for view in JOIN_KEYS:
        row = connection.execute(
            sql.SQL("select count(*) from {}").format(identifier(project, view))
        ).fetchone()
        assert row is not None
        counts[view] = row[0]
    return counts


def sales_history_rows(rows: pa.Table) -> pa.Table:
    """Returns rows of a series file with the event timestamp."""
    return rows.append_column(EVENT, rows["origin"].cast(_TIMESTAMP))


def store_external_rows(inputs: Inputs, features: FeatureSet) -> pa.Table:
    """Returns a row for each store and week with sales, and for each week of a store without any."""
    has_sales = ~np.isnan(inputs.aggregates.store_sales)
    store, week = np.nonzero(has_sales | ~has_sales.any(axis=1, keepdims=True))
    stores = inputs.store_features
    columns = external_columns(stores, features)
    return pa.table(
        {
            "store": stores.stores[store],
            EVENT: pa.array(inputs.grid.weeks[week]).cast(_TIMESTAMP),
            **{name: nullable(values[store, week]) for name, values in columns.items()},
        }
    )


def store_attribute_rows(inputs: Inputs, features: FeatureSet, last_week: date) -> pa.Table:
    """Returns a row for each store, as of the last week."""
    stores = inputs.store_features
    columns = attribute_columns(stores, features)
    rows = pa.table({"store": stores.stores, **{name: nullable(v) for name, v in columns.items()}})
    return _with_constant(rows, EVENT, _day(last_week))


def calendar_store_rows(calendar: pa.Table, last_week: date) -> pa.Table:
    """Returns a row for each target week, named by its ISO date, as of the last week."""
    rows = calendar.set_column(0, "week", calendar["week"].cast(pa.string()))
    return _with_constant(rows, EVENT, _day(last_week))


def identifier(project: str, view: View) -> sql.Identifier:
    """Returns the SQL identifier of a view's table."""
    return sql.Identifier("feast_offline", table_name(project, view))


def _column_types(view: View, columns: list[str]) -> dict[str, str]:
    """Returns the columns of a view's table with their types, under PostgreSQL's own names."""
    time = "timestamp with time zone"
    return {
        **dict.fromkeys(JOIN_KEYS[view], "text" if view == "calendar" else "bigint"),
        EVENT: f"{time} not null",
        CREATED: f"{time} not null",
        **dict.fromkeys(columns, "bigint" if view == "calendar" else "double precision"),
    }


def _have_columns(connection: psycopg.Connection, project: str, features: FeatureSet) -> bool:
    """Whether all tables have the columns that ``_create`` would create."""
    return all(
        column_types(connection, identifier(project, view)) == _column_types(view, columns)
        for view, columns in features.view_columns.items()
    )


def _create(connection: psycopg.Connection, table: sql.Identifier, view: View, columns: list[str]) -> None:
    definitions = sql.SQL(", ").join(
        sql.SQL(f"{{}} {type_}").format(sql.Identifier(name))
        for name, type_ in _column_types(view, columns).items()
    )
    connection.execute(sql.SQL("drop table if exists {}").format(table))
    connection.execute(sql.SQL("create table {} ({})").format(table, definitions))


def _create_indexes(connection: psycopg.Connection, table: sql.Identifier, view: View) -> None:
    # Feast reads the rows of a window, ``sql_engine`` the newest row of each entity in it.
    connection.execute(sql.SQL("create index on {} ({})").format(table, sql.Identifier(EVENT)))
    connection.execute(
        sql.SQL("create index on {} ({}, {} desc, {} desc)").format(
            table, identifiers(JOIN_KEYS[view]), sql.Identifier(EVENT), sql.Identifier(CREATED)
        )
    )


def _day(day: date) -> pa.Scalar:
    return pa.scalar(day, pa.date32()).cast(_TIMESTAMP)


def _with_constant(rows: pa.Table, name: str, value: pa.Scalar) -> pa.Table:
    return rows.append_column(name, pa.repeat(value, len(rows)))
