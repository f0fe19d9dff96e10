"""A worker dies between taking a message and registering it.

Stock: BRPOP takes it off its queue, and ``QoS.append`` registers it in a second step (``kombu/transport/redis.py``;
kombu issue 305, celery issue 4354).
"""

from __future__ import annotations

from enum import StrEnum

from tests.against_stock.systems import SHORT_TIMEOUT, Place, System, contrast


class Fate(StrEnum):
    LOST = "the message is nowhere in Redis"
    RUN_LATER = "another worker has run the job"


def observe(system: System) -> Fate:
    doomed = system.start_worker("--pool", "solo", fault="die_with_a_message_in_hand")
    job = system.publish("probe.work", "job")
    doomed.process.wait(60)
    if system.place(job) is Place.NOWHERE:
        assert system.state(job) == "PENDING"
        return Fate.LOST
    system.start_worker("--pool", "solo", broker_transport_options=SHORT_TIMEOUT)
    assert system.ended(job) == "SUCCESS"
    return Fate.RUN_LATER


@contrast(stock=Fate.LOST, ours=Fate.RUN_LATER)
def test_a_message_is_always_in_its_queue_or_registered(system: System, expected: Fate) -> None:
    assert observe(system) is expected
