"""Flask and nothing else: what is left when neither Redis nor jobs cost anything."""

from flask import Flask

flask_app = Flask(__name__)


@flask_app.post("/hello")
@flask_app.get("/hello")
def hello() -> dict[str, object]:
    return {"task_id": "none", "ready": True}
