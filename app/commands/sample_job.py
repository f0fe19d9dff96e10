"""The sample job: a small catalogue brought in and matched, over HTTP, as any client would do it."""

import time
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

_SAMPLE = Path(__file__).parents[2] / "samples" / "parts.csv"
_PATIENCE = 120.0


class SampleJobError(Exception):
    """The sample job failed, or did not end in time."""


def run_sample_job(base_url: str, key: str) -> None:
    """Upload the sample catalogue, bring it into the table, match the table, and print what came of it.

    Raises: SampleJobError.
    """
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=base_url, headers=headers, timeout=30.0) as client, Progress() as progress:
        try:
            catalogue = {"file": ("parts.csv", _SAMPLE.read_bytes(), "text/csv")}
            file_id = _send(client, "POST", "/api/1.0/files", files=catalogue).json()["file_id"]
            refreshed = _run(client, progress, "maintenance.refresh_onboard_table", {"file_id": file_id})
            matched = _run(client, progress, "maintenance.match_self_table", {})
        except httpx.HTTPError as error:
            raise SampleJobError(str(error)) from error
    _show(refreshed, matched)


def _run(client: httpx.Client, progress: Progress, task: str, params: dict[str, Any]) -> dict[str, Any]:
    once = {"Idempotency-Key": str(uuid4())}
    submitted = _send(client, "POST", f"/api/1.0/tasks/{task}/jobs", json=params, headers=once)
    bar = progress.add_task(task, total=None)
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        job = _send(client, "GET", submitted.headers["Location"]).json()
        if job["progress"]:
            progress.update(bar, completed=job["progress"]["current"], total=job["progress"]["total"])
        if job["ready"]:
            if not job["successful"]:
                raise SampleJobError(f"{job['state']}: {job['error']}")
            progress.update(bar, completed=1, total=1)
            return dict(job["result"])
        time.sleep(0.1)
    raise SampleJobError(f"{task} had not ended after {_PATIENCE:g} s.")


def _send(client: httpx.Client, method: str, url: str, **request: Any) -> httpx.Response:
    """As clients do, come again while the answer is 503: a disk that is slow for a moment makes Redis so.

    Raises: httpx.HTTPError.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        answer = client.request(method, url, **request)
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or time.monotonic() >= deadline:
            return answer.raise_for_status()
        time.sleep(float(answer.headers.get("Retry-After", "1")))


def _show(refreshed: dict[str, Any], matched: dict[str, Any]) -> None:
    console = Console()
    counts = ", ".join(
        f"{refreshed[name]} {name}" for name in ("read", "inserted", "updated", "unchanged", "rejected")
    )
    console.print(f"\nmaintenance.refresh_onboard_table: {counts}")
    console.print(f"maintenance.match_self_table: {matched['pairs']} pairs among {matched['parts']} parts, the best:")
    table = Table("score", "part", "looks like", "because")
    for pair in matched["best"][:5]:
        table.add_row(f"{pair['score']:.2f}", pair["code_a"], pair["code_b"], pair["reason"])
    console.print(table)
