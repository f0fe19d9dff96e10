"""What the files of ``deploy/`` name is there, and they agree with the program and with one another."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin import beat, worker
from flask import Flask
from flower.options import options as flower_options
from gunicorn.config import Config as GunicornConfig

from config import BROKER_DATABASE, Config, load_config
from manage import cli
from tests.conftest import ROOT, built_app
from tests.deployment.manifests import (
    DEPLOY,
    FOREIGN,
    KUBERNETES,
    Process,
    compose,
    compose_processes,
    kubernetes_processes,
    objects,
    of_kind,
    resources,
    workloads,
)

PROCESSES = [*compose_processes(), *kubernetes_processes()]
WORKERS = [process for process in PROCESSES if process.queues]

#: Read by config.py without being fields of it under the same name.
PLACES = {"DATA_DIR", "REDIS_URL", "BROKER_URL", "RESULT_URL", "DATABASE_URL", "FILES_URL"}
SETTINGS = PLACES | {each.name.upper() for each in fields(Config) if each.metadata}
#: gunicorn's and boto3's own.
OTHERS = {"WEB_CONCURRENCY", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def by_name(process: Process) -> str:
    return process.name


def settings_of_kubernetes() -> dict[str, str]:
    (config_map,) = of_kind("app", "ConfigMap")
    secret = next(yaml.safe_load_all((KUBERNETES / "secret.example.yaml").read_text()))
    return {**config_map["data"], **secret["stringData"]}


def test_every_name_of_an_environment_is_a_settings() -> None:
    names = {name for process in PROCESSES for name in process.environment} | set(settings_of_kubernetes())

    assert len(names) > 10
    plain = {name for name in names if not name.startswith(("CELERY_", "FLOWER_"))}
    assert plain <= SETTINGS | OTHERS
    flower = {name.removeprefix("FLOWER_").lower() for name in names if name.startswith("FLOWER_")}
    assert flower <= set(flower_options._options) | {name.replace("-", "_") for name in flower_options._options}


@pytest.mark.parametrize("process", PROCESSES, ids=by_name)
def test_the_settings_are_accepted(
    process: Process, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Celery too, which are checked where the application is built."""
    shared = settings_of_kubernetes() if process.name.startswith("taskgate-") else {}
    kept = {"DATA_DIR", "DATABASE_URL", "REDIS_URL", "FILES_URL"}
    for name, value in {**shared, **process.environment}.items():
        if name not in kept:
            monkeypatch.setenv(name, value)

    with built_app(load_config(role="worker" if process.queues else "api")) as app:
        soft = app.extensions["celery"].conf.worker_soft_shutdown_timeout

    if process.queues:
        assert process.grace >= soft + 2  # docs/operations.md


@pytest.mark.parametrize("process", PROCESSES, ids=by_name)
def test_the_command_is_one_that_the_program_takes(process: Process) -> None:
    program, *arguments = process.command
    if program == "gunicorn":
        parsed = GunicornConfig().parser().parse_args(arguments)
        assert parsed.args == ["app:create_app()"]
        assert (ROOT / Path(parsed.config).relative_to("/app")).is_file()
        assert parsed.bind == ["0.0.0.0:8000"]
    elif program == "python":
        assert arguments[0] == "manage.py"
        with cli.make_context("manage.py", arguments[1:]) as context:  # which closes the application's
            group = cli.get_command(context, arguments[1])
            assert group.get_command(context, arguments[2]) is not None  # type: ignore[union-attr]
    else:
        assert (program, *arguments[:2]) == ("celery", "-A", "libs.flask_celery:celery_app")
        part, *options = arguments[2:]
        names = {option.partition("=")[0] for option in options if option.startswith("--")}
        known = {"worker": worker.worker, "beat": beat.beat}
        if part == "flower":
            assert {name[2:] for name in names} <= set(flower_options._options)
        else:
            assert names <= {name for each in known[part].params for name in each.opts}


def test_every_process_of_the_service_is_there() -> None:
    for processes in (compose_processes(), kubernetes_processes()):
        commands = [" ".join(process.command) for process in processes]
        for part in ("gunicorn app:create_app()", " worker ", " beat ", "manage.py db upgrade"):
            assert any(part in f"{command} " for command in commands), part


@pytest.mark.parametrize("process", WORKERS, ids=by_name)
def test_a_worker_is_asked_for_the_file_that_it_touches(process: Process) -> None:
    assert process.probes
    for probe in process.probes:
        assert re.findall(r"/tmp/[a-z-]+", " ".join(probe)) == [process.environment["WORKER_HEARTBEAT_FILE"]]


def test_the_ports_and_paths_that_are_asked_are_the_apis(app: Flask) -> None:
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    (api,) = [each for each in workloads() if each["metadata"]["name"] == "taskgate-api"]
    (container,) = api["spec"]["template"]["spec"]["containers"]
    (service,) = of_kind("app", "Service")

    asked = {container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "liveness", "readiness")}
    assert asked == {"/healthz", "/readyz"} <= rules
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["ports"] == [{"name": "http", "containerPort": 8000}]
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]
    assert service["spec"]["selector"] == api["spec"]["selector"]["matchLabels"]
    assert "http://127.0.0.1:8000/healthz" in (DEPLOY / "Dockerfile").read_text()
    assert compose()["services"]["api"]["ports"][0].endswith(":8000")


@pytest.mark.parametrize("folder", ["app", "migrate", "scaling"])
def test_a_kustomization_has_all_files_of_its_folder(folder: str) -> None:
    there = {path.name for path in (KUBERNETES / folder).glob("*.yaml")} - {"kustomization.yaml"}

    assert set(resources(folder)) == there


def test_what_the_manifests_refer_to_is_there() -> None:
    secrets = {
        each["metadata"]["name"] for each in yaml.safe_load_all((KUBERNETES / "secret.example.yaml").read_text())
    }
    names = {(each["kind"], each["metadata"]["name"]) for each in [*objects("app"), *objects("scaling")]}
    names |= {("Secret", name) for name in secrets}
    deployments = {each["metadata"]["name"]: each for each in of_kind("app", "Deployment")}

    for workload in workloads():
        for source in workload["spec"]["template"]["spec"]["containers"][0]["envFrom"]:
            ((kind, reference),) = source.items()
            assert ({"configMapRef": "ConfigMap", "secretRef": "Secret"}[kind], reference["name"]) in names
    for budget in of_kind("app", "PodDisruptionBudget"):
        target = deployments[budget["metadata"]["name"]]
        assert budget["spec"]["selector"] == target["spec"]["selector"]
    for deployment in deployments.values():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"] == labels
    for (authentication,) in [of_kind("scaling", "TriggerAuthentication")]:
        assert {each["name"] for each in authentication["spec"]["secretTargetRef"]} <= secrets


def test_containers_may_do_little() -> None:
    for workload in workloads():
        pod = workload["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"/data", "/tmp", "/dev/shm"} == {mount["mountPath"] for mount in container["volumeMounts"]}
        assert container["resources"]["limits"]["memory"]
    for name, service in compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["user"].split(":")[0] != "0", name
        assert {"cpus", "mem_limit", "pids_limit"} <= set(service), name
        assert name == "api" or "healthcheck" in service, name  # the API has the image's
        if name in FOREIGN:
            assert service["networks"] == ["taskgate"], name
            assert "ports" not in service, name
    assert compose()["networks"]["taskgate"]["internal"] is True


def test_no_file_has_a_secret_in_it() -> None:
    """Settings that are not to be shown have no value but in the examples of where it goes."""
    secret = {each.name.upper() for each in fields(Config) if not each.repr} | {"REDIS_URL", "DATABASE_URL"}
    (config_map,) = of_kind("app", "ConfigMap")

    assert not secret & set(config_map["data"])
    assert not secret & {name for process in PROCESSES for name in process.environment}
    assert "/secrets/" in (ROOT / ".gitignore").read_text()


def numbers_of(scaled: dict[str, Any]) -> set[str]:
    return set(re.findall(r"[A-Za-z_]\w*", scaled["spec"]["advanced"]["scalingModifiers"]["formula"]))


def test_every_worker_is_scaled_and_never_to_none() -> None:
    scaled = {each["spec"]["scaleTargetRef"]["name"]: each for each in of_kind("scaling", "ScaledObject")}

    assert set(scaled) == {process.name for process in kubernetes_processes() if process.queues}
    for each in scaled.values():
        assert each["spec"]["minReplicaCount"] >= 1
        assert numbers_of(each) - {"min"} == {trigger["name"] for trigger in each["spec"]["triggers"]}
        for trigger in each["spec"]["triggers"]:
            assert trigger["metadata"]["databaseIndex"] == str(BROKER_DATABASE)
