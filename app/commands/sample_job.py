"""The sample job: a small catalogue brought in and matched, over HTTP, by the client that others have."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from libs.job_client import JobClient, JobClientError
from libs.job_client import Progress as JobProgress

_SAMPLE = Path(__file__).parents[2] / "samples" / "parts.csv"
_PATIENCE = 120.0  # seconds for each job


class SampleJobError(Exception):
    """The sample job failed, or did not end in time."""


def run_sample_job(base_url: str, key: str) -> None:
    """Upload the sample catalogue, bring it into the table, match the table, and print what came of it.

    Raises: SampleJobError.
    """
    with JobClient(base_url, key) as client, Progress() as bars:
        try:
            file_id = client.upload(_SAMPLE).file_id
            refreshed = _run(client, bars, "maintenance.refresh_onboard_table", file_id=file_id)
            matched = _run(client, bars, "maintenance.match_self_table")
        except JobClientError as error:
            raise SampleJobError(str(error)) from error
    _show(refreshed, matched)


def _run(client: JobClient, bars: Progress, task: str, **params: Any) -> dict[str, Any]:
    bar = bars.add_task(task, total=None)

    def show(progress: JobProgress) -> None:
        bars.update(bar, completed=progress.current, total=progress.total)

    result = client.submit(task, **params).result(_PATIENCE, on_progress=show)
    bars.update(bar, completed=1, total=1)
    return dict(result)


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
