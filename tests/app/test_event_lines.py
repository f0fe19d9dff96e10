"""Lines of events, beside what structlog makes of the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from libs.structured_logs import log_event, log_formatter

LOGGER = logging.getLogger("taskgate.of-a-test")


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.all: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(record)


@pytest.fixture
def records() -> Iterator[Records]:
    records = Records()
    LOGGER.addHandler(records)
    LOGGER.setLevel(logging.INFO)
    yield records
    LOGGER.removeHandler(records)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 202, 0.25, -1.5e300, "", "plain", "/api/1.0/results/<task_id>", "é\x1b\u2028\\", "trailing "),
        *(f"a{separator}b" for separator in " \t=\r\n'\""),
        *("it's", "both ' and \"", ["a", 1], {"of": "b"}),
    ],
)
def test_text_is_what_structlog_would_write(value: Any, records: Records) -> None:
    log_event(LOGGER, "request", {"path": value, "Zone": 1, "address": value, "bytes": 3})
    log_event(LOGGER, "request", {})
    renderer = structlog.dev.ConsoleRenderer(colors=False, timestamp_key="time", pad_event_to=0)

    for record in records.all:
        assert isinstance(record.msg, dict)
        assert log_formatter("text", dict).format(record) == renderer(None, "info", dict(record.msg))


def test_text_hides_secrets(records: Records) -> None:
    log_event(LOGGER, "request", {"path": "/tg_0123456789ab_and-the-rest"})

    line = log_formatter("text", dict).format(records.all[0])

    assert line.endswith(" path=/tg_[hidden]")
