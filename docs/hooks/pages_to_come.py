"""Pages that are not in every checkout: where one is missing, so are its entry in the navigation and links to it."""

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

TO_COME = {"scaling.md"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Take out what is missing of those, and of those alone: another missing page is an error of the navigation."""
    config.nav = _present(config.nav or [], Path(config.docs_dir))
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links between pages of docs/ alone; their words stay."""
    missing = [re.escape(name) for name in TO_COME if not (Path(config.docs_dir) / name).exists()]
    return re.sub(rf"\[([^\]]*)\]\((?:{'|'.join(missing)})(?:#[^)]*)?\)", r"\1", markdown) if missing else markdown


def _present(entries: list[Any], docs: Path) -> list[Any]:
    kept = []
    for entry in entries:
        [(title, target)] = entry.items()
        if isinstance(target, list):
            kept.append({title: _present(target, docs)})
        elif target not in TO_COME or (docs / target).exists():
            kept.append(entry)
    return kept
