"""Services other than C-STORE, as the association carries them: requests, answers, reports."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydicom.dataset import Dataset

from node.dicom.scp import dimse, messages, requests
from node.dicom.services.base import Answer, Handler, Report, Request, Resources
from node.errors import ConfigError
from tests.node.dicom.conftest import Node
from tests.node.dicom.objects import IMPLICIT, encoded, image
from tests.node.dicom.scp import raw
from tests.node.dicom.scp.raw import COMMAND, COMMITMENT, DATA, LAST, Message, Raw, pdu, pdv, raw_association
from tests.peers import eventually

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
Start = Callable[..., Node]
INSTANCE = "1.2.840.10008.1.20.1.1"
DEEP = b"\x08\0\x40\x11\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff" * 2000
N_ACTION, N_EVENT_REPORT = 0x0130, 0x0100


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Callable[[Handler], None]:
    def install(handler: Handler) -> None:
        monkeypatch.setattr(requests, "SERVICES", {(COMMITMENT, N_ACTION): handler})

    return install


def ask(user: Raw, data: bytes | None, number: int = 21) -> Message:
    command = raw.command(
        {
            raw.REQUESTED_CLASS: COMMITMENT, raw.FIELD: N_ACTION, raw.MESSAGE_ID: number,
            raw.DATA_SET_TYPE: 0x0101 if data is None else 1, raw.REQUESTED_INSTANCE: INSTANCE, raw.ACTION_TYPE: 1,
        }
    )  # fmt: skip
    values = pdv(5, COMMAND | LAST, command) + (b"" if data is None else pdv(5, LAST, data))
    user.send(pdu(DATA, values))
    return user.message()


def transaction(uid: str) -> Dataset:
    ds = Dataset()
    ds.TransactionUID = uid
    return ds


def test_a_request_reaches_its_handler_and_its_answer_the_peer(start: Start, serve: Callable[[Handler], None]) -> None:
    seen: list[tuple[Resources, Request]] = []

    def handler(resources: Resources, request: Request) -> Answer:
        seen.append((resources, request))
        return Answer(0x0112, "no such thing. " * 10, dataset=transaction("1.2.9"), error_id=7)

    serve(handler)
    node = start()
    with raw_association(node, calling="MODALITY") as user:
        answer = ask(user, encoded(transaction("1.2.3"), IMPLICIT))
        ask(user, None)
        user.release()
    (resources, request), (again, bare) = seen
    assert (resources.spool.root, again) == (node.spool.root, resources)
    assert (request.command, request.sop_class, request.sop_instance) == (N_ACTION, COMMITMENT, INSTANCE)
    assert (request.number, request.caller.calling_ae_title, request.caller.address) == (1, "MODALITY", "127.0.0.1")
    assert request.dataset == transaction("1.2.3")
    assert bare.dataset is None
    assert (answer.number(raw.FIELD), answer.status, answer.number(raw.RESPONDED_TO)) == (0x8130, 0x0112, 21)
    assert (answer.text(raw.AFFECTED_CLASS), answer.text(raw.AFFECTED_INSTANCE)) == (COMMITMENT, INSTANCE)
    assert (answer.number(raw.ACTION_TYPE), len(answer.text(raw.COMMENT)), answer.number(0x0903)) == (1, 64, 7)
    assert dimse.decode_dataset(answer.data, IMPLICIT) == transaction("1.2.9")


@pytest.mark.parametrize("error", [ZeroDivisionError("Secret^Name"), ConfigError("Secret^Name")])
def test_a_handler_that_fails_is_answered_with_0110_without_its_text(
    start: Start, serve: Callable[[Handler], None], error: Exception
) -> None:
    def handler(resources: Resources, request: Request) -> Answer:
        raise error

    serve(handler)
    node = start()
    with raw_association(node) as user:
        answer = ask(user, None)
        assert (answer.status, answer.text(raw.COMMENT)) == (0x0110, "internal error")
        uid = image()
        user.send(raw.store(1, str(uid.SOPInstanceUID), encoded(uid)))
        assert user.message().status == 0
        user.release()


@pytest.mark.parametrize("data", [b"\x08\0\x18\0\xff\xff\0\0short", b"\xff" * 7, DEEP])
def test_an_attribute_list_that_cannot_be_read_is_answered_with_0110(
    start: Start, serve: Callable[[Handler], None], data: bytes
) -> None:
    serve(lambda resources, request: Answer())
    with raw_association(start()) as user:
        assert ask(user, data).status in (0x0000, 0x0110)
        assert ask(user, None).status == 0
        user.release()


def test_an_attribute_list_that_is_too_long_ends_the_association(
    start: Start, serve: Callable[[Handler], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "DATASET_BYTES", 1000)
    serve(lambda resources, request: Answer())
    with raw_association(start()) as user, pytest.raises(AssertionError, match="PDU 7"):
        ask(user, bytes(1001))


@pytest.mark.parametrize(("status", "done"), [(0x0000, True), (0x0110, False)])
def test_a_report_goes_out_behind_the_answer_and_its_own_answer_comes_back(
    start: Start, serve: Callable[[Handler], None], status: int, done: bool
) -> None:
    told: list[bool] = []
    report = Report(COMMITMENT, INSTANCE, lambda: (2, transaction("1.2.7" + "0" * 50)), told.append)
    serve(lambda resources, request: Answer(report=report))
    node = start()
    with raw_association(node, max_pdu=80) as user:
        assert ask(user, None).status == 0
        event = user.message()
        assert (event.context, event.number(raw.FIELD), event.number(raw.EVENT_TYPE)) == (5, N_EVENT_REPORT, 2)
        assert (event.text(raw.AFFECTED_CLASS), event.text(raw.AFFECTED_INSTANCE)) == (COMMITMENT, INSTANCE)
        assert event.longest <= 80
        assert dimse.decode_dataset(event.data, IMPLICIT).TransactionUID == "1.2.7" + "0" * 50
        ds = image()
        user.send(raw.store(1, str(ds.SOPInstanceUID), encoded(ds), piece=70))
        assert user.message().status == 0
        assert told == []
        number = event.number(raw.MESSAGE_ID) or 0
        answer = {
            raw.FIELD: N_EVENT_REPORT | 0x8000, raw.RESPONDED_TO: number, raw.DATA_SET_TYPE: 0x0101, raw.STATUS: status,
        }  # fmt: skip
        user.send(pdu(DATA, pdv(5, COMMAND | LAST, raw.command(answer)) * 2))
        eventually("the answer is told", lambda: told == [done], 5, 0.01)
        user.release()
    node.settle()
    assert told == [done]


def test_a_report_that_was_not_answered_was_not_delivered(start: Start, serve: Callable[[Handler], None]) -> None:
    told: list[bool] = []

    def tell(done: bool) -> None:
        told.append(done)
        raise RuntimeError("whatever the service does then")

    serve(lambda resources, request: Answer(report=Report(COMMITMENT, INSTANCE, lambda: (1, Dataset()), tell)))
    node = start()
    with raw_association(node) as user:
        ask(user, None)
        user.message()
        ask(user, None)
        user.message()
        user.send(pdu(raw.ABORT, bytes(4)))
    node.settle()
    assert told == [False, False]
    assert len(node.lines("association.lost")) == 1


def test_a_report_that_cannot_be_made_leaves_the_association_alone(
    start: Start, serve: Callable[[Handler], None]
) -> None:
    told: list[bool] = []

    def fail() -> tuple[int, Dataset]:
        raise RuntimeError("the records are away")

    serve(lambda resources, request: Answer(report=Report(COMMITMENT, INSTANCE, fail, told.append)))
    with raw_association(start()) as user:
        assert ask(user, None).status == 0
        assert ask(user, None).status == 0
        user.release()
    assert told == [False, False]
