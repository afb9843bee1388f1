"""Merges: two identifiers, one person, whatever came first."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.records import notes, orders, patients
from node.records.merges import roots
from node.records.schema import Job, Note, Order, Patient, Series, Study
from node.records.states import JobState, MessageState, StudyState
from tests.node.hl7 import seed
from tests.node.hl7.conftest import Desk
from tests.stores import empty

Write = Callable[..., bytes]


def pid(number: str, authority: str = "HOSP", name: str = "Doe^Jane") -> str:
    return f"PID|1||{number}^^^{authority}^MR||{name}"


def mrg(number: str, authority: str = "HOSP") -> str:
    return f"MRG|{number}^^^{authority}^MR"


def person(desk: Desk, number: str, authority: str = "HOSP") -> set[str]:
    """Return the numbers that mean the same person."""
    with desk.session() as session:
        patient = patients.find(session, number, authority)
        assert patient is not None
        return {session.get_one(Patient, one).patient_id for one in patients.same_person(session, patient)}


def survivor(desk: Desk, number: str, authority: str = "HOSP") -> str:
    with desk.session() as session:
        patient = patients.find(session, number, authority)
        assert patient is not None
        return patients.survivor(session, patient).patient_id


@pytest.mark.parametrize("event", ["A18", "A34", "A36", "A40"])
def test_two_patients_become_one(desk: Desk, hl7: Write, event: str) -> None:
    desk.take(hl7("ADT^A01", pid("1", name="Old^Name"), control_id="1"))
    desk.take(hl7("ADT^A01", pid("2"), control_id="2"))
    assert person(desk, "1") == {"1"}
    assert desk.take(hl7(f"ADT^{event}", "EVN|X", pid("2"), mrg("1"), control_id="3")).code == "AA"
    assert person(desk, "1") == person(desk, "2") == {"1", "2"}
    assert survivor(desk, "1") == survivor(desk, "2") == "2"
    assert [row.name for row in desk.rows(Patient)] == ["Old^Name", "Doe^Jane"]  # each row keeps its own


@pytest.mark.parametrize("event", ["A39", "A41", "A42", "A35", "A24"])
def test_what_merges_something_else_is_refused(desk: Desk, hl7: Write, event: str) -> None:
    ack = desk.take(hl7(f"ADT^{event}", pid("2"), mrg("1")))
    assert (ack.code, ack.error_code) == ("AR", "201")


@pytest.mark.parametrize(
    ("segments", "code", "location"),
    [
        ((mrg("1"),), "100", "PID^1"),
        ((pid("1"),), "100", "MRG^1"),
        ((mrg("1"), pid("2")), "100", "MRG^1"),
        ((pid("1"), "MRG|"), "101", "MRG^1^1"),
        ((pid("1"), mrg("9" * 251)), "104", "MRG^1^1"),
        ((pid("1"), *(mrg(str(n)) for n in range(2, 203))), "104", "MRG^1"),
    ],
)
def test_a_merge_without_its_parts_is_refused(
    desk: Desk, hl7: Write, segments: tuple[str, ...], code: str, location: str
) -> None:
    ack = desk.take(hl7("ADT^A40", *segments))
    assert (ack.code, ack.error_code, ack.location) == ("AE", code, location)
    assert desk.rows(Patient) == []


def test_one_message_merges_several_pairs(desk: Desk, hl7: Write) -> None:
    segments = (pid("1"), "PD1|", mrg("2"), "PV1|1|I", pid("3"), mrg("4"), pid("1"), mrg("5"))
    assert desk.take(hl7("ADT^A40", *segments)).code == "AA"
    assert person(desk, "1") == {"1", "2", "5"}
    assert person(desk, "4") == {"3", "4"}


def test_of_several_prior_identifiers_all_medical_record_numbers_count(desk: Desk, hl7: Write) -> None:
    prior = "MRG|11^^^HOSP^MR~12^^^EMPI^PI~123-45-6789^^^USA^SS"
    assert desk.take(hl7("ADT^A40", "PID|1||21^^^HOSP^MR~12^^^EMPI^PI||Doe^Jane", prior)).code == "AA"
    assert {row.patient_id for row in desk.rows(Patient)} == {"11", "12", "21"}
    assert person(desk, "21") == {"11", "12", "21"}


def test_a_patient_merged_into_itself_changes_nothing(desk: Desk, hl7: Write) -> None:
    assert desk.take(hl7("ADT^A40", pid("1"), mrg("1"))).code == "AA"
    (line,) = desk.lines()
    assert "nothing to merge" in line.text


def test_chains_are_followed_to_their_end(desk: Desk, hl7: Write) -> None:
    for control, (over, under) in enumerate((("2", "1"), ("3", "2"), ("4", "3"), ("9", "8"), ("4", "9"))):
        desk.take(hl7("ADT^A40", pid(over), mrg(under), control_id=str(control), at=f"2026010108{control:02}00"))
    assert person(desk, "1") == {"1", "2", "3", "4", "8", "9"}
    assert {survivor(desk, number) for number in "123489"} == {"4"}


def test_a_merge_in_the_other_direction_changes_who_survives(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A40", pid("1"), mrg("2"), control_id="1", at="20260101080000"))
    desk.take(hl7("ADT^A40", pid("2"), mrg("1"), control_id="2", at="20260101090000"))
    assert person(desk, "1") == {"1", "2"}
    assert survivor(desk, "1") == survivor(desk, "2") == "2"


def test_an_older_merge_that_comes_late_does_not_undo_a_newer_one(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A40", pid("2"), mrg("1"), control_id="2", at="20260101090000"))
    desk.take(hl7("ADT^A40", pid("1"), mrg("2"), control_id="1", at="20260101080000"))
    assert survivor(desk, "1") == "2"
    assert desk.messages()[1].reason == "merges: 1; 0 changed who survives"


def test_a_merge_may_come_before_anything_else(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A40", pid("2"), mrg("1")))
    with desk.session() as session:
        study = seed.study(session, patient_id="1", issuer="HOSP")
        assert study.patient_fk in patients.same_person(session, session.get_one(Patient, 1))
    text = "TXA|1|CN|TX|||||||||D1", "OBX|1|TX|||No nodule."
    desk.take(hl7("MDM^T02", pid("2"), *text, control_id="2"))
    with desk.session() as session:
        study = session.get_one(Study, 1)
        assert [note.document_number for note in notes.notes_for_study(session, study)] == ["D1"]


def test_numbers_of_two_authorities_are_one_person_only_by_a_message(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A01", pid("1", "HOSP"), control_id="1"))
    desk.take(hl7("ADT^A01", pid("1", "OTHER"), control_id="2"))
    with desk.session() as session:
        one = patients.find(session, "1", "HOSP")
        assert one is not None
        assert list(patients.same_person(session, one)) == [one.id]
    desk.take(hl7("ADT^A40", pid("1", "HOSP"), mrg("1", "OTHER"), control_id="3"))
    with desk.session() as session:
        assert len(patients.same_person(session, session.get_one(Patient, 1))) == 2


def test_a_study_gets_the_order_of_the_merged_patient_and_its_report_is_looked_at_again(desk: Desk, hl7: Write) -> None:
    order = "ORC|NW|P1|F1", "OBR|1|P1|F1|CT||||||||||||||A1", "TQ1|1||||||||S"
    desk.take(hl7("ORM^O01", pid("2"), *order, control_id="1"))
    with desk.session() as session:
        study = seed.study(session, patient_id="1", issuer="HOSP", state=StudyState.DONE)
        series = Series(uid="1.2.3.1", study=study, modality="CT")
        session.add(series)
        session.flush()
        job = {"study_fk": study.id, "series_fk": series.id, "model": "m", "rule": "r", "input_digest": "d"}
        session.add(Job(id="j", state=JobState.DONE, **job))
        assert orders.match_study(session, study) is None
    desk.take(hl7("ADT^A40", pid("2"), mrg("1"), control_id="2"))
    (study,) = desk.rows(Study)
    (job_row,) = desk.rows(Job)
    (order_row,) = desk.rows(Order)
    assert study.order_fk == order_row.id
    assert study.priority == "STAT"
    assert job_row.state is JobState.INFERRED
    assert len(desk.lines("patient.merged")) == 1
    assert "two patients were merged" in desk.lines("job.reopened")[0].text
    desk.take(hl7("ADT^A40", pid("2"), mrg("1"), control_id="3"))  # says nothing new
    assert len(desk.lines("patient.merged")) == 1


def test_messages_under_the_prior_number_belong_to_the_person(desk: Desk, hl7: Write) -> None:
    desk.take(hl7("ADT^A40", pid("2"), mrg("1"), control_id="1"))
    text = "OBX|1|TX|||Text."
    desk.take(hl7("MDM^T02", pid("1"), "TXA|1|CN|TX|||||||||D1", text, control_id="2", at="20260102080000"))
    desk.take(hl7("MDM^T02", pid("2"), "TXA|1|CN|TX|||||||||D1", text, control_id="3", at="20260103080000"))
    (note,) = desk.rows(Note)  # not refused as another patient's
    assert note.document_number == "D1"
    assert [message.state for message in desk.messages()] == [MessageState.PROCESSED] * 3


def test_what_was_refused_as_another_patients_is_taken_over_after_the_merge(desk: Desk, hl7: Write) -> None:
    order = "ORC|NW|P1|F1", "OBR|1|P1|F1|CT"
    note = "TXA|1|CN|TX|||||||||D1", "OBX|1|TX|||No nodule."
    desk.arrive(
        hl7("ORM^O01", pid("1"), *order, control_id="1", at="20260101080000"),
        hl7("MDM^T02", pid("1"), *note, control_id="2", at="20260101080000"),
        hl7("ORM^O01", pid("2"), "ORC|CA|P1|F1", control_id="3", at="20260101100000"),
        hl7("MDM^T02", pid("2"), *note, control_id="4", at="20260101100000"),
        hl7("ADT^A01", "PID|1||", control_id="5"),
    )
    desk.work()
    failed = [message.id for message in desk.messages() if message.state is MessageState.FAILED]
    assert failed == [3, 4, 5]
    desk.arrive(hl7("ADT^A40", pid("2"), mrg("1"), control_id="6", at="20260101090000"))  # stated before, came late
    desk.work()
    assert [message.id for message in desk.messages() if message.state is MessageState.FAILED] == [5]
    (found,) = desk.rows(Note)
    assert found.message_fk == 4
    assert [row.status for row in desk.rows(Order)] == ["CA"]
    assert [line.message_fk for line in desk.lines("message.again")] == [3, 4]


def test_a_merge_of_others_leaves_messages_alone_that_were_refused(desk: Desk, hl7: Write) -> None:
    note = "TXA|1|CN|TX|||||||||D1", "OBX|1|TX|||No nodule."
    for number in ("1", "2"):
        desk.take(hl7("MDM^T02", pid(number), *note, control_id=number))
    before = len(desk.lines())
    desk.arrive(hl7("ADT^A40", pid("8"), mrg("7"), control_id="3"))
    desk.work()
    assert [line.kind for line in desk.lines()[before:]] == ["message.processed"]
    assert [message.state for message in desk.messages()].count(MessageState.FAILED) == 1
    desk.arrive(hl7("ADT^A40", pid("1"), mrg("2"), control_id="4"))
    desk.work()
    assert [message.state for message in desk.messages()].count(MessageState.FAILED) == 0


PAIRS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=9)


@given(PAIRS)
def test_everyone_has_one_survivor_who_survives(statements: list[tuple[int, int]]) -> None:
    top = roots(statements)
    assert set(top) == {one for pair in statements for one in pair}
    for prior, survivor in statements:
        assert top[prior] == top[survivor]
    for one in set(top.values()):
        assert top[one] == one
    if statements and statements[-1][0] != statements[-1][1]:
        assert top[statements[-1][0]] != statements[-1][0]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Give a desk for many examples, each with an authority of its own."""
    root: Path = tmp_path_factory.mktemp("merges")
    store = empty(root / "records.sqlite")
    desk = Desk(store, root)
    yield desk
    desk.processor.close()
    store.close()


STATEMENT = st.one_of(
    st.tuples(st.just("A40"), st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.just("A08"), st.integers(1, 5), st.integers(1, 5)),
)
EXAMPLE = itertools.count()


def message(authority: str, hour: int, statement: tuple[str, int, int]) -> bytes:
    kind, one, other = statement
    msh = f"MSH|^~\\&|RIS|{authority}|||2026010{1 + hour // 20}{hour % 20:02}0000+0000||ADT^{kind}|{hour}|P|2.5.1"
    last = mrg(str(other), authority) if kind == "A40" else "PV1|1|I"
    return "\r".join((msh, pid(str(one), authority, f"Name{hour}^X" if kind == "A08" else ""), last, "")).encode()


def outcome(desk: Desk, authority: str) -> set[tuple[frozenset[str], str, str]]:
    with desk.session() as session:
        rows: Sequence[Patient] = [row for row in desk.rows(Patient) if row.issuer == authority]
        return {
            (
                frozenset(session.get_one(Patient, one).patient_id for one in patients.same_person(session, row)),
                patients.survivor(session, row).patient_id,
                f"{row.patient_id} {row.name}",
            )
            for row in rows
        }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STATEMENT, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_any_order_of_merges_and_messages_gives_the_same_people(
    shared: Desk, statements: list[tuple[str, int, int]], chance: random.Random
) -> None:
    number = next(EXAMPLE)
    ordered, mixed = f"H{number}", f"M{number}"
    shared.arrive(*(message(ordered, hour, one) for hour, one in enumerate(statements)))
    raws = [message(mixed, hour, one) for hour, one in enumerate(statements)]
    raws += raws[:2]  # some come twice
    chance.shuffle(raws)
    shared.arrive(*raws)
    shared.work()
    assert outcome(shared, mixed) == outcome(shared, ordered)
