"""The maintenance jobs against what a user would write instead: python -m bench.jobs_against_peers JOB --rows NUMBER

Each peer has an environment of its own, as those of bench.rates have, from bench/peers. Each run is a process of its
own; rounds interleave. Ours is measured alone and with a fork, too. Prints medians of CPU and wall seconds, the peak
memory of the largest process and, of matching, precision, recall and F1, as a Markdown table.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.matching.generator import generate
from bench.matching.quality import evaluate
from bench.onboarding.catalogues import write_csv
from bench.rates.peers import environment_of

_HERE = Path(__file__).parent
_TIMEOUT = 1800


@dataclass
class Runs:
    """One peer's rounds: CPU seconds with those of its children, wall seconds, peak MiB."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    peak: list[float] = field(default_factory=list)

    def run(self, *command: object) -> None:
        started = time.perf_counter()
        with subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, cwd=_HERE.parent) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{command} failed")
        self.wall.append(time.perf_counter() - started)
        self.cpu.append(usage.ru_utime + usage.ru_stime)
        self.peak.append(usage.ru_maxrss / 1024)  # Linux counts in KiB

    def __str__(self) -> str:
        cpu, wall = statistics.median(self.cpu), statistics.median(self.wall)
        return f"{cpu:.1f} | {wall:.1f} | {max(self.peak):.0f}"


def matching(rows: int, rounds: int, folder: Path) -> None:
    table, truth = generate(rows)
    source = folder / "rows.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    peers = _HERE / "matching" / "peers"
    commands = {
        **_ours("match_self_table", peers),
        "recordlinkage": (environment_of("recordlinkage") / "python", peers / "recordlinkage_pairs.py"),
        "splink": (environment_of("splink") / "python", peers / "splink_pairs.py"),
    }
    runs = {name: Runs() for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].run(*command, source, folder / f"{name}.csv")
    print("| matching | CPU s | wall s | peak MiB | precision | recall | F1 |\n|---|---|---|---|---|---|---|")
    for name, run in runs.items():
        with (folder / f"{name}.csv").open(newline="") as file:
            found = [(row[0], row[1]) for row in list(csv.reader(file))[1:]]
        quality = evaluate(found, truth)
        print(f"| {name} | {run} | {quality.precision:.3f} | {quality.recall:.3f} | {quality.f1:.3f} |", flush=True)


def refreshing(rows: int, rounds: int, folder: Path, database: str | None) -> None:
    source = folder / "catalogue.csv"
    write_csv(source, rows)
    peers = _HERE / "onboarding" / "peers"
    commands = {
        **_ours("refresh_onboard_table", peers),
        "pandas": (environment_of("tables") / "python", peers / "pandas_refresh.py"),
        "polars": (environment_of("tables") / "python", peers / "polars_refresh.py"),
    }
    runs = {name: Runs() for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            file = folder / f"{name}.db"
            file.unlink(missing_ok=True)
            runs[name].run(*command, source, database or f"sqlite:///{file}")
    print("| refresh | CPU s | wall s | peak MiB |\n|---|---|---|---|")
    for name, run in runs.items():
        print(f"| {name} | {run} |", flush=True)


def _ours(job: str, peers: Path) -> dict[str, tuple[object, ...]]:
    """On one core and on two."""
    alone = ("taskset", "--cpu-list", str(min(os.sched_getaffinity(0))))
    command = (sys.executable, peers / "ours.py")
    return {f"{job}, one core": (*alone, *command), f"{job}, all cores": command}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.jobs_against_peers", description=__doc__)
    parser.add_argument("job", choices=["matching", "refreshing"])
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--database", help="URL of a database for the refresh; default: a new SQLite for each run")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.job == "matching":
            matching(options.rows, options.rounds, Path(name))
        else:
            refreshing(options.rows, options.rounds, Path(name), options.database)


if __name__ == "__main__":
    main()
