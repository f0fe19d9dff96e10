"""Talking to a real API about files, and looking at what it leaves and how much memory it takes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.installation import API, ApiServer

MEGABYTE = 1024**2
PIECE = bytes(range(256)) * 4096


def pieces(megabytes: int) -> Iterator[bytes]:
    """A body that is never whole in memory; each megabyte is another one."""
    for number in range(megabytes):
        yield number.to_bytes(8, "big") + PIECE[8:]


def byte_range(first: int, count: int) -> bytes:
    """What stands there in such a body."""
    wanted, number = b"", first // MEGABYTE
    while len(wanted) < first % MEGABYTE + count:
        wanted += number.to_bytes(8, "big") + PIECE[8:]
        number += 1
    return wanted[first % MEGABYTE : first % MEGABYTE + count]


def api_process(server: ApiServer) -> psutil.Process:
    """The one that serves requests, gunicorn's own being its parent."""
    (child,) = psutil.Process(server.process.pid).children()
    return child


@contextmanager
def peak_growth(process: psutil.Process) -> Iterator[list[float]]:
    """By how many megabytes the process's memory has grown at its highest; filled in at the end."""
    status = Path(f"/proc/{process.pid}/status")

    def megabytes(field: str) -> float:
        (line,) = [line for line in status.read_text().splitlines() if line.startswith(f"{field}:")]
        return int(line.split()[1]) / 1024

    Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # proc(5): the peak is reset to what it is now
    before, growth = megabytes("VmRSS"), []
    yield growth
    growth.append(megabytes("VmHWM") - before)


@contextmanager
def upload_under_way(server: ApiServer, authorization: str, sent: bytes, *, length: int) -> Iterator[socket.socket]:
    """A connection on which so much of an upload has been sent and read."""
    head = (
        f"POST {API}/files HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: {length}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(head.encode() + sent)
        yield connection
