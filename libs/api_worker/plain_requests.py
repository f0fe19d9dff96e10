"""Requests with nothing unusual about them, as nearly all are, read in one step.

gunicorn looks a dozen settings up for each request, and goes through its headers three times with rules for what can
be wrong with them. Here everything that those rules are about sends the bytes to gunicorn's own reading, from the
beginning: what is refused, and how, is its decision alone.
"""

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from gunicorn.http.body import Body, LengthReader  # type: ignore[import-untyped]
from gunicorn.http.message import (  # type: ignore[import-untyped]
    MAX_HEADERS,
    MAX_REQUEST_LINE,
    Request,
    _check_fast_parser,
    _ip_in_allow_list,
)
from gunicorn.http.parser import RequestParser  # type: ignore[import-untyped]

try:
    from gunicorn_h1c import IncompleteError, ParseError, parse_request  # type: ignore[import-untyped]
except ImportError:  # and then no settings are plain
    IncompleteError = ParseError = parse_request = None

#: A path, and a query; "//" and "#" have meanings of their own.
_TARGET = re.compile(rb"/(?!/)[!\"$-~]*|/")
_LENGTH = re.compile(r"[0-9]{1,15}", re.ASCII)

#: Settings with which there is more to do, and what they are without.
_PLAIN_SETTINGS = {
    "is_ssl": False,
    "protocol": "http",
    "proxy_protocol": "off",
    "http2_cleartext": "off",
    "casefold_http_method": False,
    "permit_unconventional_http_method": False,
    "permit_unconventional_http_version": False,
}

#: Headers that gunicorn acts upon before the application does.
_ACTED_UPON = frozenset({"EXPECT", "TRANSFER-ENCODING"})

#: Of a header as it was sent, its name in the environment; "" for those that are not for here. An underscore is not:
#: gunicorn has a setting for it. Clients choose names, so that they are neither long nor many.
_KEYS: dict[bytes, str] = {}
_MOST_KEYS = 1_000
_NAME = re.compile(rb"[A-Za-z0-9-]{1,64}")


def are_plain(cfg: Any) -> bool:
    """Whether gunicorn's settings are such that requests can be read here."""
    return (
        all((getattr(cfg, name) or False) == usual for name, usual in _PLAIN_SETTINGS.items())
        and 0 < cfg.limit_request_line <= MAX_REQUEST_LINE
        and 0 < cfg.limit_request_fields <= MAX_HEADERS
        and cfg.limit_request_field_size > 0
        and not {**cfg.env_orig, **cfg.env}.get("SCRIPT_NAME")
        and bool(_check_fast_parser(cfg))
    )


def is_plain_peer(cfg: Any, addr: Any) -> bool:
    """Whether it comes by TCP and is no proxy whose headers gunicorn itself believes."""
    return isinstance(addr, tuple) and not _ip_in_allow_list(
        addr[0], cfg.forwarded_allow_ips, cfg.forwarded_allow_networks()
    )


class PlainRequest(Request):  # type: ignore[misc]
    """One that has been read, with what gunicorn has of it."""

    version = (1, 1)
    scheme = "http"
    fragment = ""
    proxy_protocol_info: Mapping[str, Any] = {}
    trailers: Sequence[tuple[str, str]] = ()
    must_close = False

    def __init__(self, requests: "PlainRequests", method: str, target: str, environ: dict[str, Any]) -> None:
        self.cfg, self.unreader = requests.cfg, requests.unreader
        self.peer_addr = self.remote_addr = requests.source_addr
        self.req_number = requests.req_count
        self.method, self.uri, self.environ = method, target, environ
        self.path, _, self.query = target.partition("?")
        self.body: Any = None
        self.fields: Sequence[tuple[bytes, bytes]] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Only hooks and gunicorn's own access log ask for them."""
        return [(name.decode("latin-1").upper(), value.decode("latin-1")) for name, value in self.fields]

    def should_close(self) -> bool:
        """As gunicorn's."""
        return self.must_close or self.environ.get("HTTP_CONNECTION", "").lower() == "close"


class PlainRequests(RequestParser):  # type: ignore[misc]
    """gunicorn's parser, of one connection, with a short way for what is plain.

    Args:
        base: what the WSGI environments of the connection's requests have in common.
    """

    mesg: Any

    def __init__(self, cfg: Any, client: Any, addr: Any, base: Mapping[str, Any]) -> None:
        super().__init__(cfg, client, addr)
        self._base = dict(base)
        self._limits = {
            name: getattr(cfg, name)
            for name in ("limit_request_line", "limit_request_fields", "limit_request_field_size")
        }

    def __next__(self) -> Any:
        """As gunicorn's. Raises: StopIteration at the end; gunicorn's ParseException and NoMoreData, OSError."""
        before = self.mesg
        if before is not None:
            if before.should_close():
                raise StopIteration
            if type(before.body) is not BytesIO:
                self.finish_body()
        self.req_count += 1
        data = self.unreader.read()
        if not data:
            raise StopIteration
        self.mesg = self._plain(data)
        if self.mesg is None:
            self.unreader.unread(data)
            self.mesg = self.mesg_class(self.cfg, self.unreader, self.source_addr, self.req_count)
        return self.mesg

    def _plain(self, data: bytes) -> PlainRequest | None:
        """The request that these bytes begin with; None when gunicorn is to read them."""
        try:
            parsed = parse_request(data, **self._limits)
        except (IncompleteError, ParseError):
            return None
        target, fields = parsed["path"], parsed["headers"]
        if parsed["minor_version"] != 1 or not _TARGET.fullmatch(target):
            return None
        environ = self._base.copy()
        for name, value in fields:
            key = _KEYS.get(name)
            if key is None:
                key = _key_of(name)
            if not key or key in environ:  # one that comes twice
                return None
            environ[key] = value.decode("latin-1")
        rest = data[parsed["consumed"] :]
        body = self._body(environ.get("CONTENT_LENGTH"), rest)
        if body is None:
            return None
        request = PlainRequest(self, parsed["method"].decode("latin-1"), target.decode("latin-1"), environ)
        path = request.path
        environ["REQUEST_METHOD"] = request.method
        environ["RAW_URI"] = request.uri
        environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
        environ["QUERY_STRING"] = request.query
        environ["wsgi.input"] = request.body = body
        request.fields = fields
        return request

    def _body(self, length: str | None, rest: bytes) -> Any:
        """What is there of it already is read from memory. None for a length that is none."""
        if length is None:
            if rest:  # the next request
                self.unreader.unread(rest)
            return BytesIO()
        if not _LENGTH.fullmatch(length):
            return None
        size = int(length)
        if len(rest) < size:
            self.unreader.unread(rest)
            return Body(LengthReader(self.unreader, size))
        if len(rest) > size:
            self.unreader.unread(rest[size:])
        return BytesIO(rest[:size])


def _key_of(name: bytes) -> str:
    upper = name.decode("latin-1").upper()
    if not _NAME.fullmatch(name) or upper in _ACTED_UPON:
        return ""
    key = upper.replace("-", "_")
    if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        key = f"HTTP_{key}"
    if len(_KEYS) < _MOST_KEYS:
        _KEYS[name] = key
    return key
