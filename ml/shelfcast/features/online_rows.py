"""Rows of Feast's online tables, and how they get into one: COPY in PostgreSQL's binary format."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shelfcast.features.online_values import OnlineValues, fixed_binary, join

#: Of the binary format: signature, flags and length of the header's extension; then what ends the rows.
_BEGIN = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = struct.pack(">h", -1)
_NULL = pa.scalar(struct.pack(">i", -1))
#: PostgreSQL counts from 2000.
_EPOCH_US = 946_684_800_000_000
TIME = pa.timestamp("us", "UTC")


@dataclass(frozen=True)
class OnlineColumn:
    """Values of one feature for N entities.

    Attributes:
        feature: Its name.
        values: [N].
        event_ts: ``TIME`` [N].
        created_ts: ``TIME`` or null [N].
    """

    feature: str
    values: OnlineValues
    event_ts: pa.Array
    created_ts: pa.Array


@dataclass(frozen=True)
class OnlineBlock:
    """Rows of N entities with the same features, N a feature; ``entity_key`` is binary [N]."""

    entity_key: pa.BinaryArray
    columns: list[OnlineColumn]


def replace(
    connection: psycopg.Connection,
    table: sql.Composable,
    entity_keys: list[bytes],
    features: list[str],
    blocks: Iterable[OnlineBlock],
) -> None:
    """Replaces the rows of these entities and features, in the connection's transaction.

    Deleting and COPY take less than half the time of ``on conflict do update``. Readers see the old rows or
    the new ones.

    Args:
        connection: Its transaction must be committed.
        table: Of Feast.
        entity_keys: Each once.
        features: Each once.
        blocks: Hold each entity once, with all features; made while PostgreSQL writes those before.

    Raises:
        psycopg.errors.UniqueViolation: Someone else added a row of the same key meanwhile; worth another try.
    """
    connection.execute(
        sql.SQL("delete from {} where entity_key = any(%s) and feature_name = any(%s)").format(table),
        [entity_keys, features],
    )
    statement = sql.SQL(
        "copy {} (entity_key, feature_name, value, value_text, event_ts, created_ts) "
        "from stdin (format binary)"
    ).format(table)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_BEGIN)
        for block in blocks:
            copy.write(copy_stream(block))
        copy.write(_END)


def copy_stream(block: OnlineBlock) -> memoryview:
    """Returns a block's rows, entity by entity, in COPY's binary format without its begin and end."""
    entities, features = len(block.entity_key), len(block.columns)
    key = _field(block.entity_key)
    rows = pa.concat_arrays([_rows(key, column) for column in block.columns])
    # In the order of the index, which PostgreSQL then writes from left to right.
    order = np.arange(entities * features).reshape(features, entities).T.reshape(-1)
    _, _, data = rows.take(pa.array(order)).buffers()
    return memoryview(data)


def _rows(key: pa.BinaryArray, column: OnlineColumn) -> pa.BinaryArray:
    name = column.feature.encode()
    return join(
        pa.scalar(struct.pack(">h", 6)),
        key,
        pa.scalar(struct.pack(">i", len(name)) + name),
        _field(column.values.value),
        _field(column.values.text.cast(pa.binary())),
        _time(column.event_ts),
        _time(column.created_ts),
    )


def _field(column: pa.BinaryArray) -> pa.BinaryArray:
    """Returns the length of each value and the value; for null, the length -1."""
    lengths = pc.binary_length(column).fill_null(-1).to_numpy().astype(">i4")
    return join(fixed_binary(lengths.view(np.uint8).reshape(-1, 4)), column.fill_null(b""))


def _time(column: pa.Array) -> pa.BinaryArray:
    column = column.cast(TIME)
    values = column.cast(pa.int64()).fill_null(0).to_numpy() - _EPOCH_US
    data = fixed_binary(values.astype(">i8").view(np.uint8).reshape(-1, 8))
    return pc.if_else(column.is_valid(), join(pa.scalar(struct.pack(">i", 8)), data), _NULL)
