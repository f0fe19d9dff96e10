"""How gunicorn serves the API: read by itself from the working directory, with or without ``manage.py up``.

Options on gunicorn's command line are stronger than these.
"""

from pathlib import Path

#: Greenlets, not threads: a client that sends half a request, or reads slowly, costs a greenlet and holds up nobody.
#: gunicorn patches the standard library for gevent before it imports the application; nothing else does.
worker_class = "gevent"
worker_connections = 1000

#: Seconds an idle connection is kept. Longer than a load balancer's own time-out is the usual advice behind one.
keepalive = 5
graceful_timeout = 30

#: Heartbeat files belong in memory: a busy disk must not look like a hung worker (gunicorn's FAQ).
if Path("/dev/shm").is_dir():  # noqa: S108
    worker_tmp_dir = "/dev/shm"  # noqa: S108

#: There is nothing to steer that signals do not, and a socket in the home directory belongs to nobody's installation.
control_socket_disable = True
