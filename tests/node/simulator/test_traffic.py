"""Traffic that is made of a hospital's tables: true to them, valid, in order, the same for the same seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from models.notes import analyze
from node.errors import InputError
from node.hl7 import fields, inbound
from node.hl7.message import parse
from node.settings import Hl7Section
from node.simulator import traffic_notes, traffic_people
from node.simulator.traffic import Event, Shares, traffic
from node.simulator.traffic_codes import PHRASES
from tests.node.simulator import traffic_tables

ALL = Shares(*[1.0] * len(Shares.__dataclass_fields__))
NONE = Shares(*[0.0] * len(Shares.__dataclass_fields__))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return traffic_tables.write(tmp_path_factory.mktemp("tables"))


def make(data: Path, seed: int = 1, shares: Shares | None = None) -> list[Event]:
    return traffic(data, patients=4, studies=5, seed=seed, shares=shares)


def kinds(events: list[Event]) -> Counter[str]:
    return Counter(parse(event.raw).header.type if event.raw else "study" for event in events)


def facts(text: str) -> Counter[str]:
    return Counter(f"{fact.code.value} {fact.assertion} {fact.side} {fact.quantity}" for fact in analyze(text).facts)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(data: Path) -> None:
    assert make(data, 1) == make(data, 1)
    assert [event.raw for event in make(data, 1)] != [event.raw for event in make(data, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_the_node_understands_every_message_and_what_may_happen_does(data: Path, seed: int) -> None:
    events = make(data, seed, ALL)
    for event in events:
        if event.raw:
            inbound.understand(event.raw, Hl7Section())
    assert {"ADT^A11", "ADT^A13", "ADT^A08", "MDM^T08", "MDM^T11", "study"} <= set(kinds(events))


def test_times_never_go_back_are_in_msh_7_and_control_ids_are_used_once(data: Path) -> None:
    events = make(data, 3, ALL)
    assert [event.at for event in events] == sorted(event.at for event in events)
    said = [parse(event.raw).segments[0].raw(7) for event in events if event.raw]
    assert said == [event.at.strftime("%Y%m%d%H%M%S+0000") for event in events if event.raw]
    numbers = [event.control_id for event in events if event.raw]
    assert len(set(numbers)) == len(numbers)


def test_times_are_moved_to_the_years_that_the_table_names_and_ages_stay(data: Path) -> None:
    events = make(data, 1, NONE)
    assert {event.at.year for event in events} == {2012}
    born = {parse(event.raw).require("PID").get(7)[:4] for event in events if event.raw} - {""}
    assert born <= {str(2012 - 60 - number) for number in range(4)}


def test_a_specimen_is_one_message_with_its_values_units_ranges_and_flags(data: Path) -> None:
    messages = [parse(event.raw) for event in make(data, 1, NONE) if b"|ORU^R01" in event.raw]
    assert len(messages) == 4 * 6
    obxs = messages[0].all("OBX")
    said = [tuple(obx.raw(n) for n in (2, 3, 5, 6, 7, 8, 11)) for obx in obxs]
    loinc = "50912^Creatinine^99MIMIC^2160-0^Creatinine [Mass/volume] in Serum or Plasma^LN"
    assert said[0] == ("NM", loinc, "9.5", "mg/dL^^UCUM", "0.5-1.2", "H", "F")
    assert said[2] == ("CWE", "51100^Colour^99MIMIC", "^Yellow", "", "", "N", "F")
    assert said[3] == ("SN", "51101^Troponin^99MIMIC", "<^0.01", "ng/mL^^UCUM", "0-0.1", "N", "F")
    assert len(said) == 4  # a value that the table hides is not sent


def test_a_correction_gives_back_the_value_of_the_table(data: Path) -> None:
    corrections = [event.raw for event in make(data, 1, ALL) if b"|C|||" in event.raw and b"|ORU^R01" in event.raw]
    assert corrections
    assert all(b"|9.5|" in raw and b"|999|" not in raw for raw in corrections)


def test_a_patient_with_a_temporary_number_is_merged_and_known_by_both(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traffic_people, "TEMPORARY", 1.0)
    monkeypatch.setattr(traffic_people, "CHAINED", 0.5)
    events = make(data, 2)
    merges = [parse(event.raw) for event in events if b"|ADT^A40" in event.raw]
    pairs = {(fields.person_id(m.require("PID"))[0], fields.prior_ids(m.require("MRG"))[0][0]) for m in merges}
    roots = {survivor for survivor, _ in pairs} - {prior for _, prior in pairs}
    assert roots == {f"M9000{number}" for number in range(4)}
    assert any(prior.startswith("T") and survivor.startswith("U") for survivor, prior in pairs)
    results = [parse(event.raw) for event in events if b"|ORU^R01" in event.raw or b"|MDM^T02" in event.raw]
    numbers = {fields.person_id(message.require("PID"))[0][0] for message in results}
    assert {"T", "M"} <= numbers


def test_an_order_is_under_the_number_of_its_study_and_some_are_of_no_study(data: Path) -> None:
    events = make(data, 1, ALL)
    ordered = {parse(event.raw).require("OBR").get(18) for event in events if b"|ORM^O01" in event.raw}
    studied = {event.study.accession for event in events if event.study is not None}
    assert len(studied) == 5
    assert studied < ordered


@pytest.mark.parametrize("seed", range(20))
def test_a_note_says_the_same_in_english_and_in_chinese(seed: int) -> None:
    rng = random.Random(seed)
    codes = [(key.split(":")[1], key.split(":")[0], "") for key in PHRASES]
    words = traffic_notes.compose(rng, rng.sample(codes, 6))
    english, chinese = traffic_notes.english(words, 70, "F"), traffic_notes.chinese(words, 70, "F")
    assert facts(english)
    assert facts(english) == facts(chinese)


def test_a_missing_table_or_too_many_patients_are_told(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"hosp/patients\.csv\.gz"):
        traffic(tmp_path, patients=1)
    with pytest.raises(InputError, match="4 patients are there"):
        traffic(data, patients=5)


@pytest.mark.data
def test_the_real_tables_become_messages_that_the_node_understands(real_data: Callable[[str], Path]) -> None:
    events = traffic(real_data("ehr-mimic-iv-demo"), patients=100, studies=60, specimens=3)
    assert len({event.patient for event in events}) == 100
    for event in events:
        if event.raw:
            inbound.understand(event.raw, Hl7Section())
    assert {"ADT^A40", "ADT^A02", "ORU^R01", "MDM^T02", "ORM^O01", "study"} <= set(kinds(events))
