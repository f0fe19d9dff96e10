"""The examples of docs/client.md, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.job_client.conftest import Server

EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "client.md").read_text(), re.DOTALL)
SAID = [
    r"3\n",
    r"(\S+) (True|False)\n\1 True\n",
    r"(?s)(\d+ of \d+\n)+1503 rows read\n.*PROGRESS\n.*SUCCESS\n",
    r"20100\n\d+ jobs\n",
    r"(?s)\d{4}-\d\d-\d\d \d\d:00:00\+00:00\n3\n.*maintenance\.adds 0 9 \* \* 1-5 False\n.*",
    r"\[1, 2, 3, 4, 5\]\n",
]


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_says_what_it_is_to_say(server: Server, number: int, tmp_path: Path) -> None:
    assert len(EXAMPLES) == len(SAID)
    # Beside the server's code the package has its longer name.
    code = EXAMPLES[number].replace("from job_client", "from libs.job_client")
    code = code.replace('"http://127.0.0.1:8000", key', f"{server.url!r}, {server.key!r}")

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.replace("/tmp/", f"{tmp_path}/")],
        env={**os.environ, "TASKGATE_URL": server.url, "TASKGATE_KEY": server.key},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stderr == ""
    assert re.fullmatch(SAID[number], done.stdout), done.stdout
