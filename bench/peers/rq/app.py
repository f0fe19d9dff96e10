"""Flask and RQ."""

import os

from flask import Flask, request
from jobs import adds
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job

redis = Redis.from_url(f"unix://{os.environ['REDIS_SOCKET']}")
queue = Queue(connection=redis)
flask_app = Flask(__name__)


@flask_app.post("/jobs")
def submit() -> tuple[dict[str, object], int]:
    params = request.get_json()
    return {"task_id": queue.enqueue(adds, params["a"], params["b"]).id}, 202


@flask_app.get("/results/<task_id>")
def poll(task_id: str) -> tuple[dict[str, object], int]:
    try:
        job = Job.fetch(task_id, connection=redis)
    except NoSuchJobError:
        return {"ready": False}, 404
    return {"ready": job.is_finished, "result": job.return_value() if job.is_finished else None}, 200
