"""Unit of the sales: declared once, kept with the data set, and never mixed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import long_files
import pytest

from shelfcast.backtest.folder import read
from shelfcast.formatting import amount
from shelfcast.job import UserError

Ingest = Callable[..., dict[str, Any]]


def test_a_data_set_keeps_its_unit_and_another_one_stops_the_load(ingest: Ingest, tmp_path: Path) -> None:
    plain = long_files.write(tmp_path / "plain", long_files.rows())
    in_euro = long_files.write(tmp_path / "euro", long_files.rows())
    (in_euro / "shelfcast.json").write_text(json.dumps({"unit": "EUR"}))
    (tmp_path / "pieces").mkdir()

    def load(dataset: str, folder: Path, **options: Any) -> dict[str, Any]:
        load.count += 1  # type: ignore[attr-defined]
        return ingest(dataset, f"unit-{load.count}", folder, kind="long", **options)  # type: ignore[attr-defined]

    load.count = 0  # type: ignore[attr-defined]
    assert load("unit_euro", in_euro)["snapshot"]["unit"] == "EUR"
    assert load("unit_euro", plain)["snapshot"]["unit"] == "EUR"
    assert load("unit_euro", in_euro)["snapshot"]["unit"] == "EUR"

    assert "unit" not in load("unit_plain", plain)["snapshot"]
    with pytest.raises(UserError, match="this load is in EUR, the data set in USD") as raised:
        load("unit_plain", in_euro)
    key = str(raised.value).split("--acknowledge ")[1][:12]
    assert load("unit_plain", in_euro, acknowledge=key)["snapshot"]["unit"] == "EUR"
    assert load("unit_plain", plain)["snapshot"]["unit"] == "EUR"


def test_a_backtest_has_the_unit(tmp_path: Path) -> None:
    folder = long_files.write(tmp_path / "calls", long_files.rows())
    (folder / "shelfcast.json").write_text(json.dumps({"unit": "calls"}))
    assert read(folder, tmp_path / "bad-rows.csv").unit == "calls"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1343.5, None, "$1,344"),
        (-1775.6, "USD", "-$1,776"),
        (9.994, None, "$9.99"),
        (1343.5, "EUR", "1,344 EUR"),
        (-2.5, "pieces", "-2.50 pieces"),
        (0.0, "calls", "0 calls"),
    ],
)
def test_an_amount_in_words(value: float, unit: str | None, text: str) -> None:
    assert amount(value, unit) == text
