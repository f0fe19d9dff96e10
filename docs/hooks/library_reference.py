"""The reference of the libraries, made from their public names: ``__all__``, under the comments that group it."""

import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

LIBS = Path(__file__).parents[2] / "libs"
PAGES = {
    "reference/library.md": (
        "flask_celery",
        "libs.flask_celery",
        "What `libs.flask_celery` offers to an application.",
    ),
    "reference/client.md": ("job_client", "job_client", "What `job_client` offers to a program that submits jobs."),
}
#: Made when it is asked for, by building the application.
NOT_SHOWN = {"celery_app"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each library."""
    for page, (folder, module, words) in PAGES.items():
        source = LIBS / folder / "__init__.py"
        lines = [f"# {module}", words, "", *_entries(source.read_text(), module)]
        files.append(File.generated(config, page, content="\n".join(lines) + "\n"))
    return files


def _entries(source: str, module: str) -> Iterator[str]:
    names = source.partition("__all__ = [")[2].partition("]")[0]
    for line in names.splitlines():
        if heading := re.fullmatch(r"\s*# (.+)", line):
            yield from (f"## {heading[1]}", "")
        for name in re.findall(r'"(\w+)"', line):
            if name not in NOT_SHOWN:
                yield from (f"::: {module}.{name}", "")
