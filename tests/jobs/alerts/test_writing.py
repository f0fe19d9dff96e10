"""A digest as a mail, and what whoever submits jobs cannot do to it."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from app.jobs.alerts.services.chain import OpenDigest
from app.jobs.alerts.services.digest import (
    Digest,
    FailedJobLine,
    FailedJobsPart,
    FindingLine,
    FindingsPart,
    read_digest,
)
from app.jobs.alerts.services.findings import FindingKind
from app.jobs.alerts.services.lines import LONGEST_LINE, one_line
from app.jobs.alerts.services.writing import write_mail

NOON = datetime(2026, 7, 1, 2, 0, tzinfo=UTC)

HOSTILE = "<script>alert(1)</script><img src=x onerror='x'>\"&amp;</td></table>{{ 7 * 7 }}"


def failed(error: str = "ValueError: no", task: str = "reports.build", owner: str = "ann") -> FailedJobsPart:
    return FailedJobsPart({task: 1}, (FailedJobLine("job-1", task, owner, NOON, error),))


def write(part: FailedJobsPart, *findings: FindingsPart) -> EmailMessage:
    """As it is read from the wire."""
    message = write_mail(
        Digest(None, NOON, part, findings),
        message_id="<1@example.com>",
        sender=Address("Taskgate", addr_spec="taskgate@example.com"),
        recipients=(Address("Ops, night", addr_spec="ops@example.com"), Address(addr_spec="ann@example.com")),
        service="Taskgate",
        timezone=ZoneInfo("Asia/Shanghai"),
    )
    read = message_from_bytes(message.as_bytes(), policy=default)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    return read


def body(message: EmailMessage, kind: str) -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_it_is_text_and_html_of_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    message = write(failed())

    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        for expected in ("1 failed job", "reports.build", "ValueError: no", "job-1", "ann", "2026-07-01 10:00:00"):
            assert expected.lower() in body(message, kind).lower(), (kind, expected)


def test_its_headers() -> None:
    message = write(failed())

    assert message["Subject"] == "[Taskgate] 1 failed job"
    assert message["From"] == "Taskgate <taskgate@example.com>"
    assert message["To"] == '"Ops, night" <ops@example.com>, ann@example.com'
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<1@example.com>", "auto-generated")
    assert message["Date"].datetime.tzinfo is not None


def test_what_jobs_say_is_text_and_never_html() -> None:
    line = FindingLine("job-2", HOSTILE, HOSTILE, NOON, 2, (HOSTILE,))
    found = FindingsPart(FindingKind.REJECTED_ROWS, 2, 1, (line,))

    message = write(failed(HOSTILE, HOSTILE, HOSTILE), found)

    harmless = Tags(body(write(failed("E", "t", "o"), _without(found)), "html"))
    hostile = Tags(body(message, "html"))
    assert hostile.tags == harmless.tags
    assert hostile.text.count(HOSTILE) == 7
    assert "<script" not in body(message, "html")


def _without(part: FindingsPart) -> FindingsPart:
    return FindingsPart(part.kind, 2, 1, (FindingLine("job-2", "t", "o", NOON, 2, ("e",)),))


def test_headers_hold_nothing_that_jobs_say() -> None:
    injected = "x\r\nBcc: victim@example.com\r\n\r\nhello"

    message = write(failed(injected, injected, injected))

    assert sorted(message.keys()) == sorted(write(failed()).keys())
    assert "victim" not in "".join(map(str, message.values()))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\r\nb\n\nc\td", "a b c d"),
        ("\x1b[31mred\x07\x00", "[31mred"),
        ("invoice\u202efdp.exe", "invoice fdp.exe"),
        ("zero\u200bwidth", "zero width"),
        ("line\u2028break\x85here", "line break here"),
        ("half \ud83d a pair", "half a pair"),
        ("电阻 1kΩ — é", "电阻 1kΩ — é"),
        ("x" * 400, "x" * (LONGEST_LINE - 1) + "…"),
        ("", ""),
    ],
)
def test_a_line_is_one_line_of_what_can_be_seen(text: str, line: str) -> None:
    assert one_line(text) == line


def test_a_megabyte_of_error_is_a_line_too() -> None:
    assert len(one_line("\n" * 10**6 + "x" * 10**6)) <= LONGEST_LINE


def test_that_there_were_more_failures_than_are_known_is_said() -> None:
    part = FailedJobsPart({"a": 100_000}, (), complete=False)

    message = write(part)

    assert "100,000 FAILED JOBS AND MORE" in body(message, "plain")
    assert "100,000 failed jobs and more" in body(message, "html")


def test_one_million_is_written_with_commas_and_chinese_arrives() -> None:
    message = write(failed("ValueError: 电阻 wrong"))

    assert "电阻" in body(message, "plain")
    assert "电阻" in body(message, "html")


@pytest.mark.parametrize("error", ["é", "שלום"])
def test_every_server_can_take_it(error: str) -> None:
    message = write(failed(error))

    assert not [part for part in message.walk() if part["Content-Transfer-Encoding"] == "8bit"]


def test_only_so_many_tasks_are_told_by_name() -> None:
    part = FailedJobsPart({"often": 2, **{f"made.up.{number:06}": 1 for number in range(50_000)}}, ())

    message = write(part)

    assert len(message.as_bytes()) < 10_000
    for text in body(message, "plain"), body(message, "html"):
        assert "50,002 failed job" in text.replace("FAILED JOB", "failed job")
        assert "often" in text
        assert "and 49,981 other tasks" in text


def test_tasks_whose_names_look_the_same_are_counted_together(session: Session) -> None:
    class Source:
        def now(self) -> int:
            return 1_000

        def between(self, since: int, until: int, *, newest: int) -> FailedJobsPart:
            return FailedJobsPart({"reports.build\u202e": 3, "reports.build": 4}, ())

    digest = read_digest(session, Source(), OpenDigest(0, 1_000, "<1@example.com>", "one", 0))

    assert (dict(digest.failed.by_task), digest.failed.total) == ({"reports.build": 7}, 7)
