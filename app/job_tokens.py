"""Access tokens: each opens one job for a limited time. Signed, not stored. Knows nothing of HTTP."""

import hashlib
import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring as _text

from itsdangerous import BadData, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

#: Tells a token from an API key, for us and for whoever scans code and logs for secrets.
PREFIX = "tgj_"

#: What issue() makes: a payload and a signature in Base64url. itsdangerous would skip over other characters.
_TOKEN = re.compile(PREFIX + r"(?P<signed>\.?[A-Za-z0-9_-]{1,2000}\.(?P<signature>[A-Za-z0-9_-]{43}))")

_SALT = "taskgate.job-token"


class InvalidTokenError(Exception):
    """Not a token that this service signed."""


class ExpiredTokenError(InvalidTokenError):
    """It was one, and its time has passed."""


@dataclass(frozen=True, slots=True)
class JobAccess:
    """What a token opens: one job, as its owner's."""

    task_id: str
    owner: str


class JobTokens:
    """Issues and reads tokens.

    Args:
        secret_keys: newest first. The first signs; a token of any of them is taken, so that keys can be changed.
        ttl: seconds a token works.
    """

    def __init__(self, secret_keys: Sequence[str], *, ttl: int) -> None:
        self._ttl = ttl
        self._serializer = URLSafeSerializer(
            list(reversed(secret_keys)),  # itsdangerous has the newest last
            salt=_SALT,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )
        self._mac = hmac.new(self._serializer.make_signer(_SALT).derive_key(), digestmod="sha256")  # the newest's

    def issue(self, access: JobAccess) -> str:
        """A token that works from now on."""
        ends = int(time.time()) + self._ttl
        # As the serializer writes it that reads it, but for what takes it longest: it derives the key each time, and
        # tries whether compression makes the payload shorter.
        signed = urlsafe_b64encode(f"[{_text(access.task_id)},{_text(access.owner)},{ends}]".encode()).rstrip(b"=")
        mac = self._mac.copy()
        mac.update(signed)
        signature = urlsafe_b64encode(mac.digest()).rstrip(b"=")
        return f"{PREFIX}{signed.decode()}.{signature.decode()}"

    def read(self, token: str) -> JobAccess:
        """What it opens; the signature is compared in constant time. Raises: InvalidTokenError, ExpiredTokenError."""
        parts = _TOKEN.fullmatch(token)
        # 32 bytes leave two bits of Base64 over, which decoders overlook: of four spellings only ours is taken.
        if parts is None or base64_encode(base64_decode(parts["signature"])).decode() != parts["signature"]:
            raise InvalidTokenError
        try:
            task_id, owner, expires_at = self._serializer.loads(parts["signed"])
        except BadData as error:
            raise InvalidTokenError from error
        if time.time() >= expires_at:
            raise ExpiredTokenError
        return JobAccess(task_id, owner)
