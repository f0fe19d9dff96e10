"""Queue names of a deployment, and the settings that keep deployments apart."""

from __future__ import annotations

from typing import Any

import pytest
from celery.utils.nodenames import worker_direct
from flask import Flask
from kombu import Exchange, Queue
from kombu.common import Broadcast

from libs.flask_celery import CelerySettings, FlaskCelery, Role, make_celery
from libs.flask_celery.celery_config import celery_config
from libs.flask_celery.queue_names import QueueNames
from libs.flask_celery.transport import OPTION

ACME = QueueNames("acme")


def settings(deployment: str, role: Role = Role.API, **overrides: str) -> CelerySettings:
    return CelerySettings(
        "redis://host:6379/2", "redis://host:6379/1", role=role, deployment=deployment, overrides=overrides
    )


def celery_of(deployment: str, **overrides: str) -> FlaskCelery:
    return make_celery(Flask("names"), settings(deployment, **overrides))


@pytest.mark.parametrize("role", Role)
def test_a_deployment_has_its_own_keys_queues_and_exchanges(role: Role) -> None:
    config = celery_config(settings("acme", role))

    assert config["broker_transport_options"]["global_keyprefix"] == "acme:"
    assert config["result_backend_transport_options"]["global_keyprefix"] == "acme:"
    assert config["broker_transport_options"][OPTION] == {"database": 1, "prefix": "acme:", "serializer": "json"}
    assert config["task_default_queue"] == "acme.default"
    exchanges = ("control_exchange", "event_exchange", "event_queue_prefix")
    assert [config[name] for name in exchanges] == ["acme.celery", "acme.celeryev", "acme.celeryev"]


@pytest.mark.parametrize("role", Role)
def test_without_one_nothing_changes_on_the_wire(role: Role) -> None:
    config = celery_config(settings("", role))

    for name in ("broker_transport_options", "result_backend_transport_options"):
        assert "global_keyprefix" not in config.get(name, {})
    assert config["task_default_queue"] == "default"
    assert config.keys().isdisjoint({"control_exchange", "event_exchange", "event_queue_prefix"})
    assert celery_of("").amqp.queues["compute"].name == "compute"


def test_the_operators_own_names_are_logical_too() -> None:
    declared = '{"compute": {"exchange": "work", "routing_key": "heavy"}, "acme.other": {}}'

    celery_app = celery_of(
        "acme",
        CELERY_TASK_DEFAULT_QUEUE="main",
        CELERY_TASK_DEFAULT_EXCHANGE="all",
        CELERY_TASK_QUEUES=declared,
    )

    queues = celery_app.amqp.queues
    found = {name: (queue.exchange.name, queue.routing_key) for name, queue in queues.items()}
    assert found["acme.compute"] == ("acme.work", "heavy")
    assert found.keys() == {"acme.compute", "acme.other"}
    assert celery_app.conf.task_default_queue == "acme.main"
    assert celery_app.amqp.default_exchange.name == "acme.all"


@pytest.mark.parametrize("name", ["compute", "acme.compute"])
def test_either_name_is_the_same_queue(name: str) -> None:
    queues = celery_of("acme").amqp.queues

    queues.select([name])

    assert list(queues.consume_from) == ["acme.compute"]
    queue = queues[name]
    assert (queue.name, queue.exchange.name, queue.routing_key) == ("acme.compute", "acme.compute", "acme.compute")
    assert name in queues
    queues.deselect(name)
    assert list(queues.consume_from) == []


def test_routes_and_publishes_lead_to_the_deployments_queue() -> None:
    celery_app = celery_of("acme", CELERY_TASK_ROUTES='{"a.task": {"queue": "routed"}}')
    route = celery_app.amqp.Router().route

    assert route({}, "a.task")["queue"].name == "acme.routed"
    assert route({}, "another.task")["queue"].name == "acme.default"
    assert route({"queue": "named"}, "a.task")["queue"].name == "acme.named"


@pytest.mark.parametrize("queue", ["named", "acme.named", Queue("named", Exchange("named"), routing_key="named")])
def test_a_message_that_passed_no_router_reaches_it_too(queue: Any) -> None:
    celery_app = celery_of("acme", CELERY_BROKER_URL="memory://")
    with celery_app.connection_for_write() as connection:
        message = celery_app.amqp.as_task_v2("an-id", "a.task")
        sent: list[dict[str, Any]] = []
        producer = celery_app.amqp.Producer(connection)
        producer.publish = lambda body, **options: sent.append(options)

        send = celery_app.amqp._to_queue_of_deployment(celery_app.amqp._create_task_sender())
        send(producer, "a.task", message, queue=queue)

    assert (sent[0]["exchange"], sent[0]["routing_key"]) == ("", "acme.named")
    assert [declared.name for declared in sent[0]["declare"]] == ["acme.named"]


def test_declared_queues_are_copied_with_their_exchange() -> None:
    direct = worker_direct("w@host")

    own = ACME.of_deployment(direct)

    assert (own.name, own.exchange.name) == ("acme.w@host.dq2", "acme.C.dq2")
    assert (direct.name, direct.exchange.name) == ("w@host.dq2", "C.dq2")
    assert ACME.of_deployment(own) is own
    broadcast = ACME.of_deployment(Broadcast("news"))
    assert (broadcast.exchange.name, broadcast.name.startswith("acme.bcast.")) == ("acme.news", True)


@pytest.mark.parametrize(
    ("names", "logical", "physical"),
    [
        (ACME, "compute", "acme.compute"),
        (ACME, "acmes.work", "acme.acmes.work"),
        (QueueNames(), "compute", "compute"),
    ],
)
def test_names_lead_both_ways(names: QueueNames, logical: str, physical: str) -> None:
    assert names.physical(logical) == physical
    assert names.physical(physical) == physical
    assert names.logical(physical) == logical
    assert names.logical(logical) == logical
