"""What is answered is decided by the message's bytes and the settings, in both modes of acknowledgement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.hl7 import ack as acks
from node.hl7 import answering, inbound
from node.hl7.answering import judge
from node.hl7.message import parse
from node.settings import Hl7Section

SECTION = Hl7Section()
PID = "PID|1||4711^^^HOSP||Doe^Jane||19700102|F"


def message(
    wanted: str = "|", kind: str = "ADT^A08", pid: str = PID, version: str = "2.5.1", control_id: str = "C1"
) -> bytes:
    msh = f"MSH|^~\\&|RIS|HOSP|||20260101||{kind}|{control_id}|P|{version}|||{wanted}"
    return f"{msh}\rEVN|A08|20260101\r{pid}\rPV1|1|O\r".encode()


def said(answer: bytes | None) -> str:
    return acks.code_of(answer) if answer is not None else ""


def test_in_the_original_mode_aa_is_answered_once_a_message_is_kept() -> None:
    found = judge(message(), "192.0.2.1", SECTION)
    assert found.arrival is not None
    assert (said(found.answer), found.later) == ("AA", "")
    assert (found.arrival.told, found.arrival.reason, found.arrival.ack) == ("AA", "", None)
    assert found.arrival.peer == "192.0.2.1"


def test_where_processed_is_to_be_answered_nothing_is_until_then() -> None:
    found = judge(message(), "", Hl7Section(acknowledge="processed"))
    assert found.arrival is not None
    assert (found.answer, found.later, found.in_order) == (None, "AL", True)
    assert found.arrival.told == ""


@pytest.mark.parametrize(
    ("wanted", "answer", "later"),
    [
        ("AL|AL", "CA", "AL"), ("AL|NE", "CA", ""), ("AL|", "CA", ""), ("|AL", "", "AL"), ("NE|AL", "", "AL"),
        ("ER|ER", "", "ER"), ("SU|SU", "CA", "SU"), ("NE|NE", "", ""), ("al|ne", "CA", ""), ("SU|ER", "CA", "ER"),
        ("YES|NE", "CA", ""),
    ],
)  # fmt: skip
def test_a_message_that_is_kept_is_acknowledged_under_the_senders_conditions(
    wanted: str, answer: str, later: str
) -> None:
    found = judge(message(wanted), "", SECTION)
    assert found.arrival is not None
    assert (said(found.answer), found.later, found.in_order) == (answer, later, False)
    assert found.arrival.told == answer


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        ("|", "AE"), ("AL|AL", "CE"), ("AL|NE", "CE"), ("ER|NE", "CE"), ("SU|NE", ""), ("NE|NE", ""), ("NE|AL", "AE"),
        ("SU|ER", "AE"), ("|ER", "AE"), ("|SU", ""), ('""|""', "AE"),
    ],
)  # fmt: skip
def test_a_message_that_cannot_be_used_is_refused_at_the_level_at_which_its_sender_listens(
    wanted: str, answer: str
) -> None:
    found = judge(message(wanted, pid="PID|1||"), "", SECTION)
    assert found.arrival is not None
    assert (said(found.answer), found.later) == (answer, "")
    assert found.arrival.told == (f"{answer} 101" if answer else "")
    assert found.arrival.reason == "PID-3 (patient identifier list) is missing"
    assert found.arrival.ack is not None
    assert acks.read(found.arrival.ack).code == "AE"


@pytest.mark.parametrize(("wanted", "answer"), [("|", "AR"), ("AL|AL", "CR")])
@pytest.mark.parametrize(
    ("change", "code"),
    [({"kind": "SIU^S12"}, "200"), ({"kind": "ADT^Z99"}, "201"), ({"version": "3.0"}, "203"), ({"kind": ""}, "101")],
)
def test_a_type_or_version_that_is_not_spoken_is_rejected(
    wanted: str, answer: str, change: dict[str, str], code: str
) -> None:
    found = judge(message(wanted, **change), "", SECTION)
    assert said(found.answer) == answer
    assert found.answer is not None
    assert acks.read(found.answer).error_code == code


@pytest.mark.parametrize("kind", ["ACK", "ACK^A08^ACK", "MCF", "ack"])
@pytest.mark.parametrize("wanted", ["|", "AL|AL"])
def test_an_acknowledgement_is_never_answered_and_not_kept(kind: str, wanted: str) -> None:
    found = judge(message(wanted, kind=kind), "", SECTION)
    assert (found.arrival, found.answer, found.later) == (None, None, "")


def test_a_fault_of_the_nodes_own_is_kept_and_open_to_a_repetition(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> object:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr(inbound, "understand", fails)
    found = judge(message(), "", SECTION)
    assert found.arrival is not None
    assert found.answer is not None
    assert acks.read(found.answer).error_code == "207"
    assert (found.arrival.told, found.arrival.ack) == ("AE 207", None)
    assert found.arrival.reason == "internal error (RuntimeError)"


@pytest.mark.parametrize(
    ("wanted", "answer"), [("|", "AE"), ("AL|NE", "CE"), ("NE|AL", "AE"), ("SU|NE", ""), ("NE|NE", "")]
)
def test_a_message_that_could_not_be_kept_is_never_accepted(wanted: str, answer: str) -> None:
    refusal = answering.not_kept(judge(message(wanted), "", SECTION), SECTION)
    assert said(refusal) == answer
    assert refusal is None or acks.read(refusal).error_code == "207"


@pytest.mark.parametrize("raw", [b"", b" \r\n"])
def test_an_empty_frame_is_answered_and_not_kept(raw: bytes) -> None:
    found = judge(raw, "", SECTION)
    assert (found.arrival, said(found.answer)) == (None, "AR")


def test_half_a_message_is_refused_and_not_kept() -> None:
    long, crowded = answering.too_long(message()[:80], SECTION), answering.no_room(message()[:80], SECTION)
    assert (long.arrival, crowded.arrival) == (None, None)
    assert (said(long.answer), said(crowded.answer)) == ("AR", "AE")
    assert long.answer is not None
    assert crowded.answer is not None
    assert (acks.read(long.answer).error_code, acks.read(crowded.answer).error_code) == ("104", "207")


def test_an_application_acknowledgement_asks_for_no_answer() -> None:
    found = judge(message("AL|AL"), "", SECTION)
    own = acks.unasked(acks.accept(found.header, SECTION), found.header)
    assert acks.wanted(own, parse(own).header) == acks.Wanted("NE", "NE")
    assert parse(own).segments[0].raw(12) == "2.5.1"
    assert acks.read(own) == acks.read(acks.accept(found.header, SECTION))


def test_a_header_that_is_too_long_is_refused_as_what_stands_behind_cannot_be_answered_by() -> None:
    found = judge(message("AL|AL").replace(b"|20260101||", b"|20260101|" + b"&" * 9000 + b"|"), "", SECTION)
    assert found.arrival is not None
    assert (said(found.answer), found.later, found.arrival.told) == ("AR", "", "AR 104")


@pytest.mark.parametrize("pid", [PID, "PID|1"])
def test_a_condition_is_read_as_it_stands_whether_the_message_can_be_used_or_not(pid: str) -> None:
    raw = message("@.sp@|NE", pid=pid).replace(b"^~\\&", b"$~@&").replace(b"^", b"$")
    found = judge(raw, "", SECTION)
    assert (said(found.answer), found.wanted) == ("CA" if pid == PID else "CE", acks.Wanted("AL", "NE"))


def test_conditions_are_read_with_the_senders_delimiters() -> None:
    raw = b"MSH#!*?%#RIS#H###2026##ADT!A08#1#P#2.4###AL#ER\rPID#1\r"
    assert acks.wanted(raw, parse(raw).header) == acks.Wanted("AL", "ER")


@given(st.binary(max_size=300), st.sampled_from([b"", b"MSH|^~\\&|A|B|||2026||ADT^A08|1|P|2.5.1|||AL|AL\r"]))
def test_whatever_comes_is_judged_and_the_same_bytes_get_the_same_answer(tail: bytes, head: bytes) -> None:
    first, again = judge(head + tail, "", SECTION), judge(head + tail, "", SECTION)
    assert (said(first.answer), first.later) == (said(again.answer), again.later)
    assert first.header == again.header
    if first.header.code not in acks.ANSWERS:
        assert first.answer is not None or first.later
