"""One request and its answer: no redirect is followed, no proxy is used, certificates are verified."""

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLContext

import httpcore
import httpx

from app.outgoing.guard import GuardedBackend


@contextmanager
def exchange(
    method: str,
    url: str,
    *,
    backend: GuardedBackend,
    headers: Mapping[str, str],
    limits: Mapping[str, float],
    content: bytes | None = None,
) -> Iterator[httpcore.Response]:
    """The answer, of which the head has been read. The connection is this request's alone.

    Args:
        limits: seconds for each step, ``connect``, ``read``, ``write`` and ``pool``; ``backend`` has those for all.

    Raises: httpcore's errors, and the guard's.
    """
    parts = httpx.URL(url)
    target = httpcore.URL(scheme=parts.raw_scheme, host=parts.raw_host, port=parts.port, target=parts.raw_path)
    said = {"Host": parts.netloc.decode(), "User-Agent": "Taskgate", **headers}
    extensions = {"timeout": dict(limits)}
    with (
        httpcore.ConnectionPool(
            tls_context() if target.scheme == b"https" else None, network_backend=backend
        ) as pool,
        pool.stream(method, target, headers=[*said.items()], content=content, extensions=extensions) as response,
    ):
        yield response


def read_some(response: httpcore.Response, most: int) -> None:
    """Of the body, so that who answers is not cut off in a short answer; one that breaks off is not our business."""
    read = 0
    try:
        for chunk in response.iter_stream():
            read += len(chunk)
            if read >= most:
                return
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        return


@functools.cache
def tls_context() -> SSLContext:
    """Verifies, by the certificates of certifi, or of ``SSL_CERT_FILE``. Reading them takes 20 ms."""
    return httpx.create_ssl_context()
