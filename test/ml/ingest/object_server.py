"""A server of files over HTTP, that also speaks as much of S3 as reading an object takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit


@contextmanager
def serve(folder: Path, status: int = 200) -> Iterator[str]:
    """Serves the folder, and yields host:port. Another status than 200 is the answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            file = folder / urlsplit(self.path).path.lstrip("/")
            code = status if status != 200 else 200 if file.is_file() else 404
            data = file.read_bytes() if code == 200 else b""
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

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
