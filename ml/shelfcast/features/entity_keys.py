"""Entity keys of Feast's online tables, version 3, made for a whole table at a time."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import ValueType

from shelfcast.features.online_values import fixed_binary, join

_INTEGERS = {ValueType.INT32: (pa.int32(), "<i4"), ValueType.INT64: (pa.int64(), "<i8")}


def entity_keys(rows: pa.RecordBatch, types: Mapping[str, ValueType]) -> pa.BinaryArray:
    """Returns the key of each of N rows, binary [N]: names in order, then values in the order of the names.

    Args:
        rows: Has a column for each join key.
        types: Of the join keys, by name.

    Raises:
        ValueError: A value is missing, or a join key is neither integer nor string.
    """
    names = sorted(types)
    head = struct.pack("<I", len(names)) + b"".join(_field(ValueType.STRING, name.encode()) for name in names)
    return join(pa.scalar(head), *(part for name in names for part in _value(rows, name, types[name])))


def _value(rows: pa.RecordBatch, name: str, type_: ValueType) -> list[pa.Array | pa.Scalar]:
    column = rows.column(name)
    if column.null_count:
        place = pc.index(column.is_null(), True).as_py()
        raise ValueError(f"row {place} has no {name}, which is a join key; every row needs one")
    if type_ in _INTEGERS:
        arrow, layout = _INTEGERS[type_]
        values = column.cast(arrow).to_numpy().astype(layout)
        width = values.dtype.itemsize
        return [
            pa.scalar(struct.pack("<II", type_.value, width)),
            fixed_binary(values.view(np.uint8).reshape(len(values), width)),
        ]
    if type_ == ValueType.STRING:
        values = column.cast(pa.string()).cast(pa.binary())
        lengths = pc.binary_length(values).to_numpy().astype("<u4")
        return [
            pa.scalar(struct.pack("<I", type_.value)),
            fixed_binary(lengths.view(np.uint8).reshape(len(lengths), 4)),
            values,
        ]
    raise ValueError(f"the join key {name} is {type_.name}; it must be INT32, INT64 or STRING")


def _field(type_: ValueType, value: bytes) -> bytes:
    return struct.pack("<II", type_.value, len(value)) + value
