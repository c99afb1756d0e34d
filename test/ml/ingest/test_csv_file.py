from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.ingest.csv_file import read_csv
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters='\r\n"', exclude_categories=["Zs"]), max_size=5
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "some.csv"


def read(file: Path, data: bytes) -> SourceFile:
    file.write_bytes(data)
    return read_csv(file, ("a", "b"))


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=20),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    mark=st.booleans(),
    last_end=st.booleans(),
)
def test_cells_survive_any_line_end(
    file: Path, rows: list[tuple[str, str]], line_end: str, mark: bool, last_end: bool
) -> None:
    lines = ["b,other,a", *(f'"{b}","x, y","{a}"' for a, b in rows)]
    text = ("\ufeff" if mark else "") + line_end.join(lines) + (line_end if last_end else "")
    read_back = read(file, text.encode())
    assert list(zip(*(read_back.columns[name].to_pylist() for name in "ab"), strict=True)) == [
        (a.strip(), b.strip()) for a, b in rows
    ]
    assert read_back.lines.tolist() == list(range(2, len(rows) + 2))
    assert read_back.malformed == []


def test_a_quoted_header_may_hold_a_comma(file: Path) -> None:
    read_back = read(file, b'"notes, ""misc""", "a" ,b\nx,1,2\n"y, z",3,4\n')
    assert read_back.columns["a"].to_pylist() == ["1", "3"]
    assert read_back.malformed == []
    assert read_back.unread == ('notes, "misc"',)


def test_doubled_quotes_and_spaces(file: Path) -> None:
    assert read(file, b'"a", b \n "x" , y \n"p""q",\n').columns["b"].to_pylist() == ["y", ""]


def test_line_numbers_count_blank_and_malformed_lines(file: Path) -> None:
    read_back = read(file, b"a,b\n\n1,2\n \n3\n4,5,6\n\n\n7,8\n,\n\n")
    assert read_back.columns["a"].to_pylist() == ["1", "7", ""]
    assert read_back.lines.tolist() == [3, 9, 10]
    assert read_back.malformed == [(5, "3"), (6, "4,5,6")]
    assert read_back.row_count == 5


def test_line_numbers_hold_past_the_parser_s_blocks(file: Path) -> None:
    lines = [b"a,b"] + [b"bad" if n % 1_000 == 0 else b"%d,%s" % (n, b"x" * 20) for n in range(2, 200_001)]
    read_back = read(file, b"\n".join(lines))
    assert read_back.columns["a"].cast("int64").to_numpy().tolist() == read_back.lines.tolist()
    assert [line for line, _ in read_back.malformed] == list(range(1_000, 200_001, 1_000))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\r\r", "is empty"),
        (b"a,b\n", "has a header but no rows"),
        (b"a,b\n\n\n", "has a header but no rows"),
        (b"a,c\n1,2\n", "some.csv:1: no column b; the header is a,c and must have a,b"),
        (b"a,b,a\n1,2,3\n", "some.csv:1: column a occurs twice"),
        (b"a,b\n1,\xff\n", "as CSV in UTF-8"),
        (b"\nb,a\n1,2\n", "some.csv:1: no column a, b"),
        (b"a" * 200_000, "cannot read the header of some.csv as CSV: field larger than"),
        (b'a,b\n1,2\n3,"4\n5",6\n7,8\n', "some.csv:3: a quote is not closed on its line"),
    ],
)
def test_unreadable_files(file: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        read(file, data)
    assert raised.value.type == "BadData"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"train\.csv: No such file or directory; a folder in the Walmart layout"
    ):
        read_csv(tmp_path / "train.csv", ("a",))
