"""Reader of Parquet files as text, so that the cell rules of CSV apply to them, too."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from shelfcast.ingest.column_search import ColumnSearch
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError


def read_parquet(name: str, data: bytes, search: ColumnSearch) -> SourceFile:
    """Reads the columns that are searched for. Doubles keep their bits.

    Raises:
        UserError: ``BadData``: the file is not Parquet, has no rows, lacks a column, or a column has lists.
    """
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        names = file.schema_arrow.names
        found = search.find(name, names)
        table = file.read(columns=list(found.used))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UserError("BadData", f"cannot read {name} as Parquet: {error}; write it again") from error
    if len(table) == 0 and not search.may_be_empty:
        raise UserError("BadData", f"{name} has no rows")
    cells = {}
    for column in found.used:
        try:
            cells[column] = _text(name, column, table.column(column).combine_chunks())
        except UserError:
            if not search.leaves_out_unreadable:
                raise
    found = found.without(set(found.used) - cells.keys())
    return SourceFile(
        name,
        found.cells(cells, len(table)),
        found.labels,
        np.arange(1, len(table) + 1),
        tuple(found.constants),
        unread=tuple(search.unread(names, found)),
        typed=found.of_labels(
            {name: pa.repeat(True, len(table)) for name in cells if not _is_text(table.column(name).type)}
        ),
    )


def _is_text(type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        return _is_text(type_.value_type)
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_binary(type_))


def _text(name: str, column: str, values: pa.Array) -> pa.Array:
    try:
        if pa.types.is_timestamp(values.type):
            text = _local_times(values)
        elif pa.types.is_decimal(values.type):
            text = pc.replace_substring_regex(values.cast(pa.string()), r"\.0+$", "")
        elif pa.types.is_floating(values.type):
            text = _floats(values)
        else:
            text = values.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise UserError(
            "BadData", f"{name}: column {column} has type {values.type}; write it as text, number or date"
        ) from error
    try:
        # Arrow's reader takes any bytes for text.
        text.validate(full=True)
    except pa.ArrowInvalid as error:
        raise UserError(
            "BadData", f"{name}: column {column} has text that is not UTF-8; write the file again in UTF-8"
        ) from error
    return pc.utf8_trim_whitespace(text.fill_null(""))


def _floats(values: pa.Array) -> pa.Array:
    """Returns floats as text, without an exponent where they are exact whole numbers: they may be ids."""
    text = values.cast(pa.string())
    values = values.cast(pa.float64())
    is_whole = pc.and_(pc.less(pc.abs(values), 2.0**53), pc.equal(values, pc.floor(values)))
    is_short = pc.match_substring(text, "e+")
    whole = pc.if_else(pc.and_(is_whole, is_short), values, pa.scalar(None, pa.float64()))
    return pc.coalesce(whole.cast(pa.int64()).cast(pa.string()), text)


def _local_times(values: pa.Array) -> pa.Array:
    """Returns times as text, in their own zone and with its distance from UTC if they have one."""
    codes = values.dictionary_encode()
    zone = "" if values.type.tz is None else "%z"
    text = pc.strftime(codes.dictionary, f"%Y-%m-%d %H:%M:%S{zone}")
    return pc.replace_substring_regex(text, r"\.0+($|[+-])", r"\1").take(codes.indices)
