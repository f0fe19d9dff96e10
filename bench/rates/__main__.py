"""How fast this product is, beside what somebody would take instead: ``python -m bench.rates --help``."""

from __future__ import annotations

import argparse
import json
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rates.measures import MEASURES, NEEDS, Extent, Figures, State
from bench.rates.peers import PEERS, a_peer
from bench.rates.product import NAME, the_product
from bench.rates.system import System
from bench.rates.table import table

BASE = "flask_docs"

Rounds = dict[str, list[Figures]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measured(systems: list[str], measures: list[str], rounds: int, extent: Extent, place: Path, sync: str) -> Rounds:
    """Figures of each round by system."""
    taken = [name for name in MEASURES if name in {*measures, *(NEEDS.get(each, each) for each in measures)}]
    with ExitStack() as stack:
        running: list[System] = []
        for name in systems:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="rates-", dir=place)))
            start = the_product if name == NAME else (lambda *a, name=name, **k: a_peer(name, *a, **k))
            running.append(stack.enter_context(start(folder, free_port(), appendfsync=sync)))
        states = {system.name: State() for system in running}
        told: Rounds = {system.name: [] for system in running}
        for number in range(rounds):
            for system in running:
                system.forget_jobs()
                told[system.name].append({})
            for measure in taken:
                # One measure of all systems, then the next: what is compared is measured close together.
                for system in running if number % 2 == 0 else reversed(running):
                    state = states[system.name]
                    figures = MEASURES[measure](system, state, extent)
                    told[system.name][-1] |= figures
                    shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
                    print(f"round {number + 1} of {rounds}, {system.name}: {shown}", file=sys.stderr, flush=True)
            for state in states.values():
                state.rounds += 1
        return told


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rates", description=__doc__)
    parser.add_argument("--systems", default=f"{NAME},{BASE}", help=f"of {NAME}, {', '.join(PEERS)}; or all")
    parser.add_argument("--only", default=",".join(MEASURES), help=f"of {', '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round of a second each")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument(
        "--data", type=Path, default=Path("/dev/shm"), help="where the Redis servers keep their files"
    )
    parser.add_argument("--appendfsync", default="always", choices=["always", "everysec", "no"])
    options = parser.parse_args()
    extent = Extent(seconds=1, ids=200, drain_jobs=(500, 2_000), round_trips=50) if options.quick else Extent()
    systems = [NAME, *PEERS] if options.systems == "all" else options.systems.split(",")
    rounds = 1 if options.quick else options.rounds
    told = measured(systems, options.only.split(","), rounds, extent, options.data, options.appendfsync)
    if options.json:
        options.json.write_text(json.dumps(told, indent=1))
    print(table(told, BASE))


if __name__ == "__main__":
    main()
