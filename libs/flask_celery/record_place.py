"""Whether broker and results are one Redis server, told from their addresses."""

from urllib.parse import urlsplit

from libs.flask_celery.transport import RecordPlace


def record_place(broker_url: str, result_url: str, prefix: str = "", serializer: str = "json") -> RecordPlace | None:
    """Where the records are, seen from the broker's connection; None when they are on another server.

    Only then can one script write both. Sentinel URLs count as one server when they name the same hosts.
    """
    broker, result = _server_and_database(broker_url), _server_and_database(result_url)
    if broker is None or result is None or broker[0] != result[0]:
        return None
    return RecordPlace(database=result[1], prefix=prefix, serializer=serializer)


def _server_and_database(url: str) -> tuple[str, int] | None:
    hosts = url.split(";")
    parts = urlsplit(hosts[0])
    if parts.scheme == "sentinel":
        database = parts.path.strip("/") or "0"
        server = f"sentinel://{','.join(sorted(_host_and_port(host, 26379) for host in hosts))}"
    elif len(hosts) > 1:
        return None  # servers that stand in for one another
    elif parts.scheme in ("redis", "rediss"):
        database = parts.path.strip("/") or "0"
        server = f"{parts.scheme}://{_host_and_port(url, 6379)}"
    elif parts.scheme == "redis+socket":
        database = dict(pair.partition("=")[::2] for pair in parts.query.split("&")).get("virtual_host", "0")
        server = parts.path
    else:
        return None
    if not database.strip("/").isdigit():
        return None
    return server, int(database.strip("/"))


def _host_and_port(url: str, default_port: int) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or default_port}"
