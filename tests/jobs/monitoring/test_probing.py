"""Probes of real servers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from app.jobs.monitoring.services import probing
from app.jobs.monitoring.services.collecting import POOL, probe_all
from app.jobs.monitoring.services.probing import MOST_READ, Probe, probe
from app.jobs.monitoring.services.targets import Target
from tests.jobs.monitoring.probe_targets import SLOW, Targets


def test_an_answer_is_its_status_and_how_long_it_took(targets: Targets) -> None:
    quick, slow = (probe(Target(name, f"{targets.url}/{name}")) for name in ("quick", "slow"))

    assert (quick.target, quick.status, quick.error, quick.is_up) == ("quick", 200, None, True)
    assert quick.latency_ms is not None
    assert slow.latency_ms is not None
    assert 0 < quick.latency_ms < SLOW * 1000 <= slow.latency_ms < 5_000


@pytest.mark.parametrize(("way", "status"), [("broken", 500), ("absent", 404)])
def test_an_error_is_an_answer_of_a_target_that_is_down(targets: Targets, way: str, status: int) -> None:
    found = probe(Target(way, f"{targets.url}/{way}"))

    assert (found.status, found.error, found.is_up) == (status, None, False)


def test_no_redirect_is_followed(targets: Targets) -> None:
    found = probe(Target("moved", f"{targets.url}/moved?to=elsewhere"))

    assert (found.status, found.is_up) == (302, True)
    assert targets.seen == ["/moved?to=elsewhere"]


def test_no_proxy_is_used(targets: Targets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", targets.refusing)

    assert probe(Target("quick", f"{targets.url}/quick")).is_up


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (lambda targets: targets.refusing, "connection"),
        (lambda targets: f"{targets.url}/quick".replace("http:", "https:"), "tls"),
        (lambda _: "http://nowhere.invalid/", "unknown_host"),
        (lambda targets: f"{targets.url}/drip", "timeout"),
    ],
)
def test_no_answer_is_a_word_for_why(targets: Targets, url: Callable[[Targets], str], word: str) -> None:
    """Of the one that drips every single byte is in time: it is the whole that takes too long."""
    began = time.monotonic()

    assert probe(Target("down", url(targets)), timeout=1) == Probe("down", None, None, word)
    assert time.monotonic() - began < 3


def test_of_an_endless_body_no_more_than_a_part_is_read(targets: Targets, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    counted = probing.read_some

    def count(response: object, most: int) -> None:
        class Counted:
            @staticmethod
            def iter_stream() -> object:
                nonlocal read
                for chunk in response.iter_stream():  # type: ignore[attr-defined]
                    read += len(chunk)
                    yield chunk

        counted(Counted, most)  # type: ignore[arg-type]

    monkeypatch.setattr(probing, "read_some", count)

    found = probe(Target("endless", f"{targets.url}/endless"))

    assert found.is_up
    assert MOST_READ <= read < 3 * MOST_READ


def test_so_many_are_probed_at_a_time_and_no_more(targets: Targets) -> None:
    many = [Target(str(number), f"{targets.url}/slow/{number}") for number in range(3 * POOL)]

    found = probe_all(many)

    assert [(one.target, one.is_up) for one in found] == [(target.name, True) for target in many]
    assert targets.most_at_once == POOL
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("probe")]
