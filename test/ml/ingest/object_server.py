"""A server of files over HTTP, that also speaks as much of S3 as listing and reading objects takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape


@contextmanager
def serve(
    folder: Path, status: int = 200, *, lists: bool = False, log: list[str] | None = None
) -> Iterator[str]:
    """Serves the folder, and yields host:port.

    Args:
        folder: Folder with the files; its folders are the buckets of S3.
        status: Status of every answer, if it is not 200.
        lists: Whether folders are listed as a page, as Apache and nginx do if they are told to.
        log: List that gets method and path of each request.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            if log is not None:
                log.append(f"{self.command} {self.path}")
            url = urlsplit(self.path)
            file = folder / url.path.lstrip("/")
            if url.path.endswith("/") and (file / "index.html").is_file():
                file /= "index.html"
            if "list-type=2" in url.query:
                content: bytes | None = _objects(file, parse_qs(url.query).get("prefix", [""])[0])
            elif lists and url.path.endswith("/") and file.is_dir():
                content = _page(file)
            else:
                content = file.read_bytes() if file.is_file() else None
            code = status if status != 200 else 200 if content is not None else 404
            data = content if content is not None and code == 200 else b""
            size = len(data)
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if wanted and code == 200:
                code, first, last = 206, int(wanted[1]), min(int(wanted[2]), size - 1)
                data = data[first : last + 1]
            self.send_response(code)
            if code == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if with_body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, serving(server) as port:
        yield f"127.0.0.1:{port}"


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    """Answers requests in a thread until the end of the block; yields the port."""
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()


def _objects(bucket: Path, prefix: str) -> bytes:
    """Returns S3's answer to ListObjectsV2 with the delimiter /."""
    objects = "".join(
        f"<Contents><Key>{escape(prefix + file.name)}</Key><Size>{file.stat().st_size}</Size></Contents>"
        for file in sorted((bucket / prefix).iterdir() if (bucket / prefix).is_dir() else [])
        if file.is_file()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"
    ).encode()


def _page(folder: Path) -> bytes:
    """Returns the page of a folder as nginx writes it."""
    links = "\n".join(
        f'<a href="{quote(file.name)}">{escape(file.name)}</a>' for file in sorted(folder.iterdir())
    )
    return f'<html><head><title>Index of /</title></head><body><a href="../">../</a>\n{links}'.encode()
