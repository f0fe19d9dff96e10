"""The client installed by itself, in an environment that has nothing of the server's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.job_client.conftest import Server

SCRIPT = """
import asyncio, importlib.util, sys
from job_client import AsyncJobClient, JobClient

with JobClient() as client:
    print(client.submit("maintenance.adds", a=1, b=2).result(timeout=60))

async def main():
    async with AsyncJobClient() as client:
        job = await client.submit("maintenance.adds", a=3, b=4)
        print(await job.result(timeout=60))

asyncio.run(main())
print([name for name in ("app", "libs", "flask", "celery", "redis", "rich", "click") if name in sys.modules])
print(sorted(name for name in ("flask", "celery", "redis", "marshmallow") if importlib.util.find_spec(name)))
"""

TYPED = """
from job_client import JobClient
client = JobClient()
reveal_type(client.submit("x").status().progress)
client.submit(1)
"""


@pytest.mark.long
@pytest.mark.timeout(300)
def test_it_is_installed_alone_runs_and_is_typed(server: Server, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True, timeout=120)
    python = tmp_path / "venv" / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ROOT / "libs" / "job_client"]
    subprocess.run(install, check=True, timeout=240, cwd=tmp_path)

    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        [python, "-W", "error", "-c", SCRIPT],
        env=environment | {"TASKGATE_URL": server.url, "TASKGATE_KEY": server.key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (said.stdout, said.stderr) == ("3\n7\n[]\n[]\n", "")

    (tmp_path / "typed.py").write_text(TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--config-file=", "typed.py"]
    checked = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert 'Revealed type is "job_client.model.Progress | None"' in checked.stdout
    assert 'has incompatible type "int"; expected "str"' in checked.stdout
    assert "Found 1 error in 1 file" in checked.stdout

    assert [path for path in (ROOT / "libs" / "job_client").iterdir() if path.suffix == ".egg-info"] == []
    assert not (ROOT / "libs" / "job_client" / "build").exists()
