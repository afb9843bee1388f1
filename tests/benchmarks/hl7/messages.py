"""What is sent: ADT^A08, ORU^R01 with ten OBX and MDM^T02 of 2 kB in turns, of made-up patients."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from node.hl7.framing import frame
from node.simulator.ris_messages import NOTE_ENGLISH, Person, admit, labs, note

PATIENTS = 400
NOTE_CHARACTERS = 2000
FAMILIES = ("Example", "Sample", "Specimen", "Model", "Pattern", "Instance", "Case", "Token")
GIVEN = ("Robin", "Alex", "Kim", "Sascha", "Toni", "Jamie", "Casey", "Quinn")
ITEMS: Sequence[tuple[str, str, float, str, str]] = (
    ("2160-0", "Creatinine", 0.9, "mg/dL", "0.6-1.3"),
    ("2951-2", "Sodium", 140, "mmol/L", "135-145"),
    ("2823-3", "Potassium", 4.1, "mmol/L", "3.5-5.1"),
    ("2075-0", "Chloride", 102, "mmol/L", "98-107"),
    ("3094-0", "Urea nitrogen", 14, "mg/dL", "7-20"),
    ("2345-7", "Glucose", 95, "mg/dL", "70-100"),
    ("718-7", "Hemoglobin", 13.8, "g/dL", "12-17"),
    ("6690-2", "Leukocytes", 6.5, "10*3/uL", "4-11"),
    ("777-3", "Platelets", 250, "10*3/uL", "150-400"),
    ("1988-5", "C reactive protein", 3.0, "mg/L", "0-5"),
)
"""Ten laboratory values: LOINC code, name, value, UCUM unit, reference range."""


@dataclass(frozen=True, slots=True)
class Sending:
    """A message in its frame, and what its answer has to hold."""

    data: bytes
    accepted: bytes


def mix(count: int, seed: int, name: str) -> list[Sending]:
    """Return ``count`` messages with control ids that begin with ``name`` (at most 12 letters and digits)."""
    rng = random.Random(seed)
    people = [_person(number, rng) for number in range(PATIENTS)]
    return [_sending(number, rng.choice(people), f"{name}{number:06}", rng) for number in range(count)]


def _person(number: int, rng: random.Random) -> Person:
    birth = f"{rng.randrange(1930, 2010)}{rng.randrange(1, 13):02}{rng.randrange(1, 29):02}"
    return Person(f"B{number:05}", f"{rng.choice(FAMILIES)}^{rng.choice(GIVEN)}", birth, rng.choice("FM"))


def _sending(number: int, person: Person, control_id: str, rng: random.Random) -> Sending:
    kind = number % 3
    if kind == 0:
        raw = admit(person, event="A08", control_id=control_id)
    elif kind == 1:
        values = [(c, name, round(value * rng.uniform(0.8, 1.2), 1), u, r) for c, name, value, u, r in ITEMS]
        raw = labs(person, values, filler=f"L{control_id}", control_id=control_id)
    else:
        raw = note(person, document_number=f"D{control_id}", text=_text(), control_id=control_id)
    return Sending(frame(raw), f"MSA|AA|{control_id}".encode())


def _text() -> str:
    return "\n".join([NOTE_ENGLISH] * 3)[:NOTE_CHARACTERS]
