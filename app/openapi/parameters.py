"""What the OpenAPI document says of each path parameter, header and credential: name → (description, schema)."""

from app.api_1_0.idempotency import LONGEST_KEY
from app.auth import ACCESS_TOKEN
from app.languages import LANGUAGES

PARAMETERS = {
    "task": ("The name of a task, as GET tasks lists them.", {"type": "string", "maxLength": 255}),
    "task_id": ("What the submission answered.", {"type": "string", "maxLength": 255}),
    "batch_id": ("What the submission of the batch answered.", {"type": "string", "maxLength": 255}),
    "delivery_id": ("A delivery's id, as its receiver has it in webhook-id.", {"type": "string", "maxLength": 64}),
    "schedule_id": ("The id of a schedule, as GET schedules lists them.", {"type": "string", "maxLength": 255}),
    "file_id": ("What POST files answered.", {"type": "string", "maxLength": 255}),
    "name": ("A file's name, as the result lists it.", {"type": "string", "maxLength": 128}),
}

HEADERS = {
    "Location": ("Where to poll for the result.", {"type": "string"}),
    "Retry-After": ("Seconds to wait before asking again.", {"type": "integer"}),
    "X-Request-ID": ("The request's id, for logs and reports.", {"type": "string"}),
    "RateLimit": (
        "Requests left (r) and seconds until there are more (t), by limit.",
        {"type": "string", "examples": ['"key";r=5999;t=60']},
    ),
    "RateLimit-Policy": (
        "The limits that this request was counted against: requests (q) in seconds (w).",
        {"type": "string", "examples": ['"key";q=6000;w=60, "submit";q=3000;w=60']},
    ),
    "Content-Location": ("Where this job is polled.", {"type": "string"}),
    "Preference-Applied": ("What was preferred and done, as wait=10.", {"type": "string"}),
    "ETag": ("Of this very answer; to be sent as If-None-Match.", {"type": "string"}),
    "Last-Modified": ("When the file came to be.", {"type": "string"}),
    "Accept-Ranges": ("What a Range is in.", {"type": "string", "enum": ["bytes"]}),
    "Content-Range": ("Which bytes these are, and of how many.", {"type": "string"}),
    "Content-Disposition": ("attachment, with the file's name.", {"type": "string"}),
    "Content-Language": ("The language of state_label.", {"type": "string", "enum": list(LANGUAGES)}),
    "Already-Running": (
        "No job was started: this one is under way, and there is one at a time of its task.",
        {"type": "string", "enum": ["true"]},
    ),
    "Idempotent-Replayed": (
        "The job was submitted before, under the same key.",
        {"type": "string", "enum": ["true"]},
    ),
}

REQUEST_HEADERS = {
    "Idempotency-Key": (
        "Your name for this submission. Sent again with the same body it is the same job, with another one a 422.",
        {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!#-\\[\\]-~]+$"},
    ),
    "Prefer": (
        "`wait=N`: answer 200 with the result when the job has ended within N seconds, 30 at the most. Needs the "
        "scope `read` too.",
        {"type": "string", "examples": ["wait=10"]},
    ),
    "Cancel-After": (
        "Cancel the job if it has not ended so long after its submission: seconds, or a duration such as 1h30m.",
        {"type": "string", "pattern": "^[1-9][0-9]{0,8}$|^(?=[1-9])([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?$"},
    ),
    "If-Match": (
        "The ETag of the schedule that you have: refused when it has been changed since.",
        {"type": "string"},
    ),
    "Range": (
        "Which bytes are wanted: one range; several are answered with the whole file.",
        {"type": "string", "examples": ["bytes=1000-"]},
    ),
    "If-Range": (
        "The ETag that the range is of; when it is another one now, the answer is the whole file.",
        {"type": "string"},
    ),
    "Accept-Language": ("The language wanted for state_label: en, zh.", {"type": "string", "examples": ["zh-CN"]}),
    "If-None-Match": ("The ETag of the answer that you have.", {"type": "string"}),
    "Last-Event-ID": ("The id of the last event that you have; 0 for all that is kept.", {"type": "string"}),
}

SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "job_token": {
        "type": "http",
        "scheme": "bearer",
        "description": "The access_token that a submission answers. It opens that one job for a limited time.",
    },
    "job_token_in_query": {
        "type": "apiKey",
        "in": "query",
        "name": ACCESS_TOKEN,
        "description": "The same, where a browser cannot set headers.",
    },
}
