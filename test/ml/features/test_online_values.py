"""Bytes made a column at a time against Feast's own, made a value at a time."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from feast import ValueType
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.infra.online_stores.helpers import extract_text_and_num
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import python_values_to_proto_values
from hypothesis import given
from hypothesis import strategies as st

from shelfcast.features.entity_keys import entity_keys
from shelfcast.features.online_values import online_values, varints

INT64 = st.integers(-(2**63), 2**63 - 1)
INT32 = st.integers(-(2**31), 2**31 - 1)
#: Not every string of Python's is UTF-8.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
COLUMNS = {
    ValueType.DOUBLE: (pa.float64(), st.floats()),
    ValueType.FLOAT: (pa.float32(), st.floats(width=32)),
    ValueType.INT64: (pa.int64(), INT64),
    ValueType.INT32: (pa.int32(), INT32),
    ValueType.BOOL: (pa.bool_(), st.booleans()),
    ValueType.STRING: (pa.string(), TEXT),
    ValueType.DOUBLE_LIST: (pa.list_(pa.float64()), st.lists(st.floats(allow_nan=False), min_size=1)),
}


def assert_as_feast(column: pa.Array, type_: ValueType) -> None:
    """Compares with protobuf objects of the values, unknown ones left out of Feast's conversion by us."""
    values = online_values(column, type_)
    known = [value is not None and value == value for value in column.to_pylist()]
    protos = [Value()] * len(column)
    objects = [value for value, is_known in zip(column.to_pylist(), known, strict=True) if is_known]
    if objects:
        made = iter(python_values_to_proto_values(objects, type_))
        protos = [next(made) if is_known else Value() for is_known in known]
    assert values.value.to_pylist() == [proto.SerializeToString() for proto in protos]
    assert values.text.to_pylist() == [extract_text_and_num(proto, False)[0] for proto in protos]


@pytest.mark.parametrize("type_", COLUMNS, ids=lambda type_: type_.name)
@given(data=st.data())
def test_any_column_has_the_bytes_of_the_protobuf_library(type_: ValueType, data: st.DataObject) -> None:
    arrow, strategy = COLUMNS[type_]
    values: list[Any] = data.draw(st.lists(st.none() | strategy))
    column = pa.array(values, arrow)
    assert_as_feast(column, type_)
    # Arrow hands on parts of arrays without copying them.
    assert_as_feast(column.slice(1), type_)


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        (
            ValueType.DOUBLE,
            [0.0, -0.0, float("inf"), float("-inf"), float("nan"), 5e-324, 1e16, 1e-5, 1.7e308, None],
        ),
        (ValueType.FLOAT, [0.0, -0.0, float("inf"), float("nan"), 1e-45, 16777216.0, None]),
        (ValueType.INT64, [0, 1, -1, 127, 128, 2**53 + 1, 2**63 - 1, -(2**63), None]),
        (ValueType.INT32, [0, -1, 2**31 - 1, -(2**31), None]),
        (ValueType.STRING, ["", "\0", "é" * 200, "a" * 20_000, None]),
    ],
)
def test_values_at_the_edge_too(type_: ValueType, values: list[Any]) -> None:
    assert_as_feast(pa.array(values, COLUMNS[type_][0]), type_)


@given(st.lists(INT64))
def test_varints_are_protobufs(numbers: list[int]) -> None:
    expected = [Value(int64_val=number).SerializeToString()[1:] for number in numbers]
    assert varints(np.array(numbers, np.int64)).to_pylist() == expected


def test_a_number_that_its_type_cannot_hold_is_refused() -> None:
    with pytest.raises(pa.ArrowInvalid, match="2147483648 not in range"):
        online_values(pa.array([2**31], pa.int64()), ValueType.INT32)


@given(st.lists(st.tuples(INT64, TEXT, INT32), min_size=1))
def test_entity_keys_are_feasts(rows: list[tuple[int, str, int]]) -> None:
    store, week, dept = zip(*rows, strict=True)
    batch = pa.record_batch(
        {"store": pa.array(store, pa.int64()), "week": week, "dept": pa.array(dept, pa.int32())}
    )
    types = {"store": ValueType.INT64, "week": ValueType.STRING, "dept": ValueType.INT32}
    expected = [
        serialize_entity_key(
            EntityKey(
                join_keys=["store", "week", "dept"],
                entity_values=[Value(int64_val=s), Value(string_val=w), Value(int32_val=d)],
            ),
            3,
        )
        for s, w, d in rows
    ]
    assert entity_keys(batch, types).to_pylist() == expected


def test_a_key_that_is_missing_or_of_another_type_is_refused() -> None:
    batch = pa.record_batch({"store": pa.array([1, None], pa.int64()), "size": [1.0, 2.0]})
    with pytest.raises(ValueError, match="row 1 has no store, which is a join key"):
        entity_keys(batch, {"store": ValueType.INT64})
    with pytest.raises(ValueError, match="the join key size is DOUBLE; it must be INT32, INT64 or STRING"):
        entity_keys(batch, {"size": ValueType.DOUBLE})


def test_a_double_is_its_tag_and_its_eight_bytes() -> None:
    """Stands for itself, should Feast and this project change alike."""
    assert online_values(pa.array([1.5]), ValueType.DOUBLE).value.to_pylist() == [
        b"\x29" + struct.pack("<d", 1.5)
    ]
