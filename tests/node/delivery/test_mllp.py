"""Delivery over MLLP: order within a study, a connection that is kept, TLS, what the peer said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import delivery
from node.delivery import mllp
from node.delivery.mllp import MllpTransport
from node.delivery.transport import Item, KeptTransport, Outcome
from node.settings import DeliverySection, Destination, Hl7Section, Settings
from node.simulator.ris import RisSimulator
from tests.node.hl7.certificates import made
from tests.node.hl7.listening import listening


class Out:
    """Messages on their way to a RIS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def item(self, study: str = "1.2.3", kind: str = "oru", wanted: str = "") -> Item:
        """Return the next message."""
        self.count += 1
        path = self.folder / f"{self.count}.hl7"
        tail = f"|||{wanted}" if wanted else ""
        msh = f"MSH|^~\\&|OVERREAD||||20260101||ADT^A08|C{self.count}|P|2.5.1{tail}"
        path.write_bytes(f"{msh}\rEVN|A08|20260101\rPID|1||4711^^^HOSP\rPV1|1|O\r".encode())
        return Item(self.count, kind, f"C{self.count}", study, path)


@pytest.fixture
def out(tmp_path: Path) -> Out:
    return Out(tmp_path)


@pytest.fixture
def sending() -> Iterator[MllpTransport]:
    made_ = MllpTransport()
    yield made_
    made_.close()


def to(ris: RisSimulator) -> Destination:
    return Destination(name="ris", kind="mllp", host="127.0.0.1", port=ris.port)


def said(outcomes: Iterator[Outcome]) -> list[tuple[int, bool, str]]:
    return [(outcome.delivery, outcome.ok, outcome.status) for outcome in outcomes]


def test_each_loop_has_a_transport_of_its_own() -> None:
    assert isinstance(delivery.transport("mllp"), KeptTransport)
    assert delivery.transport("mllp") is not delivery.transport("mllp")


def test_messages_are_accepted_one_after_the_other_over_one_connection(
    tmp_path: Path, out: Out, sending: MllpTransport
) -> None:
    with RisSimulator(tmp_path / "ris") as ris:
        items = [out.item() for _ in range(3)]
        assert said(sending(to(ris), items, Settings())) == [(1, True, "AA"), (2, True, "AA"), (3, True, "AA")]
        client = sending._client
        assert client is not None
        assert client.connected
        assert said(sending(to(ris), [out.item()], Settings())) == [(4, True, "AA")]
        assert sending._client is client


def test_a_refused_message_holds_back_its_kind_and_study_and_nothing_else(
    tmp_path: Path, out: Out, sending: MllpTransport
) -> None:
    with RisSimulator(tmp_path / "ris", answers=["AE"]) as ris:
        items = [out.item(), out.item(), out.item(kind="alert"), out.item("9.9")]
        assert said(sending(to(ris), items, Settings())) == [(1, False, "AE"), (3, True, "AA"), (4, True, "AA")]


def test_what_the_peer_says_of_a_refusal_is_kept_beside_codes_and_never_in_the_reason(
    tmp_path: Path, out: Out, sending: MllpTransport
) -> None:
    with RisSimulator(tmp_path / "ris", answers=["AR"]) as ris:
        (outcome,) = sending(to(ris), [out.item()], Settings())
    assert (outcome.status, outcome.comment) == ("AR", "the simulator was told to refuse")
    assert "207" in outcome.reason
    assert "simulator" not in outcome.reason


def test_a_peer_that_is_silent_holds_back_everything(tmp_path: Path, out: Out, sending: MllpTransport) -> None:
    with RisSimulator(tmp_path / "ris", answers=["close"]) as ris:
        items = [out.item(), out.item("9.9")]
        assert said(sending(to(ris), items, Settings())) == [(1, False, "no answer"), (2, False, "no answer")]
        assert len(ris.received) == 1


def test_a_connection_without_work_is_closed_after_a_while(
    tmp_path: Path, out: Out, sending: MllpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RisSimulator(tmp_path / "ris") as ris:
        list(sending(to(ris), [out.item()], Settings()))
        client = sending._client
        assert client is not None
        sending.rest()
        open_before = client.connected
        monkeypatch.setattr(mllp, "KEEP_SECONDS", 0.0)
        time.sleep(0.01)
        sending.rest()
        assert (open_before, client.connected) == (True, False)
        assert said(sending(to(ris), [out.item()], Settings())) == [(2, True, "AA")]


def test_a_message_that_cannot_be_read_is_an_error_of_its_own(tmp_path: Path, out: Out, sending: MllpTransport) -> None:
    with RisSimulator(tmp_path / "ris") as ris:
        lost = out.item()
        lost.path.unlink()
        assert said(sending(to(ris), [lost, out.item("9.9")], Settings())) == [
            (1, False, "FileNotFoundError"),
            (2, True, "AA"),
        ]


def test_over_tls_and_in_the_enhanced_mode_a_commit_is_acceptance(
    tmp_path: Path, out: Out, sending: MllpTransport
) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    keys = made(folder)
    ours = Settings(hl7=Hl7Section(tls=keys.section("client")))
    with listening(tmp_path / "peer", tls=keys.section("server", "required")) as peer:
        destination = Destination(name="ris", kind="mllp", host="127.0.0.1", port=peer.port, tls=True)
        assert said(sending(destination, [out.item(wanted="AL|NE")], ours)) == [(1, True, "CA")]
        plain = Destination(name="ris", kind="mllp", host="127.0.0.1", port=peer.port)
        hasty = ours.model_copy(update={"delivery": DeliverySection(timeout_seconds=2.0)})
        other = MllpTransport()
        assert said(other(plain, [out.item()], hasty)) == [(2, False, "no answer")]
        other.close()
