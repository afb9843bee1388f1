"""Reports of a peer that cross the node's own requests."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT

from node.dicom.requestor import MAX_EARLY, _set_reports_aside
from node.dicom.services.commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE


def association(*messages: Any) -> Any:
    """Return what an association with these messages in its queue looks like to the code that waits for an answer."""
    waiting: queue.Queue[Any] = queue.Queue()
    for message in messages:
        waiting.put((1, message))

    def get_msg(block: bool = False) -> Any:
        try:
            return waiting.get(block=block, timeout=0.05)
        except queue.Empty:
            return None, None

    assoc = SimpleNamespace(dimse=SimpleNamespace(msg_queue=waiting, get_msg=get_msg))
    _set_reports_aside(cast(Association, assoc))
    return assoc


def report() -> N_EVENT_REPORT:
    message = N_EVENT_REPORT()
    message.MessageID, message.EventTypeID = 7, 1
    message.AffectedSOPClassUID, message.AffectedSOPInstanceUID = STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE
    assert message.is_valid_request
    return message


def answer() -> N_ACTION:
    message = N_ACTION()
    message.MessageIDBeingRespondedTo, message.Status = 1, 0x0000
    assert message.is_valid_response
    return message


def left(assoc: Any) -> list[Any]:
    return [assoc.dimse.get_msg(block=False)[1] for _ in range(assoc.dimse.msg_queue.qsize())]


def test_the_answer_is_found_behind_reports_and_these_are_kept_in_their_order() -> None:
    reports, wanted = [report(), report()], answer()
    assoc = association(*reports, wanted)
    assert assoc.dimse.get_msg(block=True) == (1, wanted)
    assert left(assoc) == reports


def test_who_does_not_wait_gets_the_report() -> None:
    one = report()
    assert association(one).dimse.get_msg(block=False) == (1, one)


def test_no_answer_is_no_answer_and_the_reports_stay() -> None:
    one = report()
    assoc = association(one)
    assert assoc.dimse.get_msg(block=True) == (None, None)
    assert left(assoc) == [one]


@pytest.mark.parametrize("count", [MAX_EARLY, MAX_EARLY + 5])
def test_a_peer_that_only_reports_is_not_waited_for_for_ever(count: int) -> None:
    assoc = association(*[report() for _ in range(count)])
    _, found = assoc.dimse.get_msg(block=True)
    assert (found is None) == (count == MAX_EARLY)
