"""Prometheus's own tool, of Debian's package ``prometheus``."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.conftest import ROOT

RULES = ROOT / "deploy" / "prometheus"


def promtool(*arguments: str, given: str | None = None) -> str:
    """Run it. Returns: what it has said, when it is content; AssertionError when it is not."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("promtool is not installed, and CI must run these tests")
        pytest.skip("promtool is not installed")
    outcome = subprocess.run(
        [program, *arguments], input=given, capture_output=True, text=True, timeout=60, check=False, cwd=RULES
    )
    said = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, said
    return said
