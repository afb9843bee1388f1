"""Generated stays: the sicker of two kinds has higher creatinine and lactate, and lower pressure."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np

from models.contracts import Record, RecordValue

USUAL = {
    "HR": (85.0, 12.0),
    "NISysABP": (120.0, 15.0),
    "Temp": (37.0, 0.5),
    "GCS": (13.0, 1.0),
    "Creatinine": (1.0, 0.2),
    "BUN": (18.0, 5.0),
    "Na": (139.0, 3.0),
    "K": (4.1, 0.4),
    "Lactate": (1.5, 0.3),
    "WBC": (9.0, 2.0),
}
SICK = {"Creatinine": 1.5, "Lactate": 3.0, "NISysABP": -25.0, "GCS": -4.0}


def stay(number: int, *, died: bool) -> str:
    """Text of a stay's file as the challenge has it."""
    rng = np.random.default_rng(number)
    lines = ["Time,Parameter,Value", f"00:00,RecordID,{number}", f"00:00,Age,{50 + number % 40}", "00:00,Gender,0"]
    lines += ["00:00,Height,-1", "00:00,ICUType,3", "00:00,Weight,-1"]
    for hour in range(0, 48, 4):
        for name, (mean, spread) in USUAL.items():
            if rng.random() < 0.7:
                value = rng.normal(mean + (SICK.get(name, 0.0) if died else 0.0), spread)
                lines.append(f"{hour:02d}:{rng.integers(0, 60):02d},{name},{value:.2f}")
    return "\n".join(lines) + "\n"


def write_data_set(folder: Path, count: int) -> None:
    """Write ``count`` stays, every fourth of which ended in death."""
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
    with tarfile.open(folder / "stays.tar.gz", "w:gz") as archive:
        for number in range(count):
            died = number % 4 == 0
            data = stay(number, died=died).encode()
            member = tarfile.TarInfo(f"stays/{number}.txt")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            outcomes.append(f"{number},10,5,7,-1,{int(died)}")
    (folder / "outcomes.csv").write_text("\n".join(outcomes) + "\n", encoding="utf-8")


def record(*, died: bool = False, age: float | None = 60.0, number: int = 7) -> Record:
    """One of these stays as a record."""
    from models.training.labs_risk.data import parse_stay

    found = parse_stay(stay(number, died=died))
    return Record(found.values, age, "F")


def value(code: str, number: float, unit: str, hours: float = -1.0) -> RecordValue:
    return RecordValue(code, number, unit, hours)
