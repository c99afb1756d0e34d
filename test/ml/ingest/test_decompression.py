from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import long_files
import object_server
import pyarrow as pa
import pytest
import source_folders

from shelfcast.contracts.specs import LongSource
from shelfcast.ingest import decompression
from shelfcast.ingest.decompression import decompress
from shelfcast.ingest.long_source import read_long_folder, read_long_source
from shelfcast.ingest.walmart import read_folder
from shelfcast.job import UserError
from shelfcast.snapshot import empty_tables

NOTHING = empty_tables()


def archive(data: bytes, *names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as members:
        for name in names or ("__MACOSX/._sales.csv", "data/", "data/sales.csv"):
            members.writestr(name, b"" if name.endswith("/") else data)
    return file.getvalue()


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),  # type: ignore[no-any-return]
    "zip": archive,
}


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_compressed_file_is_as_the_file(tmp_path: Path, ending: str) -> None:
    lines = long_files.rows()
    lines["sales"][2] = "1,1,2020-01-10,bad"
    folder = long_files.write(tmp_path / "sales", lines)
    expected = read_long_folder(str(folder), "utf-8", NOTHING)
    data = (folder / "sales.csv").read_bytes()
    (folder / "sales.csv").unlink()
    (folder / f"sales.csv.{ending}").write_bytes(COMPRESS[ending](data))
    source = read_long_folder(str(folder), "utf-8", NOTHING)
    assert source.tables == expected.tables
    assert source.findings["file"].to_pylist() == [f"sales.csv.{ending}"]
    assert source.findings["line"].to_pylist() == [3]
    file = read_long_source(LongSource(path=f"{folder}/sales.csv.{ending}"), NOTHING)
    assert file.tables["sales"] == expected.tables["sales"]
    with object_server.serve(tmp_path) as address:
        url = f"http://{address}/sales"
        assert read_long_folder(url, "utf-8", NOTHING).tables == expected.tables
        there = read_long_source(LongSource(path=f"{url}/sales.csv.{ending}?key=secret"), NOTHING)
        assert there.tables == file.tables


def test_a_folder_in_the_walmart_layout_may_have_compressed_files(tmp_path: Path) -> None:
    folder = source_folders.write(tmp_path, source_folders.rows())
    expected = read_folder(folder, empty_tables())
    data = (folder / "train.csv").read_bytes()
    (folder / "train.csv.zip").write_bytes(archive(data, "train.csv"))
    with pytest.raises(UserError, match=r"has both train\.csv and train\.csv\.zip; keep one of them"):
        read_folder(folder, empty_tables())
    (folder / "train.csv").unlink()
    assert read_folder(folder, empty_tables()).tables == expected.tables


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_damaged_file_is_refused(ending: str) -> None:
    data = COMPRESS[ending](b"store,dept\n1,2\n" * 1000)
    for damaged in (data[:-8], b"store,dept\n1,2\n"):
        with pytest.raises(
            UserError, match=rf"cannot decompress sales\.csv\.{ending}: .*; compress it again"
        ):
            decompress(f"sales.csv.{ending}", damaged)


@pytest.mark.parametrize("ending", COMPRESS)
def test_damage_of_any_byte_is_refused_or_harmless(ending: str) -> None:
    original = b"store,dept\n1,2\n" * 4
    data = COMPRESS[ending](original)
    for place in range(len(data)):
        for byte in (0x00, 0x7F, 0x80, 0xFF):
            damaged = data[:place] + bytes([byte]) + data[place + 1 :]
            with contextlib.suppress(UserError):
                decompress(f"sales.csv.{ending}", damaged)


@pytest.mark.parametrize("ending", COMPRESS)
def test_a_bomb_is_refused_before_it_fills_the_memory(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompression, "LARGEST_FILE", 3 * 2**20)
    assert len(decompress(f"sales.csv.{ending}", COMPRESS[ending](bytes(3 * 2**20)))) == 3 * 2**20
    with pytest.raises(UserError, match=r"sales\.csv\.\w+ has more than 3 MiB when decompressed"):
        decompress(f"sales.csv.{ending}", COMPRESS[ending](bytes(3 * 2**20 + 1)))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (archive(b"x", "a.csv", "b.csv"), "sales.csv.zip has 2 files; it must have exactly one"),
        (archive(b"x", "a/"), "sales.csv.zip has 0 files; it must have exactly one"),
        # The first bit of the flags says that the file is encrypted.
        (
            archive(b"x", "a.csv").replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"
            ),
            "sales.csv.zip is encrypted; write it without a password",
        ),
    ],
)
def test_an_archive_has_one_file_without_a_password(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        decompress("sales.csv.zip", data)
