"""Decompression of source files, with a bound on the memory that they need."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from typing import IO

import pyarrow as pa

from shelfcast.job import UserError

#: Endings of compressed CSV files behind ``.csv``, with Arrow's names of their codecs; zip has none.
_CODECS = {"gz": "gzip", "bz2": "bz2", "zst": "zstd", "zip": None}
#: Endings of CSV files.
CSV_ENDINGS = ("csv", *(f"csv.{ending}" for ending in _CODECS))
#: Errors of the decoders; zipfile has no error of its own for much of what a damaged archive can hold.
_DAMAGED = (
    *(OSError, EOFError, RuntimeError, NotImplementedError, ValueError, IndexError, struct.error),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
#: Largest file in bytes that is downloaded or results from decompression.
LARGEST_FILE = 2 * 2**30
_WHEN = " when decompressed"


def decompress(name: str, data: bytes) -> bytes:
    """Returns the content of a file whose name ends in the ending of a codec; others as they are.

    Raises:
        UserError: ``BadData``: the file is damaged or too large, or an archive has not exactly one file.
    """
    ending = name.rpartition(".")[2].lower()
    if ending not in _CODECS:
        return data
    codec = _CODECS[ending]
    try:
        if codec is None:
            return _read_archive(name, data)
        with pa.input_stream(pa.BufferReader(data), compression=codec) as stream:
            return read_bounded(name, stream, _WHEN)
    except _DAMAGED as error:
        raise UserError("BadData", f"cannot decompress {name}: {error}; compress it again") from error


def _read_archive(name: str, data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # macOS adds its own metadata.
        files = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        if len(files) != 1:
            raise UserError("BadData", f"{name} has {len(files)} files; it must have exactly one, a CSV file")
        if files[0].flag_bits & 1:
            raise UserError("BadData", f"{name} is encrypted; write it without a password")
        with archive.open(files[0]) as stream:
            return read_bounded(name, stream, _WHEN)


def read_bounded(name: str, stream: IO[bytes] | pa.NativeFile, when: str = "") -> bytes:
    """Returns all bytes of a stream.

    Raises:
        UserError: ``BadData``: they are more than ``LARGEST_FILE``.
    """
    chunks, size = [], 0
    while chunk := stream.read(2**20):
        size += len(chunk)
        check_size(name, size, when)
        chunks.append(chunk)
    return b"".join(chunks)


def check_size(name: str, size: int, when: str = "") -> None:
    """Refuses a file of more than ``LARGEST_FILE`` bytes.

    Args:
        name: Name of the file, for the message.
        size: Number of its bytes.
        when: State of the file that has this size, for the message.

    Raises:
        UserError: ``BadData``: the file is too large.
    """
    if size > LARGEST_FILE:
        raise UserError(
            "BadData",
            f"{name} has more than {LARGEST_FILE // 2**20} MiB{when}; load it in parts, or as Parquet",
        )
