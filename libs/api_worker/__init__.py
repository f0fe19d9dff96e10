"""gunicorn's gevent worker, without what it finds out anew for each request.

Whatever is out of the ordinary in a request, or in gunicorn's settings, is left to gunicorn's own code.
"""

from libs.api_worker.worker import ApiWorker

__all__ = ["ApiWorker"]
