"""The names that Celery's settings had before Celery 4, understood in the environment: ``CELERYD_CONCURRENCY``.

Which they are is Celery's own table (``celery/app/defaults.py``), so that none is forgotten here.
"""

import difflib
import logging
from functools import cache

from celery.app.defaults import NAMESPACES, flatten

from libs.flask_celery.errors import SettingError

logger = logging.getLogger(__name__)

ENVIRONMENT_PREFIX = "CELERY_"

#: Of the variables that are Celery's settings, under their names of today or of then.
PREFIXES = (ENVIRONMENT_PREFIX, "CELERYD_", "CELERYBEAT_", "BROKER_")

#: What Celery's service files read, which is no setting (its ``extra/generic-init.d`` and ``extra/systemd``).
_OF_SERVICE_FILES = frozenset(
    (
        *("BIN", "CHDIR", "GROUP", "LOG_DIR", "LOG_FILE", "LOG_LEVEL", "MULTI", "NODES", "OPTS", "PID_DIR"),
        *("PID_FILE", "SU", "SU_ARGS", "TIME", "UID", "GID", "USER", "WORKDIR", "FORCE_ROOT", "ULIMIT"),
    )
)

#: The parts of an address, each on its own; the address is one here. An orchestrator that knows a service ``broker``
#: sets some of these for purposes of its own.
_PARTS_OF_ADDRESS = frozenset(f"BROKER_{part}" for part in ("HOST", "PORT", "USER", "PASSWORD", "VHOST", "TRANSPORT"))


@cache
def old_names() -> dict[str, str]:
    """The setting of today by each old name that is not the one of today as well."""
    names: dict[str, str] = {}
    for setting, option in flatten(NAMESPACES):
        # As celery/app/defaults.py puts them together: of the name without that of its group.
        group = setting.partition("_")[0]
        key = setting.removeprefix(f"{group}_") if isinstance(NAMESPACES.get(group), dict) else setting
        old = {template.format(key).upper() for template in option.old}
        if group == "broker":
            old = {setting.upper()}
        names |= dict.fromkeys(old - {environment_name(setting), "BROKER_URL"}, setting)
    return names


def environment_name(setting: str) -> str:
    """The variable of a setting."""
    return f"{ENVIRONMENT_PREFIX}{setting.upper()}"


def renamed(variable: str) -> str | None:
    """The variable of today for one that has an old name, with one warning for it; another one as it is.

    Returns: None for a variable that is no setting.
    Raises: SettingError for a name that looks like an old one and is none.
    """
    if variable == "BROKER_URL":
        return environment_name("broker_url")  # it is the product's own name, too
    if variable in _PARTS_OF_ADDRESS:
        _warn(variable, "is not used: the broker's address stands in BROKER_URL")
        return None
    setting = old_names().get(variable)
    if setting is not None:
        _warn(variable, f"is an old name; write {environment_name(setting)}")
        return environment_name(setting)
    if variable.startswith(ENVIRONMENT_PREFIX):
        return variable
    prefix = next(prefix for prefix in PREFIXES if variable.startswith(prefix))
    # BROKER_… may belong to anybody.
    if prefix == "BROKER_" or variable.removeprefix(prefix) in _OF_SERVICE_FILES:
        return None
    nearest = difflib.get_close_matches(variable, old_names(), n=1, cutoff=0.0)[0]
    raise SettingError(
        variable, f"is no setting of Celery; did you mean {nearest}, now {environment_name(old_names()[nearest])}?"
    )


@cache
def _warn(variable: str, what: str) -> None:
    """Once in a process, however many applications it builds."""
    logger.warning("%s %s.", variable, what)
