"""The README's figure for the Abt-Buy benchmark holds. The data lie outside of this repository."""

import os
from pathlib import Path

import pytest

from app.jobs.maintenance.services.matching import PartText, find_matches
from bench.matching import abt_buy
from bench.matching.generator import generate
from bench.matching.quality import evaluate


def _found(rows: list[abt_buy.Row]) -> list[tuple[str, str]]:
    return [(match.code_a, match.code_b) for match in find_matches([PartText(**row) for row in rows])]


@pytest.mark.skipif("ABT_BUY_DIR" not in os.environ, reason="set ABT_BUY_DIR to the folder of the Abt-Buy files")
def test_abt_buy() -> None:
    rows, truth = abt_buy.load(Path(os.environ["ABT_BUY_DIR"]))

    quality = evaluate(_found(rows), truth)

    assert quality.f1 >= 0.87
    assert quality.precision >= 0.90


def test_generated_catalogue() -> None:
    rows, truth = generate(4_000)

    assert evaluate(_found(rows), truth).f1 >= 0.90
