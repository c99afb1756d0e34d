"""Reader of files in a local folder, on a web server or in an object store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, urlunsplit

import pyarrow as pa
from pyarrow import fs

from shelfcast.ingest.decompression import CSV_ENDINGS, check_size
from shelfcast.ingest.http_file import list_http, read_http
from shelfcast.ingest.source_url import shown_url, split_url
from shelfcast.ingest.workbook import WORKBOOK_ENDINGS
from shelfcast.job import UserError

#: Endings of the files of a source.
FILE_ENDINGS = (*CSV_ENDINGS, "parquet", *WORKBOOK_ENDINGS)
_WITH_DOT = tuple(f".{ending}" for ending in FILE_ENDINGS)
#: Query of an S3 URL. Arrow's other options choose a server, or stop the check of its certificate; only the
#: environment may do that.
_S3_QUERY = re.compile(r"(region=[a-z0-9-]+)?")
_OTHER_WORKBOOKS = (".xls", ".xlsb", ".ods")


class Folder:
    """Folder of a source; its files are listed once, and found whatever the case of their names.

    Attributes:
        path: Absolute path, or URL, as for ``read_object``.
        shown: The path or URL for messages.
    """

    def __init__(self, path: str) -> None:
        """Lists the folder.

        Raises:
            UserError: ``BadData``: the folder may not be read.
            ConnectionError: The server failed or did not answer; another try may help.
        """
        self.path = path
        self.shown = shown_url(path)
        self._names = _list(path)

    def read(self, name: str) -> bytes | None:
        """Returns the bytes of a file, as ``find`` does."""
        found = self.find(name)
        return None if found is None else found[1]

    def find(self, *names: str) -> tuple[str, bytes] | None:
        """Returns name and bytes of the one file that has one of these names; None if there is none.

        A web server that lists no files is asked for each name, in this case.

        Raises:
            UserError: ``BadData``: two files have such a name, or the file may not be read.
            ConnectionError: The server failed or did not answer; another try may help.
        """
        if self._names is not None:
            wanted = {name.casefold() for name in names}
            names = tuple(name for name in self._names if name.casefold() in wanted)
            self._require_one(names)
        files = [(name, data) for name in names if (data := read_object(self.path, name)) is not None]
        self._require_one([name for name, _ in files])
        return files[0] if files else None

    def tables(self) -> list[str]:
        """Returns the names of the files that end like a file of sales, where they can be listed."""
        return [name for name in self._names or () if name.lower().endswith(_WITH_DOT)]

    def other_workbooks(self) -> list[str]:
        """Returns the names of the workbooks of a format that is not read, where they can be listed."""
        return [name for name in self._names or () if name.lower().endswith(_OTHER_WORKBOOKS)]

    def _require_one(self, names: Sequence[str]) -> None:
        if len(names) > 1:
            raise UserError("BadData", f"{self.shown} has both {' and '.join(names)}; keep one of them")


def read_object(folder: str, name: str) -> bytes | None:
    """Returns the bytes, or None if the folder has no such object.

    Args:
        folder: Absolute path, or URL: ``http(s)://host/path`` or ``s3://bucket/prefix``. Query parameters
            stay behind the name; for S3 there is ``region`` only. Another object store and its keys come from
            the environment (``AWS_ENDPOINT_URL_S3``, ``AWS_ACCESS_KEY_ID`` and so on).
        name: Name of the object in the folder.

    Raises:
        UserError: ``BadData``: the object exists but may not be read.
        ConnectionError: The server failed or did not answer; another try may help.
    """
    if folder.startswith("/"):
        return _read_path(Path(folder) / name)
    parts = split_url(folder)
    if parts.scheme == "s3":
        return _read_s3(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}")))
    return read_http(urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(name, '%')}")))


def split_file(path: str) -> tuple[str, str] | None:
    """Returns folder and name of a path or URL that ends like a file of sales; None for any other."""
    parts = split_url(path) if not path.startswith("/") else None
    folder, _, name = (path if parts is None else parts.path).rpartition("/")
    if not name.lower().endswith(_WITH_DOT):
        return None
    return (folder or "/") if parts is None else urlunsplit(parts._replace(path=folder)), name


def _list(path: str) -> list[str] | None:
    """Returns the names in a folder, none if there is no such folder; None where they are not listed."""
    if not path.startswith("/"):
        return _list_s3(path) if split_url(path).scheme == "s3" else list_http(path)
    try:
        return sorted(file.name for file in Path(path).iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError("BadData", f"cannot read {path}: {error.strerror}") from error


def _read_path(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError("BadData", f"cannot read {path}: {error.strerror}") from error


def _read_s3(url: str) -> bytes | None:
    shown = shown_url(url)
    filesystem, path = _s3(url)
    try:
        with filesystem.open_input_file(path) as file:
            check_size(shown, file.size())
            data: bytes = file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _s3_error(shown, error) from error
    return data


def _list_s3(url: str) -> list[str]:
    filesystem, path = _s3(url)
    try:
        found = filesystem.get_file_info(fs.FileSelector(path, allow_not_found=True))
    except OSError as error:
        raise _s3_error(shown_url(url), error) from error
    return sorted(file.base_name for file in found if file.is_file)


def _s3(url: str) -> tuple[fs.FileSystem, str]:
    """Returns the object store of a URL, and the path within it."""
    shown = shown_url(url)
    if not _S3_QUERY.fullmatch(split_url(url).query):
        raise UserError(
            "InvalidInput",
            f"cannot read {shown}: its query may be ?region=eu-central-1 only; name another object store "
            "in the jobs' environment as AWS_ENDPOINT_URL_S3",
        )
    try:
        filesystem, path = fs.FileSystem.from_uri(url)
    except pa.ArrowInvalid:
        # Without Arrow's text, which quotes the URL.
        raise UserError(
            "InvalidInput",
            f"cannot read {shown}: Arrow reads no such URL; write it like s3://bucket/sales?region=eu-central-1",
        ) from None
    return filesystem, path


def _s3_error(shown: str, error: OSError) -> UserError | ConnectionError:
    if "ACCESS_DENIED" in str(error):
        return UserError(
            "BadData",
            f"cannot read {shown}: access denied; the job's environment must have keys that may list the "
            "bucket and read its objects",
        )
    return ConnectionError(f"cannot read {shown}: {error}")
