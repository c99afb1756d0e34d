"""Reads snapshots: the newest value of each row of a data set as of a batch.

Raw rows are only ever added, so a snapshot reads the same for ever. All tables come in the order of their
keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import psycopg
import pyarrow as pa
from psycopg import sql
from pyarrow import csv


@dataclass(frozen=True)
class RawTable:
    """A table of schema ``raw``.

    Attributes:
        name: Its name there.
        key: Columns that name a row, in order.
        schema: All columns that a snapshot has, the key first; not ``dataset`` and ``batch_id``.
    """

    name: str
    key: tuple[str, ...]
    schema: pa.Schema

    @property
    def identifier(self) -> sql.Identifier:
        """The table's name in SQL."""
        return sql.Identifier("raw", self.name)

    @property
    def columns(self) -> sql.Composed:
        """The columns of ``schema`` in SQL, separated by commas."""
        return sql.SQL(", ").join(map(sql.Identifier, self.schema.names))


def _field(name: str, type_: pa.DataType) -> pa.Field:
    return pa.field(name, type_, nullable=False)


_STORE, _WEEK = _field("store", pa.int64()), _field("week", pa.date32())
_HOLIDAY = _field("is_holiday", pa.bool_())

SALES = RawTable(
    "sales",
    ("store", "dept", "week"),
    pa.schema([_STORE, _field("dept", pa.int64()), _WEEK, _field("weekly_sales", pa.float64()), _HOLIDAY]),
)

#: What is known of a store's week beside its sales; null where unknown. Temperature in degrees Fahrenheit,
#: fuel in USD a gallon, unemployment in percent, markdowns (promotions) in USD.
EXTERNALS = ("temperature", "fuel_price", "cpi", "unemployment", *(f"markdown{n}" for n in range(1, 6)))

STORE_WEEKS = RawTable(
    "store_week",
    ("store", "week"),
    pa.schema([_STORE, _WEEK, *(pa.field(name, pa.float64()) for name in EXTERNALS), _HOLIDAY]),
)

STORES = RawTable(
    "store", ("store",), pa.schema([_STORE, _field("type", pa.string()), _field("size", pa.float64())])
)

RAW_TABLES = (SALES, STORE_WEEKS, STORES)


def read_sales(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns store, dept (int64), week (date32), weekly_sales (double, USD), is_holiday (bool)."""
    return read_table(connection, SALES, dataset, batch_id)


def read_store_weeks(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns store (int64), week (date32), ``EXTERNALS`` (double, null where unknown), is_holiday (bool)."""
    return read_table(connection, STORE_WEEKS, dataset, batch_id)


def read_stores(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns store (int64), type (string), size (double, square feet)."""
    return read_table(connection, STORES, dataset, batch_id)


def read_table(connection: psycopg.Connection, table: RawTable, dataset: str, batch_id: int) -> pa.Table:
    """Returns the rows of a snapshot; none when the data set or the batch is unknown."""
    statement = sql.SQL("copy ({}) to stdout (format csv)").format(newest_rows(table, dataset, batch_id))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        text = b"".join(copy)
    if not text:
        return table.schema.empty_table()
    rows = csv.read_csv(
        pa.BufferReader(text),
        read_options=csv.ReadOptions(column_names=table.schema.names),
        convert_options=csv.ConvertOptions(
            column_types=table.schema, null_values=[""], true_values=["t"], false_values=["f"]
        ),
    )
    return rows.cast(table.schema).combine_chunks()


def newest_rows(table: RawTable, dataset: str, batch_id: int) -> sql.Composed:
    """Returns the query for the newest value of each key as of a batch, in key order."""
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    return sql.SQL(
        "select distinct on ({key}) {columns} from {table} "
        "where dataset = {dataset} and batch_id <= {batch_id} order by {key}, batch_id desc"
    ).format(
        key=key,
        columns=table.columns,
        table=table.identifier,
        dataset=sql.Literal(dataset),
        batch_id=sql.Literal(batch_id),
    )


def content_hash(tables: dict[str, pa.Table]) -> str:
    """Returns the SHA-256 (hex) of a snapshot's tables, given by name, each in key order.

    The hashed bytes, by table in the order of ``RAW_TABLES`` and then by column in the order of its schema:
    ``<table>.<column> <rows>`` and a line feed in UTF-8; for a nullable column one byte a row, 1 where it has
    a value; then the values of all rows, little-endian: int64, days since 1970-01-01 as int32, IEEE 754
    double, bool as one byte, text as its UTF-8 bytes before a zero byte. A null counts as the value zero.
    """
    digest = hashlib.sha256()
    for table in RAW_TABLES:
        rows = tables[table.name]
        for field in table.schema:
            column = rows.column(field.name)
            digest.update(f"{table.name}.{field.name} {len(rows)}\n".encode())
            if field.nullable:
                digest.update(column.is_valid().to_numpy().astype("u1").tobytes())
            digest.update(_value_bytes(column, field.type))
    return digest.hexdigest()


def _value_bytes(column: pa.ChunkedArray, type_: pa.DataType) -> bytes:
    if type_ == pa.string():
        return b"".join(text.encode() + b"\0" for text in column.to_pylist())
    if type_ == pa.date32():
        return _value_bytes(column.cast(pa.int32()), pa.int32())
    dtype = {pa.int64(): "<i8", pa.int32(): "<i4", pa.float64(): "<f8", pa.bool_(): "u1"}[type_]
    zero = pa.scalar(0).cast(type_)
    values: bytes = column.fill_null(zero).to_numpy().astype(dtype).tobytes()
    return values
