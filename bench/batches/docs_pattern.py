"""Flask and Celery as Flask's documentation puts them together, answering with the id of a job just submitted."""

import os

from celery import Celery
from flask import Flask, request

app = Flask(__name__)
celery = Celery("docs_pattern", broker=f"{os.environ['REDIS_URL']}/5", backend=f"{os.environ['REDIS_URL']}/6")


@celery.task
def adds(a: int, b: int) -> int:
    return a + b


@app.post("/adds")
def submit() -> tuple[dict[str, str], int]:
    body = request.get_json()
    return {"result_id": adds.delay(body["a"], body["b"]).id}, 202
