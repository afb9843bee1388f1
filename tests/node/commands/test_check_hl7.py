"""`overread check` of the HL7 side: files of TLS, character sets, destinations over MLLP."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.commands.check import Check, checks
from node.settings import Destination, Hl7Section, NodeSection, Settings, TlsSection
from tests.node.hl7.certificates import made
from tests.node.hl7.listening import listening


def found(settings: Settings, name: str) -> Check:
    return next(item for item in checks(settings, (), {}) if item.name == name)


def test_the_port_is_said_to_be_plain_and_what_is_read_without_msh_18(tmp_path: Path) -> None:
    check = found(Settings(node=NodeSection(root=tmp_path)), "hl7")
    assert (check.ok, check.text) == (True, "plain MLLP; messages without MSH-18 are ASCII")


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (Hl7Section(charset="EBCDIC"), "hl7.charset: 'EBCDIC'"),
        (Hl7Section(tls=TlsSection(certificate=Path("none.pem"), key=Path("none.key"))), "hl7.tls: "),
    ],
)
def test_what_would_keep_the_listener_from_starting_is_found(tmp_path: Path, section: Hl7Section, words: str) -> None:
    check = found(Settings(node=NodeSection(root=tmp_path), hl7=section), "hl7")
    assert not check.ok
    assert words in check.text


def test_a_destination_over_tls_is_tried_over_tls(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = made(folder)
    with listening(tmp_path / "peer", tls=keys.section("server", "required")) as peer:
        ris = Destination(name="ris", kind="mllp", host="127.0.0.1", port=peer.port, tls=True)
        for authority, ok in (("ca", True), ("other", False)):
            section = Hl7Section(tls=keys.section("client", authority=authority))
            settings = Settings(node=NodeSection(root=tmp_path / "node"), hl7=section, destinations=(ris,))
            assert found(settings, "destination ris").ok is ok
