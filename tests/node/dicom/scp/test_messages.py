"""Messages as they may be cut into PDVs and PDUs, and what may not come."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid

from tests.node.dicom.conftest import Node, running
from tests.node.dicom.objects import BIG, EXPLICIT, IMPLICIT, MR, encoded, image
from tests.node.dicom.scp import raw
from tests.node.dicom.scp.raw import COMMAND, DATA, LAST, VERIFICATION, Raw, pdu, pdv, raw_association
from tests.part10 import read_file

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Start = Callable[..., Node]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with running(tmp_path_factory.mktemp("node"), max_pdu_bytes=16384, read_seconds=5.0) as found:
        yield found


def kept(node: Node, sop_instance: str) -> bytes:
    node.settle()  # an answer may be a moment ahead of the file's name
    return read_file(node.spool.root / node.spool.name(sop_instance))[1]


def new(rows: int = 6) -> tuple[str, bytes]:
    ds = image(Rows=rows, Columns=5, PixelData=bytes(10 * rows))
    return str(ds.SOPInstanceUID), encoded(ds)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    commands=st.lists(st.integers(0, 60), max_size=8),
    data=st.lists(st.integers(0, 400), max_size=12),
    grouping=st.lists(st.integers(1, 5), max_size=20),
    writes=st.lists(st.integers(1, 300), max_size=12),
)
def test_a_message_may_be_cut_in_any_way(
    node: Node, commands: list[int], data: list[int], grouping: list[int], writes: list[int]
) -> None:
    """PS3.8 annex E: fragments of any length, also none, several values in a PDU, a PDU in any number of segments."""
    uid, dataset = new()
    values = [*raw.fragments(1, COMMAND, raw.store_command(uid), commands), *raw.fragments(1, 0, dataset, data)]
    stream = b""
    for count in [*grouping, len(values)]:
        if values[:count]:
            stream += pdu(DATA, b"".join(values[:count]))
        del values[:count]
    with raw_association(node) as user:
        for size in writes:
            user.send(stream[:size])
            stream = stream[size:]
        user.send(stream)
        assert user.message().status == 0
        user.release()
    assert kept(node, uid) == dataset


def test_two_messages_may_share_a_pdu_and_pdus_may_come_together(node: Node) -> None:
    (first, one), (second, two) = new(), new()
    values = b"".join(
        pdv(1, COMMAND | LAST, raw.store_command(uid, number=number)) + pdv(1, LAST, data)
        for number, uid, data in ((7, first, one), (8, second, two))
    )
    with raw_association(node) as user:
        user.send(pdu(DATA, values) + pdu(DATA, pdv(3, COMMAND | LAST, raw.echo_command(9))))
        answers = [user.message() for _ in range(3)]
        user.release()
    assert [(answer.number(raw.RESPONDED_TO), answer.status) for answer in answers] == [(7, 0), (8, 0), (9, 0)]
    assert (kept(node, first), kept(node, second)) == (one, two)


def test_large_objects_that_come_without_a_pause_are_kept_apart(node: Node) -> None:
    """What a read brings of the next PDU, or of the next object, is not lost."""
    objects = [new(rows) for rows in (4000, 6, 3000, 7000)]
    stream = b"".join(raw.store(1, uid, data, number, 16378) for number, (uid, data) in enumerate(objects, 1))
    with raw_association(node) as user:
        user.send(stream)
        assert [user.message().status for _ in objects] == [0, 0, 0, 0]
        user.release()
    for uid, data in objects:
        assert kept(node, uid) == data


def test_c_echo_between_c_stores_is_answered_in_its_own_context(node: Node) -> None:
    with raw_association(node) as user:
        for number in range(1, 5):
            uid, data = new()
            user.send(raw.store(1, uid, data, number))
            answer = user.message()
            assert (answer.context, answer.number(raw.FIELD), answer.status) == (1, 0x8001, 0)
            assert (answer.text(raw.AFFECTED_CLASS), answer.text(raw.AFFECTED_INSTANCE)) == (MR, uid)
            user.send(pdu(DATA, pdv(3, COMMAND | LAST, raw.echo_command(number + 10))))
            answer = user.message()
            assert (answer.context, answer.number(raw.FIELD), answer.status) == (3, 0x8030, 0)
            assert answer.number(raw.RESPONDED_TO) == number + 10
        user.release()


def test_the_peers_first_transfer_syntax_is_accepted_and_unknown_ones_are_refused(node: Node) -> None:
    contexts = {
        1: (MR, ["1.2.3.99", EXPLICIT, IMPLICIT]),
        3: (MR, [IMPLICIT, EXPLICIT]),
        5: (MR, [BIG]),
        7: (MR, ["1.2.3.99"]),
        9: ("1.2.840.10008.5.1.4.1.2.2.1", [IMPLICIT]),
        11: (VERIFICATION, ["1.2.840.10008.1.2.1.99", IMPLICIT]),
    }
    with raw.connected(node) as user:
        user.send(raw.request(contexts))
        kind, body = user.pdu()
    assert kind == raw.ACCEPT
    assert _accepted(body) == {
        1: (0, EXPLICIT),
        3: (0, IMPLICIT),
        5: (0, BIG),
        7: (4, "1.2.3.99"),
        9: (3, IMPLICIT),
        11: (0, IMPLICIT),  # not deflated: the messages of services are decoded
    }


@pytest.mark.parametrize("max_pdu", [0, None, 16384, 1 << 31])
def test_any_maximum_length_of_the_peer_will_do(node: Node, max_pdu: int | None) -> None:
    with raw_association(node, max_pdu=max_pdu) as user:
        uid, data = new()
        user.send(raw.store(1, uid, data))
        assert user.message().status == 0
        user.send(pdu(DATA, pdv(3, COMMAND | LAST, raw.echo_command())))
        assert user.message().status == 0


def test_the_longest_pdu_that_was_agreed_is_taken_and_one_byte_more_is_not(node: Node) -> None:
    uid, data = new(4000)
    with raw_association(node) as user:
        user.send(raw.store(1, uid, data, piece=16384 - 6))
        assert user.message().status == 0
        user.send(struct.pack(">BxL", DATA, 16385) + bytes(100))
        assert user.aborted() == (2, 6)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (pdu(DATA, pdv(7, COMMAND | LAST, raw.echo_command())), 6),
        (pdu(DATA, pdv(1, LAST, b"data")), 2),
        (pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command("1.2.3"))) * 2, 2),
        (pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command("1.2.3")) + pdv(3, LAST, b"data")), 2),
        (pdu(DATA, pdv(1, COMMAND, b"\0\0") + pdv(3, COMMAND | LAST, raw.echo_command())), 2),
        (pdu(DATA, b""), 6),
        (pdu(DATA, b"\0\0\0"), 6),
        (pdu(DATA, struct.pack(">LBB", 1, 1, 3)), 6),
        (pdu(DATA, struct.pack(">LBB", 1000, 1, 3) + b"short"), 6),
        (pdu(DATA, pdv(1, COMMAND | LAST, b"\0\0\x02\0\xff\xff\0\0")), 6),
        (pdu(DATA, pdv(1, COMMAND | LAST, b"\x08\0\x02\0\0\0\0\0")), 6),
        (pdu(DATA, pdv(1, COMMAND | LAST, raw.command({raw.DATA_SET_TYPE: 0x0101}))), 6),
        (pdu(DATA, pdv(1, COMMAND, bytes(16000))) * 5, 6),
        (raw.request(), 2),
        (pdu(RELEASE_RP := raw.RELEASE_RP, bytes(4)), 2),
        (pdu(raw.REJECT, bytes(4)), 2),
        (pdu(0, b""), 1),
        (pdu(8, b"unknown"), 1),
    ],
    ids=[
        "a context that was not accepted",
        "a data set before its command",
        "a command before its predecessor's data set",
        "a data set in another context",
        "a command in two contexts",
        "no value",
        "a value's head cut off",
        "a value without its own head",
        "a value longer than its PDU",
        "a command element longer than the command",
        "a command of another group",
        "a command without its field",
        "a command without end",
        "a second request",
        "an answer to a release",
        "a rejection",
        "type 0",
        "type 8",
    ],
)
def test_what_the_standard_does_not_allow_is_answered_with_an_abort(node: Node, stream: bytes, reason: int) -> None:
    """PS3.8 table 9-10, AA-8: by the service provider, with a reason of table 9-26."""
    with raw_association(node) as user:
        user.send(stream)
        assert user.aborted() == (2, reason)
    node.settle()


def test_an_abort_is_read_although_the_peer_is_still_sending(node: Node) -> None:
    """Closing with unread bytes resets the connection, and a reset would take the A-ABORT away."""
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, LAST, b"data")) + bytes(200_000))
        assert user.aborted() == (2, 2)


@pytest.mark.parametrize(
    "first", [pdu(DATA, b""), pdu(raw.RELEASE_RQ, bytes(4)), pdu(9, b""), struct.pack(">BxL", 1, 1 << 21)]
)
def test_before_an_association_anything_but_a_request_is_answered_with_an_abort(node: Node, first: bytes) -> None:
    """PS3.8 table 9-10, AA-1: as a service user."""
    with raw.connected(node) as user:
        user.send(first)
        assert user.aborted() == (0, 0)


def test_an_abort_is_not_answered(node: Node) -> None:
    with raw.connected(node) as user:
        user.send(pdu(raw.ABORT, bytes(4)))
        assert user.pdu() == (0, b"")
    with raw_association(node) as user:
        user.send(pdu(raw.ABORT, bytes(4)))
        assert user.pdu() == (0, b"")


def test_an_unknown_operation_is_answered_with_0211_and_a_cancel_with_nothing(node: Node) -> None:
    find = raw.command({raw.AFFECTED_CLASS: MR, raw.FIELD: 0x0020, raw.MESSAGE_ID: 4, raw.DATA_SET_TYPE: 1})
    cancel = raw.command({raw.FIELD: 0x0FFF, raw.RESPONDED_TO: 4, raw.DATA_SET_TYPE: 0x0101})
    hostile = raw.command(
        {raw.AFFECTED_CLASS: "\xff\\1" * 40, raw.FIELD: 0x0150, raw.MESSAGE_ID: 6, raw.DATA_SET_TYPE: 0x0101}
    )
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, find) + pdv(1, LAST, b"query")))
        answer = user.message()
        assert (answer.number(raw.FIELD), answer.status, answer.number(raw.RESPONDED_TO)) == (0x8020, 0x0211, 4)
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, cancel) + pdv(3, COMMAND | LAST, hostile)))
        answer = user.message()
        assert (answer.number(raw.FIELD), answer.status) == (0x8150, 0x0211)
        user.release()


def test_an_object_in_a_context_of_another_service_is_refused_with_0211(node: Node) -> None:
    uid, data = new()
    with raw_association(node) as user:
        user.send(raw.store(3, uid, data))
        assert user.message().status == 0x0211
        user.send(raw.store(1, uid, data))
        assert user.message().status == 0
        user.release()


@pytest.mark.parametrize(
    ("instance", "sop_class", "status"),
    [
        ("1." + "2" * 70, MR, 0xC002),
        ("1." + "2" * 60000, MR, 0xC002),
        ("../../../etc/passwd", MR, 0xC002),
        ("1.2.\xe9", MR, 0xC002),
        ("1.2.3", "1.2.\xff", 0xC002),
        ("1.2.3", "x" * 60000, 0xC002),
        ("", MR, 0x0117),
        ("1.2.3", "", 0x0212),
    ],
)
@pytest.mark.parametrize("size", [1000, 3 << 20])
def test_hostile_identifiers_are_answered_in_a_short_message_and_the_next_object_is_taken(
    node: Node, instance: str, sop_class: str, status: int, size: int
) -> None:
    uid, data = new()
    head = b"".join(
        pdu(DATA, value) for value in raw.fragments(1, COMMAND, raw.store_command(instance, sop_class), [16000] * 5)
    )
    body = b"".join(pdu(DATA, value) for value in raw.fragments(1, 0, bytes(size), [16000] * (size // 16000 + 1)))
    with raw_association(node) as user:
        user.send(head + body)
        answer = user.message()
        assert answer.status == status
        assert answer.text(raw.COMMENT)
        assert answer.longest < 1000
        user.send(raw.store(1, uid, data))
        assert user.message().status == 0
        user.release()
    assert kept(node, uid) == data


def test_a_command_without_data_set_type_and_group_length_is_understood(node: Node) -> None:
    uid, data = new()
    bare = raw.store_command(uid)[12:]
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, bare) + pdv(1, LAST, data)))
        assert user.message().status == 0


def test_a_release_within_an_object_keeps_nothing_of_it(node: Node) -> None:
    uid, data = new()
    with raw_association(node) as user:
        user.send(pdu(DATA, pdv(1, COMMAND | LAST, raw.store_command(uid)) + pdv(1, 0, data)))
        user.release()
    node.settle()
    assert not (node.spool.root / node.spool.name(uid)).exists()


def test_after_a_release_the_connection_is_closed_even_if_the_peer_stays(node: Node) -> None:
    with raw_association(node) as user:
        user.release()
        assert user.pdu() == (0, b"")


def _accepted(body: bytes) -> dict[int, tuple[int, str]]:
    """Return result and transfer syntax of each context of an A-ASSOCIATE-AC."""
    position, found = 68, {}
    while position < len(body):
        kind, length = struct.unpack_from(">BxH", body, position)
        content = body[position + 4 : position + 4 + length]
        if kind == 0x21:
            found[content[0]] = (content[2], content[8:].decode())
        position += 4 + length
    return found


def test_a_context_id_that_is_proposed_twice_ends_the_connection(node: Node) -> None:
    twice = raw.request({1: (MR, [EXPLICIT])})
    context = raw.item(0x20, bytes((1, 0, 0, 0)) + raw.item(0x30, MR.encode()) + raw.item(0x40, IMPLICIT.encode()))
    user_information = twice.index(b"\x50\0", 70)
    body = twice[6:user_information] + context + twice[user_information:]
    with raw.connected(node) as user:
        user.send(pdu(1, body))
        assert user.aborted() == (2, 6)


def test_generated_uids_are_what_the_helpers_make(node: Node) -> None:
    with raw_association(node) as user:
        assert isinstance(user, Raw)
        user.send(raw.store(1, generate_uid(), b""))
        assert user.message().status == 0xA900
