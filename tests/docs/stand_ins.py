"""What the reader of a page has beside its Python: names that stand for his own, by page."""

from __future__ import annotations

_OF_JOBS = """
from types import SimpleNamespace
from uuid import UUID
from marshmallow import Schema, fields
from libs.flask_celery import BatchItem, JobRecord, JobState, Then, current_job, job, read_batch, read_batch_jobs
class ReportParams(Schema):
    month = fields.String(required=True)
class FetchParams(Schema):
    url = fields.Url(required=True)
MonthParams = ReportParams
db = SimpleNamespace(session=None)
services = SimpleNamespace(build=None, charge=None, fetch=None)
"""

BEFORE = {
    "docs/jobs.md": _OF_JOBS,
    "docs/settings.md": "from kombu import Exchange, Queue\ndef tell_the_team(*args): pass\n",
    "docs/webhooks.md": """
import os
os.environ["WEBHOOK_SECRET"] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
handled = []
def handle_once(webhook_id, event): handled.append((webhook_id, event))
""",
    "examples/django_site/README.md": """
import os
from types import SimpleNamespace
import httpx
key, order = os.environ["TASKGATE_KEY"], SimpleNamespace(pk=17)
""",
    "docs/client.md": """
import os
key = os.environ["TASKGATE_KEY"]
""",
}

#: What must be true once the block has run.
AFTER = {
    "docs/webhooks.md": """
from datetime import UTC, datetime
now = datetime.now(UTC)
def post(signature):
    headers = {"webhook-id": "m1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return app.test_client().post("/taskgate", data='{"type": "job.succeeded"}', headers=headers).status_code
assert post(webhook.sign("m1", now, '{"type": "job.succeeded"}')) == 204
assert handled == [("m1", {"type": "job.succeeded"})]
assert post(webhook.sign("m2", now, '{"type": "job.succeeded"}')) == 400
""",
    "docs/settings.md": "assert [queue.name for queue in CELERY_SETTINGS['task_queues']] == ['default', 'parts']\n",
    "examples/django_site/README.md": "assert answer.status_code == 202 and result.startswith('/api/1.0/results/')\n",
}
