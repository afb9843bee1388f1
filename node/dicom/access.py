"""Who may associate. Pure: the allowlist and a request in, a rejection or None out."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from node.settings import DicomSection


@dataclass(frozen=True, slots=True)
class Rejection:
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 section 9.3.4), and the sentence for people."""

    result: int
    source: int
    reason: int
    text: str


CALLING_NOT_RECOGNISED = Rejection(1, 1, 3, "calling AE title or its address is not on the allowlist")
CALLED_NOT_RECOGNISED = Rejection(1, 1, 7, "called AE title is not this node's")
CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2, "application context name is not DICOM's")
PROTOCOL_NOT_SUPPORTED = Rejection(1, 2, 2, "protocol version is not 1")
LIMIT_EXCEEDED = Rejection(2, 3, 2, "too many associations at once")


def judge(settings: DicomSection, calling: str, called: str, address: str) -> Rejection | None:
    """Return why an association is rejected, or None. An empty allowlist lets everyone in."""
    if settings.peers and not any(
        peer.ae_title == calling.strip() and _within(address, peer.address) for peer in settings.peers
    ):
        return CALLING_NOT_RECOGNISED
    if settings.require_called_ae_title and called.strip() != settings.ae_title:
        return CALLED_NOT_RECOGNISED
    return None


def may_store(settings: DicomSection, calling: str, address: str) -> bool:
    """Whether a peer that was let in may send objects (Peer.store)."""
    return not settings.peers or any(
        peer.store and peer.ae_title == calling.strip() and _within(address, peer.address) for peer in settings.peers
    )


def _within(address: str, network: str) -> bool:
    try:
        host = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(host, "ipv4_mapped", None)  # ::ffff:192.0.2.1, as a dual-stack socket shows an IPv4 peer
    return (mapped or host) in ipaddress.ip_network(network, strict=False)
