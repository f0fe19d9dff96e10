"""What docs/scaling.md would have somebody set is accepted, and what it would have them look at is told."""

from __future__ import annotations

import re
import shlex

import pytest

from config import Config, load_config
from libs.flask_celery import FlaskCelery
from tests.conftest import ROOT, built_app

TEXT = (ROOT / "docs" / "scaling.md").read_text()


def settings_under(heading: str) -> dict[str, str]:
    """The names and values of the first block below a heading."""
    block = TEXT.partition(f"\n## {heading}\n")[2].partition("```sh\n")[2].partition("```")[0]
    return dict(word.split("=", 1) for word in shlex.split(block))


@pytest.fixture
def configured(
    request: pytest.FixtureRequest, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> tuple[dict[str, str], Config]:
    settings = settings_under(request.param)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return settings, load_config()


@pytest.mark.parametrize("configured", ["Several hosts"], indirect=True)
def test_several_hosts(configured: tuple[dict[str, str], Config]) -> None:
    settings, config = configured

    assert config.database_url == settings["DATABASE_URL"]
    assert config.files_url == settings["FILES_URL"]
    assert config.secret_key == (settings["SECRET_KEY"],)
    assert config.broker_url == f"{settings['REDIS_URL']}/2"


@pytest.mark.parametrize("configured", ["Sentinel"], indirect=True)
def test_sentinel(configured: tuple[dict[str, str], Config]) -> None:
    """That these are enough to find the master is tests/flask_celery/test_transport.py's to show."""
    _, config = configured

    with built_app(config) as app:
        celery_app: FlaskCelery = app.extensions["celery"]
        assert celery_app.conf.broker_transport_options["master_name"] == "taskgate"
        assert celery_app.conf.result_backend_transport_options["master_name"] == "taskgate"
        with celery_app.connection_for_read() as connection:
            assert [address.partition("@")[2] for address in connection.alt] == [f"s{n}:26379/2" for n in (1, 2, 3)]


@pytest.mark.parametrize("configured", ["RabbitMQ"], indirect=True)
def test_rabbitmq(configured: tuple[dict[str, str], Config]) -> None:
    settings, config = configured

    assert config.broker_url == settings["BROKER_URL"]
    assert config.result_url == f"{settings['REDIS_URL']}/1"


def test_the_metrics_and_figures_that_are_named_are_told() -> None:
    told = "".join(path.read_text() for path in (ROOT / "app" / "metrics").glob("*.py"))
    named = set(re.findall(r"taskgate_[a-z_]+", TEXT))

    assert len(named) >= 4
    assert {re.sub("_(total|sum|count|bucket)$", "", name) for name in named} <= set(
        re.findall(r"taskgate_\w+", told)
    )
    assert "Processor time for each operation" in (ROOT / "bench" / "rates" / "report.py").read_text()
