"""Where redbeat finds its Redis and its keys: the Redis of the results, whatever form its address has.

redbeat by itself knows no ``sentinel://`` and no ``redis+socket://``, and would take the broker's, which need not be
a Redis. With these attributes of the Celery app its Python API (``RedBeatSchedulerEntry(…).save()``) works in any
process.
"""

from typing import Any

from kombu.utils import cached_property
from redbeat.schedulers import RedBeatConfig
from redis import Redis

from libs.flask_celery.schedules.schedules import ScheduleKeys

#: Seconds that beat waits for an answer: a Redis that is silent for longer is asked anew.
ANSWER_TIMEOUT = 5.0


class RedBeatPlace:
    """The part of the Celery app that redbeat looks at (``redbeat/schedulers.py``, ensure_conf and get_redis)."""

    @cached_property  # type: ignore[untyped-decorator]
    def redbeat_redis(self) -> Redis:
        """A connection pool of redbeat's own, which reads text."""
        backend: Any = self.backend  # type: ignore[attr-defined]
        parameters = {**backend.connparams, "decode_responses": True, "socket_timeout": ANSWER_TIMEOUT}
        client: Redis = backend._create_client(**parameters)
        return client

    @cached_property  # type: ignore[untyped-decorator]
    def redbeat_conf(self) -> RedBeatConfig:
        """The names of the keys, in the deployment's part of the results."""
        app: Any = self
        keys = ScheduleKeys(app.backend.keys.prefix)
        # Its own constructor looks for settings and warns of each that is not there.
        conf = RedBeatConfig.__new__(RedBeatConfig)
        conf.app = app
        conf.key_prefix, conf.schedule_key, conf.statics_key = keys.prefix, keys.by_due, keys.in_code
        conf.redis_url, conf.redis_use_ssl, conf.redbeat_redis_options = app.backend.url, None, {}
        conf.lock_key, conf.lock_timeout = keys.lock, None
        return conf
