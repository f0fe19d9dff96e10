"""How messages and records are serialised: what the settings may say, and which serialisation a record is in.

Records are written in ``result_serializer`` and read in whatever they are in, as far as that is accepted: those that
were there before the setting was changed, or that a stock worker has written, stay readable.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from kombu.serialization import prepare_accept_content, registry

from libs.flask_celery.errors import SettingError
from libs.flask_celery.old_names import environment_name

PICKLE = "pickle"
_PICKLE_TYPE, _MSGPACK_TYPE = "application/x-python-serialize", "application/x-msgpack"
BINARY_TYPES = (_PICKLE_TYPE, _MSGPACK_TYPE)

#: The serialisers whose records can be told apart by their first bytes, which are these of kombu's.
TOLD_APART = frozenset(("json", "msgpack", "yaml", PICKLE))

#: Those of kombu's that say what data is, and cannot run anything.
_DATA_ALONE = ("json", "msgpack", "yaml")

#: A key of a mapping, or a list's first item.
_YAML = re.compile(rb"[a-z_]+:|- ")

_SERIALIZERS = ("task_serializer", "result_serializer", "event_serializer")
_ACCEPTED = ("accept_content", "result_accept_content")

#: The status that a record begins with, as a Lua function: JSON and what packs bytes have it first, YAML sorts.
#: A line of YAML's that begins without an indent is one of the record itself.
STATUS = r"""
local function status_in(record)
  local first = string.byte(record) or 123
  if first == 123 then return string.match(string.sub(record, 1, 60), '^{%s*"status":%s*"([^"]*)') end
  if first >= 128 then return string.match(string.sub(record, 1, 60), 'status.-(%u[%u_]+)') end
  return string.match(record, '\nstatus: (%u+)\n') or string.match(record, '^status: (%u+)\n')
end

-- Of the record under a key, read no further than is needed.
local function status_at(key)
  local head = redis.call('GETRANGE', key, 0, 60)
  local first = string.byte(head) or 123
  return status_in((first == 123 or first >= 128) and head or redis.call('GET', key))
end
"""


def checked_serializers(config: Mapping[str, Any], given: Collection[str], *, allow_pickle: bool) -> dict[str, Any]:
    """What is accepted, and that what is written is accepted too.

    Args:
        given: the settings that are not our defaults. What ``accept_content`` does not say follows from the rest.

    Raises: SettingError for a serialiser that nobody knows, for pickle unless it is allowed, and for one whose
        messages or results would be refused by those who are to read them.
    """
    for name in _SERIALIZERS:
        if name in config:
            _check(name, config[name], allow_pickle=allow_pickle)
    written = {name: config.get(name) or "json" for name in _SERIALIZERS}
    accepted = list(config["accept_content"])
    if "accept_content" not in given:
        accepted = list(dict.fromkeys([*accepted, written["task_serializer"], written["result_serializer"]]))
    found = {"accept_content": accepted}
    if config.get("result_accept_content") is not None:
        found["result_accept_content"] = list(config["result_accept_content"])
    elif "accept_content" not in given:
        # One record that was written under another setting would else be in the way of every list that it is in.
        found["result_accept_content"] = list(dict.fromkeys([*accepted, *_DATA_ALONE]))
    for name in _ACCEPTED:
        for serializer in found.get(name, ()):
            _check(name, serializer, allow_pickle=allow_pickle)
    if not prepare_accept_content(["json"]) <= prepare_accept_content(accepted):
        # That of ``inspect`` and ``control``, which a worker reads under this setting (celery/app/control.py).
        raise SettingError(environment_name("accept_content"), "wants json too: what controls workers is JSON")
    _require(written["task_serializer"], "task_serializer", found, "accept_content")
    where = "result_accept_content" if "result_accept_content" in found else "accept_content"
    _require(written["result_serializer"], "result_serializer", found, where)
    return found


def content_type_of(payload: bytes | str) -> str | None:
    """Of a record, or of a list as a chord stores it, told by its first bytes; None for anything else."""
    raw = payload.encode() if isinstance(payload, str) else payload
    if raw[:1] == b"\x80" and raw[1:2] <= b"\x05":
        return _PICKLE_TYPE
    if raw[:1] >= b"\x80":
        return _MSGPACK_TYPE
    if raw[:1] in (b"{", b"["):
        return "application/json"
    return "application/x-yaml" if _YAML.match(raw) else None


def _check(setting: str, serializer: Any, *, allow_pickle: bool) -> None:
    variable = environment_name(setting)
    if serializer not in registry.name_to_type and serializer not in registry.name_to_type.values():
        raise SettingError(variable, f"wants json, msgpack, yaml or pickle, not {serializer!r}")
    if serializer in (PICKLE, _PICKLE_TYPE) and not allow_pickle:
        raise SettingError(
            variable,
            "names pickle, with which whoever can write to Redis runs code of their own in every process that reads "
            "it; if that is wanted, set ALLOW_PICKLE=true",
        )


def _require(serializer: str, setting: str, found: Mapping[str, list[str]], where: str) -> None:
    if not prepare_accept_content([serializer]) <= prepare_accept_content(found[where]):
        raise SettingError(
            environment_name(setting),
            f"is {serializer}, which {environment_name(where)} does not accept; add it there",
        )
