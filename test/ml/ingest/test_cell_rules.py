from __future__ import annotations

import pyarrow as pa
import pytest

from shelfcast.ingest.cell_rules import WHOLE_NUMBER
from shelfcast.ingest.dates import ISO_DATE


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("1.0", "1"),
        ("007.00", "7"),
        ("999999999.0000000", "999999999"),
        # A thousand in many countries.
        ("1.000", None),
        ("1.5", None),
        ("0.0", None),
        ("2e3", None),
        ("4.01E+12", None),
        ("1.", None),
    ],
)
def test_a_whole_number_may_be_written_as_a_float(text: str, number: str | None) -> None:
    values, broken = WHOLE_NUMBER.check(pa.array([text]))
    assert (values.to_pylist(), broken.tolist()) == ([number], [number is None])


@pytest.mark.parametrize(
    "time",
    [
        "",
        " 00:00",
        " 00:00:00",
        "T00:00:00",
        "T00:00:00Z",
        "T00:00:00.000Z",
        " 00:00:00.000000",
        " 00:00:00+00",
        " 00:00:00 UTC",
        "T00:00:00+05:30",
        " 12:00:00 AM",
    ],
)
def test_a_date_may_have_the_time_of_midnight(time: str) -> None:
    values, broken = ISO_DATE.check(pa.array([f"2024-01-05{time}"]))
    assert ([str(day) for day in values.to_pylist()], broken.tolist()) == (["2024-01-05"], [False])


@pytest.mark.parametrize(
    "time",
    ["T18:30:00Z", " 00:00:01", " 00:01:00", " 00:00:00.001", " 12:00:00", " 00:00:00 IST", "T", "00:00"],
)
def test_another_time_of_day_is_a_bad_date(time: str) -> None:
    assert ISO_DATE.check(pa.array([f"2024-01-05{time}"]))[1].tolist() == [True]
    assert ISO_DATE.requirement.endswith("without a time of day other than midnight")
