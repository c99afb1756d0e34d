from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from object_server import serving

from shelfcast.ingest import decompression
from shelfcast.ingest.http_file import list_http, read_http
from shelfcast.job import UserError

DATA = b"store,dept,week,sales\n"
PROXY = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY")

Answer = Callable[[BaseHTTPRequestHandler], None]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextmanager
def serve(answer: Answer, certificate: Path | None = None) -> Iterator[str]:
    """Lets the function answer every GET, and yields host:port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def do_CONNECT(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        with serving(server) as port:
            yield f"localhost:{port}"


def send(handler: BaseHTTPRequestHandler, status: int, data: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for name, value in {"Content_Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File with the key of localhost and its certificate, which it signed itself."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    options = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(file), "-out", f"{file}.crt"]
    subprocess.run([*make.split(), *options], check=True, capture_output=True)
    file.write_text(file.read_text() + Path(f"{file}.crt").read_text())
    return file


def test_an_own_authority_is_named_in_the_environment(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(lambda handler: send(handler, 200, DATA), certificate) as address:
        with pytest.raises(UserError, match=r"self-signed certificate; if an authority .* SSL_CERT_FILE$"):
            read_http(f"https://{address}/sales.csv")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert read_http(f"https://{address}/sales.csv") == DATA


def test_user_and_password_go_to_their_own_host_only() -> None:
    seen: dict[str, str | None] = {}

    def answer(handler: BaseHTTPRequestHandler) -> None:
        seen[handler.path] = handler.headers["Authorization"]
        targets = {"/sales.csv?a=b": "/same", "/same": f"http://{other}/other"}
        target = targets.get(handler.path)
        if target is None:
            send(handler, 200, DATA)
        else:
            send(handler, 302, Location=target)

    with serve(answer) as other, serve(answer) as address:
        assert read_http(f"http://me:p%40ss%3A@{address}/sales.csv?a=b") == DATA
    assert seen == {"/sales.csv?a=b": "Basic bWU6cEBzczo=", "/same": "Basic bWU6cEBzczo=", "/other": None}


def test_redirects_end() -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(handler, 307, Location=f"/{len(asked)}")

    with (
        serve(answer) as address,
        pytest.raises(UserError, match=r"/sales\.csv: the server redirects more than 10 times; give the URL"),
    ):
        read_http(f"http://{address}/sales.csv")
    assert len(asked) == 11


@pytest.mark.parametrize("target", ["http://localhost:1/sales.csv", "ftp://localhost/sales.csv"])
def test_no_redirect_leads_out_of_tls(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with (
        serve(lambda handler: send(handler, 301, Location=target), certificate) as address,
        pytest.raises(UserError, match=r"redirects from https to (ht|f)tp, which is not followed"),
    ):
        read_http(f"https://{address}/sales.csv")


METADATA = [
    *("169.254.169.254", "0xa9fea9fe", "2852039166", "169.254.43518", "[::ffff:169.254.169.254]"),
    *("[fe80::1]", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192", "168.63.129.16"),
    *("[::ffff:168.63.129.16]", "[64:ff9b::a83f:8110]"),
    *("[fd00:ec2::23]", "[fd20:ce::254]", "[fd00:c1::a9fe:a9fe]", "[fd00:42::42]"),
    *("[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[::169.254.169.254]", "[64:ff9b::100.100.100.200]"),
]


@pytest.mark.parametrize("host", METADATA)
def test_no_url_and_no_redirect_leads_to_a_metadata_service(host: str) -> None:
    url = f"http://{host}/latest/meta-data"
    with pytest.raises(UserError, match="is an address at which clouds keep the keys"):
        read_http(url)
    with (
        serve(lambda handler: send(handler, 302, Location=url)) as address,
        pytest.raises(UserError, match="is an address at which clouds keep the keys"),
    ):
        read_http(f"http://{address}/sales.csv")


def test_no_name_leads_to_a_metadata_service(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with serve(lambda handler: asked.append(handler.path)) as address:
        # A name of 127.0.0.1 stands for one of 169.254.169.254, to which nothing here can connect.
        monkeypatch.setattr(socket.socket, "getpeername", lambda _: ("169.254.169.254", 80))
        with pytest.raises(UserError, match=r"cannot read localhost: 169\.254\.169\.254 is an address"):
            read_http(f"http://{address}/sales.csv")
    assert asked == []


@pytest.mark.parametrize(
    "host", ["169.254.169.254.", "\uff11\uff16\uff19.254.169.254", "169\u3002254.169.254"]
)
def test_no_proxy_is_asked_for_a_metadata_service(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    asked: list[str] = []
    with serve(lambda handler: asked.append(handler.path)) as address:
        monkeypatch.setenv("http_proxy", f"http://{address}")
        with pytest.raises(UserError, match="is an address at which clouds keep the keys"):
            read_http(f"http://{host}/latest/meta-data")
    assert asked == []


def test_proxies_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str | None]] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append((handler.command, handler.path, handler.headers["Proxy-Authorization"]))
        if handler.command == "CONNECT":
            send(handler, 403)
        else:
            send(handler, 200, DATA)

    with serve(answer) as proxy, serve(answer) as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:secret@{proxy}")
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy}")
        monkeypatch.setenv("NO_PROXY", ".shop.example,localhost")
        assert read_http("http://files.example/sales.csv") == DATA
        with pytest.raises(ConnectionError, match="Tunnel connection failed: 403"):
            read_http("https://files.example/sales.csv")
        assert read_http(f"http://{server}/sales.csv") == DATA
    assert asked == [
        ("GET", "http://files.example/sales.csv", "Basic bWU6c2VjcmV0"),
        ("CONNECT", "files.example:443", None),
        ("GET", "/sales.csv", None),
    ]


@pytest.mark.parametrize(
    "proxy",
    ["http:/me:secret@proxy", "socks5h://me:secret@proxy:1080", "http://me:secret", "me:sec/ret@proxy:80"],
)
def test_what_is_no_proxy_is_not_told(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    with serve(lambda handler: send(handler, 200, DATA)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy)
        with pytest.raises(
            UserError, match=r": HTTP_PROXY .* no HTTP proxy; write it like http://"
        ) as raised:
            read_http(f"http://{server}/sales.csv")
        assert "sec" not in str(raised.value)
        monkeypatch.setenv("NO_PROXY", "localhost")
        assert read_http(f"http://{server}/sales.csv") == DATA


@pytest.mark.parametrize("proxy", ["{}", "http://{}/", "me:secret@{}", "http://me:sec%2Fret@{}"])
def test_spellings_of_a_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    with serve(lambda handler: send(handler, 200, DATA)) as address:
        monkeypatch.setenv("HTTP_PROXY", proxy.format(address))
        assert read_http("http://files.example/sales.csv") == DATA


@pytest.mark.parametrize("has_length", [True, False])
def test_a_large_file_is_refused(monkeypatch: pytest.MonkeyPatch, has_length: bool) -> None:
    monkeypatch.setattr(decompression, "LARGEST_FILE", 3 * 2**20)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if has_length:
            handler.send_header("Content-Length", str(4 * 2**20))
        handler.end_headers()
        if not has_length:
            handler.wfile.write(bytes(4 * 2**20))

    with (
        serve(answer) as address,
        pytest.raises(UserError, match=r"/sales\.csv has more than 3 MiB; load it in parts, or as Parquet"),
    ):
        read_http(f"http://{address}/sales.csv?key=secret")


def test_half_an_answer_is_no_file() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, DATA, Content_Length=str(len(DATA) + 5))

    with serve(answer) as address, pytest.raises(ConnectionError, match="the answer ends 5 bytes too early"):
        read_http(f"http://{address}/sales.csv")


@pytest.mark.parametrize(
    ("name", "encoding", "expected"),
    [
        ("sales.csv", "gzip", DATA),
        ("sales.csv.gz", "x-gzip", gzip.compress(DATA, mtime=0)),
        ("sales.csv", "identity", gzip.compress(DATA, mtime=0)),
    ],
)
def test_a_server_may_compress_what_it_sends(name: str, encoding: str, expected: bytes) -> None:
    compressed = gzip.compress(DATA, mtime=0)
    with serve(lambda handler: send(handler, 200, compressed, Content_Encoding=encoding)) as address:
        assert read_http(f"http://{address}/{name}") == expected


def test_an_unknown_encoding_is_refused() -> None:
    with (
        serve(lambda handler: send(handler, 200, DATA, Content_Encoding="br")) as address,
        pytest.raises(UserError, match="the server encodes it as br; let it send the file itself"),
    ):
        read_http(f"http://{address}/sales.csv")


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        (401, UserError, "answers 401 Unauthorized; a URL with user and password belongs into a variable"),
        (300, UserError, "answers 300"),
        (429, ConnectionError, "answers 429"),
        (500, ConnectionError, "answers 500"),
    ],
)
def test_refusals(status: int, error: type[Exception], message: str) -> None:
    with (
        serve(lambda handler: send(handler, status)) as address,
        pytest.raises(error, match=rf"^cannot read http://{address}/sales\.csv: the server {message}"),
    ):
        read_http(f"http://me:secret@{address}/sales.csv?key=secret")


@pytest.mark.parametrize(
    "url", ["https://me:sec/ret@host/a", "https://me:secret@[::1/a", "https://me:secret@/a"]
)
def test_an_unreadable_url_is_not_told(url: str) -> None:
    with pytest.raises(UserError, match=r"the URL of the source cannot be read; .* %2F for /") as raised:
        read_http(url)
    assert "sec" not in str(raised.value)


def test_a_page_of_a_folder_names_its_files() -> None:
    page = b"""<HTML><head><title>Index of /my sales</title></head><body><h1>Index of /my sales</h1>
      <a href="?C=N;O=D">Name</a> <a href="/">up</a> <a href="../">up</a> <a href='sales.csv'>sales.csv</a>
      <a href="/my%20sales/stores%20&amp;%20more.csv">x</a> <a href="2024/">2024/</a>
      <a href="https://elsewhere.example/events.csv">x</a></body></HTML>"""
    with serve(lambda handler: send(handler, 200, page)) as address:
        assert list_http(f"http://me:secret@{address}/my sales?key=v") == ["sales.csv", "stores & more.csv"]


def test_a_page_behind_a_redirect_names_its_files() -> None:
    page = (
        b"<title>Index of /new</title><a href=../>up</a><a id=1 href=sales.csv>x</a><a href=/new/stores.csv>"
    )

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/old/":
            send(handler, 301, Location="/new/")
        else:
            send(handler, 200, page)

    with serve(answer) as address:
        assert list_http(f"http://me:secret@{address}/old") == ["sales.csv", "stores.csv"]


def test_a_page_that_names_no_file_is_no_list() -> None:
    page = b'<title>Index of /sales</title><a href="https://files.example/sales.csv">sales.csv</a>'
    with serve(lambda handler: send(handler, 200, page)) as address:
        assert list_http(f"http://{address}/sales") is None
