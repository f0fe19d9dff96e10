"""Flask and dramatiq, which acknowledges."""

import os

import dramatiq
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import RedisBackend
from flask import Flask, request

ADDRESS = f"unix://{os.environ['REDIS_SOCKET']}"

results = RedisBackend(url=ADDRESS)
broker = RedisBroker(url=ADDRESS)
broker.add_middleware(Results(backend=results))
dramatiq.set_broker(broker)
flask_app = Flask(__name__)


@dramatiq.actor(store_results=True)
def adds(a: int, b: int) -> int:
    return a + b


@flask_app.post("/jobs")
def submit() -> tuple[dict[str, object], int]:
    params = request.get_json()
    return {"task_id": adds.send(params["a"], params["b"]).message_id}, 202


@flask_app.get("/results/<task_id>")
def poll(task_id: str) -> dict[str, object]:
    message = Message(
        queue_name="default",
        actor_name="adds",
        args=(),
        kwargs={},
        options={},
        message_id=task_id,
        message_timestamp=0,
    )
    try:
        return {"ready": True, "result": results.get_result(message)}
    except ResultMissing:
        return {"ready": False}
