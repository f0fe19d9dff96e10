"""The image: what is copied into it is what runs, and it runs as nobody in particular on a read-only root."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sysconfig import get_path
from tempfile import mkdtemp

import httpx
import pytest
from celery import Celery
from flask import Flask

from tests.conftest import ROOT, RedisServer, wait_until
from tests.deployment.manifests import DEPLOY, compose_processes, copied, instructions

#: Of the image. Elsewhere there is no such user, which Celery takes for a reason to warn.
USER = 10001
NOBODY = 65534

#: A mount namespace in which all is read-only but three places. $1 is the program, $2 Python, $3 its packages, $4
#: the data.
ISOLATED = f"""
set -eu
program="$1" python="$2" packages="$3" data="$4"; shift 4
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/app /mnt/python /mnt/packages /mnt/data
mount --bind "$program" /mnt/app
mount --bind "$python" /mnt/python
mount --bind "$packages" /mnt/packages
mount --bind "$data" /mnt/data
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /dev/shm
chmod 1777 /tmp /dev/shm
for place in /mnt/app /mnt/python /mnt/packages; do mount -o remount,bind,ro "$place"; done
mount -o remount,ro /mnt
mount -o remount,bind,ro /
cd /mnt/app
exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
"""


def test_what_is_copied_is_there_and_is_what_the_program_is() -> None:
    paths = copied()

    assert all((ROOT / path).exists() for path in paths)
    python = {str(path.relative_to(ROOT)) for path in ROOT.glob("*.py")} | {"app", "libs"}
    assert python <= set(paths)
    requirements = [path for path in paths if path.startswith(("requirements", "constraints"))]
    assert "requirements-dev.txt" not in requirements
    assert {"requirements.txt", "constraints.txt"} <= set(requirements)


def test_the_builder_is_given_nothing_else() -> None:
    """No .env, data, keys or tests: all is left out but what is copied, and of that what may lie about."""
    lines = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("#", "")
    ]

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == set(copied())
    assert {"**/__pycache__", "**/.env"} <= set(lines[1:])


def test_the_image_is_for_nobody_in_particular() -> None:
    users = [words for name, words in instructions() if name == "USER"]
    bases = [words for name, words in instructions() if name == "FROM"]
    arguments = " ".join(words for name, words in instructions() if name in ("ARG", "ENV"))

    assert users == [f"{USER}:{USER}"]
    assert len(bases) == 2
    assert "@sha256:" in arguments
    assert "gcc" not in " ".join(words for name, words in instructions()[-12:] if name == "RUN")


def why_not() -> str | None:
    if os.getuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return "wants root, unshare and setpriv"
    outcome = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False)
    return None if outcome.returncode == 0 else "no mount namespace is to be had here"


class Image:
    """What the Dockerfile copies, run as it is in a container: nothing is writable but /data, /tmp and /dev/shm."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.folder, self.data = folder, folder / "data"
        program = folder / "app"
        program.mkdir()
        for path in copied():
            source = ROOT / path
            if source.is_dir():
                shutil.copytree(source, program / path, ignore=shutil.ignore_patterns("__pycache__", ".env"))
            else:
                shutil.copy(source, program)
        subprocess.run([sys.executable, "-m", "compileall", "-q", "."], cwd=program, check=True, timeout=120)
        subprocess.run(["chmod", "-R", "go=rX", program], check=True)
        self.data.mkdir(mode=0o700)
        os.chown(self.data, NOBODY, NOBODY)
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": "/mnt/packages",
            "LD_LIBRARY_PATH": "/mnt/python/lib",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/tmp",
            "DATA_DIR": "/mnt/data",
            "LOG_FORMAT": "json",
            "REDIS_URL": redis_url,
        }

    def command(self, *words: str) -> list[str]:
        places = [str(self.folder / "app"), sys.base_prefix, get_path("purelib"), str(self.data)]
        return ["unshare", "--mount", "sh", "-c", ISOLATED, "sh", *places, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    @contextmanager
    def running(self, name: str, *words: str, **environment: str) -> Iterator[Path]:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(*words), env={**self.environment, **environment}, stdout=output, stderr=output
            )
        try:
            yield log
        except BaseException as error:
            error.add_note(f"{name}: {log.read_text()[-2500:]}")
            raise
        finally:
            process.terminate()
            try:
                process.wait(40)
            finally:
                process.kill()


def as_here(command: list[str], port: int) -> list[str]:
    """A command of the compose file, with this Python, which may be where its user may not look."""
    program, *words = command
    here = {"0.0.0.0:8000": f"127.0.0.1:{port}", "/app/gunicorn.conf.py": "/mnt/app/gunicorn.conf.py"}
    python = str(Path("/mnt/python") / Path(sys.executable).resolve().relative_to(Path(sys.base_prefix).resolve()))
    # Without the packages of the Python that the environment was made with, which the image has not.
    module = [python, "-S"] if program == "python" else [python, "-S", "-m", program]
    return [*module, *(here.get(word, word) for word in words)]


@pytest.mark.long
def test_it_runs_with_a_read_only_root_for_a_user_that_owns_nothing(
    app: Flask, redis_server: RedisServer, redis_url: str
) -> None:
    """The commands of the compose file: the migrations, the API, a worker in a prefork pool, and beat."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    folder = Path(mkdtemp(prefix="taskgate-image-"))
    folder.chmod(0o755)
    commands = {process.name: process.command for process in compose_processes()}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    celery_app: Celery = app.extensions["celery"]
    try:
        image = Image(folder, redis_url)
        for place, works in [("/mnt/app", 1), ("/mnt/packages", 1), ("/etc", 1), ("/mnt/data", 0), ("/tmp", 0)]:
            assert bool(image.run("touch", f"{place}/written").returncode) is bool(works), place
        migrated = image.run(*as_here(commands["migrate"], port))
        assert migrated.returncode == 0, migrated.stderr

        worker = as_here(commands["worker-default"], port)
        heartbeat = {"WORKER_HEARTBEAT_FILE": "/mnt/data/worker-alive"}
        with (
            image.running("api", *as_here(commands["api"], port)) as api_log,
            image.running("worker", *worker, **heartbeat) as worker_log,
            image.running("beat", *as_here(commands["beat"], port)) as beat_log,
        ):
            wait_until(lambda: answers(port, "/readyz"), timeout=60, what="the API")
            wait_until((image.data / "worker-alive").exists, timeout=90, what="the worker")
            job = celery_app.send_task("maintenance.adds", kwargs={"a": 1, "b": 2})
            assert job.get(timeout=60) == 3
            wait_until(lambda: "beat: Starting" in beat_log.read_text(), timeout=60, what="beat")
        for log in (api_log, worker_log, beat_log):
            text = log.read_text()
            assert "Traceback" not in text, text
            assert "ead-only file system" not in text, text
    finally:
        shutil.rmtree(folder)


def answers(port: int, path: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
