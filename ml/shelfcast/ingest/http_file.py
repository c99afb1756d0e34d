"""Reader of files on a web server: proxies, certificates, redirects, credentials, sizes."""

from __future__ import annotations

import base64
import html
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, unquote, urljoin, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    getproxies,
    proxy_bypass,
)

from shelfcast.ingest.decompression import check_size, decompress, read_bounded
from shelfcast.ingest.source_url import check_host, shown_url, split_url
from shelfcast.job import UserError

_MAX_REDIRECTS = 10
#: Time without a byte after which a server counts as gone.
_TIMEOUT_SECONDS = 60
_REDIRECTS = (301, 302, 303, 307, 308)
_MISSING = (404, 410)
#: Refusals that another try may get past: the server is slow or busy.
_BUSY = (408, 429)
_CLIENT_ERRORS = range(300, 500)
_UNAUTHORIZED = 401
#: Characters of a URL that stay as they are; a % is one that the user wrote.
_PLAIN = "/%:@!$&'()*+,;=~?"
#: Title of the page on which Apache, nginx, Artifactory and others list a whole folder.
_LISTING = re.compile(r"<title>\s*(index of|directory listing for)\b", re.IGNORECASE)
_LINK = re.compile(r"""<a\b[^>]*?\bhref\s*=\s*(?:["']([^"']*)["']|([^\s"'>]+))""", re.IGNORECASE)
#: Address of a proxy as Python's client reads it.
_PROXY = re.compile(
    r"(https?://([^@]*@)?|([^/@]*@)?)(\[[0-9a-f:.]+\]|[^/?#@:\[\]\s]+)(:\d+)?(/.*)?", re.IGNORECASE
)


def read_http(url: str) -> bytes | None:
    """Returns the file behind the URL; None if there is none.

    Proxies are those of ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY``, and certificate authorities those
    of the system or of ``SSL_CERT_FILE``. User and password of the URL go to its own host only.

    Raises:
        UserError: ``BadData``: the server refuses the file, or it may not be read.
        ConnectionError: The server failed or did not answer; another try may help.
    """
    found = _read(url)
    return None if found is None else found[1]


def _read(url: str) -> tuple[str, bytes] | None:
    """Returns the shown URL to which redirects lead, and the file as ``read_http`` does."""
    start = target = split_url(url)
    for _ in range(_MAX_REDIRECTS + 1):
        shown = shown_url(urlunsplit(target))
        check_host(target.hostname or "", shown)
        opener = _opener(_proxies(target, shown))
        with _explained(shown):
            try:
                with opener.open(_request(target, start), timeout=_TIMEOUT_SECONDS) as response:
                    return shown, _content(response, shown)
            except HTTPError as error:
                error.close()
                if error.code in _MISSING:
                    return None
                if error.code not in _REDIRECTS:
                    raise
                location = error.headers["Location"]
        target = _redirected(target, location, shown)
    raise UserError(
        "BadData",
        f"cannot read {shown_url(url)}: the server redirects more than {_MAX_REDIRECTS} times; give the "
        "URL of the file itself",
    )


def list_http(url: str) -> list[str] | None:
    """Returns the names in a folder if the server lists them; else None, also where no link leads into it."""
    folder = split_url(url)
    folder = folder._replace(path=f"{folder.path.rstrip('/')}/")
    try:
        found = _read(urlunsplit(folder))
    except (UserError, ConnectionError):
        # The request for the first file says what is wrong.
        return None
    if found is None:
        return None
    base, text = found[0], found[1].decode("utf-8", "replace")
    if _LISTING.search(text) is None:
        return None
    start = unquote(urljoin(base, "."))
    links = (unquote(urljoin(base, html.unescape("".join(link)))) for link in _LINK.findall(text))
    names = (link.removeprefix(start) for link in links if link.startswith(start))
    return sorted({name for name in names if name and not re.search("[/?#]", name)}) or None


class _CheckedConnection(HTTPConnection):
    """Connection that sends nothing where a name leads to a metadata service."""

    def connect(self) -> None:
        super().connect()
        check_host(self.sock.getpeername()[0], self.host)


class _CheckedTlsConnection(HTTPSConnection, _CheckedConnection):
    """The same with TLS."""


class _CheckedHandler(HTTPHandler):
    def http_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_CheckedConnection, req)


class _CheckedTlsHandler(HTTPSHandler):
    def https_open(self, req: Request) -> HTTPResponse:
        return self.do_open(_CheckedTlsConnection, req, context=ssl.create_default_context())


def _opener(proxies: dict[str, str]) -> OpenerDirector:
    """Returns an opener that knows http and https only, and follows no redirect."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(proxies), _CheckedHandler(), _CheckedTlsHandler()):
        opener.add_handler(handler)
    opener.add_handler(HTTPErrorProcessor())
    opener.add_handler(HTTPDefaultErrorHandler())
    return opener


def _proxies(target: SplitResult, shown: str) -> dict[str, str]:
    """Returns the proxy of a URL by its scheme; none if the environment names none for it."""
    proxy = getproxies().get(target.scheme)
    if proxy is None or proxy_bypass(target.netloc.rpartition("@")[2]):
        return {}
    if _PROXY.fullmatch(proxy):
        return {target.scheme: proxy}
    # Without the text, which may have a password.
    raise UserError(
        "InvalidInput",
        f"cannot read {shown}: {target.scheme.upper()}_PROXY in the jobs' environment is the address of no "
        "HTTP proxy; write it like http://user:password@host:3128, and hosts without it in NO_PROXY",
    )


def _request(target: SplitResult, start: SplitResult) -> Request:
    """Returns the request, with the user of ``start`` if that is the same server."""
    netloc = target.netloc.rpartition("@")[2].encode("idna").decode()
    path, query = quote(target.path or "/", _PLAIN), quote(target.query, _PLAIN)
    request = Request(urlunsplit((target.scheme, netloc, path, query, "")))
    if start.username is not None and _server(target) == _server(start):
        user = f"{unquote(start.username)}:{unquote(start.password or '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")
    return request


def _server(url: SplitResult) -> tuple[str, str | None, int]:
    return url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80)


def _redirected(source: SplitResult, location: str | None, shown: str) -> SplitResult:
    """Returns the target of a redirect without user and password."""
    try:
        target = split_url(urljoin(urlunsplit(source), location or ""))
    except (UserError, ValueError):
        raise UserError("BadData", f"cannot read {shown}: the server redirects to no URL") from None
    if target.scheme != "https" and (source.scheme == "https" or target.scheme != "http"):
        raise UserError(
            "BadData",
            f"cannot read {shown}: the server redirects from {source.scheme} to {target.scheme}, which is "
            "not followed; let it redirect to https, or give the URL of the file itself",
        )
    return target._replace(netloc=target.netloc.rpartition("@")[2])


def _content(response: HTTPResponse, shown: str) -> bytes:
    check_size(shown, response.length or 0)
    data = read_bounded(shown, response)
    if response.length:
        raise HTTPException(f"the answer ends {response.length} bytes too early")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding == "identity" or (encoding in ("gzip", "x-gzip") and shown.lower().endswith(".gz")):
        return data
    if encoding not in ("gzip", "x-gzip"):
        raise UserError(
            "BadData",
            f"cannot read {shown}: the server encodes it as {encoding}; let it send the file itself",
        )
    return decompress(f"{shown}.gz", data)


@contextmanager
def _explained(shown: str) -> Iterator[None]:
    try:
        yield
    except HTTPError as error:
        answer = f"cannot read {shown}: the server answers {error.code} {error.reason}"
        if error.code not in _CLIENT_ERRORS or error.code in _BUSY:
            raise ConnectionError(answer) from error
        if error.code == _UNAUTHORIZED:
            answer += "; a URL with user and password belongs into a variable that addressVariable names"
        raise UserError("BadData", answer) from error
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, ssl.SSLCertVerificationError):
            raise UserError(
                "BadData",
                f"cannot read {shown}: {reason.verify_message}; if an authority of your own signed the "
                "server's certificate, name a file with it and the others in the jobs' environment as "
                "SSL_CERT_FILE",
            ) from error
        raise ConnectionError(f"cannot read {shown}: {reason or type(error).__name__}") from error
