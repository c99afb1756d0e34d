"""Ids of stores and departments in folders in the long layout."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import long_files
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from shelfcast.ids import IdOf, Ids
from shelfcast.ingest.long_source import read_long_folder
from shelfcast.ingest.numbering import Numbering
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import IDS, SALES, STORES, empty_tables

NOTHING = empty_tables()


def known(of: IdOf, *ids: str) -> dict[str, pa.Table]:
    """Returns the tables of a data set with these ids."""
    numbering = Numbering(NOTHING)
    numbering.add(of, ids)
    rows = [{"of": of, "id": id_, "number": n, "is_current": True} for id_, n in numbering.of(of).items()]
    return NOTHING | {IDS.name: pa.Table.from_pylist(rows, IDS.schema)}


@dataclass(frozen=True)
class Read:
    """Content of a source.

    Attributes:
        ids: Ids of the good rows of sales.
        bad: Cells and rules of the bad rows.
        similar: Sentences about ids.
    """

    ids: list[str]
    bad: list[tuple[str, str]]
    similar: list[str]


def content(rows: SourceRows, of: IdOf, before: dict[str, pa.Table]) -> Read:
    ids = Ids.of(pa.concat_tables([before[IDS.name], rows.tables[IDS.name]]))
    found = [ids.id(of, number) for number in rows.tables[SALES.name][of].to_pylist()]
    bad = [(row["value"], row["name"]) for row in rows.findings.to_pylist()]
    return Read(found, bad, rows.similar_ids)


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def merged(before: dict[str, pa.Table], rows: SourceRows) -> dict[str, pa.Table]:
    """Returns the tables of a data set after a load."""
    tables = {name: pa.concat_tables([table, rows.tables[name]]) for name, table in before.items()}
    newest = {(row["of"], row["id"]): row for row in tables[IDS.name].to_pylist()}
    return tables | {IDS.name: pa.Table.from_pylist(list(newest.values()), IDS.schema)}


def renamed(folder: Path, *renames: tuple[str, str], before: dict[str, pa.Table], depts: str) -> SourceRows:
    """Reads sales of departments that were renamed."""
    lines = [f"1,{dept},{date(2021, 1, 1) + timedelta(weeks=n)},5" for n, dept in enumerate(depts)]
    long_files.write(folder, {"sales": ["store,dept,week,sales", *lines]})
    declared = {"renamed": [{"of": "dept", "from": former, "to": to} for former, to in renames]}
    (folder / "shelfcast.json").write_text(json.dumps(declared))
    return read_long_folder(str(folder), "utf-8", before)


def with_first_store(lines: list[str], id_: str) -> list[str]:
    return [f"{id_},{line[2:]}" if line.startswith("1,") else line for line in lines]


def read(folder: Path, *depts: str, before: dict[str, pa.Table] = NOTHING) -> Read:
    """Reads sales of these departments, in a week each."""
    weeks = [date(2020, 1, 3) + timedelta(weeks=n) for n in range(len(depts))]
    rows = [f"1,{quoted(dept)},{week},5" for dept, week in zip(depts, weeks, strict=True)]
    long_files.write(folder, {"sales": ["store,dept,week,sales", *rows]})
    return content(read_long_folder(str(folder), "utf-8", before), "dept", before)


@pytest.mark.parametrize(
    "id_",
    [
        *("CA_1", "4006381333931", "12345678901234567890", "007", "0", "-1", "+1", "1e5", "1E5", "TRUE"),
        *("2012-01-27", "7,5", 'a "b" c', "it's; $x$ <b>&", "=1+1", "\\N", "\\.", "null", "NaN", "N/A", "na"),
        *("😀", "👩‍👩‍👧", "שלום", "‏a", "７", "x" * 100, "Ä" * 100, "١", "a/b\\c|d%e{f}", "1.2.3"),  # noqa: RUF001
        *("__proto__", "constructor", "None"),
    ],
)
def test_an_id_is_text_as_written(tmp_path: Path, id_: str) -> None:
    assert read(tmp_path, id_, f" {id_}\t", "other") == Read([id_, id_, "other"], [], [])


def test_the_same_id_may_have_other_bytes(tmp_path: Path) -> None:
    composed, decomposed = "Caf\u00e9", "Cafe\u0301"
    assert read(tmp_path, decomposed, composed) == Read([composed, composed], [], [])


@pytest.mark.parametrize(
    "text",
    ["", "NA", "x" * 101, "a\tb", "a\nb", "a\x00b"[:1] + "\x07", "a\u2028b", "a\x85b", "4.01E+12", "1e+05"],
)
def test_what_is_no_id_makes_a_bad_row(tmp_path: Path, text: str) -> None:
    found = read(tmp_path, "A", text, "B")
    assert (found.ids, [name for _, name in found.bad]) == (["A", "B"], ["id"])


def test_na_is_a_store_where_the_file_of_stores_lists_it(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"] = with_first_store(lines["sales"], "NA")
    assert len(read_long_folder(str(long_files.write(tmp_path, lines)), "utf-8", NOTHING).findings) == 12
    lines["stores"][1] = "NA,B,5"
    rows = read_long_folder(str(long_files.write(tmp_path, lines)), "utf-8", NOTHING)
    assert set(content(rows, "store", NOTHING).ids) == {"NA", "2"}


@pytest.mark.parametrize(
    ("texts", "ids", "bad"),
    [
        # pandas and Excel write floats for whole numbers.
        (["1.0", "2", "3.00", "4006381333931.0"], ["1", "2", "3", "4006381333931"], []),
        (["CA_1", "2.0"], ["CA_1", "2"], []),
        # One meaning of 1.000 is a thousand, another one is 1.
        (["1.000", "12.345", "5"], ["5"], ["1.000", "12.345"]),
        (["1.0", "1.000"], ["1"], ["1.000"]),
        # Dots that separate the parts of a code.
        (["1.0", "1.5", "2.0", "1.000"], ["1.0", "1.5", "2.0", "1.000"], []),
        (["10.15.1", "10.15.2"], ["10.15.1", "10.15.2"], []),
        # A single error does not make codes of all floats.
        (["1.0"] * 150 + ["2.5"], ["1"] * 150, ["2.5"]),
    ],
)
def test_numbers_with_dots(tmp_path: Path, texts: list[str], ids: list[str], bad: list[str]) -> None:
    found = read(tmp_path, *texts)
    assert (found.ids, [value for value, _ in found.bad]) == (ids, bad)
    assert {name for _, name in found.bad} <= {"id"}


@pytest.mark.parametrize(
    ("ids", "text", "read_as"),
    [
        # Loaded before ids were text, or by a program that drops zeros.
        (["1", "2"], "01", "1"),
        (["01", "02"], "1", "01"),
        (["1", "2"], "1.0", "1"),
        (["001"], "1.0", "001"),
        (["1.0", "1.5"], "1.0", "1.0"),
        (["1.500"], "1.500", "1.500"),
        (["1", "01"], "01", "01"),
        (["0"], "00", "0"),
        # Which of them is unclear.
        (["01", "001"], "1", "1"),
        # Letters are no spelling of each other.
        (["A1"], "A01", "A01"),
        (["NA"], "NA", "NA"),
    ],
)
def test_a_known_id_may_be_spelled_in_another_way(
    tmp_path: Path, ids: list[str], text: str, read_as: str
) -> None:
    assert read(tmp_path, text, before=known("dept", *ids)).ids == [read_as]


def test_another_spelling_is_told(tmp_path: Path) -> None:
    assert read(tmp_path, "01", "02.0", before=known("dept", "1", "2")).similar == [
        "dept '01' is read as '1'",
        "dept '02.0' is read as '2'",
    ]
    assert read(tmp_path, "1.0", "2", before=known("dept", "1", "2")).similar == []


def test_ids_that_look_alike_are_told_and_stay_apart(tmp_path: Path) -> None:
    texts = ("7", "007", "foods", "Foods", "a b", "ab", "７", "x\u200by", "xy", "US/1", "US/1.0", "v1.0.0")  # noqa: RUF001
    found = read(tmp_path, *texts)
    assert found.ids == list(texts)
    assert found.similar == [
        "dept '7' and '007' are two ids",
        "dept 'US/1.0' and 'US/1' are two ids",
        "dept 'ab' and 'a b' are two ids",
        "dept 'foods' and 'Foods' are two ids",
        "dept 'x\\u200by' and 'xy' are two ids",
        "dept '７' and '007' are two ids",  # noqa: RUF001
    ]
    before = known("dept", "ab", "AB")
    assert read(tmp_path, "ab", "aB", before=before).similar == ["dept 'aB' and 'AB' are two ids"]


@pytest.mark.parametrize(("sales", "stores"), [("01", "1"), ("1", "01"), ("1.0", "1"), ("1", "1.0")])
def test_files_of_a_load_may_spell_a_store_in_two_ways(tmp_path: Path, sales: str, stores: str) -> None:
    lines = long_files.rows()
    lines["sales"] = with_first_store(lines["sales"], sales)
    lines["stores"] = with_first_store(lines["stores"], stores)
    rows = read_long_folder(str(long_files.write(tmp_path, lines)), "utf-8", NOTHING)
    assert len(rows.findings) == 0
    assert set(rows.tables[SALES.name]["store"].to_pylist()) == set(
        rows.tables[STORES.name]["store"].to_pylist()
    )


def test_whole_numbers_of_all_files_come_first(tmp_path: Path) -> None:
    lines = {
        "sales": ["store,dept,week,sales", "b,x,2020-01-03,5", "2,x,2020-01-03,5"],
        "series_weeks": ["store,dept,week,price", "1,1,2020-01-03,5"],
        "stores": ["store,type,size", "b,A,5", "a,A,5", "2,A,5", "1,A,5"],
    }
    long_files.declare(
        long_files.write(tmp_path, lines),
        [{"name": "price", "of": "series_week", "knownAfterWeeks": 0, "description": "price"}],
    )
    rows = read_long_folder(str(tmp_path), "utf-8", NOTHING).tables[IDS.name].to_pylist()
    assert {(row["of"], row["id"]): row["number"] for row in rows if row["of"] != "type"} == {
        ("store", "1"): 1,
        ("store", "2"): 2,
        ("store", "a"): 3,
        ("store", "b"): 4,
        ("dept", "1"): 1,
        ("dept", "x"): 2,
    }


def test_a_later_load_reaches_the_series_of_earlier_ones(tmp_path: Path) -> None:
    folder = long_files.write(tmp_path, long_files.rows())
    first = read_long_folder(str(folder), "utf-8", NOTHING).tables
    text = read(tmp_path / "text", "toys", "7", before=first)
    assert (text.ids, text.bad) == (["toys", "7"], [])
    # Data sets of version 0.1.0 have no ids.
    without = first | {IDS.name: IDS.schema.empty_table()}
    again = read_long_folder(str(folder), "utf-8", without).tables
    assert again[SALES.name] == first[SALES.name]
    assert again[IDS.name].sort_by("id") == first[IDS.name].sort_by("id")


def test_types_and_sizes_may_be_unknown(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["stores"] = ["store,type,size", "1,hypermarket,NA", "2,NA,", "3,,7", f"4,{'x' * 41},7"]
    rows = read_long_folder(str(long_files.write(tmp_path, lines)), "utf-8", NOTHING)
    assert rows.tables[STORES.name].to_pylist() == [
        {"store": 1, "type": "hypermarket", "size": None},
        {"store": 2, "type": None, "size": None},
        {"store": 3, "type": None, "size": 7.0},
    ]
    assert content(rows, "store", NOTHING).bad == [("x" * 41, "type")]
    types = rows.tables[IDS.name].filter(pc.equal(rows.tables[IDS.name]["of"], "type"))
    assert types.drop_columns("is_current").to_pylist() == [{"of": "type", "id": "hypermarket", "number": 1}]


def test_stores_that_no_file_describes_are_read(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["stores"][1:] = ["7,A,5", "8,B,6"]
    for folder in (tmp_path / "others", tmp_path / "none"):
        rows = read_long_folder(str(long_files.write(folder, lines)), "utf-8", NOTHING)
        assert (len(rows.tables[SALES.name]), len(rows.findings)) == (24, 0)
        lines.pop("stores", None)


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (pa.array([2**63 - 1, 7]), ["9223372036854775807", "7"]),
        (pa.array([2**64 - 1, 7], pa.uint64()), ["18446744073709551615", "7"]),
        (pa.array([Decimal(10) ** 30, Decimal(7)], pa.decimal128(38, 4)), ["1" + 30 * "0", "7"]),
        (pa.array([4006381333931.0, 7.0]), ["4006381333931", "7"]),
        (pa.array([2.0**53, 7.0]), ["7"]),
        (pa.array(["x", "007"]).dictionary_encode(), ["x", "007"]),
        (pa.array(["NA", None]), []),
        (pa.array([True, False]), ["true", "false"]),
        (pa.array([b"x", b"\xc3\xa9"]), ["x", "é"]),
        (pa.array([date(2020, 1, 3), date(2020, 1, 4)]), ["2020-01-03", "2020-01-04"]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_parquet_columns_of_any_type(tmp_path: Path, values: pa.Array, ids: list[str]) -> None:
    weeks = [date(2020, 1, 3), date(2020, 1, 10)]
    rows = pa.table({"store": ["1", "1"], "dept": values, "week": weeks, "sales": [1.0, 2.0]})
    parquet.write_table(rows, tmp_path / "sales.parquet")
    assert content(read_long_folder(str(tmp_path), "utf-8", NOTHING), "dept", NOTHING).ids == ids


def numbers(rows: SourceRows) -> list[int]:
    found: list[int] = rows.tables[SALES.name]["dept"].to_pylist()
    return found


def test_a_renamed_department_keeps_its_history(tmp_path: Path) -> None:
    before = known("dept", "A", "B")
    first = renamed(tmp_path, (" A", "G "), before=before, depts="GBA")
    assert numbers(first) == [1, 2, 1]
    assert content(first, "dept", before).ids == ["G", "B", "G"]
    assert first.similar_ids == []
    after = merged(before, first)
    # The declaration stays, and a former id is understood for ever.
    again = renamed(tmp_path, ("A", "G"), before=after, depts="GAC")
    assert (numbers(again), content(again, "dept", after).ids) == ([1, 1, 3], ["G", "G", "C"])
    later = merged(after, again)
    assert numbers(renamed(tmp_path, before=later, depts="AGB")) == [1, 1, 2]
    back = renamed(tmp_path, ("A", "G"), ("G", "A"), before=later, depts="G")
    assert (numbers(back), content(back, "dept", later).ids) == ([1], ["A"])


def test_renames_follow_each_other_also_within_a_first_load(tmp_path: Path) -> None:
    rows = renamed(tmp_path, ("A", "B"), ("B", "C"), ("5", "E"), before=NOTHING, depts="ABC5E1")
    assert content(rows, "dept", NOTHING).ids == ["C", "C", "C", "E", "E", "1"]
    assert numbers(rows) == [6, 6, 6, 5, 5, 1]
    former = [row["id"] for row in rows.tables[IDS.name].to_pylist() if not row["is_current"]]
    assert former == ["5", "A", "B"]
    after = merged(NOTHING, rows)
    assert numbers(renamed(tmp_path, ("A", "B"), ("B", "C"), before=after, depts="C")) == [6]


def test_a_rename_in_a_circle_ends(tmp_path: Path) -> None:
    rows = renamed(tmp_path, ("A", "B"), ("B", "A"), before=NOTHING, depts="ABA")
    assert content(rows, "dept", NOTHING).ids == ["A", "A", "A"]


def test_renames_that_cannot_be(tmp_path: Path) -> None:
    before = known("dept", "A", "B")
    with pytest.raises(UserError, match="dept 'A' cannot be renamed to 'B', which has a history of its own"):
        renamed(tmp_path, ("A", "B"), before=before, depts="B")
    with pytest.raises(UserError, match="renamed: dept 'X' is neither in the data set nor in this load"):
        renamed(tmp_path, ("X", "Y"), before=before, depts="Y")
    with pytest.raises(UserError, match=r"renamed: 'a\\nb' must be text of 1 to 100 characters"):
        renamed(tmp_path, ("A", "a\nb"), before=before, depts="A")
    # Both changes came before the first load.
    assert numbers(renamed(tmp_path, ("X", "Y"), ("Y", "B"), before=before, depts="B")) == [2]
