"""``MONITOR_TARGETS``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app import create_app
from app.jobs.monitoring.services.targets import MOST_TARGETS, Target, TargetError, read_targets
from config import Config, ConfigError


def test_names_are_given_or_made_of_host_port_and_path() -> None:
    text = "https://shop.example.com/health?token=abc, api=http://10.0.0.7:8080/a=b,http://[::1]:81/,"

    assert read_targets(text) == (
        Target("shop.example.com/health", "https://shop.example.com/health?token=abc"),
        Target("api", "http://10.0.0.7:8080/a=b"),
        Target("[::1]:81", "http://[::1]:81/"),
    )
    assert read_targets(" ") == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("shop.example.com", "URLs such as"),
        ("ftp://shop.example.com/", "URLs such as"),
        ("http:///health", "URLs such as"),
        ("http://[::1/", "URLs such as"),
        ("http://xn--/", "URLs such as"),
        ("=http://shop.example.com/", "URLs such as"),
        ("http://ann:secret@shop.example.com/", "without a user name"),
        ("=cmd=http://shop.example.com/", "URLs such as"),
        ("@sum=http://shop.example.com/", "names of up to"),
        (f"{'a' * 129}=http://shop.example.com/", "names of up to"),
        ("a=http://one.example.com/,a=http://two.example.com/", "'a' is there twice"),
        (",".join(f"http://h{number}/" for number in range(MOST_TARGETS + 1)), "100 targets at the most"),
    ],
)
def test_what_cannot_be_used_is_refused(text: str, reason: str) -> None:
    with pytest.raises(TargetError, match=reason) as refusal:
        read_targets(text)

    assert "secret" not in str(refusal.value)


def test_the_start_stops_at_targets_that_cannot_be_used(config: Config) -> None:
    with pytest.raises(ConfigError, match="MONITOR_TARGETS wants URLs"):
        create_app(replace(config, monitor_targets="shop"))


def test_addresses_are_not_shown(config: Config) -> None:
    configured = replace(config, monitor_targets="shop=https://shop.example.com/?token=abc")

    assert "token=" not in repr(configured)
    assert "token=" not in repr(read_targets(configured.monitor_targets))
