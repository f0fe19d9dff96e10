"""The figures of the host that this process runs on."""

import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

#: Seconds over which the processors are watched.
_WATCHED = 1.0


@dataclass(frozen=True, slots=True)
class HostFigures:
    """Percentages are of 100. The counters of bytes go on from the host's start, and from 0 again after the next."""

    host: str
    cpu_percent: float
    memory_percent: float
    disk_percent: float
    load_1: float
    sent_bytes: int
    received_bytes: int


def measure_host(disk: Path) -> HostFigures:
    """Takes a second.

    Args:
        disk: a path on the disk in question.

    In a container the host is what the container is shown of it.
    """
    network = psutil.net_io_counters()  # None on a host without interfaces
    return HostFigures(
        host=socket.gethostname(),
        cpu_percent=psutil.cpu_percent(interval=_WATCHED),
        memory_percent=psutil.virtual_memory().percent,
        disk_percent=psutil.disk_usage(str(disk)).percent,
        load_1=round(psutil.getloadavg()[0], 3),
        sent_bytes=network.bytes_sent if network else 0,
        received_bytes=network.bytes_recv if network else 0,
    )
