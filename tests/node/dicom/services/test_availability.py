from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from node.dicom.services import N_CREATE_RQ, SERVICES, arguments
from node.dicom.services.availability import AVAILABILITY_NOTIFICATION
from node.dicom.services.base import Answer, Resources
from node.dicom.uid import is_uid
from node.records.expectations import of_study
from node.records.schema import Expectation
from node.simulator.scu import availability
from tests.node.dicom.objects import MR
from tests.node.dicom.services.conftest import lines, request

STUDY, NOTIFICATION = "1.2.3", "1.2.840.2"


def notify(resources: Resources, ds: Dataset | None, uid: str = NOTIFICATION) -> Answer:
    handler = SERVICES[AVAILABILITY_NOTIFICATION, N_CREATE_RQ]
    return handler(resources, request(N_CREATE_RQ, AVAILABILITY_NOTIFICATION, uid, ds, calling="ARCHIVE"))


def expected(resources: Resources, study: str = STUDY) -> list[Expectation]:
    with resources.records.read() as session:
        return of_study(session, study)


def named(*numbers: int) -> list[tuple[str, str]]:
    return [(MR, f"1.2.3.{number}") for number in numbers]


def test_what_an_archive_names_is_expected_and_nothing_is_concluded_from_the_rest(resources: Resources) -> None:
    answer = notify(resources, availability(STUDY, named(1, 2)))
    assert (answer.status, answer.sop_instance) == (0x0000, "")
    [row] = expected(resources)
    assert (row.source, row.reference, row.instances) == ("ian", NOTIFICATION, ["1.2.3.1", "1.2.3.2"])
    assert (row.count, row.final) == (2, False)


def test_a_notification_without_uid_gets_one(resources: Resources) -> None:
    assert is_uid(notify(resources, availability(STUDY, named(1)), uid="").sop_instance)


def test_notifications_of_one_study_stand_beside_each_other(resources: Resources) -> None:
    notify(resources, availability(STUDY, named(1)), uid="1.2.1")
    notify(resources, availability(STUDY, named(2)), uid="1.2.2")
    assert [row.instances for row in expected(resources)] == [["1.2.3.1"], ["1.2.3.2"]]


def test_the_same_notification_again_changes_nothing(resources: Resources) -> None:
    assert [notify(resources, availability(STUDY, named(1))).status for _ in range(2)] == [0, 0]
    assert len(expected(resources)) == 1
    assert lines(resources.records, "ian.received") == ["ARCHIVE says that instances are available: 1."]


@pytest.mark.parametrize(("study", "numbers"), [(STUDY, (1, 2)), ("1.2.4", (1,))])
def test_another_notification_of_the_same_uid_is_refused_with_0111(
    resources: Resources, study: str, numbers: tuple[int, ...]
) -> None:
    notify(resources, availability(STUDY, named(1)))
    assert notify(resources, availability(study, named(*numbers))).status == 0x0111
    assert [row.instances for row in expected(resources)] == [["1.2.3.1"]]
    assert expected(resources, "1.2.4") == []


def test_what_is_unavailable_is_not_expected(resources: Resources) -> None:
    notify(resources, availability(STUDY, named(1), "UNAVAILABLE"))
    [row] = expected(resources)
    assert (row.instances, row.count) == ([], None)


def _without(keyword: str) -> Dataset:
    ds = availability(STUDY, named(1))
    for item in (ds, ds.ReferencedSeriesSequence[0], ds.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]):
        if keyword in item:
            del item[keyword]
    return ds


REFUSED = {
    "no data set": (None, 0x0120),
    "no study": (_without("StudyInstanceUID"), 0x0120),
    "no series": (_without("ReferencedSeriesSequence"), 0x0120),
    "no instances": (_without("ReferencedSOPSequence"), 0x0120),
    "no availability": (_without("InstanceAvailability"), 0x0120),
    "empty instances": (availability(STUDY, []), 0x0121),
    "an instance that is no UID": (availability(STUDY, [(MR, "x")]), 0x0106),
    "an availability that does not exist": (availability(STUDY, named(1), "MAYBE"), 0x0106),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_a_notification_that_cannot_be_understood_is_refused_and_not_kept(resources: Resources, case: str) -> None:
    ds, status = REFUSED[case]
    answer = notify(resources, ds)
    assert answer.status == status
    assert 0 < len(answer.comment) <= 64
    assert expected(resources) == []


def test_more_instances_than_a_study_has_are_refused_with_0213(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "MAX_REFERENCES", 2)
    assert notify(resources, availability(STUDY, named(1, 2, 3))).status == 0x0213
