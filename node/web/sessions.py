"""The session: a signed cookie that names the user and seeds the CSRF token. The server keeps nothing but its key.

The key is a random file under the node's root, so that a restart logs nobody out; the signature also covers the
configured login, so that a changed password logs everybody out.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from node.settings import WebSection

COOKIE = "overread_session"
MAX_AGE_SECONDS = 12 * 3600
"""One long shift; afterwards the password is asked again."""
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    """Who is asking. ``user`` is "" before the login; ``nonce`` is random and makes the CSRF token."""

    nonce: str
    user: str = ""


def new_session(user: str = "") -> Session:
    """Return a session that nobody had before; a login always takes a new one, so none can be planted."""
    return Session(secrets.token_urlsafe(18), user)


def load_secret(path: Path) -> bytes:
    """Return the signing key, making it on first use, readable by its owner only; several processes may race."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)  # whoever links first wins; a half-written key is never seen
        fresh.unlink()
    return path.read_bytes()


class Sessions:
    """Makes and reads session cookies and CSRF tokens."""

    def __init__(self, secret: bytes, web: WebSection) -> None:
        login = "\0".join((web.user, web.password.get_secret_value(), web.password_hash.get_secret_value()))
        self._key = hmac.new(secret, login.encode(), hashlib.sha256).digest()
        self._serializer = URLSafeTimedSerializer(self._key, salt="overread.session")

    def read(self, cookie: str | None) -> Session | None:
        """Return the session of a cookie; None where it is missing, forged, or older than a shift."""
        if not cookie:
            return None
        try:
            nonce, user = self._serializer.loads(cookie, max_age=MAX_AGE_SECONDS)
        except (BadSignature, ValueError, TypeError):
            return None
        return Session(str(nonce), str(user))

    def write(self, session: Session) -> str:
        """Return the cookie's value."""
        return self._serializer.dumps([session.nonce, session.user])

    def csrf_token(self, session: Session) -> str:
        """Return the token that a form of this session carries."""
        return hmac.new(self._key, f"csrf\0{session.nonce}\0{session.user}".encode(), hashlib.sha256).hexdigest()

    def csrf_valid(self, session: Session, token: str) -> bool:
        """Whether ``token`` belongs to this session."""
        return hmac.compare_digest(self.csrf_token(session).encode(), token.encode("utf-8", "replace"))
