"""Flower under ``manage.py up --flower``: where it listens, and who may do what there."""

from app.secret_key import stored_secret_key
from config import Config
from libs.local_stack import PortTakenError, require_free_port

_USER = "taskgate"


def flower_defaults(config: Config) -> dict[str, str]:
    """The environment of Flower, and of the worker that it watches, but for what the operator's says otherwise.

    The password is in no command line, which all can read.
    Raises: PortTakenError; OSError for a data directory in which no password can be kept.
    """
    if config.flower_port == config.port:  # free still, and the API's
        raise PortTakenError(config.flower_address, config.flower_port, "FLOWER_PORT")
    require_free_port(config.flower_address, config.flower_port, "FLOWER_PORT")
    return {
        "FLOWER_ADDRESS": config.flower_address,
        "FLOWER_PORT": str(config.flower_port),
        "FLOWER_BASIC_AUTH": f"{_USER}:{stored_secret_key(config.data_dir / 'flower.key')}",
        # A look at all, and a hand in nothing: what Flower starts has no owner and no limit, and what it cancels is
        # not asked for by somebody who may.
        "FLOWER_READ_ONLY": "true",
        # Flower turns events on by itself, some seconds after its start.
        "CELERY_WORKER_SEND_TASK_EVENTS": "true",
    }


def flower_line(config: Config) -> str:
    """Where Flower is and how one comes in, without the password."""
    url = f"http://{config.flower_address or '127.0.0.1'}:{config.flower_port}"
    return f"{url}   (user {_USER}, password in {config.data_dir / 'flower.key'}; or FLOWER_BASIC_AUTH)"
