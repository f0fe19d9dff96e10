"""A job that waits in its queue, and an id that nobody has ever submitted.

Stock: nothing is written at publish, so both are PENDING, and neither exists (``celery/result.py``, ``state`` and
``exists``).
"""

from __future__ import annotations

from tests.against_stock.systems import System, contrast

UNKNOWN = {"state": "PENDING", "exists": False}


@contrast(
    stock={"queued": UNKNOWN, "never submitted": UNKNOWN},
    ours={"queued": {"state": "PENDING", "exists": True}, "never submitted": UNKNOWN},
)
def test_a_queued_job_is_told_from_an_unknown_one(system: System, expected: dict[str, object]) -> None:
    assert system.client.ask("tell_apart") == expected
