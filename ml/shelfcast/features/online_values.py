"""What Feast keeps of a feature's values online, made for a whole column at a time.

Feast makes one protobuf object a value. Most of a column of numbers is the same in all of them, so numpy lays
out the bytes; ``docs/decisions/0017`` tells what keeps them equal to Feast's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from feast import ValueType
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from numpy.typing import NDArray

#: A byte of a protobuf varint holds 7 bits of the number, so 64 bits take up to 10.
_VARINT_BYTES = 10
_NOTHING = pa.scalar(b"", pa.binary())


@dataclass(frozen=True)
class OnlineValues:
    """A column of N values as Feast keeps them.

    Attributes:
        value: ``feast.types.Value`` protobufs, binary [N]; without a byte where the value is unknown.
        text: What Feast puts beside them for search, string [N]; null for what is unknown or no scalar.
    """

    value: pa.BinaryArray
    text: pa.StringArray


def online_values(column: pa.Array, type_: ValueType) -> OnlineValues:
    """Returns the values of a column; null and NaN are unknown, as in Feast.

    Args:
        column: [N], of an Arrow type that holds values of ``type_``.
        type_: Of the feature, in Feast.
    """
    encode = _ENCODERS.get(type_)
    return _by_feast(column, type_) if encode is None else encode(column)


def _floats(column: pa.Array, type_: np.dtype[np.floating], tag: bytes) -> OnlineValues:
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    known = pa.array(~np.isnan(values))
    with np.errstate(over="ignore"):
        stored = values.astype(type_)
    payload = fixed_binary(stored.view(np.uint8).reshape(len(stored), type_.itemsize))
    # Python's own shortest form, which Arrow's cast does not give: 1.0, not 1.
    text = pa.array(list(map(repr, stored.astype(np.float64).tolist())), pa.string())
    return _tagged(tag, payload, text, known)


def _integers(column: pa.Array, type_: pa.DataType, tag: bytes) -> OnlineValues:
    # A number that the type cannot hold ends the cast.
    column = column.cast(type_)
    values = column.fill_null(0).to_numpy().astype(np.int64)
    return _tagged(tag, varints(values), column.cast(pa.string()), column.is_valid())


def _booleans(column: pa.Array) -> OnlineValues:
    column = column.cast(pa.bool_())
    bytes_ = pc.if_else(column.fill_null(False), pa.scalar(b"\x01"), pa.scalar(b"\x00"))
    return _tagged(b"\x38", bytes_, pc.if_else(column, "True", "False"), column.is_valid())


def _strings(column: pa.Array) -> OnlineValues:
    column = column.cast(pa.string())
    bytes_ = column.fill_null("").cast(pa.binary())
    lengths = varints(pc.binary_length(bytes_).to_numpy().astype(np.int64))
    payload = join(lengths, bytes_)
    return _tagged(b"\x12", payload, column, column.is_valid())


_ENCODERS: dict[ValueType, Callable[[pa.Array], OnlineValues]] = {
    ValueType.DOUBLE: partial(_floats, type_=np.dtype("<f8"), tag=b"\x29"),
    ValueType.FLOAT: partial(_floats, type_=np.dtype("<f4"), tag=b"\x35"),
    ValueType.INT32: partial(_integers, type_=pa.int32(), tag=b"\x18"),
    ValueType.INT64: partial(_integers, type_=pa.int64(), tag=b"\x20"),
    ValueType.BOOL: _booleans,
    ValueType.STRING: _strings,
}


def _by_feast(column: pa.Array, type_: ValueType) -> OnlineValues:
    """Lists, maps, times: Feast's own way, one object a value."""
    return values_of(python_values_to_proto_values(column.to_numpy(zero_copy_only=False), type_))


def values_of(protos: Sequence[Value]) -> OnlineValues:
    """Returns the values that Feast's objects stand for."""
    return OnlineValues(
        pa.array([proto.SerializeToString() for proto in protos], pa.binary()),
        pa.array([extract_text_and_num(proto, False)[0] for proto in protos], pa.string()),
    )


def _tagged(tag: bytes, payload: pa.Array, text: pa.Array, known: pa.Array) -> OnlineValues:
    """Returns values that begin with the tag of their protobuf field."""
    value = join(pa.scalar(tag), payload)
    return OnlineValues(
        pc.if_else(known, value, _NOTHING), pc.if_else(known, text, pa.scalar(None, pa.string()))
    )


def varints(values: NDArray[np.int64]) -> pa.BinaryArray:
    """Returns the protobuf varints of N numbers, binary [N]; a negative one takes 10 bytes."""
    rest = values.astype(np.int64).view(np.uint64)
    groups = np.empty((len(rest), _VARINT_BYTES), np.uint8)
    more = np.empty((len(rest), _VARINT_BYTES), bool)
    for place in range(_VARINT_BYTES):
        groups[:, place] = rest & np.uint64(0x7F)
        rest = rest >> np.uint64(7)
        more[:, place] = rest != 0
    groups |= more.astype(np.uint8) << 7
    # The first byte is there even for 0; each other one only if the one before says so.
    used = np.column_stack([np.ones(len(rest), bool), more[:, :-1]])
    return _ragged(groups[used], used.sum(axis=1))


def fixed_binary(rows: NDArray[np.uint8]) -> pa.BinaryArray:
    """Returns the bytes of each row, binary [N], of an array [N, bytes]."""
    count, width = rows.shape
    return _ragged(np.ascontiguousarray(rows).reshape(-1), np.full(count, width))


def join(*parts: pa.Array | pa.Scalar) -> pa.BinaryArray:
    """Returns the bytes of the parts, one after the other; at least one part is an array."""
    return pc.binary_join_element_wise(*parts, pa.scalar(b""))


def _ragged(data: NDArray[np.uint8], lengths: NDArray[np.int64]) -> pa.BinaryArray:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.binary(), len(lengths), [None, pa.py_buffer(offsets), pa.py_buffer(data)])
