"""How lines of the access log are written."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.log_output import WholeLines


@pytest.fixture
def switches_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switches_often")
def test_lines_of_many_threads_are_all_there_and_whole(tmp_path: Path) -> None:
    threads, lines = 8, 1_000
    with (tmp_path / "lines").open("w") as file, ThreadPoolExecutor(threads) as pool:
        handler = WholeLines(file)

        def write(thread: int) -> None:
            for number in range(lines):
                text = f"{thread} {number} " + "x" * (number % 300)
                handler.handle(logging.LogRecord("a", logging.INFO, "", 0, text, None, None))

        list(pool.map(write, range(threads)))

    written = Counter((tmp_path / "lines").read_text().splitlines())
    expected = [f"{thread} {number} " + "x" * (number % 300) for thread in range(threads) for number in range(lines)]
    assert written == Counter(expected)


def test_a_line_is_there_as_soon_as_it_has_been_written(tmp_path: Path) -> None:
    with (tmp_path / "lines").open("w") as file:
        WholeLines(file).handle(logging.LogRecord("a", logging.INFO, "", 0, "now", None, None))
        assert (tmp_path / "lines").read_text() == "now\n"
