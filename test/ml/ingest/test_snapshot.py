from __future__ import annotations

import hashlib
import struct
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from shelfcast.ingest.generator import generate
from shelfcast.snapshot import (
    COVARIATES,
    EXTRAS,
    IDS,
    LEVELS,
    MERGES,
    RAW_TABLES,
    SALES,
    STORE_WEEKS,
    STORES,
    content_hash,
    empty_tables,
)

SALES_ROWS = [(1, 2, date(2020, 1, 3), -10.25, True), (3, 4, date(1969, 12, 26), 0.1, False)]
STORE_WEEK_ROWS = [(1, date(2020, 1, 3), None, 0.0, *[None] * 6, -2.5, True)]
STORE_ROWS = [(1, "A", 1e5), (2, "Bé", 2.0)]
COLUMN_ROWS = [("promo", "series_week", -4, "planned"), ("size2", "store", None, "")]
ID_ROWS = [("dept", "2", 2, False), ("dept", "TOYS", 2, True)]
LEVEL_ROWS = [("region", "store", 1, "Süd"), ("region", "store", 2, None)]
MERGE_ROWS = [("dept", 4, 2), ("store", 3, 1)]
EXTRA_ROWS = [("promo", 1, 2, date(2020, 1, 3), None), ("size2", 3, 0, date(1, 1, 1), 2.5)]


def tables() -> dict[str, pa.Table]:
    rows = {
        SALES: SALES_ROWS,
        STORE_WEEKS: STORE_WEEK_ROWS,
        STORES: STORE_ROWS,
        COVARIATES: COLUMN_ROWS,
        EXTRAS: EXTRA_ROWS,
        IDS: ID_ROWS,
        LEVELS: LEVEL_ROWS,
        MERGES: MERGE_ROWS,
    }
    return {
        raw.name: pa.Table.from_pylist(
            [dict(zip(raw.schema.names, row, strict=True)) for row in data], raw.schema
        )
        for raw, data in rows.items()
    }


def test_hash_is_of_the_documented_bytes() -> None:
    def ints(*values: int) -> bytes:
        return struct.pack(f"<{len(values)}q", *values)

    def days(*values: date) -> bytes:
        return struct.pack(
            f"<{len(values)}i", *((value - date(1970, 1, 1)) // timedelta(days=1) for value in values)
        )

    def doubles(*values: float) -> bytes:
        return struct.pack(f"<{len(values)}d", *values)

    externals = [None, 0.0, *[None] * 6, -2.5]
    names = ["temperature", "fuel_price", "cpi", "unemployment", *(f"markdown{n}" for n in range(1, 6))]
    wanted = b"".join(
        [
            *(b"sales.store 2\n", ints(1, 3), b"sales.dept 2\n", ints(2, 4)),
            *(b"sales.week 2\n", days(date(2020, 1, 3), date(1969, 12, 26))),
            *(b"sales.weekly_sales 2\n", doubles(-10.25, 0.1), b"sales.is_holiday 2\n", b"\1\0"),
            *(b"store_week.store 1\n", ints(1), b"store_week.week 1\n", days(date(2020, 1, 3))),
            *(
                f"store_week.{name} 1\n".encode() + bytes([value is not None]) + doubles(value or 0.0)
                for name, value in zip(names, externals, strict=True)
            ),
            *(b"store_week.is_holiday 1\n", b"\1"),
            *(b"store.store 2\n", ints(1, 2), b"store.type 2\n", b"A\0B\xc3\xa9\0", b"store.size 2\n"),
            doubles(1e5, 2.0),
        ]
    )
    empty = empty_tables()
    without = tables() | {raw.name: empty[raw.name] for raw in (COVARIATES, EXTRAS, IDS, LEVELS, MERGES)}
    assert content_hash(without) == hashlib.sha256(wanted).hexdigest()
    wanted += b"".join(
        [
            *(b"declared_column.name 2\n", b"promo\0size2\0"),
            *(b"declared_column.of 2\n", b"series_week\0store\0"),
            *(b"declared_column.known_after_weeks 2\n", b"\1\0", ints(-4, 0)),
            *(b"declared_column.description 2\n", b"planned\0\0"),
            *(b"extra.name 2\n", b"promo\0size2\0", b"extra.store 2\n", ints(1, 3)),
            *(b"extra.dept 2\n", ints(2, 0), b"extra.week 2\n", days(date(2020, 1, 3), date(1, 1, 1))),
            *(b"extra.value 2\n", b"\0\1", doubles(0.0, 2.5)),
            *(b"id.of 2\n", b"dept\0dept\0", b"id.id 2\n", b"2\0TOYS\0"),
            *(b"id.number 2\n", ints(2, 2), b"id.is_current 2\n", b"\0\1"),
            *(b"level_member.level 2\n", b"region\0region\0", b"level_member.of 2\n", b"store\0store\0"),
            *(b"level_member.number 2\n", ints(1, 2)),
            *(b"level_member.member 2\n", b"\1\0", b"S\xc3\xbcd\0\0"),
            *(b"merge.of 2\n", b"dept\0store\0", b"merge.number 2\n", ints(4, 3)),
            *(b"merge.into_number 2\n", ints(2, 1)),
        ]
    )
    assert content_hash(tables()) == hashlib.sha256(wanted).hexdigest()


def test_the_hash_of_data_without_columns_of_their_own_is_as_it_always_was() -> None:
    generated = generate(stores=2, departments=3, weeks=60, seed=5).tables
    assert content_hash(generated) == ("e56392512d40d7b5f2899481295a6c51a0c3d887ade4bad1d41d63d6e00896e1")


def test_ids_that_are_plain_and_stores_that_are_known_do_not_change_a_hash() -> None:
    generated = generate(stores=2, departments=3, weeks=60, seed=5).tables
    stores = generated["store"].to_pylist()

    def hash_with(ids: list[tuple[str, str, int, bool]], store: dict[str, Any]) -> str:
        rows = [dict(zip(IDS.schema.names, row, strict=True)) for row in ids]
        changed = [stores[0] | store, *stores[1:]]
        return content_hash(
            generated
            | {
                IDS.name: pa.Table.from_pylist(rows, IDS.schema),
                STORES.name: pa.Table.from_pylist(changed, STORES.schema),
            }
        )

    plain = [("dept", "10", 10, True), ("store", "1", 1, True), ("type", "A", 1, True)]
    before = content_hash(generated)
    assert hash_with(plain, {}) == before
    others = [
        hash_with([("store", "CA_1", 1, True)], {}),
        hash_with([("type", "a", 1, True)], {}),
        hash_with(plain, {"size": None}),
        hash_with(plain, {"type": None}),
        hash_with(plain, {"type": ""}),
    ]
    assert len({before, *others}) == 6


@pytest.mark.parametrize("raw", RAW_TABLES, ids=lambda raw: raw.name)
def test_hash_does_not_depend_on_chunks(raw: pa.Table) -> None:
    whole = tables()
    rows = whole[raw.name]
    chunked = pa.concat_tables([rows.slice(n, 1) for n in range(len(rows))])
    assert content_hash(whole | {raw.name: chunked}) == content_hash(whole)


def test_zero_is_not_unknown() -> None:
    known, unknown = tables(), tables()
    column = STORE_WEEKS.schema.get_field_index("fuel_price")
    nothing = pa.array([None], pa.float64())
    unknown["store_week"] = unknown["store_week"].set_column(
        column, STORE_WEEKS.schema.field(column), nothing
    )
    assert content_hash(known) != content_hash(unknown)
