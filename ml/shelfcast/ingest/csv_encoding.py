"""Decoding of CSV files: encodings, byte order marks and line ends."""

from __future__ import annotations

import codecs

from shelfcast.job import UserError

#: Character in place of bytes that are no text.
DAMAGED = "\ufffd"


def as_utf8(name: str, data: bytes, encoding: str) -> tuple[bytes, list[str]]:
    """Returns the text in UTF-8, each line ended by LF, and notes for the load's report.

    A file that is not UTF-8 throughout is Windows-1252 if nothing in it is UTF-8 beyond ASCII. Otherwise it
    stays as it is, so that damaged text in a column that nobody reads does no harm.

    Args:
        name: Name of the file, for messages.
        data: Content of the file; a byte order mark says the encoding.
        encoding: ``latin-1``, or ``utf-8`` to find the encoding of a file without a byte order mark.

    Raises:
        UserError: ``BadData``: the file is empty or not text.
    """
    data, notes = _decoded(name, data, encoding)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    nul = data.find(b"\0")
    if nul >= 0:
        raise UserError(
            "BadData",
            f"{name}:{_line(data, nul)}: there is a NUL byte, so this is no text in UTF-8; "
            "save it as CSV in UTF-8",
        )
    if not data.strip():
        raise UserError("BadData", f"{name} is empty; it needs a header line and rows")
    return data if data.endswith(b"\n") else data + b"\n", notes


def without_damage(name: str, data: bytes) -> tuple[bytes, UserError | None]:
    """Returns the text with ``DAMAGED`` for what is not UTF-8, and the error that names its first line.

    Whoever reads a cell with such a character raises the error. There is none if all of the text is UTF-8.
    """
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return data.decode("utf-8", "replace").encode(), UserError(
            "BadData",
            f"cannot read {name} as CSV in UTF-8: line {_line(data, error.start)} has the byte "
            f"0x{data[error.start]:02x}, while other text is UTF-8; save it as CSV in UTF-8",
        )
    return data, None


def _decoded(name: str, data: bytes, encoding: str) -> tuple[bytes, list[str]]:
    if data.startswith(codecs.BOM_UTF8):
        return data.removeprefix(codecs.BOM_UTF8), []
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16").encode(), []
        except UnicodeError as error:
            raise UserError(
                "BadData", f"cannot read {name} as UTF-16: {error}; save it as CSV in UTF-8"
            ) from error
    if data.isascii():
        return data, []
    if encoding == "latin-1":
        return data.decode("latin-1").encode(), []
    return _without_mark(name, data)


def _without_mark(name: str, data: bytes) -> tuple[bytes, list[str]]:
    text = data.decode("utf-8", "surrogateescape")
    # A byte that is not UTF-8 becomes a lone surrogate.
    damaged = sum(0xDC80 <= ord(character) <= 0xDCFF for character in set(text))
    if damaged == 0 or any(ord(c) > 0x7F and not 0xDC80 <= ord(c) <= 0xDCFF for c in set(text)):
        return data, []
    try:
        return data.decode("cp1252").encode(), [f"{name} is not UTF-8 and was read as Windows-1252"]
    except UnicodeDecodeError:
        return data, []


def _line(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1
