"""The one configured login: comparison in constant time, and a brake on guessing."""

from __future__ import annotations

import base64
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from node.settings import WebSection

FREE_FAILURES = 5
"""Mistypings that cost nothing."""
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 300.0
"""The wait doubles from the first to the longest with every further failure."""
FORGET_SECONDS = 900.0
"""After this long without a failure an address starts anew."""
MAX_ADDRESSES = 2048
"""Addresses remembered; the oldest go first, so that memory is bounded under attack."""


def password_matches(web: WebSection, user: str, password: str) -> bool:
    """Whether this is the configured login. Both parts are always compared, so that time tells nothing about either."""
    right_user = hmac.compare_digest(user.encode("utf-8", "replace"), web.user.encode())
    right_password = _password_matches(web, password)
    return web.login and right_user and right_password


def _password_matches(web: WebSection, password: str) -> bool:
    if not (encoded := web.password_hash.get_secret_value()):
        return hmac.compare_digest(password.encode("utf-8", "replace"), web.password.get_secret_value().encode())
    try:
        return PasswordHasher().verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Return user and password of an ``Authorization: Basic`` header (RFC 7617), None where it is none."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:  # no Base64, no UTF-8, or no ASCII in the header
        return None
    return (user, password) if colon else None


@dataclass(slots=True)
class _Failures:
    count: int
    last: float
    until: float


class Throttle:
    """Counts failed logins by client address and makes the next try wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait(self, address: str) -> float:
        """Return for how many seconds this address may not try; 0 if it may."""
        with self._lock:
            failures = self._failures.get(address)
            return max(0.0, failures.until - self._clock()) if failures else 0.0

    def failed(self, address: str) -> None:
        """Count a failure."""
        with self._lock:
            now = self._clock()
            known = self._failures.pop(address, None)
            count = known.count + 1 if known and now - known.last < FORGET_SECONDS else 1
            excess = count - FREE_FAILURES - 1
            wait = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(excess, 16)) if excess >= 0 else 0.0
            self._failures[address] = _Failures(count, now, now + wait)
            while len(self._failures) > MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forget the failures of an address."""
        with self._lock:
            self._failures.pop(address, None)


class Login:
    """The configured login with its brake: what the form and HTTP Basic both ask."""

    def __init__(self, web: WebSection, throttle: Throttle | None = None) -> None:
        self._web = web
        self.throttle = throttle or Throttle()

    def attempt(self, address: str, user: str, password: str) -> bool:
        """Whether the login is right; a throttled address is refused unread."""
        if self.throttle.wait(address) > 0:
            return False
        self.throttle.failed(address)  # counted before the comparison, so that many tries at once are not free
        if not password_matches(self._web, user, password):
            return False
        self.throttle.succeeded(address)
        return True
