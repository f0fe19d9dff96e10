"""Addresses of a Redis: which are one, and how to name another database of the same server."""

from urllib.parse import SplitResult, parse_qs, urlsplit

_SCHEMES = ("redis", "rediss", "sentinel", "redis+socket")


class RedisAddressError(ValueError):
    """What is no address of a Redis. The address itself is not repeated: it may hold a password."""


def with_database(redis_url: str, database: int, *, setting: str = "REDIS_URL") -> str:
    """The same Redis, another database. A socket's database is its ``virtual_host`` (kombu's and Celery's form).

    Raises: RedisAddressError, which names the ``setting``.
    """
    hosts = redis_url.split(";")
    parts = [_split(setting, host, (*_SCHEMES, "unix")) for host in hosts]
    first = parts[0]
    if first.scheme in ("redis+socket", "unix"):
        if parse_qs(first.query).keys() - {"db", "virtual_host"}:
            # kombu reads a socket's password from there only.
            raise RedisAddressError(
                f"{setting} wants a socket's password before its path: redis+socket://:password@/path."
            )
        # Put together by hand: geturl() drops the slashes of a scheme it does not know.
        return f"redis+socket://{first.netloc}{first.path}?virtual_host={database}"
    return ";".join(part._replace(path=f"/{database}").geturl() for part in parts)


def checked(redis_url: str, *, setting: str) -> str:
    """The address as it was given, of a server or of several sentinels. Raises: RedisAddressError."""
    for host in redis_url.split(";"):
        _split(setting, host, _SCHEMES)
    return redis_url


def _split(setting: str, url: str, schemes: tuple[str, ...]) -> SplitResult:
    """Raises: RedisAddressError."""
    wanted = (
        f"{setting} wants a Redis address such as redis://host:6379, rediss://host:6379, "
        "sentinel://host:26379;sentinel://host:26379 or redis+socket:///path"
    )
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - urllib checks it only when asked
    except ValueError as error:
        raise RedisAddressError(f"{wanted}, its special characters percent-encoded.") from error
    if parts.scheme not in schemes:
        raise RedisAddressError(f"{wanted}, not one of scheme {parts.scheme!r}.")
    return parts
