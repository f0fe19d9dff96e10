"""Where and when it was measured, so that figures can be compared with their like."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil

from libs.local_stack import find_redis_server
from tests.conftest import ROOT


def machine() -> dict[str, str]:
    """What there is to say before anything is started; the load is that of others."""
    load, cores = os.getloadavg()[0], psutil.cpu_count() or 1
    quiet = "quiet" if load < 0.3 * cores else "BUSY WITH OTHER THINGS: compare processor times, not rates"
    return {
        "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "commit": _told(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
        "processor": f"{_processor()}, {cores} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Redis": _told([str(find_redis_server()), "--version"]).split(" sha=")[0],
        "load before": f"{load:.1f}: {quiet}",
        "client": "wrk" if shutil.which("wrk") else "Python: wrk is not installed, and takes less of the processor",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _told(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
