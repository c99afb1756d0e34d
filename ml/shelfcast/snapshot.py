"""Reader of snapshots: the newest value of each row of a data set as of a load batch.

Raw rows are only ever added, so a snapshot never changes. All tables are read in the order of their keys.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql
from pyarrow import csv

from shelfcast.contracts.specs import MISSING_WEEKS_ROW
from shelfcast.database import identifiers
from shelfcast.ids import plain_id
from shelfcast.levels import LevelOf
from shelfcast.missing_weeks import with_zero_weeks


@dataclass(frozen=True)
class RawTable:
    """A table of schema ``raw``.

    Attributes:
        name: Table name within the schema.
        key: Key columns, in order.
        schema: Columns of a snapshot, the key first, without ``dataset`` and ``batch_id``.
    """

    name: str
    key: tuple[str, ...]
    schema: pa.Schema

    @property
    def identifier(self) -> sql.Identifier:
        """SQL identifier of the table."""
        return sql.Identifier("raw", self.name)

    @property
    def columns(self) -> sql.Composed:
        """SQL list of the columns of ``schema``."""
        return identifiers(self.schema.names)

    def in_key_order(self, rows: pa.Table) -> pa.Table:
        """Returns the rows in the order of their keys."""
        return rows.sort_by([(column, "ascending") for column in self.key])


def _field(name: str, type_: pa.DataType) -> pa.Field:
    return pa.field(name, type_, nullable=False)


_STORE, _WEEK = _field("store", pa.int64()), _field("week", pa.date32())
_HOLIDAY = _field("is_holiday", pa.bool_())

SALES = RawTable(
    "sales",
    ("store", "dept", "week"),
    pa.schema([_STORE, _field("dept", pa.int64()), _WEEK, _field("weekly_sales", pa.float64()), _HOLIDAY]),
)

#: Externals: store-week covariates that every data set has; null where unknown. Temperature in degrees
#: Fahrenheit, fuel in USD a gallon, unemployment in percent, markdowns (promotions) in USD.
EXTERNALS = ("temperature", "fuel_price", "cpi", "unemployment", *(f"markdown{n}" for n in range(1, 6)))

STORE_WEEKS = RawTable(
    "store_week",
    ("store", "week"),
    pa.schema([_STORE, _WEEK, *(pa.field(name, pa.float64()) for name in EXTERNALS), _HOLIDAY]),
)

#: Stores; type and size are null where unknown.
STORES = RawTable(
    "store", ("store",), pa.schema([_STORE, pa.field("type", pa.string()), pa.field("size", pa.float64())])
)

#: Key of a covariate's values: series and week, store and week, or store (a static covariate).
CovariateOf = Literal["series_week", "store_week", "store"]

COVARIATES = RawTable(
    "declared_column",
    ("name",),
    pa.schema(
        [
            _field("name", pa.string()),
            _field("of", pa.string()),
            pa.field("known_after_weeks", pa.int64()),
            _field("description", pa.string()),
        ]
    ),
)

#: Values of covariates that are not externals. Keys cannot be null: department ``STORE_AS_A_WHOLE`` stands
#: for covariates of stores, week ``ALL_WEEKS`` for static ones; store ``DATA_SET_AS_A_WHOLE`` for
#: declarations about all series.
EXTRAS = RawTable(
    "extra",
    ("name", "store", "dept", "week"),
    pa.schema(
        [
            _field("name", pa.string()),
            _STORE,
            _field("dept", pa.int64()),
            _WEEK,
            pa.field("value", pa.float64()),
        ]
    ),
)
#: Name of the rows that shut stores and series (``features.open_weeks``).
OPEN_ROWS = "open"
#: Names of the rows whose value is the number of the store or department that another one is like. Users'
#: columns have no spaces in their names.
LIKE_ROWS: Mapping[LevelOf, str] = {"store": "like store", "dept": "like department"}
STORE_AS_A_WHOLE = 0
DATA_SET_AS_A_WHOLE = 0
ALL_WEEKS = date(1, 1, 1)

#: Ids with their numbers. A number has one current id, and may have former ones.
IDS = RawTable(
    "id",
    ("of", "id"),
    pa.schema(
        [
            _field("of", pa.string()),
            _field("id", pa.string()),
            _field("number", pa.int64()),
            _field("is_current", pa.bool_()),
        ]
    ),
)

#: Members of the declared levels: ``of`` and ``number`` name a store or a department; null where unknown.
LEVELS = RawTable(
    "level_member",
    ("level", "of", "number"),
    pa.schema(
        [
            _field("level", pa.string()),
            _field("of", pa.string()),
            _field("number", pa.int64()),
            pa.field("member", pa.string()),
        ]
    ),
)

#: Stores and departments that became part of another one: ``into_number`` remains, and is in no other row as
#: ``number``.
MERGES = RawTable(
    "merge",
    ("of", "number"),
    pa.schema([_field("of", pa.string()), _field("number", pa.int64()), _field("into_number", pa.int64())]),
)

RAW_TABLES = (SALES, STORE_WEEKS, STORES, COVARIATES, EXTRAS, IDS, LEVELS, MERGES)


@dataclass(frozen=True)
class Covariate:
    """Covariate that a data set declares: a column of its own, or an external with another publication lag.

    A past covariate has a ``known_after_weeks`` of 0 or more, one that is known in advance a negative one.

    Attributes:
        name: Name of the column in the files and of its features.
        of: Key of its values.
        known_after_weeks: The value of week w is known at the end of week w + ``known_after_weeks``. None for
            a static covariate, which is always known.
        description: Meaning in words, for people.
    """

    name: str
    of: CovariateOf
    known_after_weeks: int | None
    description: str


def empty_tables() -> dict[str, pa.Table]:
    """Returns all raw tables by name, without rows."""
    return {raw.name: raw.schema.empty_table() for raw in RAW_TABLES}


def read_sales(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns store, dept (int64), week (date32), weekly_sales (double, USD), is_holiday (bool).

    Missing weeks have rows of 0 if the data set declares them as zero.
    """
    sales = _read_merged(connection, SALES, dataset, batch_id)
    return with_zero_weeks(sales) if missing_are_zero(connection, dataset, batch_id) else sales


def missing_are_zero(connection: psycopg.Connection, dataset: str, batch_id: int) -> bool:
    """Whether the data set declares weeks without a row as weeks without sales."""
    row = connection.execute(
        "select value = 1 from raw.extra where dataset = %s and name = %s and batch_id <= %s "
        "order by batch_id desc limit 1",
        [dataset, MISSING_WEEKS_ROW, batch_id],
    ).fetchone()
    return row is not None and bool(row[0])


def read_store_weeks(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns store (int64), week (date32), ``EXTERNALS`` (double, null where unknown), is_holiday (bool)."""
    return _read_merged(connection, STORE_WEEKS, dataset, batch_id)


def read_stores(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns store (int64), type (string), size (double, square feet); null where unknown."""
    return _read_merged(connection, STORES, dataset, batch_id)


def read_covariates(connection: psycopg.Connection, dataset: str, batch_id: int) -> list[Covariate]:
    """Returns the covariates that the data set declares, ordered by name."""
    return covariates_of(read_table(connection, COVARIATES, dataset, batch_id))


def covariates_of(rows: pa.Table) -> list[Covariate]:
    """Returns rows of ``COVARIATES`` as objects."""
    return [Covariate(**row) for row in rows.to_pylist()]


def read_extras(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns name (string), store, dept (int64), week (date32), value (double, null where unknown).

    dept is 0 for covariates of stores, week is null for static ones. Externals are in ``read_store_weeks``,
    declared or not.
    """
    return with_null_weeks(_read_merged(connection, EXTRAS, dataset, batch_id))


def with_null_weeks(extras: pa.Table) -> pa.Table:
    """Returns rows of ``EXTRAS`` in the form of ``read_extras``."""
    rows, week = extras, extras["week"]
    index = rows.schema.get_field_index("week")
    nullable = pc.if_else(pc.equal(week, pa.scalar(ALL_WEEKS)), pa.scalar(None, pa.date32()), week)
    return rows.set_column(index, "week", nullable).combine_chunks()


def read_ids(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns of (string, an ``IdOf``), id (string), number (int64), is_current (bool)."""
    return read_table(connection, IDS, dataset, batch_id)


def read_level_members(connection: psycopg.Connection, dataset: str, batch_id: int) -> pa.Table:
    """Returns level, of (store or dept, string), number (int64), member (string, null where unknown)."""
    return _read_merged(connection, LEVELS, dataset, batch_id)


def with_merged(tables: Mapping[str, pa.Table]) -> dict[str, pa.Table]:
    """Returns raw tables by name in which merged stores and departments are part of those that remain."""
    merges = tables[MERGES.name]
    return {raw.name: merged_rows(raw, tables[raw.name], merges) for raw in RAW_TABLES}


def _read_merged(connection: psycopg.Connection, raw: RawTable, dataset: str, batch_id: int) -> pa.Table:
    merges = read_table(connection, MERGES, dataset, batch_id)
    return merged_rows(raw, read_table(connection, raw, dataset, batch_id), merges)


def merged_rows(raw: RawTable, rows: pa.Table, merges: pa.Table) -> pa.Table:
    """Returns the rows of ``raw`` as they are after the merges, in key order.

    Sales of a week are summed. Attributes, members of levels and closures are those of the number that
    remains; other values of weeks, too, where it has one. Whoever is like a merged one is like that number.

    Args:
        raw: Table of the rows.
        rows: Rows, one of a key.
        merges: Rows of ``MERGES``; of a number in several rows the last one counts.
    """
    if raw not in (SALES, STORE_WEEKS, STORES, EXTRAS, LEVELS) or len(merges) == 0 or len(rows) == 0:
        return rows
    if raw is EXTRAS:
        rows = _with_merged_likes(rows, merges)
    numbers, is_merged = _renumbered(raw, rows, merges)
    if not is_merged.any():
        return rows
    own, others = numbers.filter(pa.array(~is_merged)), numbers.filter(pa.array(is_merged))
    if raw in (STORES, LEVELS):
        return own
    if raw is EXTRAS:
        is_weekly = pc.not_equal(others["week"], pa.scalar(ALL_WEEKS))
        others = others.filter(pc.and_(is_weekly, pc.not_equal(others["name"], OPEN_ROWS)))
    values = [name for name in raw.schema.names if name not in raw.key]
    # The rows of the number that remains come first, then the others in the order of their former numbers.
    sums = [(name, "sum" if name == "weekly_sales" else "first") for name in values]
    grouped = pa.concat_tables([own, others]).group_by(list(raw.key), use_threads=False).aggregate(sums)
    grouped = grouped.select([*raw.key, *(f"{name}_{how}" for name, how in sums)])
    return raw.in_key_order(grouped.rename_columns(raw.schema.names).cast(raw.schema)).combine_chunks()


def _with_merged_likes(extras: pa.Table, merges: pa.Table) -> pa.Table:
    into = {(LIKE_ROWS[row["of"]], float(row["number"])): row["into_number"] for row in merges.to_pylist()}
    is_like = pc.is_in(extras["name"], pa.array([*LIKE_ROWS.values()]))
    likes = extras.filter(is_like).to_pylist()
    values = pa.array([into.get((row["name"], row["value"]), row["value"]) for row in likes], pa.float64())
    value = pc.replace_with_mask(extras["value"].combine_chunks(), is_like.combine_chunks(), values)
    return extras.set_column(extras.schema.get_field_index("value"), EXTRAS.schema.field("value"), value)


def _renumbered(raw: RawTable, rows: pa.Table, merges: pa.Table) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Returns the rows with the numbers that remain, and whether each row had another one."""
    into: dict[str, dict[int, int]] = {"store": {}, "dept": {}}
    for row in merges.to_pylist():
        into[row["of"]][row["number"]] = row["into_number"]
    is_merged = np.zeros(len(rows), dtype=bool)
    for of, remaining in into.items():
        name = "number" if raw is LEVELS else of
        if name not in raw.schema.names or not remaining:
            continue
        former = rows[name].to_numpy()
        current = np.array([remaining.get(number, number) for number in former.tolist()], dtype=np.int64)
        if raw is LEVELS:
            current = np.where(pc.equal(rows["of"], of).to_numpy(), current, former)
        is_merged |= current != former
        rows = rows.set_column(raw.schema.get_field_index(name), raw.schema.field(name), pa.array(current))
    return rows, is_merged


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
            column_types=table.schema,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )
    return rows.cast(table.schema).combine_chunks()


def newest_rows(table: RawTable, dataset: str, batch_id: int) -> sql.Composed:
    """Returns the query for the newest value of each key as of a batch, in key order."""
    key = identifiers(table.key)
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
    double, bool as one byte, text as its UTF-8 bytes before a zero byte. A null counts as the value zero, or
    as no text.

    Left out are tables of covariates, levels and merges without rows, ids that are all plain (``are_plain``),
    and the bytes of known values of stores if all are known: they came later, and older snapshots keep their
    hashes.
    """
    digest = hashlib.sha256()
    for table in RAW_TABLES:
        rows = tables[table.name]
        may_be_empty = table in (COVARIATES, EXTRAS, LEVELS, MERGES)
        if (may_be_empty and len(rows) == 0) or (table is IDS and are_plain(rows)):
            continue
        for field in table.schema:
            column = rows.column(field.name)
            digest.update(f"{table.name}.{field.name} {len(rows)}\n".encode())
            if field.nullable and (table is not STORES or column.null_count > 0):
                digest.update(column.is_valid().to_numpy().astype("u1").tobytes())
            digest.update(_value_bytes(column, field.type))
    return digest.hexdigest()


def are_plain(ids: pa.Table) -> bool:
    """Whether all rows of ``IDS`` have the plain id of their number."""
    rows = zip(*(ids[name].to_pylist() for name in ("of", "id", "number")), strict=True)
    return all(id_ == plain_id(of, number) for of, id_, number in rows)


def _value_bytes(column: pa.ChunkedArray, type_: pa.DataType) -> bytes:
    if type_ == pa.string():
        return b"".join(text.encode() + b"\0" for text in column.fill_null("").to_pylist())
    if type_ == pa.date32():
        return _value_bytes(column.cast(pa.int32()), pa.int32())
    dtype = {pa.int64(): "<i8", pa.int32(): "<i4", pa.float64(): "<f8", pa.bool_(): "u1"}[type_]
    zero = pa.scalar(0).cast(type_)
    values: bytes = column.fill_null(zero).to_numpy().astype(dtype).tobytes()
    return values
