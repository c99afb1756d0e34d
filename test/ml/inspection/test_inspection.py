from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from shelfcast.calendar import week_of
from shelfcast.contracts.specs import HolidayRegion, LongSource
from shelfcast.ingest.holiday_calendar import named_days
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.quality_rules import RULES
from shelfcast.ingest.source_checks import check_source
from shelfcast.inspection.__main__ import main
from shelfcast.job import UserError
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


def test_other_forms_of_weeks_get_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weeks = [f"{FIRST + timedelta(days=4 + 7 * n)}" for n in range(70)]
    wide = write(tmp_path / "wide.csv", [f"store,dept,{','.join(weeks)}", f"1,2{',5' * 70}"])
    code, output = inspect(capsys, "--data", wide)
    assert code == 1
    assert (
        "the header has 70 dates, like 2024-01-05: give one row for each week of a series instead" in output
    )
    with pytest.raises(
        UserError, match=r"no column week, sales; the header has 70 dates, like 2024-01-05: give"
    ):
        read_long_source(LongSource(path=wide), empty_tables())
    numbered = write(tmp_path / "numbered.csv", ["store,dept,year,wk,sales", "1,2,2024,1,5", "1,2,2024,2,6"])
    code, output = inspect(capsys, "--data", numbered)
    assert code == 1
    assert "wk has no dates: give the last day of each week, like 2026-08-28, in a column" in output


def test_a_column_of_weeks_without_dates_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for form, example in (("%G-W%V", "2024-W01"), ("%G%V", "202401"), ("%d%m%Y", "05012024")):
        write(tmp_path / "sales.csv", weekly("store,dept,week,sales", "{s},{d},{w:" + form + "},{n}5"))
        code, output = inspect(capsys, "--data", str(tmp_path))
        assert code == 1
        assert f"week has no dates, like {example}: give the last day of each week, like 2026-08-28" in output


@pytest.mark.parametrize(
    ("header", "sales"),
    [("store,dept,fiscal_year,fiscal_week,week,sales", "sales"), ("Shop,Item,FY,FW,WE,Net", "Net")],
)
def test_numbers_of_weeks_beside_a_date_are_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, sales: str
) -> None:
    lines = [header]
    for n in range(110):
        year, week = divmod(n, 53)
        for store in (1, 2):
            day = FIRST + timedelta(days=5 + 7 * n)
            lines.append(f"{store},7,{2023 + year},{2023 + year}{week + 1:02},{day},{n % 9 * store + 50}")
    write(tmp_path / "sales.csv", lines)
    code, output = inspect(capsys, "--data", str(tmp_path), "--write", str(tmp_path / "shelfcast.json"))
    assert code == 0, output
    names = header.split(",")
    for name in names[2:4]:
        assert re.search(rf"  {name} +ignored \(guess\)", output)
    assert re.search(rf"  {sales} +sales", output)
    assert "covariates that you could declare" not in output
    assert json.loads((tmp_path / "shelfcast.json").read_text())["ignore"] == names[2:4]
    # A number that differs between the stores of a week is none of its calendar.
    lines[1:] = [line.replace(",7,2023,", f",7,{n},") for n, line in enumerate(lines[1:])]
    write(tmp_path / "sales.csv", lines)
    (tmp_path / "shelfcast.json").unlink()
    assert not re.search(rf"  {names[2]} +ignored", inspect(capsys, "--data", str(tmp_path))[1])


@pytest.mark.parametrize(
    ("name", "cell", "says"),
    [
        ("On Hand", "{n}", "guess: --column stock=On Hand; 4 of 280 rows are 0 or below, so out of stock"),
        ("closing_stock", "{n}", "guess: --column stock=closing_stock; 4 of 280"),
        ("Lagerbestand", "{n}", "guess: --column stock=Lagerbestand; 4 of 280"),
        ("availability", "0.{n:02}", "guess: --column available=availability; 280 of 280 rows are below 1"),
        ("in_stock_pct", "{n}", "in_stock_pct is above 1, up to 69: to declare it, give shares from 0 to 1"),
        ("stock_code", "{n}", None),
    ],
)
def test_a_column_of_stock_is_shown_and_not_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, cell: str, says: str | None
) -> None:
    write(tmp_path / "sales.csv", weekly(f"store,dept,week,sales,{name}", "{s},{d},{w},{n}5," + cell))
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0
    if says is None:
        assert "weeks without stock" not in output
        return
    assert says in output
    assert "covariates that you could declare" not in output
    assert "declaration\n{}" in output


def test_a_workbook_is_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["a list"])
    sheet = book.create_sheet("Umsatz")
    sheet.append(["Filiale", "Warengruppe", "Woche", "Umsatz"])
    for n in range(70):
        sheet.append([1, "Obst", FIRST + timedelta(days=4 + 7 * n), n + 0.5])
    book.save(tmp_path / "sales.xlsx")
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert (code, "2 sheets with data: Sheet, Umsatz" in output) == (2, True)
    code, output = inspect(capsys, "--data", str(tmp_path), "--declaration", '{"sheet": "Umsatz"}')
    assert code == 0, output
    assert "Woche        week (guess)" in output
    (tmp_path / "shelfcast.json").write_text('{"sheet": "Umsatz"}')
    assert inspect(capsys, "--data", str(tmp_path))[0] == 0
    sheet["D9"] = "#REF!"
    sheet["D9"].data_type = "e"
    book.save(tmp_path / "sales.xlsx")
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert (code, "in sheet Umsatz, D9 is #REF!" in output) == (1, True)


def test_an_old_workbook_gets_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "Sales.xls", ["PK"])
    says = r"it has the workbook Sales\.xls: save it as \.xlsx; docs/data\.md describes the files"
    assert re.search(says, inspect(capsys, "--data", str(tmp_path))[1])
    with pytest.raises(UserError, match=says):
        read_long_source(LongSource(path=str(tmp_path)), empty_tables())
    output = inspect(capsys, "--data", str(tmp_path / "Sales.xls"))[1]
    assert re.search(r"Sales\.xls must end in csv, .* or xlsm; save another workbook as \.xlsx", output)


def test_words_of_other_languages_and_dates_without_separators(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = weekly("Filiale;Warengruppe;Woche;Absatz", "{s};{d};{w:%Y%m%d};{n},5")
    write(tmp_path / "sales.csv", lines)
    code, output = inspect(capsys, "--data", str(tmp_path), "--write", str(tmp_path / "shelfcast.json"))
    assert code == 0, output
    assert "Woche has dates without separators, so 20240105 is 2024-01-05" in output
    assert "70 weeks from 2024-01-05 to 2025-05-02" in output
    assert json.loads((tmp_path / "shelfcast.json").read_text())["columns"] == {
        "week": "Woche",
        "store": "Filiale",
        "dept": "Warengruppe",
        "sales": "Absatz",
    }
    spoiled = [line.replace("20240105", "20240231") for line in lines]
    write(tmp_path / "sales.csv", spoiled)
    assert "'20240231': Woche must be a real date" in inspect(capsys, "--data", str(tmp_path))[1]


def test_stores_that_report_late_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = weekly("store,dept,week,sales", "S{s},{d},{w},{n}5")
    late = [line for line in lines if not line.startswith("S2") or "2025-05-02" not in line]
    write(tmp_path / "sales.csv", late)
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0
    assert "1 of 2 stores end before 2025-05-02: store S2 ends with 2025-04-25" in output
    # A store that closed in this week is not late, and one that closed later is.
    (tmp_path / "shelfcast.json").write_text('{"columns": {"closed": "closed"}}')
    for closed, is_late in (("2025-04-25", False), ("2025-04-26", True)):
        write(tmp_path / "stores.csv", ["store,type,size,closed", "S1,A,1,", f"S2,A,1,{closed}"])
        output = inspect(capsys, "--data", str(tmp_path))[1]
        assert ("stores end before" in output) == is_late
    (tmp_path / "stores.csv").unlink()
    (tmp_path / "shelfcast.json").write_text('{"merged": [{"of": "store", "from": "S2", "to": "S1"}]}')
    output = inspect(capsys, "--data", str(tmp_path))[1]
    assert "1 store S1\n" in output
    assert "stores end before" not in output
    (tmp_path / "shelfcast.json").unlink()
    write(tmp_path / "sales.csv", [line for line in lines if not line.startswith("S2")])
    output = inspect(capsys, "--data", str(tmp_path))[1]
    assert "1 store S1\n" in output
    assert "stores end before" not in output


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


def test_the_checks_are_those_of_a_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = weekly("store,dept,week,sales,visits", "{s},{d},{w},{n},5")
    write(tmp_path / "sales.csv", lines)
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0
    assert "holiday-source: 1 break the rule" in output
    assert "unread-column: 1 break the rule" in output
    events = [
        f"fair,{FIRST + timedelta(days=30)},",
        f"sale,{FIRST + timedelta(days=495)},2",
        "sale,3026-01-02,",
    ]
    write(tmp_path / "events.csv", ["name,date,store", *events])
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0
    assert "events.csv is read, too" in output
    assert "2 events from 2024-01-31 to 2025-05-10, like fair" in output
    assert "far-date: 1 break the rule" in output
    assert "holidays-ahead: 2 break the rule" in output
    assert "store 1: known to 2025-05-16, not to 2025-08-01" in output
    assert "holiday-source" not in output
    rows = read_long_source(LongSource(path=str(tmp_path)), empty_tables())
    broken = {check.rule for check in check_source(rows, empty_tables(), 0.01)[1] if check.rows}
    assert {rule.name for rule in RULES if f"  {rule.name}: " in output} == broken
    write(tmp_path / "events.csv", ["name,date", "sale,3026-01-02"])
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert (code, "no event is good, like events.csv:2" in output) == (1, True)


def flagged(region: HolidayRegion) -> list[str]:
    """Returns sales whose weeks with a public holiday of the region are flagged."""
    lines = weekly("store,dept,week,sales,holiday", "{s},{d},{w},{n},{w}", weeks=150)
    days = [day for day, _ in named_days(region, FIRST, FIRST + timedelta(days=150 * 7))]
    weeks = {str(week_of(day, 4)) for day in days}
    return [lines[0], *(f"{row.rpartition(',')[0]},{row[-10:] in weeks}" for row in lines[1:])]


@pytest.mark.parametrize(
    ("region", "missing", "options"),
    [
        (HolidayRegion(country="IN"), 3, "--holidays IN"),
        (HolidayRegion(country="JP"), 0, "--holidays JP"),
        (HolidayRegion(country="DE", region="BY"), 0, "--holidays DE-BW or --holidays DE-BY"),
    ],
)
def test_flags_tell_a_country(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    region: HolidayRegion,
    missing: int,
    options: str,
) -> None:
    """Some flags of the user's own do not hide it, and the guess is no part of the declaration."""
    lines = flagged(region)
    for n in range(missing):
        lines = [row.replace("False", "True") if f",{_FAIRS[n]}," in row else row for row in lines]
    code, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", lines))
    assert code == 0
    both = len({row.split(",")[2] for row in lines if row.endswith("True")}) - missing
    share = f"{both} of {both + missing} ({both / (both + missing):.0%})"
    assert (
        f"guess from the flags, of which {share} lie in one of the {both} weeks with a public holiday: "
        f"{options}\n"
    ) in output
    assert output.rstrip().endswith("declaration\n{}\n\nresult: the data load with this declaration")
    declared = json.dumps({"holidays": {"country": "FR"}})
    assert (
        "guess from the flags"
        not in inspect(capsys, "--data", str(tmp_path / "sales.csv"), "--declaration", declared)[1]
    )


#: Weeks without a public holiday in India.
_FAIRS = ("2024-02-16", "2024-07-05", "2025-02-07")


@pytest.mark.parametrize("flags", ["2024-05-10 2024-06-28 2024-07-19 2024-09-27 2024-12-06 2025-01-31", "-"])
def test_other_flags_and_few_flags_tell_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: str
) -> None:
    lines = weekly("store,dept,week,sales,holiday", "{s},{d},{w},{n},{w}")
    lines = [lines[0], *(f"{row.rpartition(',')[0]},{row[-10:] in flags}" for row in lines[1:])]
    code, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", lines))
    assert (code, "holidays that you could declare" in output) == (0, False)


@pytest.mark.parametrize(
    ("header", "cells", "found"),
    [
        ("currency", ["CHF", "SEK"], '{"country": "CH", "stores": {"2": {"country": "SE"}}}'),
        (
            "Country",
            ["United Kingdom", "Deutschland"],
            "Country may tell countries, but Deutschland is of no",
        ),
        ("country_code", ["IND", "NP"], '{"country": "IN", "stores": {"2": {"country": "NP"}}}'),
        ("currency", ["CHF", "EUR"], "currency may tell countries, but EUR is of no one country"),
        ("country", ["Norway", "NA"], "country may tell countries, but NA is of no one country"),
        ("country", ["Norway", "Norway"], "guess, as country is Norway: --holidays NO"),
        ("color", ["DE", "DE"], None),
    ],
)
def test_a_column_tells_the_countries_of_the_stores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], header: str, cells: list[str], found: str | None
) -> None:
    lines = weekly(f"store,dept,week,sales,{header}", "{s},{d},{w},{n},cell{s}")
    lines = [row.replace("cell1", cells[0]).replace("cell2", cells[1]) for row in lines]
    file = write(tmp_path / "sales.csv", lines)
    code, output = inspect(capsys, "--data", file)
    assert code == 0
    assert (found or "result") in output
    assert ("holidays that you could declare" in output) == (found is not None)
    if found is not None and found.startswith("{"):
        declared = json.dumps({"holidays": json.loads(found)})
        code, output = inspect(capsys, "--data", file, "--declaration", declared)
        assert (code, "holiday-source" in output, "holidays-ahead" in output) == (0, False, False)


def test_a_store_in_two_countries_has_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = weekly("store,dept,week,sales,currency", "{s},{d},{w},{n},cell{n}")
    lines = [re.sub(r"cell(\d+)$", lambda m: ("CHF", "SEK")[int(m[1]) % 2], row) for row in lines]
    _, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", lines))
    assert "currency has several countries of one store, so none is its country" in output


def test_declared_forms_of_numbers_and_dates_count_for_the_guess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = weekly("store,dept,week,sales", '{s},{d},{w:%Y%m%d},"{n},50"')
    file = write(tmp_path / "sales.csv", rows)
    code, output = inspect(
        capsys, "--data", file, "--declaration", '{"decimal": ",", "dateFormat": "YYYYMMDD"}'
    )
    assert code == 0, output
    assert "weekly sales from 0.5 to 69.5" in output


def test_a_column_with_the_name_of_a_role_has_it_whatever_its_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = weekly("store,dept,week,sales", "{s},2.1{d},{w},n/a")
    code, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", rows))
    assert (code, "sales must be a finite number like 1234.5" in output) == (1, True)
    assert "dept   dept " in output
    # One cell that is no date is many of the different ones where there are few weeks.
    weeks = [FIRST + timedelta(days=4 + 7 * n) for n in range(5)]
    rows = [f"{store},1,{week:%d.%m.%Y},5" for store in range(1, 31) for week in weeks]
    lines = ["store,dept,week,sales,price,printed"]
    lines += [*(f"{row},{n % 7}.5,2024-02-05" for n, row in enumerate(rows)), lines[0]]
    code, output = inspect(capsys, "--data", write(tmp_path / "sales.csv", lines))
    assert code == 0, output
    assert "week     week " in output
    assert "sales    sales " in output


def test_columns_of_parquet_that_nobody_reads_may_hold_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weeks = [FIRST + timedelta(weeks=n) for n in range(70)]
    columns = {
        "store": pa.array(["A"] * 70),
        "dept": pa.array(["B"] * 70),
        "week": pa.array(weeks),
        "sales": pa.array([5.0] * 70),
        "tags": pa.array([["new", "red"]] * 70),
        "photo": pa.array([b"\xff\xd8"] * 70),
    }
    parquet.write_table(pa.table(columns), tmp_path / "sales.parquet")
    code, output = inspect(capsys, "--data", str(tmp_path))
    assert code == 0, output
    assert "(sales.parquet: tags; sales.parquet: photo)" in output
    # A column that is asked for is refused by its type.
    code, output = inspect(capsys, "--data", str(tmp_path), "--declaration", '{"columns": {"sales": "tags"}}')
    assert (code, "column tags has type list" in output) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/nowhere"], "there is no folder or file /nowhere"),
        (["--data", "/nowhere/sales.csv"], "there is no file /nowhere/sales.csv"),
        ([], "give either a folder, a file or a URL, or --query"),
        (["--address-variable", "NONE"], "source.addressVariable: NONE is not set where jobs run"),
        (["--query", "select 1"], "--query needs --address-variable"),
        (["--data", "/x", "--query", "select 1"], "give either a folder, a file or a URL, or --query"),
    ],
)
def test_without_data_the_exit_code_is_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    code, output = inspect(capsys, *arguments)
    assert (code, message in output) == (2, True)


@pytest.mark.parametrize(("column", "declared"), [("open", {}), ("left", {"columns": {"stock": "left"}})])
def test_sales_without_any_week_of_known_demand_do_not_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, declared: dict[str, object]
) -> None:
    sentence = "every series is shut or out of stock, so no demand is known"
    for name, value, code in (("none", 0, 1), ("some", 1, 0)):
        folder = tmp_path / name
        folder.mkdir()
        write(folder / "sales.csv", weekly("store,dept,week,sales", "{s},{d},{w},{n}"))
        write(folder / "series_weeks.csv", weekly(f"store,dept,week,{column}", f"{{s}},{{d}},{{w}},{value}"))
        found, output = inspect(capsys, "--data", str(folder), "--declaration", json.dumps(declared))
        assert (found, sentence in output) == (code, code == 1), output
