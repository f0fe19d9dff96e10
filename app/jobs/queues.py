"""The queues of the service beside the default one; ``manage.py up`` and ``deploy/`` have a worker for each."""

COLLECT = "for_task_collect"  # for what waits for others: hosts, networks
COMPUTE = "for_task_compute"  # for what keeps a processor busy
