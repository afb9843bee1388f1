from __future__ import annotations

import pytest

from node.dicom.access import CALLED_NOT_RECOGNISED, CALLING_NOT_RECOGNISED, judge
from node.settings import DicomSection, Peer

PEERS = (
    Peer(ae_title="MR1", address="192.0.2.0/28"),
    Peer(ae_title="CT1", address="2001:db8::/32"),
    Peer(ae_title="US"),
)


@pytest.mark.parametrize(
    ("calling", "address", "welcome"),
    [
        ("MR1", "192.0.2.15", True),
        (" MR1  ", "192.0.2.1", True),
        ("MR1", "192.0.2.16", False),
        ("mr1", "192.0.2.1", False),
        ("MR1", "::ffff:192.0.2.1", True),
        ("CT1", "2001:db8::7", True),
        ("CT1", "fe80::1%eth0", False),
        ("US", "198.51.100.1", True),
        ("XA", "192.0.2.1", False),
        ("MR1", "not an address", False),
    ],
)
def test_title_and_address_must_be_those_of_one_peer(calling: str, address: str, welcome: bool) -> None:
    verdict = judge(DicomSection(peers=PEERS), calling, "OVERREAD", address)
    assert verdict == (None if welcome else CALLING_NOT_RECOGNISED)


def test_without_peers_everyone_is_welcome() -> None:
    assert judge(DicomSection(), "ANYONE", "ANYBODY", "198.51.100.1") is None


def test_the_called_title_counts_where_that_is_asked_for() -> None:
    settings = DicomSection(require_called_ae_title=True)
    assert judge(settings, "MR1", "OVERREAD ", "192.0.2.1") is None
    assert judge(settings, "MR1", "OTHER", "192.0.2.1") == CALLED_NOT_RECOGNISED
