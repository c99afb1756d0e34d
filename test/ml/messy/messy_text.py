"""Bytes of a messy file: separators, quotes, line ends, encodings, compression, and Parquet's types."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from messy_sales import WESTERN, pick
from pyarrow import parquet

#: Names of encodings, and the mark before the text.
ENCODINGS = {
    "utf-8": b"",
    "utf-8 with a mark": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "cp1252": b"",
}
_ZSTD_LEVEL = 1


@dataclass
class TextStyle:
    """Way to write a table as text.

    Attributes:
        delimiter: Character between cells.
        encoding: Key of ``ENCODINGS``.
        line_end: End of each line.
        compression: Ending of the compressed file; empty for none.
        says_sep: Whether the first line declares the delimiter, as Excel understands.
        quotes_all: Whether all cells are quoted.
        spare_cells: Empty cells at the end of the rows.
        blank_rows: Positions of rows without content.
        ends_last_line: Whether the last line has an end.
    """

    delimiter: str = ","
    encoding: str = "utf-8"
    line_end: str = "\n"
    compression: str = ""
    says_sep: bool = False
    quotes_all: bool = False
    spare_cells: int = 0
    blank_rows: set[int] = field(default_factory=set)
    ends_last_line: bool = True


def choose_style(rng: np.random.Generator, row_count: int, kinds: Sequence[str]) -> TextStyle:
    """Returns a way to write ids of these kinds."""
    is_western = all(kind in WESTERN for kind in kinds)
    encodings = {name: 1.0 for name in ENCODINGS if name != "cp1252" or is_western} | {"utf-8": 6.0}
    return TextStyle(
        delimiter=pick(rng, {",": 5.0, ";": 2.0, "\t": 1.0, "|": 1.0}),
        encoding=pick(rng, encodings),
        line_end=pick(rng, {"\n": 4.0, "\r\n": 3.0, "\r": 0.5}),
        compression=pick(rng, {"": 8.0, "gz": 1.0, "bz2": 1.0, "zst": 1.0, "zip": 1.0}),
        says_sep=bool(rng.random() < 0.1),
        quotes_all=bool(rng.random() < 0.15),
        spare_cells=int(rng.choice([0, 0, 0, 0, 1, 3])),
        blank_rows=set(rng.integers(0, row_count + 1, int(rng.choice([0, 0, 0, 1, 5]))).tolist()),
        ends_last_line=bool(rng.random() < 0.9),
    )


def write_text(
    header: Sequence[str], rows: Sequence[Sequence[str]], style: TextStyle
) -> tuple[bytes, list[int]]:
    """Returns the bytes, and the line of the file at which each row begins."""
    parts, lines, line = [], [], 1
    if style.says_sep:
        parts.append(f"sep={style.delimiter}")
        line += 1
    width = len(header)
    for number, cells in enumerate([header, *rows]):
        if number - 1 in style.blank_rows:
            parts.append(style.delimiter * (number % 3))
            line += 1
        spare = [""] * style.spare_cells if len(cells) == width else []
        text = style.delimiter.join([*(_quoted(cell, style) for cell in cells), *spare])
        parts.append(text.replace("\n", style.line_end))
        lines.append(line)
        line += 1 + text.count("\n")
    text = style.line_end.join([*parts, ""] if style.ends_last_line else parts)
    codec = style.encoding.split(" ")[0]
    return ENCODINGS[style.encoding] + text.encode(codec), lines[1:]


def compressed(data: bytes, ending: str) -> bytes:
    """Returns the bytes in the format of a file's ending."""
    if ending == "gz":
        return gzip.compress(data, 1)
    if ending == "bz2":
        return bz2.compress(data, 1)
    if ending == "zst":
        return pa.Codec("zstd", compression_level=_ZSTD_LEVEL).compress(data, asbytes=True)  # type: ignore[no-any-return]
    if ending == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("sales.csv", data)
        return buffer.getvalue()
    return data


def write_parquet(columns: dict[str, pa.Array]) -> bytes:
    """Returns a Parquet file."""
    sink = io.BytesIO()
    parquet.write_table(pa.table(columns), sink)
    return sink.getvalue()


def _quoted(cell: str, style: TextStyle) -> str:
    special = (style.delimiter, '"', "\n", "\r")
    if style.quotes_all or any(character in cell for character in special):
        return '"' + cell.replace('"', '""') + '"'
    return cell
