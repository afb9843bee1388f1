"""Generated waveform objects, read as a worker reads them, and answered by the shipped models."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest

from models import catalog
from models.contracts import InputDeclined, Model, Prediction
from node.simulator import waveforms
from node.simulator.ris import Person
from node.simulator.studies import write
from workers.reading import inputs

PERSON = Person()


@pytest.fixture(scope="module")
def rhythm() -> Model:
    return catalog.load("ecg-af", "cpu")


def answer(
    model: Model, make: Callable[[int, bool], waveforms.Recording], folder: Path, *, seed: int, finding: bool
) -> Prediction:
    study = waveforms.study(
        make, seed, person=PERSON, accession_number="A1", at=dt.datetime(2026, 1, 2, 3, 4), finding=finding
    )
    loaded = inputs.read(write(study, folder), model.card.requirements)
    return loaded.bring_back(model.predict(loaded.source))


@pytest.mark.parametrize("make", [waveforms.twelve_leads, waveforms.single_lead, waveforms.ambulatory])
@pytest.mark.parametrize("finding", [False, True])
def test_generated_fibrillation_is_found_and_generated_sinus_rhythm_is_not(
    rhythm: Model, tmp_path: Path, make: Callable[[int, bool], waveforms.Recording], finding: bool
) -> None:
    (found,) = answer(rhythm, make, tmp_path, seed=3, finding=finding).findings

    assert found.present == finding


def test_the_course_of_an_ambulatory_record_rises_where_the_fibrillation_begins(rhythm: Model, tmp_path: Path) -> None:
    (trace,) = answer(rhythm, waveforms.ambulatory, tmp_path, seed=4, finding=True).traces

    assert trace.values[:5].max() < 0.5 < trace.values[5:].min()


def test_a_generated_heart_sound_is_read_and_a_dictation_is_declined(tmp_path: Path) -> None:
    model = catalog.load("heart-sound", "cpu")

    (finding,) = answer(model, waveforms.heart_sound, tmp_path / "sound", seed=1, finding=False).findings

    assert not finding.present
    with pytest.raises(InputDeclined, match="not like"):
        answer(model, waveforms.voice, tmp_path / "voice", seed=1, finding=False)
