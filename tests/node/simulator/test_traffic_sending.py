"""Traffic is sent as planned: in order for each patient, some of it twice, over connections that are cut."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from node.cli import app
from node.errors import InputError
from node.hl7.message import peek
from node.simulator.ris import Person, RisSimulator, admit
from node.simulator.traffic import Event, StudyToCome
from node.simulator.traffic_plan import Cut, Faults, Plan, Step, plan
from node.simulator.traffic_sending import Target, send
from tests.node.simulator import traffic_tables

AT = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def events(sizes: Sequence[int], studies: int = 0) -> list[Event]:
    places = [(patient, number) for patient, size in enumerate(sizes) for number in range(size)]
    found = [_event(patient, number) for patient, number in places]
    found.sort(key=lambda event: event.at)
    study = StudyToCome(1, Person(), "A1", "left", AT)
    return [*found, *(Event(AT + dt.timedelta(days=1), "P0", study=study) for _ in range(studies))]


def _event(patient: int, number: int) -> Event:
    control_id = f"{patient}-{number}"
    raw = admit(Person(), control_id=control_id)
    return Event(AT + dt.timedelta(minutes=number), f"P{patient}", control_id, raw)


def first_of_each(lane: Sequence[Step]) -> dict[str, list[str]]:
    """Return the control ids of each patient in the order in which they are first sent."""
    found: dict[str, list[str]] = defaultdict(list)
    for step in lane:
        if step.event.control_id not in found[step.event.patient]:
            found[step.event.patient].append(step.event.control_id)
    return found


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=8),
    st.integers(0, 3),
    st.integers(1, 5),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_each_patient_has_one_connection_and_keeps_its_order(
    sizes: list[int], studies: int, connections: int, duplicates: float, cuts: float, seed: int
) -> None:
    made = events(sizes, studies)
    found = plan(made, Faults(True, connections, duplicates, cuts), seed)
    assert len(found.lanes) == connections
    seen: dict[str, list[str]] = {}
    for lane in found.lanes:
        lane_order = first_of_each(lane)
        assert not set(lane_order) & set(seen)
        seen |= lane_order
    assert seen == {
        f"P{patient}": [f"{patient}-{number}" for number in range(size)] for patient, size in enumerate(sizes)
    }
    assert len(found.studies) == studies
    assert all(not step.again or step.event.control_id for lane in found.lanes for step in lane)


def test_the_asked_for_share_is_sent_twice_and_cut() -> None:
    found = plan(events([500, 500], 1), Faults(duplicates=0.05, cuts=0.02), 1)
    [lane] = found.lanes
    counts = Counter(step.event.control_id for step in lane if step.event.study is None)
    assert Counter(counts.values()) == {1: 950, 2: 50}
    assert sum(step.cut is not None for step in lane) == round(0.02 * 1050)
    assert {step.cut for step in lane} == {None, *Cut}
    assert [step.cut for step in lane if step.event.study is not None] == [None]


def test_without_faults_it_is_the_order_of_the_times() -> None:
    made = events([3, 4], 2)
    assert [step.event for step in plan(made, Faults(), 1).lanes[0]] == made


@pytest.mark.parametrize("faults", [Faults(duplicates=1.5), Faults(cuts=-0.1), Faults(connections=0)])
def test_shares_and_connections_that_cannot_be_are_refused(faults: Faults) -> None:
    with pytest.raises(InputError):
        plan(events([1]), faults, 1)


def test_cut_messages_are_sent_again_and_nothing_half_arrives(tmp_path: Path) -> None:
    made = events([30])
    lane = tuple(Step(event, cut) for event, cut in zip(made, [*Cut] * 10, strict=True))
    with RisSimulator(tmp_path / "ris") as ris:
        sent = send(Plan((lane,)), Target("127.0.0.1", ris.port), tmp_path / "modality")
        got = Counter(path.read_bytes() for path in ris.wait(40))
    assert sent.messages == 30
    assert sent.again == 30
    assert sent.cuts == {cut.value: 10 for cut in Cut}
    assert set(got) == {event.raw for event in made}
    assert Counter(got.values()) == {1: 20, 2: 10}  # twice: those whose acknowledgement nobody waited for


def test_a_refusal_is_reported_and_a_passing_one_is_tried_again(tmp_path: Path) -> None:
    answers = ["AA", "close", "AE", "AA"]  # the simulated RIS refuses with 207
    with RisSimulator(tmp_path / "ris", answers=answers) as ris:
        sent = send(plan(events([2]), Faults(), 1), Target("127.0.0.1", ris.port), tmp_path)
        ids = [peek(path.read_bytes()).control_id for path in ris.received]
    assert ids == ["0-0", "0-1", "0-1", "0-1"]
    assert (sent.answers, sent.again, sent.refused) == ({"AA": 2}, 2, [])


def test_a_receiver_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.simulator.traffic_sending.PAUSE", 0.0)
    with RisSimulator(tmp_path / "ris") as ris:
        port = ris.port
    with pytest.raises(Exception, match="was not taken in"):
        send(plan(events([2]), Faults(), 1), Target("127.0.0.1", port), tmp_path)


def test_the_command_sends_and_tells_what_was_answered(tmp_path: Path) -> None:
    data = traffic_tables.write(tmp_path / "tables")
    with RisSimulator(tmp_path / "ris") as ris:
        words = ["simulate", "traffic", "--data", str(data), "--to", f"127.0.0.1:{ris.port}", "--patients", "2"]
        words += ["--studies", "1", "--duplicates", "0.1", "--cuts", "0.1", "--shuffle", "--json"]
        done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    said = json.loads(done.output)
    assert said["patients"] == 2
    assert said["answers"] == {"AA": said["messages"] + said["repetitions"]}
    assert said["repetitions"] > 0
    assert said["studies"] == 0
