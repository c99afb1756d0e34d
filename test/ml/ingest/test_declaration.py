from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import long_files
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfcast.contracts.specs import Declaration, LongSource
from shelfcast.contracts.wire import decode
from shelfcast.ingest.column_search import ColumnSearch, Value, joined, search_for
from shelfcast.ingest.long_source import read_long_source
from shelfcast.ingest.source_rows import SourceRows
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables


def read(path: Path, declaration: dict[str, Any] | None = None, **others: Any) -> SourceRows:
    declared = None if declaration is None else decode(Declaration, declaration, "declaration")
    return read_long_source(LongSource(path=str(path), declaration=declared, **others), empty_tables())


def refusal(path: Path, declaration: dict[str, Any] | None = None, **others: Any) -> str:
    with pytest.raises(UserError) as raised:
        read(path, declaration, **others)
    return str(raised.value)


def folder(path: Path, header: str, **others: str) -> Path:
    """Writes the usual files; sales have another header."""
    lines = long_files.rows()
    lines["sales"][0] = header
    for name, text in others.items():
        lines[name][0] = text
    return long_files.write(path, lines)


def test_the_user_s_names_of_columns_are_declared(tmp_path: Path) -> None:
    plain = read(long_files.write(tmp_path / "plain", long_files.rows()))
    own = folder(tmp_path / "own", "Shop,Product,Sold On,num_sold", stores="Shop,Kind,Square Feet")
    declared = {
        "columns": {
            "store": "shop",
            "dept": "Product",
            "week": "sold_on",
            "sales": "num_sold",
            "type": "Kind",
            "size": "square_feet",
        }
    }
    source = read(own, declared)
    assert source.tables == plain.tables
    assert (len(source.findings), source.unread) == (0, [])
    # The same in the folder; the input wins over it.
    (own / "shelfcast.json").write_text(json.dumps(declared))
    assert read(own).tables == plain.tables
    assert "no column Shop, Product" not in refusal(own, {"columns": {"store": "branch"}})


def test_messages_have_the_user_s_names(tmp_path: Path) -> None:
    own = folder(tmp_path, "shop,product,date,num_sold")
    lines = (own / "sales.csv").read_text().splitlines()
    lines[2:4] = ["1,1,2020-01-11,5", "1,1,2020-01-17,many"]
    (own / "sales.csv").write_text("\n".join([*lines, "1,1,2020-01-03,5", ""]))
    source = read(own, {"columns": {"store": "shop", "dept": "product", "week": "date", "sales": "num_sold"}})
    found = [(f["line"], f["column"], f["rule"]) for f in source.findings.sort_by("line").to_pylist()]
    number = "must be a finite number like 1234.5, without thousands separators, or NA"
    assert found == [
        (2, "shop,product,date", "shop,product,date must be in the file once"),
        (3, "date", "date must be a Friday as most others are"),
        (4, "num_sold", f"num_sold {number}"),
        (26, "shop,product,date", "shop,product,date must be in the file once"),
    ]


def test_several_columns_are_joined_to_one_id() -> None:
    cells = [pa.array(["US", "US", "", "a/b", "a", "NA"]), pa.array(["12", "1", "5", "c", "b/c", "7"])]
    assert joined(cells).to_pylist() == ["US/12", "US/1", "", r"a\/b/c", r"a/b\/c", "NA/7"]
    floats = [pa.array(["DE", "DE"]), pa.array(["1.0", "12.0"])]
    assert joined(floats).to_pylist() == ["DE/1", "DE/12"]
    versions = [pa.array(["DE", "DE"]), pa.array(["1.0", "1.5"])]
    assert joined(versions).to_pylist() == ["DE/1.0", "DE/1.5"]


@given(st.lists(st.tuples(*[st.text("a/\\ ", min_size=1, max_size=4)] * 2), min_size=2, max_size=20))
def test_different_parts_never_make_the_same_id(pairs: list[tuple[str, str]]) -> None:
    ids = joined([pa.array(part) for part in zip(*pairs, strict=True)]).to_pylist()
    assert len(set(ids)) == len(set(pairs))


def test_without_a_column_of_departments_there_is_one(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"] = ["shop,week,sales", "1,2020-01-03,5", "2,2020-01-03,6"]
    long_files.write(tmp_path, lines)
    source = read(tmp_path, {"columns": {"store": "shop"}})
    assert source.tables["id"].filter(pc.equal(source.tables["id"]["of"], "dept"))["id"].to_pylist() == [
        "all"
    ]
    assert source.tables["sales"].select(["store", "dept", "weekly_sales"]).to_pylist() == [
        {"store": 1, "dept": 1, "weekly_sales": 5.0},
        {"store": 2, "dept": 1, "weekly_sales": 6.0},
    ]
    lines["sales"].append("1,2020-01-03,5")
    long_files.write(tmp_path, lines)
    assert {f["rule"] for f in read(tmp_path, {"columns": {"store": "shop"}}).findings.to_pylist()} == {
        "shop,week must be in the file once, as no column is declared for dept"
    }
    # Without a declaration a missing column is an error.
    assert "no column store, dept" in refusal(tmp_path)
    # A column of sales is required in the other files.
    lines = long_files.rows()
    lines["sales"][0] = "store,dept,date,sales"
    lines["series_weeks"] = ["store,week,promo", "1,2020-01-03,1"]
    long_files.write(tmp_path, lines)
    assert "series_weeks.csv:1: no column dept" in refusal(tmp_path, {"columns": {"week": "date"}})


def test_ignored_columns_are_not_told(tmp_path: Path) -> None:
    lines = long_files.rows()
    lines["sales"] = [f"{row},x,y" if n else f"{row},Row Id,note" for n, row in enumerate(lines["sales"])]
    long_files.write(tmp_path, lines)
    assert read(tmp_path).unread == ["sales.csv: Row Id", "sales.csv: note"]
    assert read(tmp_path, {"ignore": ["row_id", "other"]}).unread == ["sales.csv: note"]


def test_covariates_have_columns_of_other_names(tmp_path: Path) -> None:
    lines, declarations = long_files.with_columns()
    long_files.write(tmp_path / "plain", lines)
    plain = read(tmp_path / "plain", {"covariates": declarations})
    lines["store_weeks"][0] = "store,week,temperature,People In"
    declarations[2]["column"] = "people in"
    long_files.write(tmp_path / "own", lines)
    assert read(tmp_path / "own", {"covariates": declarations}).tables == plain.tables
    declarations[2]["column"] = "people_inn"
    assert refusal(tmp_path / "own", {"covariates": declarations}) == (
        "covariates of source.declaration, entry 3: store_weeks has no column people_inn; add it there, or "
        "do not declare it (People In is not read)"
    )


def test_covariates_are_declared_once(tmp_path: Path) -> None:
    lines, declarations = long_files.with_columns()
    long_files.write(tmp_path, lines)
    expected = read(tmp_path, {"covariates": declarations}).tables
    (tmp_path / "shelfcast.json").write_text(json.dumps({"covariates": declarations}))
    assert read(tmp_path).tables == expected
    long_files.declare(tmp_path, declarations)
    assert refusal(tmp_path) == (
        "shelfcast.json and columns.json both declare covariates; keep them in one of them"
    )
    # The input counts instead of the files.
    assert read(tmp_path, {"covariates": declarations}).tables == expected
    (tmp_path / "shelfcast.json").unlink()
    assert read(tmp_path, {"ignore": ["none"]}).tables == expected


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"week": "dat"},
            "sales.csv:1: no column dat, sales; the header is shop,product,date,num_sold and must have "
            "store,dat,dept,sales; dat may be date; or declare your own names, like --column sales=... "
            "(docs/data.md)",
        ),
        (
            {"week": "date", "sales": "numsold", "store": "SHOP", "holiday": "feast"},
            "holiday is feast, which no file has",
        ),
        ({"store": ["country", "shop"]}, "no column country, week, sales; the header is"),
        ({"week": "date", "sales": "Date"}, "column date is declared as week and as sales"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    assert message in refusal(folder(tmp_path, "shop,product,date,num_sold"), {"columns": columns})


def test_a_column_that_no_file_has_is_refused_even_where_the_usual_one_is(tmp_path: Path) -> None:
    long_files.write(tmp_path, long_files.rows())
    assert refusal(tmp_path, {"columns": {"week": "weeks"}}) == (
        "columns of source.declaration: week is weeks, which no file has; sales.csv has "
        "store, week, dept, sales; store_weeks.csv has store, week, temperature; stores.csv has store, type, "
        "size"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "shelfcast.json: expected an object"),
        ("{", "shelfcast.json is not JSON in UTF-8"),
        ("[" * 100_000, "shelfcast.json is not JSON in UTF-8"),
        ('{"column": {}}', "shelfcast.json.column: unknown key of Declaration"),
        ('{"columns": {"store": 7}}', "shelfcast.json.columns.store: expected a string or a list, found 7"),
        ('{"columns": {"week": "a", "sales": "a"}}', "shelfcast.json: a is both week and sales"),
        ('{"columns": {"week": "a"}, "ignore": ["a"]}', "shelfcast.json: a is both week and ignore"),
        ('{"covariates": {}}', "shelfcast.json.covariates: expected a list of objects"),
        ('{"covariates": [{"name": "A"}]}', "covariates of shelfcast.json, entry 1: name must be lower-case"),
    ],
)
def test_a_file_that_is_no_declaration_is_refused(tmp_path: Path, text: str, message: str) -> None:
    long_files.write(tmp_path, long_files.rows())
    (tmp_path / "shelfcast.json").write_text(text)
    assert message in refusal(tmp_path)


def test_names_match_exactly_before_they_match_alike() -> None:
    search = ColumnSearch((Value("sales", ("Num Sold",)),))
    assert search.find("f", ["num_sold", "Num Sold"]).columns == {"sales": ("Num Sold",)}
    assert search.find("f", ["a", "NUM_SOLD"]).columns == {"sales": ("NUM_SOLD",)}
    with pytest.raises(UserError, match="write Num Sold exactly as in the header"):
        search.find("f", ["num_sold", "NUM_SOLD"])
    # An optional column of the layout is one only by its own name: others were never read.
    assert search_for("a", optional=("b",)).find("f", ["A", "B"]).columns == {"a": ("A",)}


def test_a_folder_without_sales_names_its_files(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("shop,product,date,num_sold\n1,1,2020-01-03,5\n")
    assert f"it has train.csv: give the file of sales itself, like --data {tmp_path}/train.csv" in refusal(
        tmp_path
    )


def test_a_column_named_as_the_role_that_it_has_not_leaves_one_of_that_role(tmp_path: Path) -> None:
    own = long_files.write(
        tmp_path, {"sales": ["dept,week,sales", *(f"{n},2020-01-{3 + 7 * n:02},1" for n in range(4))]}
    )
    source = read(own, {"columns": {"sales": "dept"}})
    sales = source.tables["sales"]
    assert sales["weekly_sales"].to_pylist() == [0, 1, 2, 3]
    ids = source.tables["id"]
    assert ids.filter(pc.equal(ids["of"], "dept"))["id"].to_pylist() == ["all"]
