"""What the configuration decides: who may store, how long, how fast, how many, when it is durable, and when it ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from node.dicom.scp import arrival, requests
from node.dicom.services.base import Answer
from node.settings import Peer
from node.storage import spool as spool_module
from node.storage.room import Room
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import EXPLICIT, MR, encoded, image, outgoing
from tests.node.dicom.scp import raw
from tests.node.dicom.scp.raw import COMMAND, DATA, LAST, Message, Raw, pdu, pdv, raw_association
from tests.part10 import read_file
from tests.peers import eventually

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Start = Callable[..., Node]


def sized(size: int, uid: str = "") -> tuple[str, bytes]:
    """Return an object of some ``size`` bytes."""
    columns = 500
    rows = size // 1000
    ds = image(SOPInstanceUID=uid or generate_uid(), Rows=rows, Columns=columns, PixelData=os.urandom(1000 * rows))
    return str(ds.SOPInstanceUID), encoded(ds)


def stored(user: Raw, item: tuple[str, bytes] | None = None) -> Message:
    """Send an object and return the answer."""
    uid, data = item or sized(2000)
    user.send(raw.store(1, uid, data, piece=100_000))
    return user.message()


def cut_off(user: Raw, data: bytes, pause: float) -> float:
    """Send the same bytes again and again, and return after how many seconds that was no longer possible."""
    began = time.monotonic()
    try:
        while time.monotonic() < began + 8:
            user.send(data)
            time.sleep(pause)
    except ConnectionError:
        pass
    return time.monotonic() - began


def files(node: Node) -> int:
    """Count what is kept; an answer may be a moment ahead of the file's name."""
    node.settle()
    return len(list(node.spool.files()))


def parts(node: Node) -> list[Path]:
    return list((node.spool.root / "incoming").rglob("*.part"))


def test_a_peer_that_may_not_store_is_answered_with_0124_and_may_verify(start: Start) -> None:
    node = start(peers=(Peer(ae_title="RIS", store=False), Peer(ae_title="MR1")))
    with raw_association(node, calling="RIS") as user:
        for size in (2000, 4 << 20):
            answer = stored(user, sized(size))
            assert (answer.status, answer.text(raw.COMMENT)) == (0x0124, "the peer may not send objects")
        user.send(pdu(DATA, pdv(3, COMMAND | LAST, raw.echo_command())))
        assert user.message().status == 0
        user.release()
    with raw_association(node, calling="MR1") as user:
        assert stored(user).status == 0
    assert files(node) == 1


def test_below_the_watermark_objects_are_refused_with_a700_until_there_is_room(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.storage.room.REMEMBER_SECONDS", 0.0)
    node = start(min_free_bytes=1 << 60)
    with raw_association(node) as user:
        for size in (2000, 3 << 20):
            answer = stored(user, sized(size))
            assert (answer.status, answer.text(raw.COMMENT)) == (0xA700, "the spool is below its free space watermark")
        monkeypatch.setattr(Room, "free", lambda self: 1 << 61)
        assert stored(user).status == 0
        assert stored(user, sized(3 << 20)).status == 0
        user.release()
    assert files(node) == 2
    assert parts(node) == []


def test_a_long_object_is_refused_once_the_watermark_is_reached_on_the_way(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.storage.room.REMEMBER_SECONDS", 0.0)
    node = start(min_free_bytes=1000)
    room = iter([2000, 2000, 2000, 500])
    monkeypatch.setattr(Room, "free", lambda self: next(room, 500))
    with raw_association(node) as user:
        assert stored(user, sized(9 << 20)).status == 0xA700
        assert parts(node) == []
        monkeypatch.setattr(Room, "free", lambda self: 2000)
        assert stored(user).status == 0
    assert files(node) == 1


def test_an_object_that_is_too_long_is_read_to_its_end_and_refused_and_the_next_is_taken(start: Start) -> None:
    node = start(max_instance_bytes=4 << 20)
    with raw_association(node) as user:
        answer = stored(user, sized(5 << 20))
        assert (answer.status, answer.text(raw.COMMENT)) == (0xA700, "the object is longer than this node takes")
        assert stored(user, sized(4_000_000)).status == 0
        user.release()
    assert files(node) == 1
    assert parts(node) == []


def test_an_object_without_end_is_cut_off(start: Start) -> None:
    node = start(max_instance_bytes=1 << 20)
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command("1.2.3"))))
        piece = pdu(DATA, pdv(1, 0, bytes(100_000)))
        user.send(piece * 22)
        assert user.aborted() == (0, 0)
    node.settle()
    assert files(node) == 0
    assert len(node.lines("association.lost")) == 1


def test_a_slow_sender_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "GRACE_SECONDS", 0.3)
    node = start(min_bytes_per_second=10_000)
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command("1.2.3"))))
        assert 0.2 < cut_off(user, pdu(DATA, pdv(1, 0, bytes(10))), 0.02) < 5
    node.settle()
    assert (files(node), parts(node)) == (0, [])


def test_a_quick_sender_may_take_longer_than_the_grace(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "GRACE_SECONDS", 0.1)
    node = start(min_bytes_per_second=10_000)
    uid, data = sized(100_000)
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command(uid))))
        for value in raw.fragments(1, 0, data, [25_000] * 5):
            time.sleep(0.1)
            user.send(pdu(DATA, value))
        assert user.message().status == 0


@pytest.mark.parametrize("within", [pdu(DATA, bytes(10_000))[:8], raw.request()[:20]])
def test_bytes_that_trickle_within_a_pdu_are_cut_off_at_its_time_limit(start: Start, within: bytes) -> None:
    node = start(read_seconds=0.5, idle_seconds=30.0)
    with ExitStack() as stack:
        opened = raw.connected(node) if within[0] == 1 else raw_association(node)
        user = stack.enter_context(opened)
        user.send(within)
        assert 0.3 < cut_off(user, b"\0", 0.05) < 5
    node.settle()


def test_a_peer_that_does_not_read_its_answers_is_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    ds = Dataset()
    ds.ImageComments = "x" * 4_000_000
    monkeypatch.setattr(requests, "SERVICES", {(raw.VERIFICATION, 0x0030): lambda *args: Answer(dataset=ds)})
    node = start(read_seconds=0.5)
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(3, COMMAND | LAST, raw.echo_command()) * 8))
        eventually("it is cut off", lambda: node.receiver.connections() == 0, 5)


def test_a_silent_association_is_aborted_by_the_idle_limit_but_not_without_one(start: Start) -> None:
    node, patient = start(idle_seconds=0.3), start(idle_seconds=0.0, read_seconds=0.3)
    with raw_association(node) as user, raw_association(patient) as other:
        assert user.aborted() == (0, 0)
        time.sleep(0.5)
        assert stored(other).status == 0
        other.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command("1.2.3"))))
        assert other.aborted() == (0, 0)  # not within a message


@pytest.mark.parametrize("size", [2000, 3 << 20])
@pytest.mark.parametrize(("policy", "kept", "status"), [("refuse", 1, 0xC001), ("keep", 2, 0x0000)])
def test_another_object_under_a_known_uid_is_refused_or_kept_beside(
    start: Start, policy: str, kept: int, status: int, size: int
) -> None:
    node = start(duplicates=policy)
    first = sized(size)
    other = sized(size, first[0])
    with raw_association(node) as user:
        assert [stored(user, item).status for item in (first, other, first, other)] == [0, status, 0, status]
        user.release()
    node.settle()
    found = sorted(node.spool.root.rglob("*.dcm"))
    assert len(found) == kept
    assert read_file(node.spool.root / node.spool.name(first[0]))[1] == first[1]
    assert {read_file(path)[1] for path in found} == ({first[1], other[1]} if kept == 2 else {first[1]})
    assert len(node.lines("instance.conflict")) == kept - 1
    assert parts(node) == []


def test_with_durability_by_association_a_release_is_confirmed_once_all_is_on_the_disk(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    synchronised, go = threading.Event(), threading.Event()

    def sync(folder: Path) -> None:
        synchronised.set()
        assert go.wait(10)

    node = start(durability="association")
    with raw_association(node) as user:
        assert stored(user).status == 0  # makes the folders, which is synchronised too
        monkeypatch.setattr(spool_module, "sync_file_system", sync)
        assert stored(user).status == 0
        assert stored(user, sized(3 << 20)).status == 0
        assert not synchronised.is_set()
        user.send(pdu(raw.RELEASE_RQ, bytes(4)))
        assert synchronised.wait(5)
        user.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            user.pdu()
        go.set()
        user.socket.settimeout(5)
        assert user.pdu()[0] == raw.RELEASE_RP


def test_with_durability_by_association_a_disk_that_fails_aborts_instead_of_confirming(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    node = start(durability="association")
    with raw_association(node) as user:
        assert stored(user).status == 0
        monkeypatch.setattr(spool_module, "sync_file_system", fail)
        user.send(pdu(raw.RELEASE_RQ, bytes(4)))
        assert user.aborted() == (0, 0)


def test_a_large_object_does_not_stay_in_memory(start: Start) -> None:
    node = start()
    ds = Dataset()
    ds.update(image(Rows=20_000, Columns=5000, PixelData=b""))
    head = encoded(ds)[:-12] + b"\xe0\x7f\x10\0OW\0\0" + (200_000_000).to_bytes(4, "little")
    piece = pdu(DATA, pdv(1, 0, bytes(100_000)))
    process, highest = psutil.Process(), 0
    with raw_association(node) as user:
        assert stored(user, sized(3 << 20)).status == 0
        before = _private(process)
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command(ds.SOPInstanceUID)) + pdv(1, 0, head)))
        for number in range(2000):
            user.send(piece if number < 1999 else pdu(DATA, pdv(1, LAST, bytes(100_000))))
            if number % 100 == 0:
                highest = max(highest, _private(process) - before)
        assert user.message().status == 0
        highest = max(highest, _private(process) - before)
        user.release()
    assert highest < 20 << 20
    assert (node.spool.root / node.spool.name(ds.SOPInstanceUID)).stat().st_size > 200_000_000


def _private(process: psutil.Process) -> int:
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def test_a_stop_lets_an_object_that_is_under_way_be_finished_and_aborts_who_stays(start: Start) -> None:
    node = start()
    uid, data = sized(50_000)
    with raw_association(node) as busy, raw_association(node) as idle:
        busy.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command(uid)) + pdv(1, 0, data[:100])))
        stopped = threading.Thread(target=node.receiver.stop, args=(1.5,))
        began = time.monotonic()
        stopped.start()
        time.sleep(0.3)
        with pytest.raises(ConnectionError), raw.connected(node):
            pass
        busy.send(pdu(DATA, pdv(1, LAST, data[100:])))
        assert busy.message().status == 0
        busy.release()
        assert idle.aborted() == (0, 0)
        stopped.join(10)
        assert 1.0 < time.monotonic() - began < 4.0
    assert files(node) == 1


def test_a_stop_takes_no_longer_than_its_time_while_senders_go_on_sending(start: Start) -> None:
    node = start()
    piece = pdu(DATA, pdv(1, 0, bytes(100_000)))
    with ExitStack() as stack:
        users = [stack.enter_context(raw_association(node)) for _ in range(3)]
        done = threading.Event()

        def go_on(user: Raw) -> None:
            user.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command("1.2.3"))))
            try:
                while not done.is_set():
                    user.send(piece)
            except OSError:
                return

        senders = [threading.Thread(target=go_on, args=(user,)) for user in users]
        for sender in senders:
            sender.start()
        began = time.monotonic()
        node.receiver.stop(0.3)
        assert time.monotonic() - began < 5.0
        assert node.receiver.connections() == 0
        done.set()
        for sender in senders:
            sender.join(10)
    assert (files(node), parts(node)) == (0, [])


def test_a_refused_object_is_named_nowhere_by_what_it_holds(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = start(max_instance_bytes=1 << 20)
    ds = image(PatientName="Secretname^Xavier", PatientID="SECRET77", PixelData=bytes(1_500_000))
    (outcome,) = node.send(outgoing(tmp_path, encoded(ds), str(ds.SOPInstanceUID), MR, EXPLICIT))
    assert outcome.status == 0xA700
    said = "".join(capsys.readouterr()) + outcome.comment + "".join(node.lines("instance.refused"))
    assert "secret" not in said.lower()


@pytest.mark.parametrize("durability", ["instance", "none"])
def test_where_memory_is_short_a_large_object_that_was_answered_for_is_kept_all_the_same(
    start: Start, monkeypatch: pytest.MonkeyPatch, durability: str
) -> None:
    def full(_: object) -> None:
        raise MemoryError

    node = start(durability=durability)
    uid, data = sized(300_000)
    with raw_association(node) as user:
        monkeypatch.setattr(spool_module.Spool, "buffer", full)
        user.send(raw.store(1, uid, data))
        assert user.message().status == 0
        user.release()
    node.settle()
    assert read_file(node.spool.root / node.spool.name(uid))[1] == data
    eventually("its memory is given back", lambda: not list((node.spool.root / "incoming").rglob("*.memory")))
