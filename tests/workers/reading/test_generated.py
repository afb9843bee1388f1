"""What the simulator writes is read back as it was drawn, in every form."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from models.checks import check_radiograph, check_waveform
from models.contracts import InputKind, InputRequirements, RadiographNeeds, WaveformNeeds
from node.simulator import chest, radiographs, signals
from node.simulator.kinds import Wish, make
from node.simulator.radiographs import Form
from node.simulator.ris import Person
from node.simulator.studies import write
from workers.reading.radiograph.load import read_radiograph
from workers.reading.waveform.load import read_waveform

AT = dt.datetime(2026, 11, 20, 12, 0)
CHEST = InputRequirements(
    modalities=("CR", "DX"),
    kind=InputKind.RADIOGRAPH,
    body_parts=("CHEST",),
    radiograph=RadiographNeeds(views=("AP", "PA"), min_pixels=200),
)
SOUND = InputRequirements(
    modalities=("AU",), kind=InputKind.WAVEFORM, waveform=WaveformNeeds(channels=(("PCG",),), seconds=(5.0, 60.0))
)
HEART = InputRequirements(
    modalities=("ECG",), kind=InputKind.WAVEFORM, waveform=WaveformNeeds(channels=(signals.TWELVE, ("I",), ("II",)))
)


@pytest.mark.parametrize("modality", ["CR", "DX"])
@pytest.mark.parametrize(("inverted", "lossless"), [(False, True), (True, False)])
@pytest.mark.parametrize(("voi", "tolerance"), [("window", 2e-4), ("lut", 0.02)])
def test_a_radiograph_is_shown_as_it_was_drawn_in_every_form(
    modality: str, inverted: bool, lossless: bool, voi: str, tolerance: float, tmp_path: Path
) -> None:
    form = Form(modality, inverted, voi, lossless, "AP" if modality == "CR" else "PA")
    study = radiographs.study(form, 5, person=Person(), accession_number="", at=AT, finding=True)
    loaded = read_radiograph(write(study, tmp_path), CHEST)
    assert check_radiograph(loaded.source, CHEST).view == form.view
    np.testing.assert_allclose(loaded.source.array, chest.draw(5, opacity=True).image, atol=tolerance)
    assert loaded.source.spacing_mm == (radiographs.SPACING_MM, radiographs.SPACING_MM)


def test_a_sigmoid_shows_the_middle_of_the_range_as_it_was_drawn(tmp_path: Path) -> None:
    study = radiographs.study(Form(voi="sigmoid"), 5, person=Person(), accession_number="", at=AT, finding=False)
    found, drawn = read_radiograph(write(study, tmp_path), CHEST).source.array, chest.draw(5).image
    middle = (drawn > 0.13) & (drawn < 0.87)
    assert middle.mean() > 0.3
    np.testing.assert_allclose(found[middle], drawn[middle], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "shape", "rate"),
    [("ecg", (12, 5000), 500.0), ("ecg-single", (1, 9000), 300.0), ("ecg-ambulatory", (1, 75000), 250.0)],
)
def test_an_ecg_is_read_as_it_was_made(kind: str, shape: tuple[int, int], rate: float, tmp_path: Path) -> None:
    paths = write(make(kind, Wish(7, Person(), "", AT, finding=True)), tmp_path)
    source = check_waveform(read_waveform(paths, HEART).source, HEART)
    assert (source.array.shape, source.rate_hz) == (shape, rate)
    assert {channel.unit for channel in source.channels} == {"mV"}
    if kind == "ecg":
        expected = signals.ecg(7, fibrillation=True).array
        np.testing.assert_allclose(source.array, expected, atol=0.0013)  # half a step of 2.5 uV


def test_a_heart_sound_is_read_as_it_was_made(tmp_path: Path) -> None:
    paths = write(make("heart-sound", Wish(7, Person(), "", AT, finding=True)), tmp_path)
    source = check_waveform(read_waveform(paths, SOUND).source, SOUND)
    np.testing.assert_allclose(source.array[0], signals.heart_sound(7, murmur=True), atol=1e-4)


def test_a_voice_is_read_as_it_was_made(tmp_path: Path) -> None:
    paths = write(make("voice", Wish(7, Person(), "", AT)), tmp_path)
    source = read_waveform(paths, InputRequirements(modalities=("AU",), kind=InputKind.WAVEFORM)).source
    np.testing.assert_allclose(source.array[0], signals.tones(), atol=0.01)
    assert source.channels[0].name == "NARRATIVE"
