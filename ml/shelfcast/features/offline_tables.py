"""Feast's offline tables: the whole history of a snapshot, one table a view."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime

import numpy as np
import psycopg
import pyarrow as pa
from psycopg import sql

from shelfcast.database import copy_table, identifiers
from shelfcast.features.definitions import FeatureSet, View
from shelfcast.features.store_features import attribute_columns, external_columns
from shelfcast.features.training_data import Inputs, nullable

EVENT, CREATED = "event_timestamp", "created"
JOIN_KEYS: dict[View, tuple[str, ...]] = {
    "sales_history": ("store", "dept"),
    "store_externals": ("store",),
    "store_attributes": ("store",),
    "calendar": ("week",),
}
_TIMESTAMP = pa.timestamp("us", "UTC")


def table_name(project: str, view: View) -> str:
    """Returns the name of a view's table, in schema feast_offline as in feast_online."""
    return f"{project}_{view}"


def replace(
    connection: psycopg.Connection,
    project: str,
    features: FeatureSet,
    tables: dict[View, Iterable[pa.Table]],
    created: datetime,
) -> dict[View, int]:
    """Replaces the project's offline tables by these rows, all in the connection's transaction.

    A snapshot holds the whole history, so its tables replace those of the one before: readers see all of one
    or all of the other, a repeated run ends with the same rows, and a correction leaves no older row behind.

    Args:
        connection: Its transaction must be committed before Feast reads the tables.
        project: Feast project.
        features: Decide the columns.
        tables: Join keys, ``event_timestamp`` and the features; columns that the view lacks are left out.
        created: Marks the rows of this replacement, here and online.

    Returns:
        Rows by view.
    """
    counts: dict[View, int] = {}
    for view, columns in features.view_columns.items():
        table = sql.Identifier("feast_offline", table_name(project, view))
        _create(connection, table, view, columns)
        counts[view] = 0
        for rows in tables[view]:
            wanted = rows.select([*JOIN_KEYS[view], EVENT, *columns])
            copy_table(connection, table, _with_constant(wanted, CREATED, pa.scalar(created, _TIMESTAMP)))
            counts[view] += len(rows)
        # Feast asks for the newest rows of a window, our engine for the newest row of each entity in it.
        connection.execute(sql.SQL("create index on {} ({})").format(table, sql.Identifier(EVENT)))
        keys = identifiers(JOIN_KEYS[view])
        connection.execute(
            sql.SQL("create index on {} ({}, {} desc, {} desc)").format(
                table, keys, sql.Identifier(EVENT), sql.Identifier(CREATED)
            )
        )
    return counts


def sales_history_rows(rows: pa.Table) -> pa.Table:
    """Returns rows of a series file with the event timestamp."""
    return rows.append_column(EVENT, rows["origin"].cast(_TIMESTAMP))


def store_external_rows(inputs: Inputs, features: FeatureSet) -> pa.Table:
    """Returns a row for each store and week with sales."""
    store, week = np.nonzero(~np.isnan(inputs.aggregates.store_sales))
    found = inputs.store_features
    columns = external_columns(found, features)
    return pa.table(
        {
            "store": found.stores[store],
            EVENT: pa.array(inputs.grid.weeks[week]).cast(_TIMESTAMP),
            **{name: nullable(values[store, week]) for name, values in columns.items()},
        }
    )


def store_attribute_rows(inputs: Inputs, features: FeatureSet, last_week: date) -> pa.Table:
    """Returns a row for each store, as of the last week."""
    found = inputs.store_features
    columns = attribute_columns(found, features)
    rows = pa.table({"store": found.stores, **{name: nullable(v) for name, v in columns.items()}})
    return _with_constant(rows, EVENT, _day(last_week))


def calendar_store_rows(calendar: pa.Table, last_week: date) -> pa.Table:
    """Returns a row for each target week, named by its ISO date, as of the last week."""
    rows = calendar.set_column(0, "week", calendar["week"].cast(pa.string()))
    return _with_constant(rows, EVENT, _day(last_week))


def _create(connection: psycopg.Connection, table: sql.Identifier, view: View, columns: list[str]) -> None:
    keys = "week text" if view == "calendar" else ", ".join(f"{key} bigint" for key in JOIN_KEYS[view])
    type_ = "bigint" if view == "calendar" else "double precision"
    definitions = sql.SQL(", ").join(
        sql.SQL(f"{{}} {type_}").format(sql.Identifier(name)) for name in columns
    )
    connection.execute(sql.SQL("drop table if exists {}").format(table))
    connection.execute(
        sql.SQL(
            f"create table {{}} ({keys}, {EVENT} timestamptz not null, {CREATED} timestamptz not null, {{}})"
        ).format(table, definitions)
    )


def _day(day: date) -> pa.Scalar:
    return pa.scalar(day, pa.date32()).cast(_TIMESTAMP)


def _with_constant(rows: pa.Table, name: str, value: pa.Scalar) -> pa.Table:
    return rows.append_column(name, pa.repeat(value, len(rows)))
