"""``celery -A libs.flask_celery:celery_app beat``: 10:00 and 17:00 in whatever zone, and once each, by two beats.

What clients' schedules do, and beats that are stopped or frozen, is in tests/functional/test_beat.py.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from celery.schedules import crontab
from redis import Redis

from libs.flask_celery.schedules.due_times import as_ms, as_time, first_due, turn_of
from libs.flask_celery.schedules.firing import due_task_id
from libs.flask_celery.schedules.schedules import ScheduleKeys
from libs.flask_celery.schedules.stored import as_timing
from tests.conftest import ROOT, wait_until
from tests.installation import Installation, an_installation

GRACE = 3_600_000

#: The days around both changes of the clocks in Europe, 2026.
SPRING, AUTUMN = ("2026-03-28", "2026-03-29", "2026-03-30"), ("2026-10-24", "2026-10-25", "2026-10-26")


def due_on(days: tuple[str, ...], zone: str) -> dict[str, list[str]]:
    """By day, the UTC times at which a beat that looks a little late has run "10:00 and 17:00 every day"."""
    timing = as_timing(crontab(minute=0, hour="10,17"), zone)
    due = first_due(timing, as_ms(datetime.fromisoformat(f"{days[0]}T00:00Z")))
    ran: dict[str, list[str]] = {day: [] for day in days}
    while due is not None and as_time(due).strftime("%Y-%m-%d") in ran:
        turn = turn_of(timing, due, due + 700, GRACE)
        assert turn.run == due
        day, time = as_time(due).strftime("%Y-%m-%d %H:%M:%S").split()
        ran[day].append(time)
        due = turn.following
    return ran


@pytest.mark.parametrize("days", [SPRING, AUTUMN])
def test_a_zone_without_summer_time_has_the_same_instants_all_year(days: tuple[str, ...]) -> None:
    assert due_on(days, "Asia/Shanghai") == {day: ["02:00:00", "09:00:00"] for day in days}


@pytest.mark.parametrize(
    ("days", "summer", "winter"), [(SPRING, SPRING[1:], SPRING[:1]), (AUTUMN, AUTUMN[:1], AUTUMN[1:])]
)
def test_a_zone_with_summer_time_keeps_to_the_clock_on_the_wall(
    days: tuple[str, ...], summer: tuple[str, ...], winter: tuple[str, ...]
) -> None:
    in_summer = {day: ["08:00:00", "15:00:00"] for day in summer}
    in_winter = {day: ["09:00:00", "16:00:00"] for day in winter}
    assert due_on(days, "Europe/Berlin") == in_summer | in_winter


class Host:
    """A checkout of its own, in which beat is started as the notes have it: ``cd`` there, and Celery's command."""

    def __init__(self, installation: Installation, name: str) -> None:
        checkout = installation.folder / name
        checkout.mkdir()
        for part in ("app", "libs", "config.py"):
            (checkout / part).symlink_to(ROOT / part)
        self.log_path = checkout / "beat.log"
        environment = {name: value for name, value in installation.environment.items() if name != "PYTHONPATH"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        command = f"cd {checkout} && exec celery -A libs.flask_celery:celery_app beat"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                ["/bin/sh", "-c", command], env=environment, cwd="/", stdout=log, stderr=log
            )
        installation.processes.callback(self.kill)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def wait_started(self) -> Host:
        wait_until(self._has_started, timeout=60, what="beat")
        return self

    def _has_started(self) -> bool:
        log = self.log_path.read_text(errors="replace")
        assert self.process.poll() is None, log
        return "beat" in log and "is starting" in log


class Fired:
    """What has been submitted for a schedule of every second: nobody takes it off its queue."""

    def __init__(self, installation: Installation) -> None:
        self.celery = installation.app.extensions["celery"]
        self.url = installation.redis.url

    def ids(self) -> list[str]:
        with Redis.from_url(self.url, db=2) as broker:
            return [json.loads(message)["headers"]["id"] for message in broker.lrange("default", 0, -1)][::-1]

    def due_times(self) -> list[int]:
        """In ms, in the order of the queue; every job must be that of a due time."""
        ids = self.ids()
        with Redis.from_url(self.url, db=1, decode_responses=True) as results:
            following = int(str(results.hget(ScheduleKeys("").schedule("sums"), "due")))
        known = {
            due_task_id(self.celery, "sums", due): due for due in range(following - 600_000, following + 1, 1_000)
        }
        return [known[task_id] for task_id in ids]


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    schedule = {"sums": {"task": "maintenance.adds", "schedule": 1, "kwargs": {"a": 1, "b": 2}}}
    settings = {"CELERY_BEAT_SCHEDULE": json.dumps(schedule), "CELERY_BEAT_MAX_LOOP_INTERVAL": "0.3"}
    with an_installation(tmp_path, **settings) as installation:
        yield installation


@pytest.mark.long
def test_two_beats_fire_once_and_what_comes_after_a_kill_goes_on(installation: Installation) -> None:
    fired = Fired(installation)
    hosts = [Host(installation, "one"), Host(installation, "two")]
    for host in hosts:
        host.wait_started()
    wait_until(lambda: len(fired.ids()) >= 4, what="four jobs")

    for host in hosts:
        host.kill()

    before = fired.due_times()
    assert before == list(range(before[0], before[0] + 1_000 * len(before), 1_000))  # none skipped, none twice
    Host(installation, "three").wait_started()
    wait_until(lambda: len(fired.ids()) >= len(before) + 3, timeout=60, what="three more")
    after = fired.due_times()[len(before) :]
    # The newest of what was missed, for all of it, and then each.
    assert after == list(range(after[0], after[0] + 1_000 * len(after), 1_000))
    assert after[0] > before[-1]
    assert as_ms(datetime.now(UTC)) >= after[-1]
