"""Pages that lie outside of docs/, at the places where they are read in the repository, and links to files there.

Links are written as GitHub resolves them. In the site a Markdown file outside of docs/ has its own path, one in docs/
the path below it, README.md is the start page, and a source file that a page names lies beside it, to be looked at.
"""

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
DOCS = "docs/"
PAGES = ("CHANGELOG.md", "bench/**/*.md", "deploy/**/*.md", "examples/**/*.md")

_LINK = re.compile(r"(?<=\]\()([^)\s]+)(?=\))")
_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def in_repository(src_uri: str, files: Files) -> str:
    """Where a page of the site lies in the repository."""
    file = files.get_file_from_path(src_uri)
    outside = file is not None and file.generated_by is not None
    return src_uri if outside else DOCS + src_uri


def in_site(path: str) -> str:
    """Where a file of the repository lies in the site."""
    if path == "README.md":
        return "index.md"
    path = path.removeprefix(DOCS)
    return f"{path}/README.md" if (ROOT / DOCS / path / "README.md").exists() else path


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in the pages from outside, and what they and others link to."""
    for pattern in PAGES:
        for path in sorted(ROOT.glob(pattern)):
            _add(path, files, config)
    for page in files.documentation_pages():
        here = posixpath.dirname(in_repository(page.src_uri, files))
        for target in _LINK.findall(_FENCE.sub("", page.content_string)):
            path = ROOT / posixpath.normpath(posixpath.join(here, urlsplit(target).path))
            if not urlsplit(target).scheme and path.suffix != ".md" and path.is_file():
                _add(path, files, config)
    return files


def _add(path: Path, files: Files, config: MkDocsConfig) -> None:
    name = in_site(path.relative_to(ROOT).as_posix())
    if files.get_file_from_path(name) is None:
        files.append(File.generated(config, name, abs_src_path=str(path)))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at where things lie in the site; one to a folder without a page becomes its words."""
    here = posixpath.dirname(in_repository(page.file.src_uri, files))
    start = posixpath.dirname(page.file.src_uri)

    def moved(match: re.Match[str]) -> str:
        target = urlsplit(match[1])
        if target.scheme or not target.path:
            return match[1]
        name = in_site(posixpath.normpath(posixpath.join(here, target.path)))
        return posixpath.relpath(name, start or ".") + (f"#{target.fragment}" if target.fragment else "")

    return "".join(
        part if fenced else _LINK.sub(moved, _without_folders(part, here)) for part, fenced in _parts(markdown)
    )


def _parts(markdown: str) -> list[tuple[str, bool]]:
    """The text, cut at its code blocks; True for those."""
    parts, end = [], 0
    for match in _FENCE.finditer(markdown):
        parts += [(markdown[end : match.start()], False), (match[0], True)]
        end = match.end()
    return [*parts, (markdown[end:], False)]


def _without_folders(text: str, here: str) -> str:
    def words(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(here, match[2]))
        return match[1] if (ROOT / path).is_dir() and in_site(path) == path.removeprefix(DOCS) else match[0]

    return re.sub(r"\[([^\]]*)\]\(([^)\s#:]+)\)", words, text)
