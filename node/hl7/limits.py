"""What the listener grants: how many connections, and how much memory for what waits in all of them."""

from __future__ import annotations

import ipaddress
from collections import Counter

from node.settings import Hl7Section

PIPELINE = 16
"""Messages of one connection that are on their way to their answers at once; those behind them wait unread."""
LOOP_BYTES = 64 << 10
"""Longest message that is read on the loop's own thread; a longer one would hold up the other connections."""
FREE_BYTES = 256 << 10
"""What each connection may hold, whatever the others do: one read, or a message of usual size."""
WAITING_BYTES = 128 << 20
"""What all connections together may hold beyond that, of messages that are not whole or not answered."""


class Limits:
    """Counts what is granted. Used by the loop's thread alone."""

    def __init__(self, settings: Hl7Section) -> None:
        self._settings = settings
        self._networks = [ipaddress.ip_network(peer, strict=False) for peer in settings.peers]
        self._connections: Counter[str] = Counter()
        self.most_bytes = max(WAITING_BYTES, 2 * settings.max_message_bytes)
        self.bytes = 0

    def allows(self, host: str) -> bool:
        """Whether a peer at this address may connect; everyone may where no peers are configured."""
        if not self._networks:
            return True
        address = ipaddress.ip_address(host.split("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)

    def enter(self, host: str) -> bool:
        """Grant a connection, or not: there are as many as may be, in all or of this address."""
        section = self._settings
        if self.connections >= section.max_connections or self._connections[host] >= section.max_connections_per_peer:
            return False
        self._connections[host] += 1
        return True

    def leave(self, host: str) -> None:
        """Take a connection back."""
        self._connections[host] -= 1
        if self._connections[host] <= 0:
            del self._connections[host]

    @property
    def connections(self) -> int:
        """How many connections are granted, those that still shake hands among them."""
        return self._connections.total()

    def hold(self, change: int) -> None:
        """Count bytes that wait, or (negative) no longer do."""
        self.bytes += change

    @property
    def exceeded(self) -> bool:
        """Whether more waits than may."""
        return self.bytes > self.most_bytes
