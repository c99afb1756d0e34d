"""Feast's PostgreSQL online store, written by COPY.

In Feast's configuration it is ``type: shelfcast.features.online_store.CopyPostgreSQLOnlineStore`` of
``online_store``, with the settings of Feast's own ``postgres``. Tables and reads are Feast's. Why:
``docs/decisions/0017``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

import psycopg
import pyarrow as pa
from feast import FeatureView, RepoConfig
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import _to_naive_utc, compute_table_id
from feast.infra.online_stores.postgres_online_store.postgres import (
    PostgreSQLOnlineStore,
    PostgreSQLOnlineStoreConfig,
)
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from psycopg import sql
from pydantic import field_validator

from shelfcast.features.entity_keys import entity_keys
from shelfcast.features.online_rows import TIME, OnlineBlock, OnlineColumn, replace
from shelfcast.features.online_values import online_values, values_of

#: One row of Feast's: key, values by feature, event time and, where the source has one, time of creation.
FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
FeastValue = tuple[Value, datetime, datetime | None]

#: So many are encoded while PostgreSQL writes those before.
_BLOCK_ENTITIES = 500


class CopyPostgreSQLOnlineStoreConfig(PostgreSQLOnlineStoreConfig):  # type: ignore[misc]
    """Settings of Feast's ``postgres``, but for those that ask for more columns than we write."""

    type: Literal["shelfcast.features.online_store.CopyPostgreSQLOnlineStore"] = (
        "shelfcast.features.online_store.CopyPostgreSQLOnlineStore"
    )

    @field_validator("vector_enabled", "enable_openai_compatible_store")
    @classmethod
    def _is_off(cls, value: bool | None) -> bool | None:
        if value:
            raise ValueError(f"{cls.__name__} writes no vectors and no value_num; use Feast's type postgres")
        return value


class CopyPostgreSQLOnlineStore(PostgreSQLOnlineStore):  # type: ignore[misc]
    """Writes what Feast's store writes, byte by byte."""

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[FeastRow],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Writes rows that Feast made; of several of one entity and feature, the last."""
        entities: dict[bytes, dict[str, FeastValue]] = defaultdict(dict)
        for key, values, event, created in data:
            entity = serialize_entity_key(key, config.entity_key_serialization_version)
            entities[entity].update({name: (value, event, created) for name, value in values.items()})
        alike: dict[tuple[str, ...], list[bytes]] = defaultdict(list)
        for entity in sorted(entities):
            alike[tuple(sorted(entities[entity]))].append(entity)
        with self._writer(config, table) as (connection, name):
            for features, keys in alike.items():
                columns = [_column(feature, [entities[key][feature] for key in keys]) for feature in features]
                block = OnlineBlock(pa.array(keys, pa.binary()), columns)
                replace(connection, name, keys, list(features), [block] if columns else [])
        if progress:
            progress(len(data))

    def write_arrow(self, config: RepoConfig, view: FeatureView, rows: pa.RecordBatch) -> None:
        """Writes rows of a view's source without an object a value; of several of one entity, the last.

        Args:
            config: Of the Feast project.
            view: Its join keys are integers or strings.
            rows: Join keys, event timestamp, time of creation where the source has one, and features.

        Raises:
            ValueError: A join key is missing or of another type.
            pyarrow.ArrowInvalid: A value does not fit the type of its feature.
        """
        keys = entity_keys(
            rows, {key.name: key.dtype.to_value_type() for key in view.entity_columns}
        ).to_pylist()
        last = {key: place for place, key in enumerate(keys)}
        order = sorted(last)
        rows = rows.take(pa.array([last[key] for key in order], pa.int64()))
        blocks = (
            _block(view, order[first : first + _BLOCK_ENTITIES], rows.slice(first, _BLOCK_ENTITIES))
            for first in range(0, len(order), _BLOCK_ENTITIES)
        )
        with self._writer(config, view) as (connection, table):
            replace(connection, table, order, [feature.name for feature in view.features], blocks)

    @contextmanager
    def _writer(
        self, config: RepoConfig, view: FeatureView
    ) -> Iterator[tuple[psycopg.Connection, sql.Identifier]]:
        """Hands over a connection in a transaction, and the view's table."""
        versions = config.registry.enable_online_feature_view_versioning
        with self._get_conn(config) as connection, connection.transaction():
            yield connection, sql.Identifier(compute_table_id(config.project, view, versions))

    @contextmanager
    def _get_conn(self, config: RepoConfig, autocommit: bool = False) -> Iterator[psycopg.Connection]:
        # Feast's own insists on the name of its own type.
        own = config.online_store.model_copy(update={"type": "postgres"})
        with super()._get_conn(SimpleNamespace(online_store=own), autocommit) as connection:
            yield connection


def _block(view: FeatureView, keys: list[bytes], rows: pa.RecordBatch) -> OnlineBlock:
    source = view.batch_source
    event = rows.column(source.timestamp_field)
    created = source.created_timestamp_column
    created_ts = rows.column(created) if created else pa.nulls(len(rows), TIME)
    features = sorted((feature.name, feature.dtype.to_value_type()) for feature in view.features)
    columns = [
        OnlineColumn(name, online_values(rows.column(name), type_), event, created_ts)
        for name, type_ in features
    ]
    return OnlineBlock(pa.array(keys, pa.binary()), columns)


def _column(feature: str, values: list[FeastValue]) -> OnlineColumn:
    protos, events, created = zip(*values, strict=True)
    return OnlineColumn(feature, values_of(protos), _times(events), _times(created))


def _times(times: Sequence[datetime | None]) -> pa.Array:
    """Returns Feast's times; one without a zone is UTC."""
    return pa.array([None if time is None else _to_naive_utc(time) for time in times], TIME)
