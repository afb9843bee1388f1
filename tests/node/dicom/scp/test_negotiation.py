"""What a request for an association is taken for, and that it is remembered as it was."""

from __future__ import annotations

import threading

import pytest

from node.dicom.scp import dimse, negotiation
from node.dicom.scp.wire import ProtocolError
from tests.node.dicom.objects import EXPLICIT, IMPLICIT, MR
from tests.node.dicom.scp import raw


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(negotiation, "_ACCEPTED", negotiation.Accepted())


def test_the_same_request_gets_the_same_answer_without_being_read_again() -> None:
    first = negotiation.parse(raw.request())
    answer = negotiation.accept(first, 16384)
    second = negotiation.parse(raw.request())
    assert first is second
    assert negotiation.accept(second, 16384) is answer
    assert negotiation.accept(first, 16384) == negotiation._answer(negotiation._parsed(raw.request()), 16384)


def test_requests_that_differ_in_one_byte_are_told_apart() -> None:
    first, second = negotiation.parse(raw.request(calling="CT1")), negotiation.parse(raw.request(calling="CT2"))
    assert (first.calling_ae_title, second.calling_ae_title) == ("CT1", "CT2")


def test_an_answer_leaves_the_request_as_it_was() -> None:
    proposal = negotiation.parse(raw.request())
    small, large = negotiation.accept(proposal, 16384), negotiation.accept(proposal, 131072)
    assert small[0] != large[0]
    assert small[1] == large[1]
    assert set(small[1]) == set(raw.STORAGE)
    assert len(proposal.primitive.presentation_context_definition_list) == len(raw.STORAGE)


def test_a_long_request_is_read_each_time_so_that_strangers_fill_no_memory() -> None:
    contexts = {number: (MR, [EXPLICIT, IMPLICIT] * 10) for number in range(1, 255, 2)}
    pdu = raw.request(contexts)
    assert len(pdu) > negotiation.REMEMBERED_BYTES
    first = negotiation.parse(pdu)
    negotiation.accept(first, 16384)
    assert negotiation.parse(pdu) is not first


def test_associations_that_begin_together_are_answered_alike() -> None:
    answers: list[bytes] = []

    def ask() -> None:
        answers.append(negotiation.accept(negotiation.parse(raw.request()), 16384)[0])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert len(set(answers)) == 1


def test_what_cannot_be_read_or_answered_is_refused_each_time() -> None:
    for _ in range(2):
        with pytest.raises(ProtocolError, match="cannot be read"):
            negotiation.parse(b"\x01\x00\x00\x00\x00\x02\x00\x01")
    once = raw.request({1: (MR, [EXPLICIT])})
    context = raw.item(0x20, bytes((1, 0, 0, 0)) + raw.item(0x30, MR.encode()) + raw.item(0x40, IMPLICIT.encode()))
    user_information = once.index(b"\x50\0", 70)
    twice = negotiation.parse(raw.pdu(1, once[6:user_information] + context + once[user_information:]))
    for _ in range(2):
        with pytest.raises(ProtocolError, match="proposed twice"):
            negotiation.accept(twice, 16384)


def test_the_answer_to_a_command_with_a_long_sop_class_leaves_nothing_in_memory() -> None:
    before = dimse._affected_class.cache_info().currsize
    command = raw.store_command("1.2.3", sop_class="1" * 1000)
    answer = dimse.store_answer(1, dimse.CommandSet(command), 0xA900, "no UID")
    assert b"1111" not in answer
    assert dimse._affected_class.cache_info().currsize == before


@pytest.mark.parametrize("calling", ["CT1", " CT 1 ", "SIXTEEN-LETTERS!"])
def test_the_titles_can_be_told_before_a_request_is_decoded(calling: str) -> None:
    pdu = raw.request(calling=calling)
    proposal = negotiation.parse(pdu)
    assert negotiation.titles(pdu) == (proposal.calling_ae_title, proposal.called_ae_title)
    assert negotiation.titles(pdu) == (calling.strip(), "OVERREAD")


def test_a_request_without_titles_is_refused() -> None:
    with pytest.raises(ProtocolError, match="cut off"):
        negotiation.titles(raw.request()[:41])
