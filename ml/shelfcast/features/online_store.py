"""Feast's online store on PostgreSQL with one row an entity.

In Feast's configuration it is ``type: shelfcast.features.online_store.WidePostgreSQLOnlineStore`` of
``online_store``, with the settings of Feast's own ``postgres``. The table of a view, ``<project>_<view>``,
has its join keys as primary key, ``event_ts``, ``created_ts``, and a column a feature; NULL is unknown. Why:
``docs/decisions/0019``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Literal

import psycopg
from feast import FeatureView, Field, RepoConfig, ValueType
from feast.infra.online_stores.helpers import compute_table_id
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.utils.postgres.connection_utils import _get_conn
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from psycopg import sql

from shelfcast.database import column_types, identifiers

#: One row of Feast's: key, values by feature, event time and, where the source has one, time of creation.
FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

EVENT_TS, CREATED_TS = "event_ts", "created_ts"

#: Column type and field of ``feast.types.Value`` of each type of a feature or a join key.
_TYPES: dict[ValueType, tuple[str, str]] = {
    ValueType.DOUBLE: ("double precision", "double_val"),
    ValueType.FLOAT: ("real", "float_val"),
    ValueType.INT64: ("bigint", "int64_val"),
    ValueType.INT32: ("integer", "int32_val"),
    ValueType.BOOL: ("boolean", "bool_val"),
    ValueType.STRING: ("text", "string_val"),
    ValueType.BYTES: ("bytea", "bytes_val"),
    ValueType.UNIX_TIMESTAMP: ("timestamp with time zone", "unix_timestamp_val"),
}
_FLOATS = (ValueType.DOUBLE, ValueType.FLOAT)


class WidePostgreSQLOnlineStoreConfig(PostgreSQLConfig):  # type: ignore[misc]
    """Settings of Feast's ``postgres`` that say where the database is."""

    type: Literal["shelfcast.features.online_store.WidePostgreSQLOnlineStore"] = (
        "shelfcast.features.online_store.WidePostgreSQLOnlineStore"
    )


class WidePostgreSQLOnlineStore(OnlineStore):  # type: ignore[misc]
    """Writes only what is newer or different: a row never goes back to an older event time."""

    def __init__(self) -> None:
        self._connection: psycopg.Connection | None = None
        # Feast's feature server reads in several threads.
        self._lock = Lock()

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        *_: Any,
        **__: Any,
    ) -> None:
        """Makes the tables of views, or changes their columns to those of the views.

        Raises:
            NotImplementedError: A feature or a join key has a type without a column type.
        """
        columns = {table_name(config, view): _columns(view) for view in tables_to_keep}
        with self.transaction(config) as connection:
            schema = sql.Identifier(_schema(config))
            connection.execute(sql.SQL("create schema if not exists {}").format(schema))
            for view in tables_to_delete:
                connection.execute(sql.SQL("drop table if exists {}").format(identifier(config, view)))
            for view in tables_to_keep:
                name = table_name(config, view)
                _create_or_alter(connection, _schema(config), name, join_keys(view), columns[name])

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], *_: Any, **__: Any) -> None:
        """Drops the tables of views."""
        with self.transaction(config) as connection:
            for view in tables:
                connection.execute(sql.SQL("drop table if exists {}").format(identifier(config, view)))

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes rows that Feast made; of several of one entity the newest, of those the last.

        Features that a row does not have stay as they are online.
        """
        alike: dict[tuple[str, ...], list[FeastRow]] = defaultdict(list)
        for row in data:
            alike[tuple(row[1])].append(row)
        with self.transaction(config) as connection:
            for features, rows in alike.items():
                source = _stage(connection, identifier(config, table), join_keys(table), features, rows)
                upsert(connection, config, table, features, source)
        if progress:
            progress(len(data))

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: Sequence[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Returns event time and values of each entity, in order; None and None for one that is not there."""
        types = {field.name: field.dtype.to_value_type() for field in table.features}
        names = requested_features or list(types)
        keys = join_keys(table)
        entities = [_entity(key, keys) for key in entity_keys]
        statement = sql.SQL(
            "select {keys}, {event_ts}, {features} from {table} "
            "where ({keys}) in (select * from unnest({values}))"
        ).format(
            keys=identifiers(keys),
            event_ts=sql.Identifier(EVENT_TS),
            features=identifiers(names),
            table=identifier(config, table),
            values=sql.SQL(", ").join(
                sql.SQL("%s::{}[]").format(sql.SQL(column_type(field))) for field in table.entity_columns
            ),
        )
        columns = [list(values) for values in zip(*entities, strict=True)] or [[] for _ in keys]
        with self._connected(config) as connection, connection.cursor(binary=True) as cursor:
            cursor.execute(statement, columns)
            found = {row[: len(keys)]: row[len(keys) :] for row in cursor}
        return [_read_row(found.get(entity), names, types) for entity in entities]

    @contextmanager
    def transaction(self, config: RepoConfig) -> Iterator[psycopg.Connection]:
        """Hands over the connection in a transaction, whose path is the schema of the tables."""
        with self._connected(config) as connection, connection.transaction():
            yield connection

    @contextmanager
    def _connected(self, config: RepoConfig) -> Iterator[psycopg.Connection]:
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = _get_conn(config.online_store)
                self._connection.autocommit = True
            yield self._connection


def upsert(
    connection: psycopg.Connection,
    config: RepoConfig,
    view: FeatureView,
    features: Sequence[str],
    source: sql.Composable,
) -> None:
    """Writes the rows of a query whose row is newer than the one online, or as new and different.

    Rows that are as they should be are not touched, so that a correction rewrites what it changed.

    Args:
        connection: In a transaction.
        config: Of the Feast project.
        view: Its table.
        features: That the query has; others stay as they are.
        source: Join keys, event time, time of creation and ``features``, in this order; an entity once.
    """
    keys = join_keys(view)
    names = [*keys, EVENT_TS, CREATED_TS, *features]
    floats = {field.name for field in view.features if field.dtype.to_value_type() in _FLOATS}
    # NaN is unknown, as in Feast.
    values = [
        sql.SQL("nullif({}, 'NaN')").format(sql.Identifier(name)) if name in floats else sql.Identifier(name)
        for name in names
    ]
    compared = [EVENT_TS, *features]
    # *<> compares the bytes: of numbers, <> does not tell 0 from -0.
    statement = """
        insert into {table} as online ({names})
        select {values} from ({source}) source ({names})
        on conflict ({keys}) do update set ({changed}) = row({excluded})
        where online.event_ts <= excluded.event_ts and row({old})::record *<> row({new})::record
    """
    connection.execute(
        sql.SQL(statement).format(
            table=identifier(config, view),
            names=identifiers(names),
            values=sql.SQL(", ").join(values),
            source=source,
            keys=identifiers(keys),
            changed=identifiers([CREATED_TS, *compared]),
            excluded=identifiers([CREATED_TS, *compared], "excluded"),
            old=identifiers(compared, "online"),
            new=identifiers(compared, "excluded"),
        )
    )


def join_keys(view: FeatureView) -> list[str]:
    """Returns the names of a view's join keys, in its own order."""
    return [field.name for field in view.entity_columns]


def table_name(config: RepoConfig, view: FeatureView) -> str:
    """Returns the name of a view's table, in the schema of the online store."""
    name: str = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return name


def identifier(config: RepoConfig, view: FeatureView) -> sql.Identifier:
    """Returns a view's table in SQL."""
    return sql.Identifier(_schema(config), table_name(config, view))


def column_type(field: Field) -> str:
    """Returns the type of a column in PostgreSQL.

    Raises:
        NotImplementedError: There is none for the field.
    """
    type_ = field.dtype.to_value_type()
    if type_ not in _TYPES:
        raise NotImplementedError(
            f"{field.name} is of Feast's type {field.dtype}, for which the online store has no column type; "
            f"use one of {', '.join(known.name for known in _TYPES)}, or Feast's own store, type postgres"
        )
    return _TYPES[type_][0]


def _schema(config: RepoConfig) -> str:
    schema: str = config.online_store.db_schema or config.online_store.user
    return schema


def _columns(view: FeatureView) -> dict[str, str]:
    keys = {field.name: f"{column_type(field)} not null" for field in view.entity_columns}
    times = {EVENT_TS: "timestamp with time zone not null", CREATED_TS: "timestamp with time zone"}
    return keys | times | {field.name: column_type(field) for field in view.features}


def _create_or_alter(
    connection: psycopg.Connection, schema: str, name: str, keys: list[str], columns: dict[str, str]
) -> None:
    """Features come from offline, so a table of other keys, or of Feast's own layout, is made anew."""
    table = sql.Identifier(schema, name)
    old = column_types(connection, table)
    fixed = [*keys, EVENT_TS, CREATED_TS]
    required = [name for name in old if old[name].endswith(" not null")]
    if required != [*keys, EVENT_TS] or any(old.get(name) != columns[name] for name in fixed):
        connection.execute(sql.SQL("drop table if exists {}").format(table))
        definitions = [sql.SQL("{} " + columns[name]).format(sql.Identifier(name)) for name in columns]
        connection.execute(
            sql.SQL("create table {} ({}, primary key ({}))").format(
                table, sql.SQL(", ").join(definitions), identifiers(keys)
            )
        )
        return
    changes = [sql.SQL("drop column {}").format(sql.Identifier(c)) for c in old if columns.get(c) != old[c]]
    changes += [
        sql.SQL("add column {} " + columns[c]).format(sql.Identifier(c))
        for c in columns
        if columns[c] != old.get(c)
    ]
    if changes:
        connection.execute(sql.SQL("alter table {} {}").format(table, sql.SQL(", ").join(changes)))


def _stage(
    connection: psycopg.Connection,
    table: sql.Identifier,
    keys: list[str],
    features: Sequence[str],
    rows: Sequence[FeastRow],
) -> sql.Composed:
    """Copies rows into a temporary table; returns the query for one of each entity."""
    names = identifiers([*keys, EVENT_TS, CREATED_TS, *features])
    connection.execute("drop table if exists pg_temp.staged")
    connection.execute(
        sql.SQL("create temporary table staged on commit drop as select {} from {} limit 0").format(
            names, table
        )
    )
    with connection.cursor() as cursor, cursor.copy("copy pg_temp.staged from stdin") as copy:
        for key, values, event_ts, created_ts in rows:
            copy.write_row(
                [
                    *_entity(key, keys),
                    _utc(event_ts),
                    None if created_ts is None else _utc(created_ts),
                    *(_scalar(values[name]) for name in features),
                ]
            )
    return sql.SQL(
        "select distinct on ({keys}) {names} from pg_temp.staged order by {keys}, event_ts desc, ctid desc"
    ).format(keys=identifiers(keys), names=names)


def _entity(key: EntityKey, keys: list[str]) -> tuple[Any, ...]:
    values = dict(zip(key.join_keys, key.entity_values, strict=True))
    return tuple(_scalar(values[name]) for name in keys)


def _scalar(value: Value) -> Any:
    field = value.WhichOneof("val")
    if field in (None, "null_val"):
        return None
    if field == "unix_timestamp_val":
        return datetime.fromtimestamp(value.unix_timestamp_val, UTC)
    return getattr(value, field)


def _read_row(
    row: tuple[Any, ...] | None, names: list[str], types: dict[str, ValueType]
) -> tuple[datetime | None, dict[str, Value] | None]:
    if row is None:
        return None, None
    return row[0], {name: _value(value, types[name]) for name, value in zip(names, row[1:], strict=True)}


def _value(value: Any, type_: ValueType) -> Value:
    if value is None:
        return Value()
    if type_ is ValueType.UNIX_TIMESTAMP:
        value = int(value.timestamp())
    return Value(**{_TYPES[type_][1]: value})


def _utc(time: datetime) -> datetime:
    """Returns Feast's time; one without a zone is UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
