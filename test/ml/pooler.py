"""A pooler in front of PostgreSQL that does with the startup parameter ``options`` what PgBouncer does."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

_ENCRYPTION_REQUESTS = (80877103, 80877104)


@contextmanager
def pooler(host: str, port: int, *, ignores: bool) -> Iterator[int]:
    """Forwards connections to PostgreSQL, and yields its own port.

    Args:
        host: Host of PostgreSQL.
        port: Port of PostgreSQL.
        ignores: Whether options are ignored, as with ``ignore_startup_parameters``; else they are refused.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    Thread(target=_serve, args=(client, host, port, ignores), daemon=True).start()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


def _serve(client: socket.socket, host: str, port: int, ignores: bool) -> None:
    with client:
        body = _startup(client)
        while struct.unpack("!i", body[:4])[0] in _ENCRYPTION_REQUESTS:
            client.sendall(b"N")
            body = _startup(client)
        texts = body[4:].split(b"\0")
        given = dict(zip(texts[::2], texts[1::2], strict=False))
        if given.pop(b"options", None) is not None and not ignores:
            text = b"SFATAL\0C08P01\0Munsupported startup parameter: options\0\0"
            client.sendall(b"E" + struct.pack("!i", len(text) + 4) + text)
            return
        kept = b"".join(name + b"\0" + value + b"\0" for name, value in given.items() if name) + b"\0"
        with socket.create_connection((host, port)) as server:
            server.sendall(struct.pack("!i", len(kept) + 8) + body[:4] + kept)
            back = Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()


def _startup(client: socket.socket) -> bytes:
    size = struct.unpack("!i", _exactly(client, 4))[0]
    return _exactly(client, size - 4)


def _exactly(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += client.recv(size - len(data))
    return data


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
