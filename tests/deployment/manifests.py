"""What the files of ``deploy/`` say, read as what reads them does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"

#: Who brings an image of their own.
FOREIGN = {"redis", "postgres"}


@dataclass(frozen=True, slots=True)
class Process:
    """A container: what it runs, and with which settings besides those that all share."""

    name: str
    command: list[str]
    environment: dict[str, str]
    grace: float  # seconds from SIGTERM to SIGKILL
    probes: list[list[str]] = field(default_factory=list)  # those that run a command

    @property
    def queues(self) -> list[str]:
        return self.command[self.command.index("--queues") + 1].split(",") if "worker" in self.command else []


def compose() -> dict[str, Any]:
    """With the defaults of its variables."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DEPLOY / "compose.yaml").read_text())
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def compose_processes() -> list[Process]:
    return [
        Process(
            name=name,
            command=service.get("command", image_command()),
            environment={key: str(value) for key, value in service["environment"].items()},
            grace=float(service.get("stop_grace_period", "10s").removesuffix("s")),
            probes=[service["healthcheck"]["test"][1:]] if "test" in service.get("healthcheck", {}) else [],
        )
        for name, service in compose()["services"].items()
        if name not in FOREIGN
    ]


def objects(folder: str) -> Iterator[dict[str, Any]]:
    """All that a folder of ``deploy/kubernetes`` has, by its kustomization."""
    for name in resources(folder):
        yield from yaml.safe_load_all((KUBERNETES / folder / name).read_text())


def resources(folder: str) -> list[str]:
    found: list[str] = yaml.safe_load((KUBERNETES / folder / "kustomization.yaml").read_text())["resources"]
    return found


def of_kind(folder: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in objects(folder) if each["kind"] == kind]


def workloads() -> list[dict[str, Any]]:
    return [*of_kind("app", "Deployment"), *of_kind("migrate", "Job")]


def kubernetes_processes() -> list[Process]:
    found = []
    for workload in workloads():
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        probes = [
            container[kind] for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in container
        ]
        found.append(
            Process(
                name=workload["metadata"]["name"],
                command=container["command"],
                environment={each["name"]: each["value"] for each in container.get("env", [])},
                grace=pod.get("terminationGracePeriodSeconds", 30),
                probes=[probe["exec"]["command"] for probe in probes if "exec" in probe],
            )
        )
    return found


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each with its words in one line; without comments."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line.strip()]


def image_command() -> list[str]:
    (words,) = [words for name, words in instructions() if name == "CMD"]
    command: list[str] = yaml.safe_load(words)
    return command


def copied() -> list[str]:
    """The paths of the repository that are copied into the image."""
    lists = [words.split() for name, words in instructions() if name == "COPY" and "--from" not in words]
    return [path for words in lists for path in words[:-1]]
