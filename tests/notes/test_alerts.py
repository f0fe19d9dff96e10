"""The digest of failed jobs, rejected rows and duplicates: by beat at 10:00 and 17:00 in Shanghai, mailed once.

A real beat, a real worker and a real SMTP server that wants STARTTLS and a login. The clock is moved by moving the
schedule's due time, which is what the digest goes by.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import g

from libs.flask_celery import FlaskCelery, JobRecord, JobState, Schedule, Schedules
from libs.flask_celery.facts import HEADER, SubmissionFacts
from libs.flask_celery.schedules.firing import due_task_id
from tests.conftest import ROOT, Worker, wait_until
from tests.functional.job_runs import LOAD_PROBES, JobRuns, job_runs
from tests.mail_server import USER, Hold, MailServer, Received, mail_server, make_certificate
from tests.schedules.conftest import Clock

TASK = "alerts.email_alert"

HOSTILE = "<script>alert(1)</script>\r\nBcc: victim@example.com\r\n\r\n</td><a href=//evil.example>Click</a>"

CATALOGUE = b"""code,name,description,price
R-100,Resistor 10k 1% 0603 thick film,Resistor 10 kOhm 0603,0.10
R-101,Resistor 10k 1% 0603 thick film,Resistor 10 kOhm 0603,0.10
R-102,,no name,1
R-103,Washer M3,"<b>bold</b>",cheap
"""

#: Seconds after which a killed worker's jobs run elsewhere.
LEASE = 3


class Beat:
    """A real ``celery beat``, started as an operator starts it."""

    def __init__(self, runs: JobRuns) -> None:
        command = [sys.executable, "-m", "celery", "-A", "libs.flask_celery:celery_app", "beat", "--pidfile", ""]
        environment = runs.installation.environment
        with (runs.installation.folder / "beat.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Alerts:
    """What an operator has running, and whom it mails."""

    def __init__(self, runs: JobRuns, server: MailServer, processes: ExitStack) -> None:
        self.runs, self.server = runs, server
        self.celery: FlaskCelery = runs.celery
        self.schedules = Schedules(self.celery)
        self.clock = Clock(self.celery, self.schedules)
        self.worker = self.start_worker()
        self.beat = Beat(runs)
        processes.callback(self.stop_beat)
        wait_until(self.schedules.in_code, timeout=60, what="beat's schedules")

    def start_worker(self) -> Worker:
        self.worker = self.runs.installation.start_worker(*LOAD_PROBES, "--pool", "threads", "--concurrency", "2")
        return self.worker

    def stop_beat(self) -> None:
        self.beat.kill()

    def kill_worker(self) -> None:
        self.worker.process.kill()
        self.worker.process.wait(10)

    @property
    def schedule(self) -> Schedule:
        [schedule] = [schedule for schedule in self.schedules.in_code() if schedule.task == TASK]
        return schedule

    def come_due(self) -> str:
        """Returns: the id of the job that beat submits for it, as far as beat is there."""
        return due_task_id(self.celery, TASK, self.clock.make_due(self.schedule))

    def alert(self) -> JobRecord:
        return self.runs.ended(self.come_due(), timeout=60)

    def submit(self, task: str, owner: str, **params: Any) -> JobRecord:
        with self.runs.installation.app.app_context():
            g.principal = owner
            return self.runs.ended(self.celery.send_task(task, kwargs=params).id)

    def fail(self) -> str:
        """A job whose error repeats what its owner has made up."""
        job = self.submit("maintenance.adds", "mallory", **{HOSTILE: 1})
        assert job.failure is not None
        assert "<script>" in job.failure.message
        return job.task_id

    @contextmanager
    def mails(self, count: int) -> Iterator[list[Received]]:
        """The mails that come in the block, of which so many are to come."""
        before, received = len(self.server.received), list[Received]()
        yield received
        wait_until(lambda: len(self.server.received) >= before + count, timeout=60, what=f"{count} mails")
        received += self.server.received[before:]
        assert len(received) == count


@pytest.fixture(scope="module")
def alerts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alerts]:
    folder = tmp_path_factory.mktemp("alerts")
    certificate = make_certificate(folder)
    with ExitStack() as stack:
        server = stack.enter_context(mail_server(certificate))
        settings = {
            "SMTP_URL": server.url,
            "SSL_CERT_FILE": str(certificate),
            "ALERT_FROM": "Taskgate <taskgate@example.com>",
            "ALERT_TO": "Ops <ops@example.com>, ann@example.com",
            "TIMEZONE": "Asia/Shanghai",
            "CELERY_BEAT_MAX_LOOP_INTERVAL": "0.2",
            "CELERY_BROKER_TRANSPORT_OPTIONS": f'{{"visibility_timeout": {LEASE}, "unacked_restore_interval": 0.5}}',
        }
        runs = stack.enter_context(job_runs(Path(folder), **settings))
        stack.callback(runs.celery.redbeat_redis.close)
        yield Alerts(runs, server, stack.enter_context(ExitStack()))


@pytest.fixture(autouse=True)
def all_told(alerts: Alerts) -> None:
    """Each test begins with nothing to report."""
    alerts.alert()


def test_it_comes_at_ten_and_at_five_in_shanghai_every_day(alerts: Alerts) -> None:
    coming = [time.astimezone(ZoneInfo("Asia/Shanghai")) for time in alerts.schedule.next_runs(6)]

    assert {(time.hour, time.minute, time.second) for time in coming} == {(10, 0, 0), (17, 0, 0)}
    assert len({time.date() for time in coming}) in (3, 4)
    assert (coming[-1] - coming[0]).days == 2


def test_failed_jobs_rejected_rows_and_duplicates_are_mailed_to_the_configured_people(alerts: Alerts) -> None:
    failed = alerts.fail()
    file_id = alerts.runs.installation.upload("ann", CATALOGUE)
    refresh = alerts.submit("maintenance.refresh_onboard_table", "ann", file_id=file_id)
    assert refresh.result["rejected"] == 2
    match = alerts.submit("maintenance.match_self_table", "ann")
    assert match.result["pairs"] == 1

    with alerts.mails(1) as mails:
        job = alerts.alert()

    [mail] = mails
    assert (mail.encrypted, mail.user) == (True, USER)
    assert mail.recipients == ["ops@example.com", "ann@example.com"]
    assert mail.message["Subject"] == "[Taskgate] 1 failed job, 2 rejected rows, 1 duplicate"
    assert (mail.message["From"], mail.message["Bcc"]) == ("Taskgate <taskgate@example.com>", None)
    assert mail.message.get_content_type() == "multipart/alternative"
    for kind in ("plain", "html"):
        jobs = (failed, "mallory", refresh.task_id, match.task_id)
        for expected in (*jobs, "line 4, R-102", "line 5, R-103", "R-100 and R-101"):
            assert expected in mail.part(kind), (kind, expected)
    assert "<script" not in mail.part("html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in mail.part("html")
    assert "\nBcc:" not in mail.part("plain")
    assert job.result["digests"][0]["taken"] == ["ops@example.com", "ann@example.com"]


def test_each_digest_tells_what_came_since_the_last_and_nothing_to_report_is_no_mail(alerts: Alerts) -> None:
    with alerts.mails(1) as first:
        earlier = alerts.fail()
        ten = alerts.alert()
    with alerts.mails(0):
        assert [digest["status"] for digest in alerts.alert().result["digests"]] == ["nothing"]
    with alerts.mails(1) as second:
        later = alerts.fail()
        five = alerts.alert()

    assert [earlier in first[0].part("plain"), later in first[0].part("plain")] == [True, False]
    assert [earlier in second[0].part("plain"), later in second[0].part("plain")] == [False, True]
    # Up to when they were due, to the millisecond, however late they were sent.
    for job, mail in ((ten, first[0]), (five, second[0])):
        until = job.result["digests"][0]["until"]
        assert job.task_id == due_task_id(alerts.celery, TASK, until)
        shown = datetime.fromtimestamp(until / 1000, tz=UTC).astimezone(ZoneInfo("Asia/Shanghai"))
        assert f"to {shown:%Y-%m-%d %H:%M:%S} (Asia/Shanghai)" in mail.part("plain")


def test_a_beat_that_is_killed_before_it_can_write_down_what_it_did_makes_no_second_mail(alerts: Alerts) -> None:
    alerts.fail()

    with alerts.mails(1):
        due = alerts.clock.make_due(alerts.schedule)
        task_id = due_task_id(alerts.celery, TASK, due)
        alerts.runs.ended(task_id)
        alerts.beat.kill()
        runs_before = alerts.schedule.runs
        key = alerts.schedules.keys.schedule(TASK)
        alerts.clock.client.hset(key, "due", due)
        alerts.clock.client.zadd(alerts.schedules.keys.by_due, {key: due / 1000})

        alerts.beat = Beat(alerts.runs)
        wait_until(lambda: alerts.schedule.runs > runs_before, timeout=60, what="the other beat's run")
        alerts.fail()  # what fails after that due time is not for its digest

        assert alerts.schedule.last_task_id == task_id


def test_a_worker_that_is_killed_while_it_sends_is_replaced_and_the_mail_is_sent_once(alerts: Alerts) -> None:
    failed = alerts.fail()
    hold = alerts.server.before_taking = Hold()
    with alerts.mails(1) as mails:
        task_id = alerts.come_due()
        assert hold.came.wait(60)

        alerts.kill_worker()
        hold.go.set()
        alerts.start_worker()

        assert alerts.runs.ended(task_id, timeout=60).state is JobState.SUCCESS
    assert failed in mails[0].part("plain")


def test_a_worker_that_is_stopped_in_that_minute_finishes_the_mail(alerts: Alerts) -> None:
    alerts.fail()
    hold = alerts.server.after_taking = Hold()
    with alerts.mails(1):
        task_id = alerts.come_due()
        assert hold.came.wait(60)

        alerts.worker.process.send_signal(signal.SIGTERM)
        hold.go.set()
        alerts.worker.process.wait(30)
        alerts.start_worker()

        assert alerts.runs.ended(task_id, timeout=60).state is JobState.SUCCESS


def test_a_worker_killed_between_the_servers_yes_and_the_note_of_it_sends_the_same_mail_again(alerts: Alerts) -> None:
    """The one gap that SMTP leaves (RFC 1047). The Message-ID lets the receiving side know the two for one."""
    alerts.fail()
    hold = alerts.server.after_taking = Hold()
    with alerts.mails(2) as mails:
        task_id = alerts.come_due()
        assert hold.came.wait(60)

        alerts.kill_worker()
        hold.go.set()
        alerts.start_worker()

        assert alerts.runs.ended(task_id, timeout=60).state is JobState.SUCCESS
    [first, second] = mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.part("plain") == second.part("plain")
    assert first.part("html") == second.part("html")


def test_two_jobs_for_one_due_time_make_one_mail(alerts: Alerts) -> None:
    alerts.fail()
    now = time.time_ns() // 1_000_000
    facts = SubmissionFacts(submitted_at=now, due_at=now).to_header()
    hold = alerts.server.after_taking = Hold()
    with alerts.mails(1):
        first = alerts.celery.tasks[TASK].apply_async(headers={HEADER: facts})
        assert hold.came.wait(60)
        second = alerts.celery.tasks[TASK].apply_async(headers={HEADER: facts})
        alerts.runs.wait_for_state(second.id, JobState.RETRY)
        hold.go.set()

        assert [digest["status"] for digest in alerts.runs.ended(first.id).result["digests"]] == ["sent"]
        assert alerts.runs.ended(second.id).result == {"digests": []}


def test_while_the_mail_server_is_away_it_is_tried_again(alerts: Alerts) -> None:
    failed = alerts.fail()
    alerts.server.stop()
    with alerts.mails(1) as mails:
        task_id = alerts.come_due()
        alerts.runs.wait_for_state(task_id, JobState.RETRY)
        alerts.server.start()

        assert alerts.runs.ended(task_id).state is JobState.SUCCESS
    assert failed in mails[0].part("plain")


def test_the_password_is_in_no_log_and_in_no_record(alerts: Alerts) -> None:
    logs = list(alerts.runs.installation.folder.rglob("*.log"))

    assert {"worker.log", "beat.log"} <= {log.name for log in logs}
    for log in logs:
        assert "s3cr" not in log.read_text(errors="replace"), log.name
    client = alerts.celery.backend.client
    assert not [key for key in client.scan_iter("celery-task-meta-*") if b"s3cr" in client.get(key)]
