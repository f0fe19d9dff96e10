"""What the page loads: read once, compressed once, at addresses that change with any of it."""

import gzip
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent."""

    body: bytes
    compressed: bytes  # by gzip
    content_type: str


class Assets:
    """The files below a directory whose type browsers load; read at the first use and then as they were."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def files(self) -> dict[str, Asset]:
        """By their path within the directory."""
        paths = sorted(path for path in self._folder.rglob("*") if path.suffix in _TYPES and path.is_file())
        return {path.relative_to(self._folder).as_posix(): _read(path) for path in paths}

    @cached_property
    def version(self) -> str:
        """Another one as soon as any file is. It stands in every address, so modules import one another there."""
        digest = sha256()
        for name, asset in self.files.items():
            digest.update(f"{name}\n{len(asset.body)}\n".encode())
            digest.update(asset.body)
        return digest.hexdigest()[:16]


def _read(path: Path) -> Asset:
    body = path.read_bytes()
    return Asset(body, gzip.compress(body, 9, mtime=0), _TYPES[path.suffix])
