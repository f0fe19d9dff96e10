"""Where files are kept: whether they can be written, and whether there is room."""

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from flask import Flask

from app.doctor.finding import Findings, ok, problem, warning
from app.files import FilesError
from config import Config

_MIB = 1024**2

#: Bytes of room: with less nothing works for long, and with less it is time to look.
_LEAST, _LITTLE = 100 * _MIB, 1024 * _MIB


def check_disks(app: Flask, room: Callable[[Path], int] | None = None) -> Findings:
    """The data directory and, where it is one, the directory of the files; else their store."""
    config: Config = app.config["TASKGATE"]
    room = room or _room
    yield from _of_folder("DATA_DIR", config.data_dir, room)
    parts = urlsplit(config.files_url)
    if parts.scheme == "file":
        folder = Path(unquote(parts.path))
        # It is made for the first file.
        yield from _of_folder("FILES_URL", next(each for each in (folder, *folder.parents) if each.exists()), room)
    else:
        yield from _of_store(app)


def _of_folder(setting: str, folder: Path, room: Callable[[Path], int]) -> Findings:
    probe = folder / f".doctor-{uuid4().hex}"
    try:
        probe.write_bytes(b"x")
        probe.unlink()
        free = room(folder)
    except OSError as error:
        yield problem(
            "disks",
            f"{folder} ({setting}) cannot be written: {error.strerror}.",
            "Give it to the user that runs this, or mount it writable.",
        )
        return
    if free < _LITTLE:
        level = problem if free < _LEAST else warning
        yield level("disks", f"{folder} ({setting}) has {free // _MIB} MiB of room.", "Make room, or a larger disk.")
    else:
        yield ok("disks", f"{folder} ({setting}) can be written and has {free / _LITTLE:.0f} GiB of room.")


def _of_store(app: Flask) -> Findings:
    try:
        app.extensions["file_storage"].stat("uploads/doctor")
        yield ok("disks", "The store of the files answers.")
    except FilesError as error:
        yield problem(
            "disks",
            f"The store of the files does not answer ({type(error).__name__}).",
            "Correct FILES_URL, FILES_ENDPOINT, or the credentials in the environment.",
        )


def _room(folder: Path) -> int:
    return shutil.disk_usage(folder).free
