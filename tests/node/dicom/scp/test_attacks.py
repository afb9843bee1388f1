"""What a hostile peer might do to others: hold them up, fill memory, have its bytes taken for theirs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from node.dicom.scp import negotiation
from node.dicom.scp.negotiation import Proposal
from node.dicom.scp.wire import Limits, PeerGone, Wire
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import EXPLICIT, IMPLICIT, MR, encoded, image
from tests.node.dicom.scp import raw
from tests.node.dicom.scp.raw import connected, pdu, raw_association
from tests.part10 import read_file

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Start = Callable[..., Node]


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "_ACCEPTED", negotiation.Accepted())


def new(size: int = 60) -> tuple[str, bytes]:
    ds = image(Rows=size // 2, Columns=1, PixelData=bytes(size))
    return str(ds.SOPInstanceUID), encoded(ds)


def kept(node: Node, uid: str) -> bytes:
    return read_file(node.spool.root / node.spool.name(uid))[1]


@contextmanager
def being_read(monkeypatch: pytest.MonkeyPatch, strange: bytes) -> Iterator[None]:
    """Have a stranger's request be read for as long as the block takes; others are read as usual."""
    reading, enough = threading.Event(), threading.Event()
    parsed = negotiation._parsed

    def slowly(request: bytes) -> Proposal:
        if request == strange:
            reading.set()
            assert enough.wait(10)
        return parsed(request)

    monkeypatch.setattr(negotiation, "_parsed", slowly)
    stranger = threading.Thread(target=negotiation.parse, args=(strange,))
    stranger.start()
    try:
        assert reading.wait(10)
        yield
    finally:
        enough.set()
        stranger.join()


def is_served(request: bytes) -> bool:
    """Whether a request is answered within two seconds."""
    thread = threading.Thread(target=lambda: negotiation.accept(negotiation.parse(request), 16384), daemon=True)
    thread.start()
    thread.join(2)
    return not thread.is_alive()


@pytest.mark.parametrize("strange", [raw.request(calling="X"), raw.request({1: (MR, [EXPLICIT] * 1000)}, calling="X")])
def test_who_asks_as_before_does_not_wait_for_a_strangers_request(
    monkeypatch: pytest.MonkeyPatch, strange: bytes
) -> None:
    """A request of 16 kB takes a fifth of a second: a few strangers would keep everybody out."""
    usual = raw.request(calling="CT1")
    answer = negotiation.accept(negotiation.parse(usual), 16384)
    with being_read(monkeypatch, strange):
        assert is_served(usual)
    assert negotiation.accept(negotiation.parse(usual), 16384) is answer


def test_a_long_request_does_not_hold_up_a_short_one(monkeypatch: pytest.MonkeyPatch) -> None:
    long = raw.request({1: (MR, [EXPLICIT] * 1000)}, calling="X")
    assert len(long) > negotiation.REMEMBERED_BYTES
    with being_read(monkeypatch, long):
        assert is_served(raw.request(calling="CT1"))


def test_strangers_who_are_rejected_fill_no_memory_and_push_nobody_out(start: Start) -> None:
    node = start(peers=[{"ae_title": "CT1"}])
    usual = raw.request(calling="CT1")
    with raw_association(node, calling="CT1") as user:
        user.release()
    known = negotiation.parse(usual)
    for number in range(40):
        with connected(node) as user:
            user.send(raw.request(calling=f"X{number}"))
            assert user.pdu()[0] == raw.REJECT
    assert negotiation.parse(usual) is known
    assert len(negotiation._ACCEPTED._known) == 1


def test_of_a_strangers_request_nothing_but_its_titles_is_read(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    node = start(peers=[{"ae_title": "CT1"}])
    read: list[bytes] = []
    monkeypatch.setattr(negotiation, "_parsed", read.append)
    with connected(node) as user:
        user.send(raw.request(calling="STRANGER"))
        assert user.pdu()[0] == raw.REJECT
    assert read == []


def test_of_those_who_are_accepted_the_last_ones_are_remembered_and_no_more() -> None:
    usual = raw.request(calling="CT1")
    known = negotiation.parse(usual)
    negotiation.accept(known, 16384)
    for number in range(100):
        negotiation.accept(negotiation.parse(raw.request(calling=f"X{number}")), 16384)
        assert negotiation.parse(usual) is known
    assert len(negotiation._ACCEPTED._known) == 32


def test_peers_that_ask_at_once_each_get_what_they_asked_for(start: Start) -> None:
    """Contexts, the longest PDU, and whether they may store at all: nothing of one gets into another's association."""
    node = start(peers=[{"ae_title": "A"}, {"ae_title": "B"}, {"ae_title": "C", "store": False}])
    faults: list[str] = []

    def ask(calling: str, context: int, syntax: str, status: int, max_pdu: int) -> None:
        for _ in range(15):
            ds = image()
            with raw_association(node, {context: (MR, [syntax])}, calling=calling, max_pdu=max_pdu) as user:
                user.send(raw.store(context, str(ds.SOPInstanceUID), encoded(ds, syntax)))
                answer = user.message()
                if (answer.context, answer.status) != (context, status):
                    faults.append(f"{calling}: {answer}")
                user.release()

    peers = (("A", 1, EXPLICIT, 0, 16384), ("B", 77, IMPLICIT, 0, 4096), ("C", 5, EXPLICIT, 0x0124, 8192))
    threads = [threading.Thread(target=ask, args=peer) for peer in peers * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


@pytest.fixture
def ends() -> Iterator[tuple[Wire, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Wire(ours, Limits(5.0, 5.0, 16384)), theirs


def read_whole(wire: Wire, parts: Sequence[bytes]) -> list[bytes]:
    """Read PDUs as a receiver does: heads by themselves, data into memory, what is refused into a scratch."""
    found = []
    for number, part in enumerate(parts):
        kind, length = wire.next_pdu()
        assert (kind, length) == (raw.DATA, len(part))
        head = wire.read(min(6, length))
        body = bytearray(length - len(head))
        if number % 3 == 2:
            wire.skip(len(body), memoryview(bytearray(7)))
        else:
            wire.read_into(memoryview(body))
        found.append(part if number % 3 == 2 else head + bytes(body))
    return found


def test_wherever_a_stream_is_cut_every_byte_is_read_once(ends: tuple[Wire, socket.socket]) -> None:
    """The read that ends a PDU also brings the beginning of the next one, or of several, or a piece of a head."""
    wire, peer = ends
    parts = [bytes(range(start, start + length)) for start, length in ((0, 40), (50, 6), (60, 31), (100, 1), (120, 90))]
    stream = b"".join(pdu(raw.DATA, part) for part in parts)
    for cut in range(1, len(stream)):
        peer.sendall(stream[:cut])
        rest = threading.Timer(0.002, peer.sendall, (stream[cut:],))
        rest.start()
        assert read_whole(wire, parts) == parts
        rest.join()


def test_a_stream_that_ends_within_a_pdu_is_a_peer_that_has_gone(ends: tuple[Wire, socket.socket]) -> None:
    wire, peer = ends
    part = bytes(range(40))
    peer.sendall(pdu(raw.DATA, part) + pdu(raw.DATA, part)[:-1])
    peer.shutdown(socket.SHUT_WR)
    assert read_whole(wire, [part]) == [part]
    with pytest.raises(PeerGone):
        read_whole(wire, [part])


def test_of_objects_that_come_in_one_stream_an_abort_takes_none_that_was_whole(start: Start) -> None:
    node = start(durability="none")
    (first, one), (second, two) = new(60), new(20000)
    whole, part = raw.store(1, first, one, 1, 700), raw.store(1, second, two, 2, 700)
    for cut in range(1, len(part), 997):
        with raw_association(node) as user:
            user.send(whole + part[:cut] + pdu(raw.ABORT, bytes(4)))
    node.settle()
    assert kept(node, first) == one
    assert not (node.spool.root / node.spool.name(second)).exists()
