from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import long_files
import psycopg
import pytest

from shelfcast.contracts.specs import IngestSpec
from shelfcast.contracts.wire import decode, encode
from shelfcast.features.open_weeks import AVAILABLE
from shelfcast.ingest.__main__ import run
from shelfcast.ingest.long_source import read_long_folder
from shelfcast.job import UserError
from shelfcast.snapshot import (
    Covariate,
    empty_tables,
    read_covariates,
    read_extras,
    read_sales,
    read_store_weeks,
)

NOTHING = empty_tables()
Load = Callable[..., dict[str, Any]]


@pytest.fixture
def load(
    database_url: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Load:
    """Runs the job on a source of kind ``long``."""
    monkeypatch.setenv("DATABASE_URL", database_url)

    def load(dataset: str, request_id: str, path: Path, **source: Any) -> dict[str, Any]:
        spec = {
            "dataset": dataset,
            "requestId": request_id,
            "source": {"kind": "long", "path": str(path), "encoding": "utf-8", **source},
            "maxBadRowShare": 0,
        }
        return encode(run(decode(IngestSpec, spec, "spec"), tmp_path_factory.mktemp("job")))  # type: ignore[no-any-return]

    return load


def declared_folder(folder: Path) -> Path:
    lines, declarations = long_files.with_columns()
    long_files.write(folder, lines)
    long_files.declare(folder, declarations)
    return folder


def extras(connection: psycopg.Connection, result: dict[str, Any]) -> dict[tuple[Any, ...], float | None]:
    snapshot = result["snapshot"]
    rows = read_extras(connection, snapshot["dataset"], snapshot["batchId"]).to_pylist()
    return {(row["name"], row["store"], row["dept"], row["week"]): row["value"] for row in rows}


def outcomes(result: dict[str, Any]) -> dict[str, str]:
    return {rule["name"]: rule["outcome"] for rule in result["quality"]["rules"]}


def test_each_file_may_have_covariates(connection: psycopg.Connection, load: Load, tmp_path: Path) -> None:
    result = load("own_all", "own-all-1", declared_folder(tmp_path))
    batch_id = result["snapshot"]["batchId"]
    assert read_covariates(connection, "own_all", batch_id) == [
        Covariate("parking", "store", None, "parking spaces"),
        Covariate("planned_promo", "series_week", -2, "1 = planned"),
        Covariate("returns", "series_week", 0, "units brought back"),
        Covariate("visitors", "store_week", 1, "people counted"),
    ]
    values = extras(connection, result)
    assert len(values) == 2 + 32 + 24 + 12
    first, ahead = long_files.FIRST_WEEK, long_files.FIRST_WEEK + timedelta(weeks=7)
    assert values["parking", 1, 0, None] == 80
    assert values["parking", 2, 0, None] is None
    assert values["planned_promo", 2, 7, ahead] == 1
    assert values["returns", 1, 1, first] == 1
    assert values["visitors", 2, 0, first] == 107
    assert read_sales(connection, "own_all", batch_id)["week"].to_pylist()[-1] == date(2020, 2, 7)
    rules = outcomes(result)
    assert (rules["covariate-empty"], rules["covariate-late"], rules["unread-column"]) == (
        "kept",
        "kept",
        "kept",
    )


def test_a_later_load_keeps_declarations_and_values(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    first = load("own_later", "own-later-1", declared_folder(tmp_path / "first"))
    (tmp_path / "week.csv").write_text(
        "store,dept,week,sales,returns\n"
        + "".join(f"{s},{d},2020-02-14,{1000 * s + d},5\n" for s in (1, 2) for d in (1, 7))
    )
    second = load("own_later", "own-later-2", tmp_path / "week.csv")
    assert second["insertedRows"] == 4
    before, after = extras(connection, first), extras(connection, second)
    new = {("returns", s, d, date(2020, 2, 14)): 5.0 for s in (1, 2) for d in (1, 7)}
    assert after == {**before, **new}
    assert read_covariates(connection, "own_later", first["snapshot"]["batchId"]) == read_covariates(
        connection, "own_later", second["snapshot"]["batchId"]
    )
    # Store weeks did not come with it: people are counted a week later, the plan reaches a week less far.
    rules = {rule["name"]: rule for rule in second["quality"]["rules"]}
    assert rules["covariate-late"]["examples"] == [
        "planned_promo: the newest value is of 2020-02-21, not of 2020-02-28"
    ]


def test_a_correction_and_unknown_again(connection: psycopg.Connection, load: Load, tmp_path: Path) -> None:
    folder = declared_folder(tmp_path)
    first = load("own_corrected", "own-corrected-1", folder)
    lines, _ = long_files.with_columns()
    lines["series_weeks"][1:3] = ["1,1,2020-01-03,9", "1,1,2020-01-10,NA"]
    long_files.write(folder, lines)
    second = load("own_corrected", "own-corrected-2", folder)
    changed = {
        ("planned_promo", 1, 1, date(2020, 1, 3)): 9.0,
        ("planned_promo", 1, 1, date(2020, 1, 10)): None,
    }
    assert extras(connection, second) == {**extras(connection, first), **changed}
    assert first["snapshot"]["contentHash"] != second["snapshot"]["contentHash"]
    row = connection.execute("select count(*) from raw.extra where dataset = 'own_corrected'").fetchone()
    assert row == (70 + 2,)


def test_an_external_is_declared_without_being_stored_twice(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    lines = long_files.rows()
    lines["store_weeks"] = [
        "store,week,markdown1",
        *(f"{s},{long_files.FIRST_WEEK + timedelta(weeks=n)},{n}" for s in (1, 2) for n in range(8)),
    ]
    columns = [
        {"name": "markdown1", "of": "store_week", "knownAfterWeeks": -2, "description": "from the leaflet"}
    ]
    result = load("own_external", "own-external-1", long_files.write(tmp_path, lines), columns=columns)
    batch_id = result["snapshot"]["batchId"]
    assert [c.known_after_weeks for c in read_covariates(connection, "own_external", batch_id)] == [-2]
    assert extras(connection, result) == {}
    weeks = read_store_weeks(connection, "own_external", batch_id)
    # Weeks ahead of the sales are kept.
    assert max(weeks["week"].to_pylist()) == date(2020, 2, 21)
    assert outcomes(result)["covariate-late"] == "kept"


def test_declarations_of_the_input_win_over_the_file(tmp_path: Path) -> None:
    folder = declared_folder(tmp_path)
    columns = [{"name": "parking", "of": "store", "description": "spaces"}]
    rows = read_long_folder(str(folder), "utf-8", NOTHING, columns)
    assert rows.tables["declared_column"]["name"].to_pylist() == ["parking"]
    assert sorted(rows.unread) == [
        "sales.csv: returns",
        "series_weeks.csv: planned_promo",
        "store_weeks.csv: visitors",
    ]


def test_a_bad_cell_is_found_as_in_any_column(tmp_path: Path) -> None:
    folder = declared_folder(tmp_path)
    lines, _ = long_files.with_columns()
    lines["series_weeks"][1] = "1,1,2020-01-03,yes"
    lines["series_weeks"].append("1,1,2020-01-10,0")
    lines["series_weeks"].append("9,1,2020-01-10,0")
    rows = read_long_folder(str(long_files.write(folder, lines)), "utf-8", NOTHING)
    assert sorted((f["line"], f["value"], f["name"]) for f in rows.findings.to_pylist()) == [
        (2, "yes", "number"),
        (3, "1,1,2020-01-10", "unique-key"),
        (34, "1,1,2020-01-10", "unique-key"),
        (35, "9", "store-in-file"),
    ]


@pytest.mark.parametrize(
    ("file", "name", "message"),
    [
        ("sales", "returns", "columns.json, entry 1: series_weeks or sales has no column returns; add it"),
        ("series_weeks", "planned_promo", "columns.json, entry 2: series_weeks has no column planned_promo"),
        ("store_weeks", "visitors", "columns.json, entry 3: store_weeks has no column visitors; add it"),
        ("stores", "parking", "columns.json, entry 4: stores has no column parking; add it there, or do"),
    ],
)
def test_a_covariate_that_no_file_has(tmp_path: Path, file: str, name: str, message: str) -> None:
    folder = declared_folder(tmp_path)
    lines, _ = long_files.with_columns()
    lines[file][0] = lines[file][0].replace(name, "other")
    with pytest.raises(UserError) as raised:
        read_long_folder(str(long_files.write(folder, lines)), "utf-8", NOTHING)
    assert raised.value.type == "BadData"
    assert str(raised.value).startswith(message)


def test_a_covariate_known_in_advance_is_not_read_from_sales(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"] = [f"{row},{'promo' if n == 0 else 1}" for n, row in enumerate(lines["sales"])]
    folder = long_files.write(tmp_path, lines)
    promo = {"name": "promo", "of": "series_week", "knownAfterWeeks": -1, "description": "promotion"}
    long_files.declare(folder, [promo])
    with pytest.raises(UserError, match=r"entry 1: series_weeks has no column promo; add it there"):
        read_long_folder(str(folder), "utf-8", NOTHING)
    long_files.declare(folder, [{**promo, "knownAfterWeeks": 0}])
    assert len(read_long_folder(str(folder), "utf-8", NOTHING).tables["extra"]) == 24


def test_a_column_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = declared_folder(tmp_path)
    lines, _ = long_files.with_columns()
    lines["series_weeks"] = [row.replace("planned_promo", "returns") for row in lines["series_weeks"]]
    long_files.write(folder, lines)
    with pytest.raises(UserError, match=r"sales\.csv and series_weeks\.csv both have a column returns; keep"):
        read_long_folder(str(folder), "utf-8", NOTHING)


def test_the_example_of_the_page_about_data(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    """The files stand in docs/data.md, each in a block after its name; what is shown is what is loaded."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "data.md").read_text()
    section = page.split("## Covariates")[1].split("\n## ")[0]
    files = dict(re.findall(r"^`(\S+)`\n\n```\S+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
    assert set(files) == {"columns.json", "series_weeks.csv", "stores.csv"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "sales.csv").write_text(
        "store,dept,week,sales\n1,7,2024-05-31,510.5\n1,7,2024-06-07,495\n2,7,2024-06-07,130\n"
    )
    result = load("own_page", "own-page-1", tmp_path)
    declared = {entry["name"] for entry in json.loads(files["columns.json"])}
    assert {
        c.name for c in read_covariates(connection, "own_page", result["snapshot"]["batchId"])
    } == declared
    assert extras(connection, result)["planned_promo", 1, 7, date(2024, 6, 21)] == 1
    assert extras(connection, result)["planned_promo", 2, 7, date(2024, 6, 21)] is None
    assert extras(connection, result)["parking", 2, 0, None] == 35
    warned = {name for name, outcome in outcomes(result).items() if outcome == "warned"}
    assert warned == {"short-history", "holiday-source"}


@pytest.mark.parametrize(("file", "of"), [("store_weeks", "store_week"), ("series_weeks", "series_week")])
def test_the_column_open_needs_no_declaration(
    connection: psycopg.Connection, load: Load, tmp_path: Path, file: str, of: str
) -> None:
    lines = long_files.rows()
    key = "1" if file == "store_weeks" else "1,7"
    lines[file] = [
        "store,week,open" if file == "store_weeks" else "store,dept,week,open",
        *(f"{key},{long_files.FIRST_WEEK + timedelta(weeks=n)},{int(n != 6)}" for n in range(8)),
    ]
    result = load(f"open_{of}", f"open-{of}", long_files.write(tmp_path, lines))
    (covariate,) = read_covariates(connection, f"open_{of}", result["snapshot"]["batchId"])
    assert (covariate.name, covariate.of, covariate.known_after_weeks) == ("open", of, -52)
    dept = 0 if file == "store_weeks" else 7
    assert extras(connection, result)["open", 1, dept, date(2020, 2, 14)] == 0
    rules = outcomes(result)
    assert (rules["covariate-late"], rules["unread-column"]) == ("kept", "kept")


def test_open_weeks_are_known_in_advance(tmp_path: Path) -> None:
    lines, declarations = long_files.with_columns()
    long_files.write(tmp_path, lines)
    declarations[0] |= {"name": "open", "column": "returns"}
    long_files.declare(tmp_path, declarations)
    with pytest.raises(UserError, match="entry 1: open says which weeks are open: it needs weeks, and known"):
        read_long_folder(str(tmp_path), "utf-8", NOTHING)


def with_stock(cells: str) -> dict[str, list[str]]:
    """Returns the lines of files whose sales have a column ``left``, with these cells first."""
    lines = long_files.rows()
    header, *rows = lines["sales"]
    values = cells.split() + ["1"] * len(rows)
    lines["sales"] = [
        f"{header},left",
        *(f"{row},{value}" for row, value in zip(rows, values, strict=False)),
    ]
    return lines


@pytest.mark.parametrize(
    ("role", "cells", "shares"),
    [("available", "0.5 NA 1 0", [0.5, None, 1, 0]), ("stock", "12 NA 0 -1", [1, None, 0, 0])],
)
def test_weeks_without_stock_are_declared_and_told(
    connection: psycopg.Connection,
    load: Load,
    tmp_path: Path,
    role: str,
    cells: str,
    shares: list[float | None],
) -> None:
    folder = long_files.write(tmp_path / "first", with_stock(cells))
    declaration = {"columns": {role: "left"}}
    result = load(f"stock_{role}", f"{role}-1", folder, declaration=declaration)
    values = extras(connection, result)
    weeks = [long_files.FIRST_WEEK + timedelta(weeks=n) for n in range(4)]
    assert [values[AVAILABLE.name, 1, 1, week] for week in weeks] == shares
    assert read_covariates(connection, f"stock_{role}", result["snapshot"]["batchId"]) == [AVAILABLE]
    (rule,) = [rule for rule in result["quality"]["rules"] if rule["name"] == "stock-out"]
    assert (rule["outcome"], rule["rows"]) == ("warned", 2)
    assert rule["examples"][0].startswith("2 of 24 weeks of series, 8.3%, are unknown demand")
    assert rule["examples"][1].startswith("store 1, dept 1 2020-01-")
    # New weeks without the column: the report says that nobody knows of their stock.
    (tmp_path / "week.csv").write_text(
        "store,dept,week,sales\n" + "".join(f"{s},{d},2020-02-14,1000\n" for s in (1, 2) for d in (1, 7))
    )
    later = load(f"stock_{role}", f"{role}-2", tmp_path / "week.csv")
    assert outcomes(later)["covariate-late"] == "warned"
    assert outcomes(later)["stock-out"] == "kept"


def test_weeks_that_are_all_out_of_stock_are_no_load(
    connection: psycopg.Connection, load: Load, tmp_path: Path
) -> None:
    lines = long_files.rows()
    folder = long_files.write(tmp_path, with_stock("0 " * (len(lines["sales"]) - 1)))
    with pytest.raises(UserError, match="every series is shut or out of stock, so no demand is known"):
        load("never_in_stock", "never-in-stock", folder, declaration={"columns": {"stock": "left"}})
    assert connection.execute("select from raw.batch where dataset = 'never_in_stock'").fetchone() is None


def test_a_column_of_stock_counts_only_where_it_is_declared(tmp_path: Path) -> None:
    lines = with_stock("0 0 0")
    lines["sales"][0] = lines["sales"][0].replace("left", "stock")
    rows = read_long_folder(str(long_files.write(tmp_path, lines)), "utf-8", NOTHING)
    assert len(rows.tables["extra"]) == 0
    assert rows.unread == ["sales.csv: stock"]


def test_a_share_of_a_week_is_no_percentage(tmp_path: Path) -> None:
    folder = long_files.write(tmp_path, with_stock("95 1 -0.1"))
    (folder / "shelfcast.json").write_text('{"columns": {"available": "left"}}')
    rows = read_long_folder(str(folder), "utf-8", NOTHING)
    assert (
        rows.findings["rule"].to_pylist() == ["left must be a share from 0 to 1, not a percentage, or NA"] * 2
    )


def test_days_without_stock_are_a_share_of_their_week(tmp_path: Path) -> None:
    days = [long_files.FIRST_WEEK - timedelta(days=4) + timedelta(days=n) for n in range(28)]
    lines = ["store,dept,week,sales,left", *(f"1,1,{day},5,{int(n != 8)}" for n, day in enumerate(days))]
    folder = long_files.write(tmp_path, {"sales": lines})
    (folder / "shelfcast.json").write_text('{"sum": "days", "columns": {"stock": "left"}}')
    tables = read_long_folder(str(folder), "utf-8", NOTHING).tables
    assert tables["extra"]["value"].to_pylist() == pytest.approx([1, 6 / 7, 1, 1])
    assert tables["sales"]["weekly_sales"].to_pylist() == [35] * 4


def test_one_column_tells_weeks_without_stock(tmp_path: Path) -> None:
    folder = long_files.write(tmp_path, with_stock("0"))
    (folder / "shelfcast.json").write_text('{"columns": {"stock": "left", "available": "share"}}')
    with pytest.raises(UserError, match="available and stock both tell weeks without stock; declare one"):
        read_long_folder(str(folder), "utf-8", NOTHING)
    lines = with_stock("0")
    lines["series_weeks"] = ["store,dept,week,left", f"1,1,{long_files.FIRST_WEEK},0"]
    (long_files.write(folder, lines) / "shelfcast.json").write_text('{"columns": {"stock": "left"}}')
    with pytest.raises(UserError, match="both have a column stock; keep one"):
        read_long_folder(str(folder), "utf-8", NOTHING)
