"""What a request costs with a million jobs queued, beside what it costs with none."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from app.api_keys import Scope, create_key
from app.extensions import db
from bench.rates.http import request
from bench.rates.load import put_load
from bench.rates.measures import Extent, Figures, Spent, submitted
from bench.rates.product import API, Product, protocol_for, the_product
from bench.reconciling.__main__ import fill

#: Who fills the queue.
OWNER = "ann"

#: Jobs of each pass that are submitted before it is measured, for the list to be full and for polls.
_FEW = 200


def growth(counts: list[int], extent: Extent, place: Path, port: int, *, appendfsync: str) -> dict[str, Figures]:
    """Figures by how many jobs are queued."""
    told: dict[str, Figures] = {}
    with (
        TemporaryDirectory(prefix="rates-", dir=place) as folder,
        the_product(Path(folder), port, appendfsync=appendfsync) as system,
    ):
        system.protocol = protocol_for(_key(system))
        submitted(system, _FEW)
        _measured(system, extent)  # what is loaded and kept at first use
        for count in counts:
            with system.redis_client() as client:
                queued = client.execute_command("EVAL", _QUEUED, 0)
                before = client.info("memory")["used_memory"]
                fill(system.app, f"unix://{system.redis.socket_path}", count - queued)
                after = client.info("memory")["used_memory"]
            figures = _measured(system, extent)
            if count - queued > 1_000:
                figures["bytes_each"] = (after - before) / (count - queued)
            told[f"{count:,}"] = figures
            shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
            print(f"{count:,} queued: {shown}", file=sys.stderr, flush=True)
    return told


_QUEUED = "redis.call('select', 2); return redis.call('llen', 'default')"


def _key(system: Product) -> str:
    with system.app.app_context():
        key = create_key(db.session(), OWNER, {Scope.SUBMIT, Scope.READ})
        db.session.commit()
    return key


def _measured(system: Product, extent: Extent) -> Figures:
    protocol = system.protocol
    [known] = submitted(system, 1)
    requests = {
        "submit": protocol.submission(),
        "poll_pending": protocol.reading(known),
        "list": request("GET", f"{API}/jobs?limit=20", protocol.headers),
        "list_by_state": request("GET", f"{API}/jobs?limit=20&state=PENDING", protocol.headers),
    }
    figures: Figures = {}
    for name, raw in requests.items():
        with Spent(system) as spent:
            load = put_load(system.port, [raw], extent.seconds)
        figures |= {name: load.rate, **spent.each(name, load.requests)}
    return figures
