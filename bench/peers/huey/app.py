"""Flask and huey, which takes a job off its list before it is run: at most once."""

import os

from flask import Flask, request
from huey import RedisHuey

huey = RedisHuey("peer", url=f"unix://{os.environ['REDIS_SOCKET']}")
flask_app = Flask(__name__)


@huey.task()
def adds(a: int, b: int) -> int:
    return a + b


@flask_app.post("/jobs")
def submit() -> tuple[dict[str, object], int]:
    params = request.get_json()
    return {"task_id": adds(params["a"], params["b"]).id}, 202


@flask_app.get("/results/<task_id>")
def poll(task_id: str) -> dict[str, object]:
    found = huey.result(task_id, preserve=True)
    return {"ready": found is not None, "result": found}
