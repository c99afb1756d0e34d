from __future__ import annotations

import hashlib
import struct
from datetime import date, timedelta

import pyarrow as pa
import pytest

from shelfcast.snapshot import RAW_TABLES, SALES, STORE_WEEKS, STORES, content_hash

SALES_ROWS = [(1, 2, date(2020, 1, 3), -10.25, True), (3, 4, date(1969, 12, 26), 0.1, False)]
STORE_WEEK_ROWS = [(1, date(2020, 1, 3), None, 0.0, *[None] * 6, -2.5, True)]
STORE_ROWS = [(1, "A", 1e5), (2, "Bé", 2.0)]


def tables() -> dict[str, pa.Table]:
    rows = {SALES: SALES_ROWS, STORE_WEEKS: STORE_WEEK_ROWS, STORES: STORE_ROWS}
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
    assert content_hash(tables()) == hashlib.sha256(wanted).hexdigest()


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
