"""Online store for Feast 0.67 on PostgreSQL with one row per entity.

It replaces Feast's own ``postgres`` store, which has one row for each feature of each entity and is about 20
times slower (``docs/decisions/0019``). In Feast's configuration it is ``type:
shelfcast.features.online_store.WidePostgreSQLOnlineStore`` of ``online_store``, with the settings of
``postgres``. The table of a view, ``<project>_<view>``, has the join keys as its primary key, ``event_ts``,
``created_ts`` and one column for each feature. NULL is unknown.

It follows the interface ``OnlineStore`` of Feast 0.67. With a new version of Feast compare the signatures of
the four methods of that interface, ``compute_table_id``, and the settings of ``PostgreSQLConfig``.
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
from feast.infra.utils.postgres.postgres_config import PostgreSQLConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from psycopg import sql

from shelfcast.database import column_types, identifiers

#: Row as Feast passes it: entity key, values by feature, event time, creation time if the source has one.
FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]

EVENT_TS, CREATED_TS = "event_ts", "created_ts"

#: Feast type of a feature or join key -> column type, and field of ``feast.types.Value``.
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
    """Connection settings, the same as of Feast's ``postgres``."""

    type: Literal["shelfcast.features.online_store.WidePostgreSQLOnlineStore"] = (
        "shelfcast.features.online_store.WidePostgreSQLOnlineStore"
    )


class WidePostgreSQLOnlineStore(OnlineStore):  # type: ignore[misc]
    """Online store that upserts only newer or changed rows; a row never moves to an older event time."""

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
        """Creates the tables of views, or adapts their columns to the views.

        Raises:
            NotImplementedError: A feature or join key has a type without a column type.
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
        """Upserts rows that Feast made: of each entity the newest row, and the last one of equal times.

        Features that a row lacks keep their online value.
        """
        by_features: dict[tuple[str, ...], list[FeastRow]] = defaultdict(list)
        for row in data:
            by_features[tuple(row[1])].append(row)
        with self.transaction(config) as connection:
            for features, rows in by_features.items():
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
        """Returns event time and values of each entity, in order; (None, None) where it has no row."""
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
            by_entity = {row[: len(keys)]: row[len(keys) :] for row in cursor}
        return [_read_row(by_entity.get(entity), names, types) for entity in entities]

    def close(self) -> None:
        """Closes the connection; the next call opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()

    @contextmanager
    def transaction(self, config: RepoConfig) -> Iterator[psycopg.Connection]:
        """Yields the connection in a transaction; its search path is the schema of the tables."""
        with self._connected(config) as connection, connection.transaction():
            yield connection

    @contextmanager
    def _connected(self, config: RepoConfig) -> Iterator[psycopg.Connection]:
        with self._lock:
            if self._connection is None or self._connection.closed:
                self._connection = _connect(config.online_store)
            yield self._connection


def _connect(settings: PostgreSQLConfig) -> psycopg.Connection:
    return psycopg.connect(
        autocommit=True,
        host=settings.host,
        port=settings.port,
        dbname=settings.database,
        user=settings.user,
        password=settings.password,
        sslmode=settings.sslmode,
        sslkey=settings.sslkey_path,
        sslcert=settings.sslcert_path,
        sslrootcert=settings.sslrootcert_path,
        keepalives_idle=settings.keepalives_idle,
        options=f"-c search_path={settings.db_schema or settings.user},public",
    )


def upsert(
    connection: psycopg.Connection,
    config: RepoConfig,
    view: FeatureView,
    features: Sequence[str],
    source: sql.Composable,
) -> None:
    """Upserts the query's rows that are newer than the online row, or equally new but different.

    Rows that would not change are not written, so ``created_ts`` tells when a value changed last.

    Args:
        connection: Connection in a transaction.
        config: Configuration of the Feast project.
        view: View whose table is written.
        features: Columns that the query provides; other columns keep their value.
        source: Query of join keys, event time, creation time and ``features``, in this order; one row for
            each entity.
    """
    keys = join_keys(view)
    names = [*keys, EVENT_TS, CREATED_TS, *features]
    floats = {field.name for field in view.features if field.dtype.to_value_type() in _FLOATS}
    # Feast treats NaN as unknown, too.
    values = [
        sql.SQL("nullif({}, 'NaN')").format(sql.Identifier(name)) if name in floats else sql.Identifier(name)
        for name in names
    ]
    compared = [EVENT_TS, *features]
    # *<> compares bytes; <> treats 0 and -0 as equal.
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
    """Returns the names of a view's join keys, in the order of the view."""
    return [field.name for field in view.entity_columns]


def table_name(config: RepoConfig, view: FeatureView) -> str:
    """Returns the name of a view's table, in the schema of the online store."""
    name: str = compute_table_id(config.project, view, config.registry.enable_online_feature_view_versioning)
    return name


def identifier(config: RepoConfig, view: FeatureView) -> sql.Identifier:
    """Returns the SQL identifier of a view's table."""
    return sql.Identifier(_schema(config), table_name(config, view))


def column_type(field: Field) -> str:
    """Returns the PostgreSQL type of a field's column.

    Raises:
        NotImplementedError: The field's type has no column type.
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
    """Creates the table or alters its columns.

    A table with other keys, or in the layout of Feast's own store, is dropped: its rows come from offline.
    """
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
    """Copies rows into a temporary table; returns the query for the newest row of each entity."""
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
    """Returns the time with its zone; Feast's times without a zone are UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
