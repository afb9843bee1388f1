from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.dicom.services import N_ACTION_RQ, SERVICES, arguments, commitment
from node.dicom.services.base import Answer, Resources
from node.dicom.services.commitment import STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE, event, judge
from node.records import commitments
from node.records.commitments import Reference
from node.records.schema import Commitment, now
from node.records.states import CommitmentState
from node.simulator.commitment import request_dataset
from tests.node.dicom.objects import MR
from tests.node.dicom.services.conftest import Keep, absent, lines, path_of, request

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitment, "NAMING_SECONDS", 0.01)


def ask(
    resources: Resources,
    ds: Dataset | None,
    *,
    instance: str = WELL_KNOWN_INSTANCE,
    number: int = 1,
    calling: str = "SILENT",
    sop_class: str = STORAGE_COMMITMENT,
) -> Answer:
    handler = SERVICES[STORAGE_COMMITMENT, N_ACTION_RQ]
    return handler(resources, request(N_ACTION_RQ, sop_class, instance, ds, number=number, calling=calling))


def rows(resources: Resources) -> list[Commitment]:
    with resources.records.read() as session:
        return list(session.scalars(select(Commitment).order_by(Commitment.id)))


def without(keyword: str) -> Dataset:
    ds = request_dataset("1.2.3", [absent()])
    del ds[keyword]
    return ds


def test_a_request_is_on_the_disk_before_it_is_answered(resources: Resources, keep: Keep) -> None:
    reference = keep()
    answer = ask(resources, request_dataset("1.2.3", [reference]), calling="STATION")
    assert answer.status == 0x0000
    [row] = rows(resources)
    assert (row.transaction_uid, row.calling_ae_title, row.called_ae_title) == ("1.2.3", "STATION", "OVERREAD")
    assert (row.references, row.state, row.failures) == ([list(reference)], CommitmentState.REQUESTED, None)


def test_a_requester_that_can_be_called_gets_no_report_on_its_own_association(resources: Resources) -> None:
    assert ask(resources, request_dataset("1.2.3", [absent()]), calling="STATION").report is None
    assert rows(resources)[0].next_at <= now()


def test_a_requester_that_cannot_be_called_gets_the_report_on_its_own_association(
    resources: Resources, keep: Keep
) -> None:
    reference = keep()
    report = ask(resources, request_dataset("1.2.3", [reference])).report
    assert report is not None
    assert (report.sop_class, report.sop_instance) == (STORAGE_COMMITMENT, WELL_KNOWN_INSTANCE)
    assert rows(resources)[0].next_at > now() + dt.timedelta(minutes=5), "no other loop takes it away meanwhile"
    event_type, ds = report.dataset()
    report.delivered(True)
    assert (event_type, ds.TransactionUID) == (1, "1.2.3")
    assert rows(resources)[0].state is CommitmentState.REPORTED
    assert lines(resources.records, "commitment.reported") == ["Storage of 1 instance was committed to SILENT."]


def test_a_report_that_is_not_taken_on_the_association_is_given_up_and_said(resources: Resources) -> None:
    report = ask(resources, request_dataset("1.2.3", [absent()])).report
    assert report is not None
    report.dataset()
    report.delivered(False)
    assert rows(resources)[0].state is CommitmentState.FAILED
    assert "gives no host and port" in lines(resources.records, "commitment.failed")[0]


def test_the_same_request_again_changes_nothing(resources: Resources) -> None:
    ds = request_dataset("1.2.3", [absent()])
    first = [ask(resources, ds, calling="STATION").status, rows(resources)[0].next_at]
    again = [ask(resources, ds, calling="STATION").status, rows(resources)[0].next_at]
    assert first == again
    assert len(rows(resources)) == 1


@pytest.mark.parametrize("ok", [True, False])
def test_a_transaction_that_is_over_is_reported_again_when_it_is_asked_for_again(
    resources: Resources, ok: bool
) -> None:
    ds = request_dataset("1.2.3", [absent()])
    report = ask(resources, ds).report
    assert report is not None
    report.dataset()
    report.delivered(ok)
    again = ask(resources, ds).report
    assert again is not None
    assert rows(resources)[0].state is CommitmentState.REQUESTED
    assert again.dataset()[0] == 2


def test_two_requesters_may_use_the_same_transaction_uid(resources: Resources) -> None:
    ds = request_dataset("1.2.3", [absent()])
    assert [ask(resources, ds, calling=title).status for title in ("A", "B")] == [0, 0]
    assert len(rows(resources)) == 2


def test_a_transaction_uid_in_use_for_other_instances_is_refused_with_0115(resources: Resources) -> None:
    ask(resources, request_dataset("1.2.3", [absent("1.2.1")]))
    answer = ask(resources, request_dataset("1.2.3", [absent("1.2.2")]))
    assert (answer.status, answer.report) == (0x0115, None)
    assert rows(resources)[0].references == [[MR, "1.2.1"]]


def _set(keyword: str, value: Any) -> Dataset:
    ds = request_dataset("1.2.3", [absent()])
    setattr(ds, keyword, value)
    return ds


def _in_item(change: Callable[[Dataset], None]) -> Dataset:
    ds = request_dataset("1.2.3", [absent()])
    change(ds.ReferencedSOPSequence[0])
    return ds


def _drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda item: item.__delattr__(keyword)


REFUSED = {
    "no data set": (None, 0x0120),
    "no transaction": (without("TransactionUID"), 0x0120),
    "empty transaction": (_set("TransactionUID", ""), 0x0121),
    "no UID as transaction": (_set("TransactionUID", "1.2.x"), 0x0115),
    "several transactions": (_set("TransactionUID", ["1.2.3", "1.2.4"]), 0x0115),
    "a UID of 65 characters": (_set("TransactionUID", "1." + "2" * 63), 0x0115),
    "no references": (without("ReferencedSOPSequence"), 0x0120),
    "an empty sequence": (_set("ReferencedSOPSequence", []), 0x0121),
    "no class": (_in_item(_drop("ReferencedSOPClassUID")), 0x0120),
    "no instance": (_in_item(_drop("ReferencedSOPInstanceUID")), 0x0120),
    "an empty instance": (_in_item(lambda item: setattr(item, "ReferencedSOPInstanceUID", "")), 0x0121),
    "a path as instance": (_in_item(lambda item: setattr(item, "ReferencedSOPInstanceUID", "../1.2")), 0x0115),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_understood_is_refused_and_not_kept(resources: Resources, case: str) -> None:
    ds, status = REFUSED[case]
    answer = ask(resources, ds)
    assert (answer.status, answer.report) == (status, None)
    assert 0 < len(answer.comment) <= 64
    assert rows(resources) == []


def test_another_action_is_refused_with_0123(resources: Resources) -> None:
    assert ask(resources, request_dataset("1.2.3", [absent()]), number=2).status == 0x0123


def test_another_instance_than_the_well_known_one_is_refused_with_0112(resources: Resources) -> None:
    assert ask(resources, request_dataset("1.2.3", [absent()]), instance="1.2.3").status == 0x0112


def test_another_sop_class_is_refused_with_0118(resources: Resources) -> None:
    assert ask(resources, request_dataset("1.2.3", [absent()]), sop_class=MR).status == 0x0118


def test_more_references_than_a_study_has_are_refused_with_0213(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "MAX_REFERENCES", 2)
    named = [absent(f"1.2.{number}") for number in range(3)]
    assert ask(resources, request_dataset("1.2.3", named)).status == 0x0213
    assert ask(resources, request_dataset("1.2.4", named[:2])).status == 0x0000


def test_a_requester_with_too_many_open_requests_is_refused_with_0213_and_others_are_not(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commitments, "MAX_OPEN", 1)
    assert [ask(resources, request_dataset(f"1.2.{n}", [absent()])).status for n in (1, 2, 1)] == [0, 0x0213, 0]
    assert ask(resources, request_dataset("1.2.2", [absent()]), calling="OTHER").status == 0


def test_what_is_whole_on_the_disk_is_committed(resources: Resources, keep: Keep) -> None:
    assert judge(resources.spool, [keep(), keep()]) == []


def test_what_is_not_there_fails_with_0112(resources: Resources, keep: Keep) -> None:
    assert judge(resources.spool, [keep(), absent()]) == [(*absent(), 0x0112)]


def test_an_instance_that_gets_its_name_a_moment_later_is_committed(
    resources: Resources, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: keep(SOPInstanceUID="1.2.999"))
    assert judge(resources.spool, [absent("1.2.999")]) == []


def test_another_sop_class_than_the_files_fails_with_0119(resources: Resources, keep: Keep) -> None:
    _, uid = keep()
    assert judge(resources.spool, [(CT, uid)]) == [(CT, uid, 0x0119)]


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "one bit differs": _flip,
    "cut off": lambda data: data[:-2],
    "longer": lambda data: data + b"\0\0",
    "empty": lambda data: b"",
    "no seal": lambda data: bytes(128) + data[128:],
    "only a head": lambda data: data[:140],
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_never_committed(resources: Resources, keep: Keep, kind: str) -> None:
    reference = keep()
    path = path_of(resources.spool, reference[1])
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    [(_, _, reason)] = judge(resources.spool, [reference])
    assert reason in (0x0110, 0x0119)


def test_another_instance_under_the_name_is_never_committed(resources: Resources, keep: Keep) -> None:
    (_, other), reference = keep(), keep()
    path_of(resources.spool, reference[1]).write_bytes(path_of(resources.spool, other).read_bytes())
    assert judge(resources.spool, [reference]) == [(*reference, 0x0110)]


def test_a_folder_under_the_name_fails_with_0110(resources: Resources) -> None:
    path_of(resources.spool, "1.2.999").mkdir(parents=True)
    assert judge(resources.spool, [absent("1.2.999")]) == [(*absent(), 0x0110)]


def test_nothing_is_committed_that_the_disk_does_not_take(
    resources: Resources, keep: Keep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(commitment, "sync_file_system", broken)
    reference = keep()
    assert judge(resources.spool, [reference]) == [(*reference, 0x0110)]


def test_an_instance_that_is_named_twice_is_answered_twice(resources: Resources) -> None:
    assert len(judge(resources.spool, [absent(), absent()])) == 2


def test_every_reference_of_a_request_is_in_its_report(resources: Resources, keep: Keep) -> None:
    good: list[Reference] = [keep(), keep()]
    bad = [absent("1.2.1"), (CT, good[0][1])]
    asked = [good[0], bad[0], good[1], bad[1]]
    event_type, ds = event("1.2.3", asked, judge(resources.spool, asked))
    failed = [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in ds.FailedSOPSequence]
    assert event_type == 2
    assert failed == [("1.2.1", 0x0112), (good[0][1], 0x0119)]
    assert [item.ReferencedSOPInstanceUID for item in ds.ReferencedSOPSequence] == [good[0][1], good[1][1]]


def test_a_report_without_committed_instances_has_no_such_sequence() -> None:
    _, ds = event("1.2.3", [absent()], [(*absent(), 0x0112)])
    assert "ReferencedSOPSequence" not in ds


def test_a_report_without_failures_has_no_such_sequence() -> None:
    event_type, ds = event("1.2.3", [absent()], [])
    assert (event_type, "FailedSOPSequence" in ds) == (1, False)
