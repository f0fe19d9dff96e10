"""Reading what Redis did from its append-only file: evidence that no code of the product can have touched."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

RECORD_PREFIX = b"celery-task-meta-"
FINAL = {"SUCCESS", "FAILURE", "REVOKED"}


@dataclass
class WrittenEnds:
    """How often, and as what, each job's end was written."""

    states: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    commands: Counter[str] = field(default_factory=Counter)

    @property
    def more_than_once(self) -> dict[str, list[str]]:
        return {task_id: states for task_id, states in self.states.items() if len(states) > 1}


def written_ends(folder: Path) -> WrittenEnds:
    """Every end that was ever written to a record by the server whose data directory is ``folder``.

    Raises: AssertionError when the file was rewritten, because then it no longer tells all.
    """
    found = WrittenEnds()
    for words in _all_commands(folder):
        name = words[0].upper()
        found.commands[name.decode()] += 1
        if name in (b"SET", b"SETEX", b"GETSET", b"PSETEX", b"SETNX") and words[1].startswith(RECORD_PREFIX):
            status = _status(words[3] if name in (b"SETEX", b"PSETEX") else words[2])
            if status in FINAL:
                found.states[words[1].removeprefix(RECORD_PREFIX).decode()].append(status)
    return found


def _all_commands(folder: Path) -> Iterator[list[bytes]]:
    parts = sorted(folder.glob("appendonlydir/*.incr.aof"), key=lambda path: int(path.name.split(".")[-3]))
    if parts:  # Redis 7 and newer, and Valkey; the base was written at the first start and is empty
        assert len(parts) == 1, f"the append-only file was rewritten: {parts}"
        assert all(base.stat().st_size < 200 for base in folder.glob("appendonlydir/*.base.*"))
    for path in parts or [folder / "appendonly.aof"]:
        with path.open("rb") as file:
            yield from _commands(file)


def _commands(file: BinaryIO) -> Iterator[list[bytes]]:
    """Stops where the file does: a kill may have left half a command at its end."""
    while head := file.readline():
        if head.startswith(b"#"):  # a time stamp
            continue
        assert head.startswith(b"*"), head
        words = []
        for _ in range(int(head[1:])):
            size = file.readline()
            if not size.endswith(b"\n"):
                return
            word = file.read(int(size[1:]) + 2)
            if not word.endswith(b"\r\n"):
                return
            words.append(word[:-2])
        yield words


def _status(record: bytes) -> str | None:
    status: str | None = json.loads(record).get("status")
    return status
