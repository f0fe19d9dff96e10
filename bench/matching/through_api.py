"""Abt-Buy through the whole service: uploaded, brought into the table and matched as a job, over HTTP.

    python -m bench.matching.through_api --data DIR [--url http://127.0.0.1:8000 --key KEY]

Without ``--url`` it starts the service (``manage.py up``) on a free port with an empty data directory. Prints
precision, recall and F1 of all pairs the job found, also those within one shop.
"""

import argparse
import contextlib
import csv
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from .abt_buy import load
from .quality import Quality, evaluate

_ROOT = Path(__file__).parents[2]
_START_TIMEOUT = 120.0
_JOB_TIMEOUT = 600.0


def measure(client: httpx.Client, directory: Path) -> Quality:
    """Load both files as one table through the API, run ``match_self_table``, compare its pairs with the truth."""
    rows, truth = load(directory)
    text = io.StringIO()
    writer = csv.DictWriter(text, ["code", "name", "description", "manufacturer", "price"])
    writer.writeheader()
    writer.writerows(rows)
    upload = client.post("/api/1.0/files", files={"file": ("abt-buy.csv", text.getvalue().encode(), "text/csv")})
    refreshed = run_job(
        client, "maintenance.refresh_onboard_table", {"file_id": upload.raise_for_status().json()["file_id"]}
    )
    if refreshed["result"]["inserted"] != len(rows):
        raise SystemExit(f"Not all of {len(rows)} rows came in: {refreshed['result']}")
    matched = run_job(client, "maintenance.match_self_table", {})
    pairs = client.get(matched["files"][0]["url"]).raise_for_status().text
    return evaluate(((row["code_a"], row["code_b"]) for row in csv.DictReader(io.StringIO(pairs))), truth)


def run_job(client: httpx.Client, task: str, params: dict[str, Any]) -> dict[str, Any]:
    """Submit, poll, and return the successful job."""
    submitted = client.post(f"/api/1.0/tasks/{task}/jobs", json=params).raise_for_status()
    deadline = time.monotonic() + _JOB_TIMEOUT
    while time.monotonic() < deadline:
        job: dict[str, Any] = client.get(submitted.headers["Location"]).raise_for_status().json()
        if job["ready"]:
            if not job["successful"]:
                raise SystemExit(f"{task}: {job['error']}")
            return job
        time.sleep(0.1)
    raise SystemExit(f"{task} had not ended after {_JOB_TIMEOUT:g} s")


@contextlib.contextmanager
def running_service() -> Iterator[tuple[str, str]]:
    """The service on a free port with an empty data directory: its address and a key."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DATA_DIR": folder, "PORT": str(port)}
        environment.pop("REDIS_URL", None)
        environment.pop("DATABASE_URL", None)
        command = [sys.executable, "manage.py", "up", "--no-sample"]
        with subprocess.Popen(command, cwd=_ROOT, env=environment, stdout=subprocess.PIPE, text=True) as service:
            try:
                _wait_until_up(service)
                yield f"http://127.0.0.1:{port}", (Path(folder) / "dev.key").read_text().strip()
            finally:
                service.terminate()


def _wait_until_up(service: "subprocess.Popen[str]") -> None:
    assert service.stdout is not None
    said = []
    for line in service.stdout:
        said.append(line)
        if "Taskgate is up" in line:
            return
    raise SystemExit("The service did not come up:\n" + "".join(said))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of Abt.csv, Buy.csv and the mapping")
    parser.add_argument("--url", help="a service that runs already, with an empty table")
    parser.add_argument("--key", help="its key, with the scopes submit and read")
    options = parser.parse_args()
    service = contextlib.nullcontext((options.url, options.key)) if options.url else running_service()
    with (
        service as (url, key),
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
    ):
        quality = measure(client, options.data)
    figures = f"precision {quality.precision:.3f}  recall {quality.recall:.3f}  F1 {quality.f1:.3f}"
    print(f"Abt-Buy through the API: {figures}")


if __name__ == "__main__":
    main()
