"""How files are answered: ranges, validators, names, and nothing that a browser runs."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from werkzeug.http import parse_options_header

from app.api_1_0.downloads import content_disposition
from tests.installation import API, Installation, assert_problem

CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def url(installation: Installation) -> str:
    return f"{API}/files/{installation.upload('ann', CONTENT, name='teile.csv')}/content"


def get(installation: Installation, url: str, ann: dict[str, str], **headers: str) -> Any:
    """The answer, read and closed."""
    with installation.client.get(
        url, headers={**ann, **{name.replace("_", "-"): value for name, value in headers.items()}}
    ) as answer:
        answer.get_data()
    return answer


def test_a_download_is_the_whole_file_and_says_what_it_is(
    installation: Installation, url: str, ann: dict[str, str]
) -> None:
    answer = get(installation, url, ann)

    assert (answer.status_code, answer.data) == (200, CONTENT)
    headers = answer.headers
    assert (headers["Content-Type"], headers["Content-Length"]) == ("text/csv", str(len(CONTENT)))
    assert headers["Content-Disposition"] == 'attachment; filename="teile.csv"'
    assert headers["Accept-Ranges"] == "bytes"
    assert headers["Last-Modified"].endswith("GMT")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert headers["ETag"].startswith('"')  # a strong one


def test_head_is_the_same_without_the_bytes(installation: Installation, url: str, ann: dict[str, str]) -> None:
    whole = get(installation, url, ann)

    with installation.client.head(url, headers={**ann, "Range": "bytes=5-"}) as head:
        head.get_data()

    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag", "Last-Modified", "Accept-Ranges", "Content-Disposition"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-", 5, len(CONTENT) - 1),
        ("bytes=5-9", 5, 9),
        ("bytes=-7", len(CONTENT) - 7, len(CONTENT) - 1),
        ("bytes=10000-999999", 10_000, len(CONTENT) - 1),
        (f"bytes=-{len(CONTENT) * 2}", 0, len(CONTENT) - 1),
    ],
)
def test_a_range(
    wanted: str, first: int, last: int, installation: Installation, url: str, ann: dict[str, str]
) -> None:
    answer = get(installation, url, ann, Range=wanted)

    assert (answer.status_code, answer.data) == (206, CONTENT[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answer.headers["Content-Length"] == str(last + 1 - first)


@pytest.mark.parametrize("wanted", ["bytes=999999-", f"bytes={len(CONTENT)}-"])
def test_a_range_outside_of_the_file(wanted: str, installation: Installation, url: str, ann: dict[str, str]) -> None:
    answer = get(installation, url, ann, Range=wanted)

    assert_problem(answer, 416)
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("wanted", ["bytes=0-1,5-6", "lines=1-2", "bytes", "bytes=", "bytes=b-a", "bytes=9-5", "x"])
def test_a_range_that_a_server_ignores(
    wanted: str, installation: Installation, url: str, ann: dict[str, str]
) -> None:
    """RFC 9110, section 14.2: what is no range, or of another unit; several need not be served."""
    answer = get(installation, url, ann, Range=wanted)

    assert (answer.status_code, answer.data) == (200, CONTENT)


def test_a_range_goes_on_only_in_the_same_file(installation: Installation, url: str, ann: dict[str, str]) -> None:
    whole = get(installation, url, ann).headers

    for validator in (whole["ETag"], whole["Last-Modified"]):
        assert get(installation, url, ann, Range="bytes=5-", If_Range=validator).status_code == 206
    for validator in ('"another"', f"W/{whole['ETag']}", "Thu, 01 Jan 2026 00:00:00 GMT"):
        answer = get(installation, url, ann, Range="bytes=5-", If_Range=validator)
        assert (answer.status_code, answer.data) == (200, CONTENT), validator


def test_what_one_has_is_not_sent_again(installation: Installation, url: str, ann: dict[str, str]) -> None:
    whole = get(installation, url, ann).headers

    for headers in (
        {"If_None_Match": whole["ETag"]},
        {"If_None_Match": "*"},
        {"If_Modified_Since": whole["Last-Modified"]},
        {"If_None_Match": whole["ETag"], "Range": "bytes=5-"},
    ):
        answer = get(installation, url, ann, **headers)
        assert (answer.status_code, answer.data) == (304, b""), headers
    assert get(installation, url, ann, If_None_Match='"another"').status_code == 200


def test_what_one_has_is_asked_for_again(installation: Installation, url: str, ann: dict[str, str]) -> None:
    assert get(installation, url, ann).headers["Cache-Control"] == "private, no-cache"


def test_a_file_of_which_one_is_sure(installation: Installation, url: str, ann: dict[str, str]) -> None:
    etag = get(installation, url, ann).headers["ETag"]

    assert get(installation, url, ann, If_Match=etag).status_code == 200
    assert_problem(get(installation, url, ann, If_Match='"another"'), 412)
    assert_problem(get(installation, url, ann, If_Unmodified_Since="Thu, 01 Jan 1970 00:00:00 GMT"), 412)


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml"])
def test_a_page_is_not_shown_in_our_origin(
    content_type: str, installation: Installation, ann: dict[str, str]
) -> None:
    page = installation.client.post(
        f"{API}/files?name=page.html", data=b"<script>alert(1)</script>", content_type=content_type, headers=ann
    ).json

    answer = get(installation, f"{API}/files/{page['file_id']}/content", ann)

    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")


@pytest.mark.parametrize(
    "name",
    ["parts.csv", 'a "b".csv', "목록.csv", "Größe 100%.csv", "a\\b;c=d.csv", "x" * 255, "a'b.csv", "%41.csv", "🐍"],
)
def test_a_name_arrives_as_it_is(name: str) -> None:
    kind, options = parse_options_header(content_disposition(name))

    assert kind == "attachment"
    assert options["filename"] == name
    ascii_name, _, extended = content_disposition(name).partition("; filename*=UTF-8''")
    assert ascii_name.isascii()
    assert ascii_name.count('"') == 2
    assert not extended or unquote(extended) == name


def test_a_name_cannot_add_a_header() -> None:
    value = content_disposition("a\r\nSet-Cookie: x=1\x00.csv")

    assert "\r" not in value
    assert "\n" not in value
    assert "\x00" not in value
    assert 'filename="a__Set-Cookie: x=1_.csv"' in value


def test_a_name_of_a_form_that_holds_line_ends_is_one_line(installation: Installation, ann: dict[str, str]) -> None:
    query = {"name": "a\r\nX-Evil: 1.csv"}

    uploaded = installation.client.post(f"{API}/files", query_string=query, data=b"x", headers=ann).json

    answer = get(installation, f"{API}/files/{uploaded['file_id']}/content", ann)
    assert (answer.status_code, "X-Evil" in answer.headers) == (200, False)
