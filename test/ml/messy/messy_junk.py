"""Folders that hold no sales: junk, damaged files, and files that need a person."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import openpyxl
import pyarrow as pa
from messy_cells import Reading
from messy_sales import pick
from messy_text import write_parquet

_HEADER = "store,dept,week,sales\n"
_GOOD = _HEADER + "".join(f"1,1,2024-01-{day:02},5\n" for day in (5, 12, 19, 26))


def _zip(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, _GOOD)
    return buffer.getvalue()


#: Beginning of workbooks before 2007, and of encrypted ones.
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


def _workbook(rows: Sequence[Sequence[str]] = tuple(line.split(",") for line in _GOOD.splitlines())) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _parquet(columns: dict[str, pa.Array]) -> bytes:
    return write_parquet(columns)


_FOUR: dict[str, pa.Array] = {
    "store": pa.array([1]),
    "dept": pa.array([1]),
    "week": pa.array(["2024-01-05"]),
    "sales": pa.array([1.0]),
}

#: Files by what is wrong: the name, its bytes, and parts of sentences of which one must stop the load.
JUNK: Mapping[str, tuple[str, bytes, list[str]]] = {
    "no file": ("readme.txt", b"see attachment", ["has no sales.csv"]),
    "another name": ("train_final.csv", _GOOD.encode(), ["has no sales.csv"]),
    "empty": ("sales.csv", b"", ["is empty"]),
    "blank": ("sales.csv", b"\n\n ,,\n", ["is empty"]),
    "a mark only": ("sales.csv", b"\xef\xbb\xbf", ["is empty"]),
    "a header only": ("sales.csv", _HEADER.encode(), ["no rows"]),
    "a header without an end": ("sales.csv", _HEADER.strip().encode(), ["no rows"]),
    "no header": ("sales.csv", b"1,1,2024-01-05,3\n1,1,2024-01-12,4\n", ["looks like data"]),
    "lines above the header": ("sales.csv", b"Report of May\n\n" + _GOOD.encode(), ["no column"]),
    "a column twice": ("sales.csv", _GOOD.replace("dept", "sales").encode(), ["no column", "occurs twice"]),
    "sales twice": ("sales.csv", _GOOD.replace("dept,", "dept,sales,").encode(), ["occurs twice"]),
    "no sales": ("sales.csv", _GOOD.replace("sales", "price").encode(), ["no column sales"]),
    "zeros": ("sales.csv", bytes(4096), ["NUL byte"]),
    "utf-16 without a mark": ("sales.csv", _GOOD.encode("utf-16-le"), ["NUL byte"]),
    "a picture": ("sales.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, ["NUL byte"]),
    "a page": ("sales.csv", b"<html><body><p>Please log in</p></body></html>\n", ["no column", "no rows"]),
    "JSON": ("sales.csv", b'[{"store": 1, "sales": 3}]\n', ["no column", "no rows", "quote"]),
    "a workbook": ("sales.csv", _zip("xl/workbook.xml"), ["NUL byte", "no column"]),
    "half of a workbook": ("sales.xlsx", _workbook()[:2000], ["cannot read sales.xlsx"]),
    "text as a workbook": ("sales.xlsx", _GOOD.encode(), ["cannot read sales.xlsx"]),
    "an archive as a workbook": ("sales.xlsx", _zip("a.csv"), ["cannot read sales.xlsx"]),
    "a workbook with a password": ("sales.xlsx", _OLE, ["has a password"]),
    "an old workbook": ("sales.xls", _OLE, ["save it as .xlsx"]),
    "a workbook without cells": ("sales.xlsx", _workbook([]), ["no sheet with data"]),
    "a workbook with a header only": ("sales.xlsx", _workbook([_HEADER.strip().split(",")]), ["no rows"]),
    "an open quote": ("sales.csv", _GOOD.encode() + b'1,"1,2024-02-02,5\n', ["is not closed"]),
    "a NUL": ("sales.csv", _GOOD.encode() + b"1,1,2024-02-02,\x005\n", ["NUL byte"]),
    "half of a gzip": ("sales.csv.gz", gzip.compress(_GOOD.encode() * 50)[:60], ["cannot decompress"]),
    "no gzip": ("sales.csv.gz", _GOOD.encode(), ["cannot decompress"]),
    "no zstd": ("sales.csv.zst", _GOOD.encode(), ["cannot decompress"]),
    "no bzip2": ("sales.csv.bz2", _GOOD.encode(), ["cannot decompress"]),
    "no archive": ("sales.csv.zip", _GOOD.encode(), ["cannot decompress"]),
    "an empty gzip": ("sales.csv.gz", gzip.compress(b""), ["is empty"]),
    "an empty archive": ("sales.csv.zip", _zip(), ["exactly one"]),
    "two files": ("sales.csv.zip", _zip("a.csv", "b.csv"), ["exactly one"]),
    "text as Parquet": ("sales.parquet", _GOOD.encode(), ["cannot read sales.parquet"]),
    "half of a Parquet": ("sales.parquet", _parquet(_FOUR)[:300], ["cannot read sales.parquet"]),
    "damaged Parquet": (
        "sales.parquet",
        _parquet(_FOUR).replace(b"2024-01-05", b"\xff" * 10).replace(b"\x15\x04", b"\xff\xff"),
        [""],
    ),
    "Parquet without rows": (
        "sales.parquet",
        _parquet({name: column[:0] for name, column in _FOUR.items()}),
        ["no rows"],
    ),
    "Parquet without columns": ("sales.parquet", _parquet({}), ["no column"]),
    "lists": (
        "sales.parquet",
        _parquet({**_FOUR, "sales": pa.array([[1.0]])}),
        ["column sales has type list"],
    ),
    "structs": (
        "sales.parquet",
        _parquet({**_FOUR, "store": pa.array([{"id": 1}])}),
        ["column store has type struct"],
    ),
    "times": (
        "sales.parquet",
        _parquet({**_FOUR, "week": pa.array([3], pa.time32("s"))}),
        ["bad-row-share", "no good row", "has type time"],
    ),
    "bytes": (
        "sales.parquet",
        _parquet({**_FOUR, "store": pa.array([b"\xff\xfe"])}),
        ["column store has type binary"],
    ),
    "flags": (
        "sales.parquet",
        _parquet({**_FOUR, "sales": pa.array([True])}),
        ["bad-row-share", "no good row"],
    ),
    "nothing but nulls": (
        "sales.parquet",
        _parquet({**_FOUR, "sales": pa.array([None], pa.float64())}),
        ["bad-row-share", "no good row"],
    ),
    "a declaration that is no JSON": ("shelfcast.json", b"{columns: 1}", ["is not JSON"]),
    "a declaration that is a list": ("shelfcast.json", b"[]", ["expected an object"]),
    "an unknown key": ("shelfcast.json", b'{"column": {}}', ["column"]),
    "a key of another type": ("shelfcast.json", b'{"columns": ["week"]}', ["columns"]),
    "an unknown zone": ("shelfcast.json", b'{"timeZone": "Berlin"}', ["Europe/Berlin"]),
    "a bad form": ("shelfcast.json", b'{"dateFormat": "DD.MM"}', ["must have YYYY"]),
    "a column for two": ("shelfcast.json", b'{"columns": {"week": "a", "sales": "a"}}', ["it can be one"]),
    "an empty name": ("shelfcast.json", b'{"columns": {"week": ""}}', ["empty name"]),
    "not UTF-8": ("shelfcast.json", b'{"ignore": ["\xff"]}', ["is not JSON"]),
    "deep": ("shelfcast.json", b"[" * 100_000, ["is not JSON"]),
    "a nan": ("shelfcast.json", b'{"weekEnds": NaN}', ["weekEnds"]),
    "covariates of another type": ("columns.json", b"{}", ["must be a list"]),
    "covariates that are no objects": ("columns.json", b"[1, null]", ["must be an object"]),
    "a reserved name": (
        "columns.json",
        b'[{"name": "sales", "of": "store", "description": "x"}]',
        ["reserved"],
    ),
    "half of JSON": ("columns.json", b'[{"name": ', ["is not JSON"]),
    "an empty file of covariates": ("columns.json", b"", ["is not JSON"]),
}


def write_junk(rng: np.random.Generator, folder: Path, reading: Reading) -> None:
    """Writes one of the junk files, beside good sales where it is another file than that of sales."""
    special: dict[str, Callable[[], None]] = {
        "a folder of that name": lambda: (folder / "sales.csv").mkdir(),
        "two formats": lambda: _write_both(folder),
        "an empty folder": lambda: None,
    }
    kind = pick(rng, [*JUNK, *special])
    reading.kinds.append(f"junk: {kind}")
    if kind in special:
        special[kind]()
        reading.must_stop += ["has no sales.csv", "cannot read", "keep one of them"]
        return
    name, data, sentences = JUNK[kind]
    if name.endswith(".json"):
        (folder / "sales.csv").write_text(_GOOD)
    (folder / name).write_bytes(data)
    reading.must_stop += sentences


def _write_both(folder: Path) -> None:
    (folder / "sales.csv").write_text(_GOOD)
    (folder / "sales.parquet").write_bytes(_parquet(_FOUR))
