"""Digests in plain Python: whose turn it is, what there is to say, how it reads, and sending it."""

from app.jobs.alerts.services.chain import DigestInProgressError
from app.jobs.alerts.services.digest import FailedJobLine, FailedJobsPart
from app.jobs.alerts.services.findings import Finding, FindingKind, forget_old_findings, keep_finding
from app.jobs.alerts.services.sending import DigestMail, DigestOutcome, send_digests

__all__ = [
    # Findings
    "Finding", "FindingKind", "forget_old_findings", "keep_finding",
    # Digests
    "DigestInProgressError", "DigestMail", "DigestOutcome", "FailedJobLine", "FailedJobsPart", "send_digests",
]  # fmt: skip
