from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
import source_folders

from shelfcast.contracts.results import Quality
from shelfcast.contracts.wire import encode
from shelfcast.ingest.quality import Check, Overrides, first_names, require_quality
from shelfcast.ingest.quality_rules import RULES
from shelfcast.job import UserError

Ingest = Callable[..., dict[str, Any]]


def rule_of(quality: dict[str, Any], name: str) -> dict[str, Any]:
    return next(rule for rule in quality["rules"] if rule["name"] == name)


def require(
    directory: Path,
    checks: Sequence[Check],
    allow: Sequence[str] = (),
    *,
    tables: Mapping[str, pa.Table] | None = None,
    acknowledge: str | None = None,
) -> Quality:
    return require_quality(checks, tables or {}, Overrides(allow, acknowledge), directory, "mine")


def key_of(error: UserError) -> str:
    found = re.search("`--acknowledge ([0-9a-f]{12})`", str(error))
    assert found is not None
    return found[1]


def batches(connection: psycopg.Connection, dataset: str) -> int:
    row = connection.execute("select count(*) from raw.batch where dataset = %s", [dataset]).fetchone()
    assert row is not None
    return int(row[0])


def test_a_warning_is_reported_and_an_unchecked_rule_says_so(tmp_path: Path) -> None:
    quality = encode(require(tmp_path, [Check("new-store", 1, ["store 7"]), Check("future-week", 0)]))
    assert quality["reportUri"] == (tmp_path / "quality").as_uri()
    assert [rule["name"] for rule in quality["rules"]] == [rule.name for rule in RULES]
    assert rule_of(quality, "new-store") == {
        "name": "new-store",
        "severity": "warning",
        "text": "the data set has had sales of the store before",
        "outcome": "warned",
        "rows": 1,
        "examples": ["store 7"],
    }
    assert rule_of(quality, "future-week")["outcome"] == "kept"
    unchecked = rule_of(quality, "weekday")
    assert (unchecked["outcome"], unchecked["rows"], unchecked["examples"]) == ("notChecked", 0, [])
    written = json.loads((tmp_path / "quality" / "quality.json").read_text())
    assert written == {"dataset": "mine", "rules": quality["rules"]}


def test_a_stop_names_rule_rows_five_examples_and_the_override(tmp_path: Path) -> None:
    examples = [f"example {n}" for n in range(9)]
    checks = [Check("future-week", 9, examples), Check("sales-range", 1, ["much"])]
    with pytest.raises(UserError) as raised:
        require(tmp_path, checks)
    assert raised.value.type == "BadData"
    key = key_of(raised.value)
    assert str(raised.value) == (
        "nothing was loaded. "
        "future-week: 9 break the rule that sales are of weeks that are over "
        "(example 0, example 1, example 2, example 3, example 4); "
        "sales-range: 1 break the rule that sales of a department in a week are within 1e9 of zero "
        f"(much). The report is {tmp_path}/quality/quality.html. Correct the source, or load these rows "
        f'as they are with `--acknowledge {key}` ("acknowledge": "{key}" in the input).'
    )
    with pytest.raises(UserError, match=r"nothing was loaded\. sales-range") as raised:
        require(tmp_path, checks, ["future-week"])
    assert "future-week" not in str(raised.value)
    quality = encode(require(tmp_path, checks, ["future-week", "sales-range"]))
    assert rule_of(quality, "future-week")["outcome"] == "overridden"


def test_an_acknowledgement_holds_for_the_stopped_rows_in_any_order_and_for_no_other_load(
    tmp_path: Path,
) -> None:
    rows = pa.table({"store": [1, 2], "sales": [5.0, None], "holiday": [True, None]})
    stores = pa.table({"store": [1], "type": ["A"]})
    much = Check("sales-range", 1, ["much"])
    tables = {"sales": rows, "store": stores}
    with pytest.raises(UserError) as raised:
        require(tmp_path, [much], tables=tables)
    key = key_of(raised.value)
    turned = {"store": stores, "sales": pa.concat_tables([rows.slice(1), rows.slice(0, 1)])}
    quality = encode(require(tmp_path, [much, Check("new-store", 1)], tables=turned, acknowledge=key))
    assert rule_of(quality, "sales-range")["outcome"] == "overridden"
    assert rule_of(quality, "new-store")["outcome"] == "warned"

    others: list[tuple[list[Check], dict[str, pa.Table]]] = [
        (
            [much],
            tables | {"sales": pa.table({"store": [1, 2], "sales": [6.0, None], "holiday": [True, None]})},
        ),
        ([much], tables | {"sales": rows.slice(0, 1)}),
        ([much], {"sales": rows, "store_week": stores}),
        ([Check("sales-range", 2, ["much"])], tables),
        ([Check("future-week", 1, ["much"])], tables),
        ([much, Check("future-week", 1, ["late"])], tables),
    ]
    for checks, changed in others:
        with pytest.raises(UserError, match=f"The key {key} acknowledges another load") as raised:
            require(tmp_path, checks, tables=changed, acknowledge=key)
        assert key_of(raised.value) != key
    assert encode(require(tmp_path, [], acknowledge=key))["rules"]


def test_a_sentence_has_five_names_and_says_that_there_are_others() -> None:
    assert first_names(["a", "b", "c", "d", "e"]) == "a, b, c, d, e"
    assert first_names(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d, e and others"


def test_the_page_stands_alone_and_escapes_what_the_data_say(tmp_path: Path) -> None:
    require(tmp_path, [Check("number", 1, ["train.csv:2 '<script>alert(1)</script>'"])])
    page = (tmp_path / "quality" / "quality.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert re.search("<script|<link|src=|http", page) is None


@pytest.mark.parametrize("name", ["future-weeks", "new-store"])
def test_allow_of_no_rule_that_stops_is_refused(ingest: Ingest, tmp_path: Path, name: str) -> None:
    folder = source_folders.write(tmp_path, source_folders.rows())
    with pytest.raises(
        UserError, match=f"allow: {name} names no rule that stops a load; those are"
    ) as raised:
        ingest("allow_none", "allow-none", folder, allow=(name,))
    assert raised.value.type == "InvalidInput"


@pytest.mark.parametrize(
    ("rule", "change", "rows", "example"),
    [
        (
            "row-count-change",
            lambda sales: [*sales[:1], "1,1,2020-02-14,1100,FALSE"],
            1,
            "2020-02-14: 1 instead of about 4",
        ),
        (
            "mean-sales-change",
            lambda sales: [sales[0], *(re.sub(r",(\d+\.25)", r",1\1", row) for row in sales[1:])],
            6,
            "2020-01-03",
        ),
        (
            "sales-range",
            lambda sales: [sales[0], "1,1,2020-01-03,2e9,FALSE"],
            1,
            "store 1 dept 1 2020-01-03: 2e+09",
        ),
    ],
)
def test_a_sudden_change_stops_before_anything_is_written(
    connection: psycopg.Connection,
    ingest: Ingest,
    tmp_path: Path,
    rule: str,
    change: Callable[[list[str]], list[str]],
    rows: int,
    example: str,
) -> None:
    dataset = rule.replace("-", "_")
    lines = source_folders.rows()
    ingest(dataset, f"{dataset}-1", source_folders.write(tmp_path, lines))
    lines["train.csv"] = change(lines["train.csv"])
    lines["features.csv"] += [f"{store},2020-02-14,NA,NA,,,,,,NA,NA,FALSE" for store in (1, 2)]
    folder = source_folders.write(tmp_path, lines)
    with pytest.raises(UserError, match=re.escape(f"{rule}: {rows} break")) as raised:
        ingest(dataset, f"{dataset}-2", folder)
    assert example in str(raised.value)
    assert batches(connection, dataset) == 1
    result = ingest(dataset, f"{dataset}-3", folder, acknowledge=key_of(raised.value))
    assert rule_of(result["quality"], rule)["outcome"] == "overridden"
    assert batches(connection, dataset) == 2


def test_a_correction_of_few_rows_is_no_change_of_row_count(ingest: Ingest, tmp_path: Path) -> None:
    lines = source_folders.rows()
    ingest("few_rows", "few-rows-1", source_folders.write(tmp_path, lines))
    lines["train.csv"] = [lines["train.csv"][0], "1,1,2020-01-10,1200,FALSE"]
    result = ingest("few_rows", "few-rows-2", source_folders.write(tmp_path, lines))
    assert rule_of(result["quality"], "row-count-change")["outcome"] == "kept"
    assert result["insertedRows"] == 1
