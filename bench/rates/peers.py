"""The systems of ``bench/peers.toml``, each installed into an environment of its own when it is first asked for."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from bench.rates.system import Command, Protocol, System
from libs.local_stack import EmbeddedRedis
from tests.conftest import ROOT

_PEERS = ROOT / "bench" / "peers"
_ENVIRONMENTS = ROOT / "var" / "bench"

PEERS: Mapping[str, Mapping[str, Any]] = tomllib.loads((ROOT / "bench" / "peers.toml").read_text())


@contextmanager
def a_peer(name: str, folder: Path, port: int, *, appendfsync: str) -> Iterator[System]:
    spec, binaries = PEERS[name], environment_of(name)
    redis = EmbeddedRedis(folder / "redis", folder / "redis.sock")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("CELERY", "PYTHONPATH"))},
        "REDIS_SOCKET": str(redis.socket_path),
        "PYTHONUNBUFFERED": "1",
        **spec.get("environment", {}),
        "PATH": f"{binaries}:{os.environ['PATH']}",
    }

    def command(line: str) -> Command:
        program, *arguments = shlex.split(
            line.replace("{port}", str(port)).replace("{socket}", str(redis.socket_path))
        )
        return Command([str(binaries / program), *arguments], environment, _PEERS / name)

    protocol = Protocol(**{key: spec[key] for key in ("submit", "body", "content_type", "id", "poll", "final")})
    system = System(
        name=name,
        title=spec["title"],
        protocol=protocol,
        port=port,
        folder=folder,
        redis=redis,
        api=command(spec["api"]),
        workers=[command(line) for line in spec["workers"]],
        appendfsync=appendfsync,
    )
    with system:
        yield system


def environment_of(name: str) -> Path:
    """Its programs, installed now if its requirements have changed since, or never were."""
    requirements = _PEERS / name / "requirements.txt"
    digest = sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    folder, installed = _ENVIRONMENTS / name, _ENVIRONMENTS / name / "installed"
    if not installed.is_file() or installed.read_text() != digest:
        print(f"installing {name} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(requirements)], check=True)
        installed.write_text(digest)
    return folder / "bin"


def versions_of(name: str) -> list[str]:
    """What it is made of, as ``name==version``, of the packages that its requirements name."""
    return [line for line in (_PEERS / name / "requirements.txt").read_text().split() if "==" in line]
