"""The page and what it loads: from here alone, small, cached for good, under a policy that lets nothing else in."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from flask.testing import FlaskClient

from app.console.assets import Assets
from app.console.page import POLICY
from tests.conftest import ROOT

STATIC = ROOT / "app" / "console" / "static"
FILES = sorted(path.relative_to(STATIC) for path in STATIC.rglob("*") if path.suffix in (".js", ".css"))
OURS = [path for path in FILES if path.parts[0] != "vendor"]

#: In all, as it is sent.
MOST_BYTES = 150 * 1024

#: Of the libraries as app/console/static/vendor/README.md has them: whoever changes one changes that too.
LIBRARIES = {
    "hooks.mjs": "13518e8899847145",
    "htm.mjs": "ab33dd3f38059b9b",
    "preact.mjs": "225d7a773766e6fb",
    "uplot.css": "df630c6a8d6f8eea",
    "uplot.mjs": "8301d1a4fcc08355",
}


class Loaded(HTMLParser):
    """The addresses that a page names, and what of it is written in line."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        of = dict(attributes)
        self.addresses += [address for name in ("src", "href") if (address := of.get(name))]
        if tag == "style" or (tag == "script" and "src" not in of) or any(name.startswith("on") for name in of):
            self.inline.append(tag)
        self.inline += [name for name in of if name == "style"]


@pytest.fixture
def page(client: FlaskClient) -> Loaded:
    return Loaded(client.get("/").text)


def test_the_page_names_files_of_ours_that_are_there(client: FlaskClient, page: Loaded) -> None:
    assert page.inline == []
    assert len(page.addresses) > 4
    for address in page.addresses:
        assert re.match(r"/console/assets/[0-9a-f]{16}/", address), address
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_has_a_policy_without_exceptions(client: FlaskClient) -> None:
    answer = client.get("/")

    assert answer.headers.getlist("Content-Security-Policy") == [POLICY]
    assert "unsafe" not in POLICY
    assert not re.search(r"https?:|\*|data:|blob:", POLICY)
    assert "frame-ancestors 'none'" in POLICY
    assert (answer.headers["X-Frame-Options"], answer.headers["Cache-Control"]) == ("DENY", "no-cache")


def test_the_page_is_asked_about_anew_and_sent_anew_when_it_is_another(client: FlaskClient) -> None:
    etag = client.get("/").headers["ETag"]

    again = client.get("/", headers={"If-None-Match": etag})

    assert (again.status_code, again.data) == (304, b"")
    assert client.get("/", headers={"If-None-Match": '"another"'}).status_code == 200


def test_all_of_it_together_is_small(client: FlaskClient) -> None:
    version = Assets(STATIC).version
    accept = {"Accept-Encoding": "gzip"}
    sent = {name: client.get(f"/console/assets/{version}/{name}", headers=accept) for name in Assets(STATIC).files}
    size = sum(len(answer.data) for answer in sent.values()) + len(client.get("/").data)

    print(f"the console is {size:,} bytes")
    assert sent
    assert all(answer.headers["Content-Encoding"] == "gzip" for answer in sent.values())
    assert size < MOST_BYTES


def test_who_takes_no_gzip_is_sent_the_same(client: FlaskClient) -> None:
    address = f"/console/assets/{Assets(STATIC).version}/main.js"

    plain, compressed = client.get(address), client.get(address, headers={"Accept-Encoding": "gzip"})

    assert "Content-Encoding" not in plain.headers
    assert plain.data == gzip.decompress(compressed.data) == (STATIC / "main.js").read_bytes()
    assert plain.headers["Vary"] == compressed.headers["Vary"] == "Accept-Encoding"


def test_a_page_from_before_an_update_has_what_is_here_and_keeps_it_not(client: FlaskClient) -> None:
    answer = client.get("/console/assets/0123456789abcdef/main.js")

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


@pytest.mark.parametrize("name", ["nothing.js", "../page.py", "%2e%2e/page.py", "vendor/README.md", ""])
def test_what_is_not_an_asset(name: str, client: FlaskClient) -> None:
    assert client.get(f"/console/assets/x/{name}").status_code == 404


def test_the_libraries_are_those_that_are_said_to_be_there() -> None:
    vendor = STATIC / "vendor"
    digests = {
        path.name: sha256(path.read_bytes()).hexdigest()[:16]
        for path in vendor.iterdir()
        if path.suffix in (".mjs", ".css")
    }

    assert digests == LIBRARIES
    said = (vendor / "README.md").read_text()
    for name in digests:
        assert f"`{name}`" in said
    for licence in set(re.findall(r"`(LICENSE-\w+)`", said)):
        assert (vendor / licence).is_file()


@pytest.mark.parametrize("path", OURS, ids=str)
def test_a_module_is_of_a_readable_size_and_says_what_it_is(path: object) -> None:
    source = (STATIC / str(path)).read_text()

    assert source.count("\n") <= 250
    assert source.startswith(("/**", "//", "/*")), "it says nothing of what it is"
    assert not re.search(r"\b(eval|Function)\(|innerHTML|document\.write|https?://(?!www\.w3\.org)", source)
    assert not re.search(r"(local|session)Storage\.setItem\([^)]*\bkey\b", source)


def test_every_text_is_there_in_chinese_and_none_besides() -> None:
    sources = [(STATIC / path).read_text() for path in OURS if path.suffix == ".js" and path.name != "zh.js"]
    literal = r"'((?:[^'\\]|\\.)*)'"
    said = {text for source in sources for text in re.findall(rf"(?<![\w.])t\({literal}", source)}
    for source in sources:
        for call in re.findall(r"\bcounted\(((?:(?!counted\().)*)", source):
            said |= set(re.findall(literal, call)[:2])
    chinese = (STATIC / "core" / "zh.js").read_text()
    entries = re.findall(rf"^  (?:{literal}|(\w+)): {literal},$", chinese, re.MULTILINE)
    translated = {quoted or bare: text for quoted, bare, text in entries}

    assert len(said) > 150
    assert said - translated.keys() == set()
    assert translated.keys() - said == set()
    for text, other in translated.items():
        # What is put in must be put in there too.
        assert set(re.findall(r"\{\w+\}", other)) == set(re.findall(r"\{\w+\}", text)), text
