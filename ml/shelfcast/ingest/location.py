"""Reader of files in a local folder, on a web server or in an object store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import fsspec
from aiohttp import ClientError, ClientResponseError
from pyarrow import fs

from shelfcast.ingest.decompression import CSV_ENDINGS
from shelfcast.job import UserError

_ENDINGS = tuple(f".{ending}" for ending in (*CSV_ENDINGS, "parquet"))
#: Status codes for which another try cannot help.
_CLIENT_ERRORS = range(400, 500)


def read_object(folder: str, name: str) -> bytes | None:
    """Returns the bytes, or None if the folder has no such object.

    Args:
        folder: Absolute path, or URL: ``http(s)://host/path`` or ``s3://bucket/prefix``. Query parameters
            stay behind the name; for S3 they are pyarrow's, for example ``?endpoint_override=host:port``.
            Keys come from the environment (``AWS_ACCESS_KEY_ID`` and so on).
        name: Name of the object in the folder.

    Raises:
        UserError: ``BadData``: the object exists but may not be read.
        ConnectionError: The server failed or did not answer; another try may help.
    """
    if folder.startswith("/"):
        return _read_path(Path(folder) / name)
    parts = urlsplit(folder)
    url = urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{name}"))
    return _read_s3(url) if parts.scheme == "s3" else _read_http(url)


def split_file(path: str) -> tuple[str, str] | None:
    """Returns folder and name of a path or URL that ends like a file of sales; None for any other."""
    parts = urlsplit(path) if not path.startswith("/") else None
    folder, _, name = (path if parts is None else parts.path).rpartition("/")
    if not name.lower().endswith(_ENDINGS):
        return None
    return (folder or "/") if parts is None else urlunsplit(parts._replace(path=folder)), name


def _read_path(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError("BadData", f"cannot read {path}: {error.strerror}") from error


def _read_http(url: str) -> bytes | None:
    shown = url.split("?")[0]
    try:
        data: bytes = fsspec.filesystem("http", skip_instance_cache=True).cat_file(url)
    except FileNotFoundError:
        return None
    except ClientResponseError as error:
        if error.status in _CLIENT_ERRORS:
            raise UserError(
                "BadData", f"cannot read {shown}: the server answers {error.status} {error.message}"
            ) from error
        raise ConnectionError(f"cannot read {shown}: the server answers {error.status}") from error
    except (ClientError, TimeoutError) as error:
        raise ConnectionError(f"cannot read {shown}: {error}") from error
    return data


def _read_s3(url: str) -> bytes | None:
    shown = url.split("?")[0]
    try:
        filesystem, path = fs.FileSystem.from_uri(url)
        with filesystem.open_input_file(path) as file:
            data: bytes = file.readall()
    except FileNotFoundError:
        return None
    except OSError as error:
        if "ACCESS_DENIED" in str(error):
            raise UserError(
                "BadData",
                f"cannot read {shown}: access denied; the job's environment must have keys with read access",
            ) from error
        raise ConnectionError(f"cannot read {shown}: {error}") from error
    return data
