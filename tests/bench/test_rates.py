"""bench.rates measures what it says it does, on a tiny run. No figure is judged."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.rates.peers import PEERS
from bench.rates.report import tables, write_into
from tests.conftest import ROOT

FIGURES = {"machine": {"when": "now"}, "how": {"rounds": "3"}}


def _told(ours: list[float], theirs: list[float]) -> dict[str, object]:
    def rounds(values: list[float]) -> list[dict[str, float]]:
        return [{"submit": value, "submit_cpu": 1e6 / value, "submit_redis_cpu": 7} for value in values]

    systems = {
        "taskgate": {"title": "ours", "rounds": rounds(ours)},
        "flask_docs": {"title": "theirs", "rounds": rounds(theirs)},
    }
    return {**FIGURES, "systems": systems}


@pytest.mark.long
@pytest.mark.timeout(400)
def test_a_tiny_run_of_all_measures(tmp_path: Path) -> None:
    file = tmp_path / "rates.json"
    command = [sys.executable, "-m", "bench.rates", "--quick", "--rounds", "2", "--systems", "taskgate"]

    ran = subprocess.run(
        [*command, "--queued", "10000", "--json", str(file)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stderr[-3000:]
    told = json.loads(file.read_text())
    last = told["systems"]["taskgate"]["rounds"][-1]
    rates = {"submit", "batch", "poll_pending", "drain", "poll_final", "poll_once", "not_modified"}
    times = {f"{way}_p{share}" for way in ("end_to_end", "end_to_end_polled", "held_poll") for share in (50, 95, 99)}
    assert {name for name in last if last[name] > 0} >= rates | times | {f"{name}_cpu" for name in rates}
    assert "memory_100k" in last
    assert list(told["growth"]) == ["10", "10,000"]
    assert told["growth"]["10,000"]["bytes_each"] > 500
    assert "| **Taskgate** |" in ran.stdout


def test_a_ratio_is_the_median_of_the_rounds_taken_pairwise() -> None:
    text = tables(_told(ours=[100, 900, 300], theirs=[100, 90, 60]))

    assert re.findall(r"^\| ours \| ([0-9.]+) \|$", text, re.MULTILINE) == ["5.00", "5.00", "300"]


def test_errors_among_the_answers_are_told() -> None:
    told = _told([1], [1])
    told["systems"]["taskgate"]["rounds"][0]["submit_errors"] = 0.004  # type: ignore[index]

    assert "Answered with errors: taskgate's submit 0.40%." in tables(told)


def test_the_text_around_the_figures_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    file.write_text("before\n<!-- figures: how -->\nold\n<!-- end of figures -->\nafter\n")

    write_into(file, r"new \1")

    assert file.read_text() == "before\n<!-- figures: how -->\nnew \\1\n<!-- end of figures -->\nafter\n"


@pytest.mark.parametrize("file", ["RESULTS.md", "PROFILES.md"])
def test_results_have_a_place_for_figures(file: str, tmp_path: Path) -> None:
    copy = tmp_path / file
    copy.write_text((ROOT / "bench" / file).read_text())

    write_into(copy, "figures")

    assert "-->\nfigures\n<!--" in copy.read_text()


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_installed_in_known_versions(name: str) -> None:
    lines = (ROOT / "bench" / "peers" / name / "requirements.txt").read_text().split()

    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z]+\])?==[0-9.]+", line) for line in lines)
