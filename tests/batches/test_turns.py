"""What takes long leaves other greenlets their turn."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

#: Half a second of work, and how often another greenlet that waits for a timer comes to its turn meanwhile.
_WORK = """
from gevent import monkey; monkey.patch_all()
import time, gevent
from libs.flask_celery import Turns

ticks = []
def tick():
    while True:
        gevent.sleep(0.001)
        ticks.append(1)

gevent.spawn(tick)
gevent.sleep(0.01)
turns, end = Turns(), time.process_time() + 0.5
ticks.clear()
while time.process_time() < end:
    turns()
print(len(ticks))
"""


def test_others_have_their_turn_every_few_milliseconds() -> None:
    command = [sys.executable, "-W", "ignore", "-c", _WORK]
    outcome = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)

    assert int(outcome.stdout) > 25
