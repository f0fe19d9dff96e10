"""Threads of one process that publish, as a threaded server's do.

Stock: each has a result backend of its own, with connections of its own (``celery/app/base.py``, ``backend``).
"""

from __future__ import annotations

from tests.against_stock.systems import System, contrast

THREADS = 8


@contrast(stock=THREADS, ours=1)
def test_threads_share_one_backend(system: System, expected: int) -> None:
    assert system.client.ask("backends_of_threads", THREADS) == expected
