from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import parquet

from shelfcast.contracts.specs import LongSource
from shelfcast.ingest.long_source import read_long_source
from shelfcast.inspection.__main__ import main
from shelfcast.snapshot import empty_tables

FIRST = date(2024, 1, 1)


def weekly(header: str, rows: str, weeks: int = 70) -> list[str]:
    """Returns a row for each of two stores and two departments in each week, from a form with their names."""
    texts = [
        rows.format(s=s, d=d, w=FIRST + timedelta(days=4 + 7 * n), n=n)
        for n in range(weeks)
        for s in (1, 2)
        for d in (1, 7)
    ]
    return [header, *texts]


def write(path: Path, lines: list[str]) -> str:
    path.write_text("\n".join([*lines, ""]))
    return str(path)


def inspect(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_days_of_somebody_else_load_with_the_guessed_declaration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["id,date,country,store,product,price,num_sold"]
    for n in range(70 * 7):
        for country in ("Norway", "NA"):
            for store in ("Discount", "Premium"):
                row = len(lines) - 1
                lines.append(f"{row},{FIRST + timedelta(days=n)},{country},{store},Mug,{n % 9}.5,{n % 50}")
    file = write(tmp_path / "train.csv", lines)
    code, output = inspect(capsys, "--data", str(tmp_path), "--write", str(tmp_path / "shelfcast.json"))
    assert code == 0
    for line in (
        f"the folder has no sales.csv; train.csv is its largest file, so load --data {file}",
        "id        ignored (guess)",
        "date      week (guess)      dates, 490 different, like 2024-01-01",
        "country   store (guess)",
        "guess: train.csv: date has days, not weeks",
        "4 stores, like ",
        "70 weeks from 2024-01-07 to 2025-05-04, which end on Sunday\n",
        '{"name": "price", "of": "series_week", "knownAfterWeeks": 0, "description": "price"}',
        "result: the data load with this declaration",
    ):
        assert line in output
    declaration = json.loads((tmp_path / "shelfcast.json").read_text())
    assert declaration == {
        "columns": {"week": "date", "store": ["country", "store"], "dept": "product", "sales": "num_sold"},
        "ignore": ["id"],
        "sum": "days",
    }
    # The saved file is what the folder needs.
    (tmp_path / "train.csv").rename(tmp_path / "sales.csv")
    rows = read_long_source(LongSource(path=str(tmp_path)), empty_tables())
    assert (len(rows.tables["sales"]), rows.unread) == (70 * 4, ["sales.csv: price"])
    assert "week (guess)" not in inspect(capsys, "--data", str(tmp_path))[1]


def test_gaps_without_zeros_are_proposed_as_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = weekly("store,dept,week,sales", "{s},{d},{w},{n}5")
    few = [lines[0], *(line for line in lines[1:] if int(line.rsplit(",", 1)[1]) // 10 % 3 == 0)]
    write(tmp_path / "sales.csv", few)
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0
    assert "guess: weeks without a row are weeks without sales (missingWeeks: zero)" in output
    assert '"missingWeeks": "zero"' in output
    declared = '{"missingWeeks": "unknown"}'
    assert '"zero"' not in inspect(capsys, "--data", str(tmp_path), "--declaration", declared)[1]


def test_midnights_in_utc_get_a_zone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    weeks = [datetime(2024, 1, 5, tzinfo=zone) + timedelta(weeks=n) for n in range(70)]
    moments = pa.array([each.astimezone(UTC) for each in weeks], pa.timestamp("us", "UTC"))
    rows = pa.table({"store": [1] * 70, "dept": [1] * 70, "week": moments, "sales": [5.0] * 70})
    parquet.write_table(rows, tmp_path / "sales.parquet")
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0
    assert "guess: sales.parquet: week has times, like 2024-01-04 18:30:00+0000" in output
    assert '"timeZone": "Asia/Kolkata"' in output


@pytest.mark.parametrize(
    ("header", "question", "flag"),
    [
        (
            "shop,item,week_start,week_end,units",
            "week_start, week_end could each be the week: say which, with --column week=week_start or",
            "week=week_end",
        ),
        (
            "shop,item,week,units,revenue",
            "units, revenue could each be the sales: say which, with --column sales=units or",
            "sales=units",
        ),
    ],
)
def test_two_columns_that_could_be_one_are_a_question(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, question: str, flag: str
) -> None:
    cells = "{s},{d},{w},{w},{n}" if "start" in header else "{s},{d},{w},{n},{n}.5"
    file = write(tmp_path / "own.csv", weekly(header, cells))
    code, output = inspect(capsys, "--data", file)
    assert code == 1
    assert question in output
    assert "result: something must change" in output
    role, column = flag.split("=")
    declaration = json.dumps({"columns": {role: column}})
    code, output = inspect(capsys, "--data", file, "--declaration", declaration)
    assert code == 0
    assert (
        json.loads(output.split("declaration (save it with --write FILE)\n")[1].split("\n\n")[0])["columns"][
            role
        ]
        == column
    )


def test_suspicious_values_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = weekly("store,dept,week,sales", "{s},{d},{w},{n}")
    lines += ["1,1,1970-01-02,5"]
    lines[1] = "1,1,2024-01-05,-3"
    code, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", lines))
    assert code == 0
    assert "far-date: 1 break the rule" in output
    assert "negative-sales: 1 break the rule" in output
    # Rules that stop a load are issues.
    ahead = datetime.now(UTC).date() + timedelta(weeks=60)
    lines = [f"1,1,{ahead - timedelta(weeks=n)},5" for n in range(70)]
    code, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", ["store,dept,week,sales", *lines]))
    assert code == 1
    assert "future-week: 6" in output


def test_a_guess_is_no_declaration_where_the_names_are_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "sales.csv", weekly("store,dept,week,sales", "{s},{d},{w},{n}"))
    code, output = inspect(capsys, "--data", file)
    assert code == 0
    assert output.rstrip().endswith("declaration\n{}\n\nresult: the data load with this declaration")
    file = write(
        tmp_path / "one.csv", ["week,sales", *(f"{FIRST + timedelta(weeks=n)},5" for n in range(70))]
    )
    code, output = inspect(capsys, "--data", file)
    assert code == 0
    assert "no column is a store, so there is one, named all (guess)" in output
    assert '"week": "week"' in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "there is no folder or file /nowhere"),
        (["--data", "/nowhere/sales.csv"], "there is no file /nowhere/sales.csv"),
        ([], "give either a folder, a file or a URL, or --query"),
        (["--query", "select 1"], "--query needs --address-variable"),
        (["--data", "/x", "--query", "select 1"], "give either a folder, a file or a URL, or --query"),
    ],
)
def test_without_data_the_exit_code_is_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, output = inspect(capsys, *arguments)
    assert (code, message in output) == (2, True)
