from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.ingest.column_search import search_for
from shelfcast.ingest.csv_file import parse_csv, read_csv
from shelfcast.ingest.source_file import SourceFile
from shelfcast.job import UserError

# Other line breaks of Unicode are text. A reader of CSV strips white space, so Zs would differ.
CELLS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Zs"])
    | st.sampled_from(["\n", "\r", '"', ",", ";", "\t", "|"]),
    max_size=6,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "some.csv"


def read(file: Path, data: bytes) -> SourceFile:
    file.write_bytes(data)
    return read_csv(file, search_for("a", "b"))


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, st.booleans()), min_size=1, max_size=20).filter(
        lambda rows: any(is_good for _, _, is_good in rows)
    ),
    delimiter=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    last_end=st.booleans(),
)
def test_a_table_of_python_s_csv_module_is_read_back(
    file: Path,
    rows: list[tuple[str, str, bool]],
    delimiter: str,
    quoting: Literal[0, 1, 2, 3],
    line_end: str,
    encoding: str,
    last_end: bool,
) -> None:
    table = [tuple(_writable(cell, delimiter, quoting, line_end) for cell in row[:2]) for row in rows]
    text = io.StringIO(newline="")
    quote = None if quoting == csv.QUOTE_NONE else '"'
    write = csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=line_end, quotechar=quote)
    write.writerow(["b", "other\nnotes" if quote and "\n" in line_end else "other", "a"])
    lines = []
    for (b, a), (_, _, is_good) in zip(table, rows, strict=True):
        lines.append(1 + len(_breaks(text.getvalue())))
        write.writerow([b, "x", a] if is_good else [b, "x", a, "one too many"])
    written = text.getvalue() if last_end else text.getvalue().removesuffix(line_end)
    read_back = read(file, written.encode(encoding))
    good = [n for n, row in enumerate(rows) if row[2]]
    assert list(zip(*(read_back.columns[name].to_pylist() for name in "ba"), strict=True)) == [
        tuple("\n".join(re.split("\r\n|\r|\n", cell)).strip() for cell in table[n]) for n in good
    ]
    assert read_back.lines.tolist() == [lines[n] for n in good]
    assert [line for line, _ in read_back.malformed] == [
        line for line, row in zip(lines, rows, strict=True) if not row[2]
    ]


def _writable(cell: str, delimiter: str, quoting: int, line_end: str) -> str:
    """Returns the cell without what Python's module writes in a way that nobody can read."""
    if quoting == csv.QUOTE_NONE:
        return re.sub(f'[\r\n"{re.escape(delimiter)}]', "", cell)
    # It quotes only the line ends that it writes itself.
    return re.sub(f"(?![{line_end}])[\r\n]", "", cell) if quoting == csv.QUOTE_MINIMAL else cell


def _breaks(text: str) -> list[str]:
    return re.findall("\r\n|\r|\n", text)


def test_a_quoted_header_may_hold_a_comma(file: Path) -> None:
    read_back = read(file, b'"notes, ""misc""", "a" ,b\nx,1,2\n"y, z",3,4\n')
    assert read_back.columns["a"].to_pylist() == ["1", "3"]
    assert read_back.malformed == []
    assert read_back.unread == ('notes, "misc"',)


def test_doubled_quotes_and_spaces(file: Path) -> None:
    assert read(file, b'"a", b \n "x" , y \n"p""q",\n').columns["b"].to_pylist() == ["y", ""]


def test_line_numbers_count_blank_and_malformed_lines(file: Path) -> None:
    read_back = read(file, b'\n , \na,b\n\n1,2\n \n3\n4,5,6\n\n\n7,8\n,\n"",""\n ,\n\n,9\n,,,\n')
    assert read_back.columns["a"].to_pylist() == ["1", "7", ""]
    assert read_back.lines.tolist() == [5, 11, 16]
    assert read_back.malformed == [(7, "3"), (8, "4,5,6")]
    assert read_back.row_count == 5


def test_a_row_with_a_cell_that_nobody_reads_is_not_blank(file: Path) -> None:
    assert read(file, b"a,b,note\n1,2,\n,,\n,,total\n").lines.tolist() == [2, 4]
    assert read(file, b'a,b\n1,2\n "",\n,""\n').lines.tolist() == [2, 3]
    long = b"x" * 200_000
    read_back = read(file, b"a,b,note\n1,2,\n,," + long + b"\n,,,," + long + b"\n")
    assert (read_back.lines.tolist(), [line for line, _ in read_back.malformed]) == ([2, 3], [4])


def test_bad_rows_have_their_line_after_quoted_line_breaks(file: Path) -> None:
    data = b'"a\n",b,note\n1,2,"x\ny"\n3,4,5,6\n7,8,"\n\n"\n9\n"0","","p""\n,q"\n5,6,\n'
    read_back = read(file, data)
    assert read_back.columns["a"].to_pylist() == ["1", "7", "0", "5"]
    assert read_back.lines.tolist() == [3, 6, 10, 12]
    assert read_back.malformed == [(5, "3,4,5,6"), (9, "9")]


def test_a_quote_within_an_unquoted_cell_is_text(file: Path) -> None:
    read_back = read(file, b'a,b,note\n1,5" pipe,\n2,x,"y\nz"\n3,6" pipe,\n4,,\n')
    assert read_back.columns["b"].to_pylist() == ['5" pipe', "x", '6" pipe', ""]
    assert read_back.lines.tolist() == [2, 3, 5, 6]


def test_a_cell_may_be_longer_than_the_parser_s_block(file: Path) -> None:
    rows = b"1,2,\n" * 300_000
    read_back = read(file, b"a,b,note\n" + rows + b'3,4,"' + b"x\n" * 2_000_000 + b'"\n5,6,\n')
    assert read_back.lines.tolist()[300_000:] == [300_002, 2_300_003]


@pytest.mark.parametrize(
    ("data", "unread"),
    [
        (b",a,b\n0,1,2\n1,3,4\n", ("column 1, which has no name",)),
        (b"a,b,,\n1,2,,\n3,4,,\n", ()),
        (b"a,b,,\n1,2\n3,4,\n", ()),
        (b"a,b\n1,2,,\n3,4, ,\n", ()),
        (b"a,b,,\n1,2,,\n3,4,,late\n", ("column 4, which has no name",)),
        (b"a,note,b,note\n1,x,2,y\n3,x,4,y\n", ("note", "note")),
    ],
)
def test_columns_without_a_name_and_spare_cells(file: Path, data: bytes, unread: tuple[str, ...]) -> None:
    read_back = read(file, data)
    assert [read_back.columns[name].to_pylist() for name in "ab"] == [["1", "3"], ["2", "4"]]
    assert (read_back.lines.tolist(), read_back.malformed, read_back.unread) == ([2, 3], [], unread)


def test_a_missing_last_cell_is_no_spare_one(file: Path) -> None:
    assert read(file, b"a,b,note\n1,2,x\n3,4\n").malformed == [(3, "3,4")]


@pytest.mark.parametrize(
    ("data", "line", "notes"),
    [
        (b"a,b\n1,2\n", 2, ()),
        (b"a;b\n1;2\n", 2, ("some.csv: cells are separated by semicolons",)),
        (b"a\tb\n1\t2\n", 2, ("some.csv: cells are separated by tabs",)),
        (b"a|b\n1|2\n", 2, ("some.csv: cells are separated by vertical bars",)),
        (b'"x,y,z";a;b\n;1;2\n', 2, ("some.csv: cells are separated by semicolons",)),
        (b"x,y,z,u;a;b\n,;1;2\n", 2, ("some.csv: cells are separated by semicolons",)),
        (b"sep=;\r\na;b\r\n1;2\r\n", 3, ("some.csv: cells are separated by semicolons",)),
        (b'"sep=,"\n\na,b\n1,2\n', 4, ()),
    ],
)
def test_the_header_tells_what_separates_cells(
    file: Path, data: bytes, line: int, notes: tuple[str, ...]
) -> None:
    read_back = read(file, data)
    assert [read_back.columns[name].to_pylist() for name in "ab"] == [["1"], ["2"]]
    assert (read_back.lines.tolist(), read_back.notes) == ([line], notes)


@pytest.mark.parametrize(
    ("data", "encoding", "cell", "notes"),
    [
        ("é".encode(), "utf-8", "é", ()),
        ("é€".encode("cp1252"), "utf-8", "é€", ("some.csv is not UTF-8 and was read as Windows-1252",)),
        ("é".encode("latin-1"), "latin-1", "é", ()),
        ("é".encode(), "latin-1", "Ã©", ()),
    ],
)
def test_encodings(data: bytes, encoding: str, cell: str, notes: tuple[str, ...]) -> None:
    read_back = parse_csv("some.csv", b"a,b\n1," + data + b"\n", search_for("b"), encoding=encoding)
    assert (read_back.columns["b"].to_pylist(), read_back.notes) == ([cell], notes)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_wins_over_the_declared_encoding(encoding: str) -> None:
    read_back = parse_csv("some.csv", "b\né\n".encode(encoding), search_for("b"), encoding="latin-1")
    assert read_back.columns["b"].to_pylist() == ["é"]


def test_damaged_text_matters_only_in_columns_that_are_read(file: Path) -> None:
    assert read(file, b"a,b,note\n1,2,\xc3\xa9\xff\n").columns["a"].to_pylist() == ["1"]


def test_line_numbers_hold_past_the_parser_s_blocks(file: Path) -> None:
    lines = [b"a,b"] + [b"bad" if n % 1_000 == 0 else b"%d,%s" % (n, b"x" * 20) for n in range(2, 200_001)]
    read_back = read(file, b"\n".join(lines))
    assert read_back.columns["a"].cast("int64").to_numpy().tolist() == read_back.lines.tolist()
    assert [line for line, _ in read_back.malformed] == list(range(1_000, 200_001, 1_000))


def test_damaged_text_in_a_row_of_another_length_is_reported_with_its_line(file: Path) -> None:
    found = read(file, "a,b,note\n1,2,é\n3,4,x,".encode() + b"\xff\n5,6,\xff\n7,8\n")
    assert found.columns["a"].to_pylist() == ["1", "5"]
    assert found.lines.tolist() == [2, 4]
    assert found.malformed == [(3, "3,4,x,\ufffd"), (5, "7,8")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "some.csv is empty"),
        (b"\r\r", "some.csv is empty"),
        (b"sep=;\n", "some.csv is empty"),
        (b",,\n;\n", "some.csv is empty"),
        (b"a,b\n", "some.csv has a header but no rows"),
        (b"a,b\n\n,\n", "some.csv has a header but no rows"),
        (b"a,c\n1,2\n", "some.csv:1: no column b; the header is a,c and must have a,b"),
        (b"a,b,a\n1,2,3\n", "some.csv:1: column a occurs twice"),
        (b"\n1,2024-01-05,3.5\n", "some.csv:2: the first row is 1,2024-01-05,3.5, which looks like data"),
        (b"sep=^\na^b\n1^2\n", "some.csv:1: sep=^ is not supported"),
        (b"a,b\n1,\xc3\xa9\n2,\xff\n", "as CSV in UTF-8: line 3 has the byte 0xff"),
        (b"a,b\n1,\x81\n", "as CSV in UTF-8: line 2 has the byte 0x81"),
        (b"a,b\n1,2\n3,\0\n", "some.csv:3: there is a NUL byte"),
        ("a,b\n1,2\n".encode("utf-16-le"), "some.csv:1: there is a NUL byte"),
        (b"\xff\xfea", "cannot read some.csv as UTF-16"),
        (b"a" * 200_000, "cannot read the header of some.csv as CSV: field larger than"),
        (b'a,b\n1,2\n3,"4\n5,6\n', "some.csv:3: the quote that opens a cell is not closed"),
        (b'a,b\n1,2\n3,4\n5,"6', "some.csv:4: the quote that opens a cell is not closed"),
        (b'a,b\n1,5" x\n3,"4\n', "some.csv:3: the quote that opens a cell is not closed"),
        (b'a,b\n"1\n2",3\n4,"5\n6,"7"\n', "some.csv:4: the quote that opens a cell is not closed"),
        (b'a,"b\n1,2\n', "some.csv:1: the quote that opens a cell is not closed"),
        (b'a,"b\n' + b"1,2\n" * 50_000, "some.csv:1: the quote that opens a cell is not closed"),
        (b'a,b\n1,"2\n' + b"3,4\n" * 500_000, "some.csv:2: the quote that opens a cell is not closed"),
    ],
)
def test_unreadable_files(file: Path, data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as raised:
        read(file, data)
    assert raised.value.type == "BadData"


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*train\.csv; a folder in the Walmart layout"):
        read_csv(tmp_path / "train.csv", search_for("a"))
