from __future__ import annotations

import pytest
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.dicom.services import N_CREATE_RQ, N_SET_RQ, SERVICES, arguments
from node.dicom.services.base import Answer, Resources
from node.dicom.services.procedure_step import PROCEDURE_STEP
from node.dicom.uid import is_uid
from node.records.expectations import of_study
from node.records.schema import Event, Expectation, ProcedureStep
from node.records.states import ProcedureStepState
from node.simulator.scu import step_created, step_set
from tests import factories
from tests.node.dicom.objects import MR
from tests.node.dicom.services.conftest import lines, request

STUDY, STEP = "1.2.3", "1.2.840.1"
SR = "1.2.840.10008.5.1.4.1.1.88.11"


def create(resources: Resources, ds: Dataset | None, uid: str = STEP) -> Answer:
    return SERVICES[PROCEDURE_STEP, N_CREATE_RQ](
        resources, request(N_CREATE_RQ, PROCEDURE_STEP, uid, ds, calling="MR1")
    )


def change(resources: Resources, ds: Dataset | None, uid: str = STEP) -> Answer:
    return SERVICES[PROCEDURE_STEP, N_SET_RQ](resources, request(N_SET_RQ, PROCEDURE_STEP, uid, ds, calling="MR1"))


def steps(resources: Resources) -> list[ProcedureStep]:
    with resources.records.read() as session:
        return list(session.scalars(select(ProcedureStep).order_by(ProcedureStep.id)))


def expected(resources: Resources, study: str = STUDY) -> list[Expectation]:
    with resources.records.read() as session:
        return of_study(session, study)


def named(*numbers: int) -> list[tuple[str, str]]:
    return [(MR, f"1.2.3.{number}") for number in numbers]


def test_a_step_that_begins_is_kept_and_expected_not_to_be_final(resources: Resources) -> None:
    answer = create(resources, step_created(STUDY))
    assert (answer.status, answer.sop_instance) == (0x0000, "")
    [step] = steps(resources)
    assert (step.uid, step.calling_ae_title, step.modality) == (STEP, "MR1", "MR")
    assert (step.state, step.studies, step.instances) == (ProcedureStepState.IN_PROGRESS, [STUDY], [])
    [row] = expected(resources)
    assert (row.source, row.reference, row.count, row.instances, row.final) == ("mpps", STEP, None, [], False)


def test_a_step_without_uid_gets_one(resources: Resources) -> None:
    answer = create(resources, step_created(STUDY), uid="")
    assert is_uid(answer.sop_instance)
    assert steps(resources)[0].uid == answer.sop_instance


def test_a_step_of_the_same_uid_is_refused_with_0111_and_changes_nothing(resources: Resources) -> None:
    create(resources, step_created(STUDY))
    assert create(resources, step_created("1.2.4")).status == 0x0111
    assert [step.studies for step in steps(resources)] == [[STUDY]]
    assert expected(resources, "1.2.4") == []


@pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED", "in progress", "X"])
def test_a_step_that_begins_otherwise_than_in_progress_is_refused_with_0106(resources: Resources, status: str) -> None:
    ds = step_created(STUDY)
    ds.PerformedProcedureStepStatus = status
    assert create(resources, ds).status == 0x0106
    assert steps(resources) == []


def _without(keyword: str) -> Dataset:
    ds = step_created(STUDY)
    del ds[keyword]
    return ds


def _scheduled(**values: str) -> Dataset:
    ds, item = step_created(STUDY), Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    ds.ScheduledStepAttributesSequence = [item]
    return ds


def _empty(keyword: str) -> Dataset:
    ds = step_created(STUDY)
    setattr(ds, keyword, [] if keyword.endswith("Sequence") else "")
    return ds


REFUSED = {
    "no data set": (None, 0x0120),
    "no status": (_without("PerformedProcedureStepStatus"), 0x0120),
    "empty status": (_empty("PerformedProcedureStepStatus"), 0x0121),
    "no scheduled step": (_without("ScheduledStepAttributesSequence"), 0x0120),
    "empty scheduled steps": (_empty("ScheduledStepAttributesSequence"), 0x0121),
    "no study": (_scheduled(), 0x0120),
    "empty study": (_scheduled(StudyInstanceUID=""), 0x0121),
    "a study that is no UID": (_scheduled(StudyInstanceUID="../../etc"), 0x0106),
}


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
@pytest.mark.parametrize("case", REFUSED)
def test_a_step_that_does_not_say_its_study_and_status_is_refused(resources: Resources, case: str) -> None:
    ds, status = REFUSED[case]
    answer = create(resources, ds)
    assert answer.status == status
    assert 0 < len(answer.comment) <= 64
    assert steps(resources) == []


def test_a_uid_that_is_none_is_refused_with_0117(resources: Resources) -> None:
    assert create(resources, step_created(STUDY), uid="../1").status == 0x0117
    assert change(resources, step_set("COMPLETED"), uid="../1").status == 0x0117
    assert change(resources, step_set("COMPLETED"), uid="").status == 0x0117


def test_a_completed_step_says_finally_what_the_study_holds(resources: Resources) -> None:
    create(resources, step_created(STUDY))
    assert change(resources, step_set("COMPLETED", named(1, 2), [(SR, "1.2.3.9")])).status == 0x0000
    [row] = expected(resources)
    assert (row.instances, row.count, row.final) == (["1.2.3.1", "1.2.3.2", "1.2.3.9"], 3, True)


def test_a_discontinued_step_says_finally_what_was_made_until_then(resources: Resources) -> None:
    create(resources, step_created(STUDY))
    change(resources, step_set("DISCONTINUED", named(1)))
    [row] = expected(resources)
    assert (row.instances, row.final, steps(resources)[0].state) == (["1.2.3.1"], True, "DISCONTINUED")


def test_what_a_step_names_later_takes_the_place_of_what_it_named_before(resources: Resources) -> None:
    create(resources, step_created(STUDY))
    for numbers in ((1, 2), (2, 3, 4)):
        assert change(resources, step_set("IN PROGRESS", named(*numbers))).status == 0x0000
    [row] = expected(resources)
    assert (row.instances, row.count, row.final) == (["1.2.3.2", "1.2.3.3", "1.2.3.4"], 3, False)


def test_a_change_that_speaks_of_no_series_leaves_the_instances(resources: Resources) -> None:
    create(resources, step_created(STUDY))
    change(resources, step_set(None, named(1, 2)))
    ds = Dataset()
    ds.PerformedProcedureStepStatus = "COMPLETED"
    change(resources, ds)
    [row] = expected(resources)
    assert (row.instances, row.final) == (["1.2.3.1", "1.2.3.2"], True)


@pytest.mark.parametrize("end", ["COMPLETED", "DISCONTINUED"])
@pytest.mark.parametrize("then", ["IN PROGRESS", "COMPLETED", "DISCONTINUED", None])
def test_a_step_that_is_over_is_not_changed_and_says_a710(resources: Resources, end: str, then: str | None) -> None:
    create(resources, step_created(STUDY))
    change(resources, step_set(end, named(1)))
    answer = change(resources, step_set(then, named(1, 2, 3)))
    assert (answer.status, answer.error_id) == (0x0110, 0xA710)
    assert answer.comment == "Performed Procedure Step Object may no longer be updated"
    assert (steps(resources)[0].state, expected(resources)[0].instances) == (end, ["1.2.3.1"])


def test_a_change_of_an_unknown_step_is_refused_with_0112(resources: Resources) -> None:
    assert change(resources, step_set("COMPLETED")).status == 0x0112


@pytest.mark.parametrize(("status", "answer"), [("", 0x0121), ("FINISHED", 0x0106)])
def test_a_status_that_does_not_exist_is_refused(resources: Resources, status: str, answer: int) -> None:
    create(resources, step_created(STUDY))
    assert change(resources, step_set(status)).status == answer
    assert steps(resources)[0].state == "IN PROGRESS"


def test_more_instances_than_a_study_has_are_refused_with_0213(
    resources: Resources, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "MAX_REFERENCES", 2)
    create(resources, step_created(STUDY))
    assert change(resources, step_set("COMPLETED", named(1, 2), named(3))).status == 0x0213


def test_studies_that_share_a_step_learn_that_it_is_over_and_not_what_it_made(resources: Resources) -> None:
    ds = step_created(STUDY)
    ds.ScheduledStepAttributesSequence.append(step_created("1.2.4").ScheduledStepAttributesSequence[0])
    create(resources, ds)
    change(resources, step_set("COMPLETED", named(1, 2)))
    for study in (STUDY, "1.2.4"):
        [row] = expected(resources, study)
        assert (row.instances, row.count, row.final) == ([], None, True)


def test_the_studys_timeline_tells_the_beginning_and_the_end(resources: Resources) -> None:
    with resources.records.write() as session:
        study = factories.study(session, STUDY).id
    create(resources, step_created(STUDY))
    change(resources, step_set("IN PROGRESS", named(1)))
    change(resources, step_set("COMPLETED", named(1)))
    with resources.records.read() as session:
        query = select(Event.kind, Event.text).where(Event.study_fk == study, Event.kind.like("mpps.%"))
        told = [tuple(row) for row in session.execute(query.order_by(Event.id))]
    assert told == [
        ("mpps.started", "A procedure step of MR1 has begun."),
        ("mpps.completed", "A procedure step of MR1 is completed; instances named: 1."),
    ]


def test_nothing_of_the_patient_is_kept(resources: Resources) -> None:
    ds = step_created(STUDY)
    ds.PatientName, ds.PatientID, ds.Modality = "Example^Robin", "P1", "MR"
    create(resources, ds)
    with resources.records.read() as session:
        kept = [*steps(resources)[0].__dict__.values(), *session.scalars(select(Event.text))]
    assert not any("Robin" in str(value) or "P1" in str(value) for value in kept)
    assert lines(resources.records, "mpps.started") == ["A procedure step of MR1 has begun."]
