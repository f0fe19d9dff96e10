"""What signs access tokens: the secrets of the settings, or the one that an installation makes for itself."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app import create_app
from app.api_keys import Scope, create_key
from app.extensions import db
from app.job_tokens import ExpiredTokenError, InvalidTokenError, JobAccess, JobTokens
from app.secret_key import stored_secret_key
from config import Config, ConfigError
from libs.flask_celery.testing import MoveClock
from tests.conftest import ROOT, built_app
from tests.installation import API, bearer

ACCESS = JobAccess("x", "ann")


def test_it_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"

    secret = stored_secret_key(path)

    assert len(secret) == 64
    assert stored_secret_key(path) == secret != stored_secret_key(tmp_path / "other.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", ["", "half-a-secr", "a" * 64])
def test_what_a_dying_writer_left_is_made_anew(kept: str, tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.write_text(kept)
    path.chmod(0o644)

    secret = stored_secret_key(path)

    assert secret != kept
    assert stored_secret_key(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"{secret}\n"


def test_processes_that_start_at_once_have_the_same(tmp_path: Path) -> None:
    """Many rounds of a few processes, each of which waits for the starting shot."""
    program = (
        "import sys, pathlib; from app.secret_key import stored_secret_key; print('ready', flush=True)\n"
        "for line in sys.stdin: print(stored_secret_key(pathlib.Path(line.strip())), flush=True)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for _ in range(4)
    ]

    def answers() -> list[str]:
        return [process.stdout.readline().strip() for process in processes]  # type: ignore[union-attr]

    try:
        assert answers() == ["ready"] * 4
        for turn in range(200):
            for process in processes:
                assert process.stdin is not None
                process.stdin.write(f"{tmp_path / f'{turn}.key'}\n")
                process.stdin.flush()
            found = answers()
            assert len(set(found)) == 1, (turn, found)
            assert len(found[0]) == 64
    finally:
        for process in processes:
            process.communicate(timeout=30)


def test_an_installation_keeps_its_secret_over_restarts(config: Config) -> None:
    with built_app(config) as app:
        token = app.extensions["job_tokens"].issue(ACCESS)
    with built_app(config) as app:
        assert app.extensions["job_tokens"].read(token) == ACCESS
    (config.data_dir / "secret.key").unlink()
    with built_app(config) as app, pytest.raises(InvalidTokenError):
        app.extensions["job_tokens"].read(token)


@pytest.mark.parametrize("settings", [{"secret_key": ("s" * 32,)}, {"role": "worker"}], ids=str)
def test_no_secret_is_kept_where_none_is_needed(settings: dict[str, object], config: Config) -> None:
    changed: Callable[..., Config] = replace
    with built_app(changed(config, **settings)) as app:
        assert not (config.data_dir / "secret.key").exists()
        if "secret_key" in settings:
            token = app.extensions["job_tokens"].issue(ACCESS)
            assert JobTokens(["s" * 32], ttl=1).read(token) == ACCESS


def test_a_data_directory_that_cannot_keep_it_stops_the_start(config: Config) -> None:
    (config.data_dir / "secret.key").mkdir(parents=True)

    with pytest.raises(ConfigError, match=r"^DATA_DIR wants .* or SECRET_KEY to be set"):
        create_app(config)


def test_the_settings_say_how_long_it_works_and_what_signs_it(config: Config, moved_clock: MoveClock) -> None:
    new, old = "n" * 32, "o" * 32
    with built_app(replace(config, access_token_ttl=7, secret_key=(new, old))) as app:
        with app.app_context():
            key = create_key(db.session(), "ann", {Scope.SUBMIT})
            db.session.commit()
        job = (
            app.test_client()
            .post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=bearer(key))
            .json
        )
    reader = JobTokens([new], ttl=1)

    assert reader.read(job["access_token"]) == JobAccess(job["task_id"], "ann")
    moved_clock(timedelta(seconds=8))
    with pytest.raises(ExpiredTokenError):
        reader.read(job["access_token"])
