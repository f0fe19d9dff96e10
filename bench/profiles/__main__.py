"""Where the time goes, by py-spy, in the API's process under load and in the workers of a full queue.

``python -m bench.profiles [--seconds 10] [--write bench/PROFILES.md]`` starts the product as ``bench.rates`` does. A
share is of the samples in which the process had something to do, with what a function calls; "itself" without.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from bench.rates.__main__ import IN_MEMORY, free_port
from bench.rates.load import put_load
from bench.rates.machine import machine
from bench.rates.measures import submitted
from bench.rates.product import the_product
from bench.rates.report import as_list, write_into
from bench.rates.system import System

_SAMPLES_A_SECOND = 200
_FUNCTION = re.compile(r"(.+) \((.+?)(?::\d+)?\)\Z")

#: What wraps all else has nearly every sample and says nothing.
_LEAST, _MOST = 0.02, 0.88


def sampled(process: psutil.Process, seconds: float) -> Counter[tuple[str, ...]]:
    """Stacks, outermost first, by how often each was seen."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "stacks")
        command = ["record", "--pid", str(process.pid), "--duration", str(round(seconds)), "--output", str(file)]
        options = ["--format", "raw", "--function", "--nonblocking", "--rate", str(_SAMPLES_A_SECOND)]
        program = Path(sys.executable).with_name("py-spy")
        subprocess.run([str(program), *command, *options], check=True, capture_output=True, timeout=seconds + 60)
        stacks: Counter[tuple[str, ...]] = Counter()
        for line in file.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            stacks[tuple(map(_named, stack.split(";")))] += int(count)
    return stacks


def _named(frame: str) -> str:
    found = _FUNCTION.match(frame)
    return f"{found[2].removeprefix('./')} {found[1]}" if found else frame


def summary(stacks: Counter[tuple[str, ...]], rows: int = 30) -> str:
    """The functions with the largest shares, and those that themselves take the most."""
    whole = sum(stacks.values())
    with_calls: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for stack, count in stacks.items():
        alone[stack[-1]] += count
        for function in set(stack):
            with_calls[function] += count
    shown = [(function, count) for function, count in with_calls.most_common() if _LEAST <= count / whole <= _MOST][
        :rows
    ]
    lines = [f"{whole:,} samples", "", "| share | itself | function |", "|---|---|---|"]
    lines += [f"| {count / whole:.0%} | {alone[function] / whole:.0%} | `{function}` |" for function, count in shown]
    most = ", ".join(f"`{function}` {count / whole:.0%}" for function, count in alone.most_common(10))
    return "\n".join([*lines, "", f"Itself the most: {most}."])


def of_the_api(system: System, requests: list[bytes], seconds: float) -> str:
    assert system.api_process is not None
    [serving] = system.api_process.children()
    put_load(system.port, requests, 1)
    with ThreadPoolExecutor(1) as beside:
        load = beside.submit(put_load, system.port, requests, seconds + 2)
        text = summary(sampled(serving, seconds))
        load.result()
    return text


def of_the_workers(system: System, seconds: float, jobs: int) -> dict[str, str]:
    """By what the process is; of the busiest main process, and of the busiest child if there are children."""
    ids = submitted(system, jobs)
    system.start_workers()
    try:
        with system.connect() as connection:
            system.wait_final(connection, ids[jobs // 20])
        kinds = {
            "A worker's main process": system.worker_processes,
            "A process of its pool": [child for each in system.worker_processes for child in each.children()],
        }
        busiest = {kind: _busiest(processes) for kind, processes in kinds.items() if processes}
        with ThreadPoolExecutor(len(busiest)) as beside:
            stacks = {kind: beside.submit(sampled, process, seconds) for kind, process in busiest.items()}
        return {kind: summary(each.result()) for kind, each in stacks.items()}
    finally:
        system.stop_workers()


def _busiest(processes: list[psutil.Process]) -> psutil.Process:
    before = {process: sum(process.cpu_times()[:2]) for process in processes}
    time.sleep(1)
    return max(processes, key=lambda process: sum(process.cpu_times()[:2]) - before[process])


def main(seconds: float, jobs: int, write: Path | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # nothing that was started is left behind
    parts = {"Measured": as_list(machine())}
    with (
        TemporaryDirectory(prefix="rates-", dir=IN_MEMORY, ignore_cleanup_errors=True) as folder,
        the_product(Path(folder), free_port(), appendfsync="always") as system,
    ):
        protocol = system.protocol
        parts["The API: submitting"] = of_the_api(system, [protocol.submission()], seconds)
        waiting = [protocol.reading(each) for each in submitted(system, 500)]
        parts["The API: polling jobs that wait"] = of_the_api(system, waiting, seconds)
        system.forget_jobs()
        parts |= of_the_workers(system, seconds, jobs)
        system.forget_jobs()
        ids = submitted(system, 500)
        system.start_workers()
        with system.connect() as connection:
            for task_id in ids:
                system.wait_final(connection, task_id)
        system.stop_workers()
        parts["The API: polling jobs that have ended"] = of_the_api(
            system, [protocol.reading(each) for each in ids], seconds
        )
    text = "\n\n".join(f"## {title}\n{part}" for title, part in parts.items())
    print(text)
    if write:
        write_into(write, text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.profiles", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--jobs", type=int, default=10_000, help="in the queue that the workers empty")
    parser.add_argument("--write", type=Path, help="into this file, between its marks")
    main(**vars(parser.parse_args()))
