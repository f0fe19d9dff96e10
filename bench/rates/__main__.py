"""How fast this product is, beside what somebody would take instead. See bench/RESULTS.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from bench.rates.growth import growth
from bench.rates.load import CONNECTIONS
from bench.rates.machine import machine
from bench.rates.measures import MEASURES, NEEDS, QUICK, Extent, Figures, State
from bench.rates.peers import PEERS, a_peer, versions_of
from bench.rates.product import NAME, SETTINGS, the_product
from bench.rates.report import BASE, tables, write_into
from bench.rates.system import System
from tests.conftest import ROOT

IN_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Run:
    """What is measured, and how."""

    systems: list[str]
    measures: list[str]
    rounds: int
    extent: Extent
    place: Path
    appendfsync: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measured(run: Run) -> dict[str, list[Figures]]:
    """Figures of each round, by system."""
    wanted = {*run.measures, *(NEEDS[each] for each in run.measures if each in NEEDS)}
    with ExitStack() as stack:
        running = [stack.enter_context(_started(name, run, stack)) for name in run.systems]
        states = {system.name: State() for system in running}
        told: dict[str, list[Figures]] = {system.name: [] for system in running}
        for number in range(run.rounds):
            for system in running:
                told[system.name].append({})
            for name in [name for name in MEASURES if name in wanted]:
                # One measure of all systems, then the next: what is compared is measured close together.
                for system in running if number % 2 == 0 else reversed(running):
                    figures = MEASURES[name](system, states[system.name], run.extent)
                    told[system.name][-1] |= figures
                    shown = ", ".join(f"{key} {value:,.4g}" for key, value in figures.items())
                    print(f"round {number + 1}, {system.name}: {shown or '-'}", file=sys.stderr, flush=True)
            for state in states.values():
                state.rounds += 1
        return told


def _started(name: str, run: Run, stack: ExitStack) -> AbstractContextManager[System]:
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="rates-", dir=run.place, ignore_cleanup_errors=True)))
    if name == NAME:
        return the_product(folder, free_port(), appendfsync=run.appendfsync)
    return a_peer(name, folder, free_port(), appendfsync=run.appendfsync)


def waiting(place: Path) -> list[str]:
    """What the measure of waiting clients says."""
    lines = []
    for mode in ("poll", "events"):
        command = [sys.executable, "-m", "bench.waiting", "--mode", mode, "--rounds", "1"]
        ran = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "TMPDIR": str(place)}, capture_output=True, text=True, check=False
        )
        lines += ran.stdout.splitlines() or [f"{mode}: it failed: {ran.stderr[-300:]}"]
    return lines


def all_of(run: Run, *, grows_to: list[int], waits: bool) -> dict[str, Any]:
    """Everything, as it is written as JSON."""
    where = machine()
    titles = {NAME: "**Taskgate**", **{name: str(spec["title"]) for name, spec in PEERS.items()}}
    rounds = measured(run)
    return {
        "machine": where,
        "how": how(run),
        "systems": {
            name: {"title": titles[name], "versions": [] if name == NAME else versions_of(name), "rounds": figures}
            for name, figures in rounds.items()
        },
        "growth": growth(grows_to, run.extent, run.place, free_port(), appendfsync=run.appendfsync)
        if grows_to
        else {},
        "waiting": waiting(run.place) if waits else [],
    }


def how(run: Run) -> dict[str, str]:
    extent = run.extent
    return {
        "rounds": f"{run.rounds}, interleaved; {extent.seconds:g} s of load in each, {CONNECTIONS} connections",
        "Redis": f"one each, with a unix socket, appendonly, appendfsync {run.appendfsync}, files in {run.place}",
        "Taskgate": f"as `manage.py up` starts it; {', '.join(f'{key}={value}' for key, value in SETTINGS.items())}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.rates", description=__doc__)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--quick", action="store_true", help="one round of a second each: that it works")
    kind.add_argument("--full", action="store_true", help="all systems and measures, a million jobs, waiting clients")
    parser.add_argument("--systems", help=f"by default {NAME},{BASE}; all, or of {NAME}, {', '.join(PEERS)}")
    parser.add_argument("--only", default=",".join(MEASURES), help=f"measures, of {', '.join(MEASURES)}")
    parser.add_argument("--rounds", type=int, help="3 by default")
    parser.add_argument("--seconds", type=float, help="of load in each round, 3 by default")
    parser.add_argument("--queued", type=int, help="measure with so many jobs queued, too")
    parser.add_argument("--json", type=Path, help="write all figures here")
    parser.add_argument("--write", type=Path, help="write the tables into this file, between its marks")
    parser.add_argument("--from", type=Path, help="measure nothing: the tables of a file that --json has written")
    parser.add_argument(
        "--data",
        type=Path,
        default=IN_MEMORY if IN_MEMORY.is_dir() else Path(gettempdir()),
        help="where the Redis servers keep their files; in memory by default, for else the disk is what is measured",
    )
    parser.add_argument("--appendfsync", default="always", choices=["always", "everysec", "no"])
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing that was started is left behind
    given = getattr(options, "from")
    told = json.loads(given.read_text()) if given else _measure(options)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(told, indent=1))
    print(tables(told))
    if options.write:
        write_into(options.write, tables(told))


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    extent = QUICK if options.quick else Extent()
    named = options.systems or ("all" if options.full else f"{NAME},{BASE}")
    run = Run(
        systems=[NAME, *PEERS] if named == "all" else named.split(","),
        measures=options.only.split(","),
        rounds=options.rounds or (1 if options.quick else 3),
        extent=replace(extent, seconds=options.seconds) if options.seconds else extent,
        place=options.data,
        appendfsync=options.appendfsync,
    )
    queued = options.queued or (1_000_000 if options.full else 0)
    return all_of(run, grows_to=[10, queued] if queued else [], waits=options.full)


if __name__ == "__main__":
    main()
