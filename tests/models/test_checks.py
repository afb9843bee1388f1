"""Radiographs, waveforms and records that a model may read, and those that are declined with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from models.checks import check_radiograph, check_record, check_waveform, find_channels, without_gaps
from models.contracts import (
    Channel,
    InputDeclined,
    InputKind,
    InputRequirements,
    Radiograph,
    RadiographNeeds,
    Record,
    RecordNeeds,
    RecordValue,
    Waveform,
    WaveformNeeds,
)

CHEST = InputRequirements(
    modalities=("CR", "DX"),
    kind=InputKind.RADIOGRAPH,
    body_parts=("CHEST", "THORAX"),
    radiograph=RadiographNeeds(views=("AP", "PA"), min_pixels=64),
)
IMAGE = Radiograph(np.tile(np.linspace(0, 1, 80, dtype=np.float32), (64, 1)), "DX", "PA")

ECG = InputRequirements(
    modalities=("ECG",),
    kind=InputKind.WAVEFORM,
    waveform=WaveformNeeds(channels=(("I", "II", "V1"), ("II",)), rate_hz=(100.0, 1000.0), seconds=(5.0, 60.0)),
)


def ecg(*names: str, seconds: float = 10.0, rate: float = 100.0) -> Waveform:
    time = np.arange(round(seconds * rate)) / rate
    array = np.stack([np.sin(2 * np.pi * time) * (at + 1) for at in range(len(names))]).astype(np.float32)
    return Waveform(array, rate, tuple(Channel(name, unit="mV") for name in names), "ECG")


def test_a_radiograph_as_asked_for_is_given_back() -> None:
    assert check_radiograph(IMAGE, CHEST) is IMAGE


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (replace(IMAGE, modality="CT"), "The modality is CT; this model reads CR or DX."),
        (replace(IMAGE, attributes={"BodyPartExamined": "hand"}), "The body part is HAND"),
        (replace(IMAGE, view="LL"), "The view is LL; this model reads AP or PA."),
        (replace(IMAGE, view=""), "The view is not given"),
        (replace(IMAGE, array=IMAGE.array[None]), "not one picture"),
        (replace(IMAGE, array=IMAGE.array[:63]), "63 x 80 pixels"),
        (replace(IMAGE, array=np.full_like(IMAGE.array, np.nan)), "not numbers"),
        (replace(IMAGE, array=np.full_like(IMAGE.array, 0.5)), "same value everywhere"),
        (ecg("I"), "The input is a waveform; this model reads a radiograph."),
    ],
)
def test_a_radiograph_that_is_something_else_is_declined_with_the_reason(image: Radiograph, reason: str) -> None:
    with pytest.raises(InputDeclined, match=reason):
        check_radiograph(image, CHEST)


def test_a_body_part_that_is_not_given_or_written_small_is_not_held_against_it() -> None:
    assert check_radiograph(replace(IMAGE, attributes={"BodyPartExamined": " chest "}), CHEST)
    assert check_radiograph(replace(IMAGE, attributes={"BodyPartExamined": ""}), CHEST)


def test_the_channels_come_in_the_order_of_the_card() -> None:
    waveform = ecg("V1", "ii", "aVR", "I")
    picked = check_waveform(waveform, ECG)
    assert [channel.name for channel in picked.channels] == ["I", "ii", "V1"]
    np.testing.assert_array_equal(picked.array, waveform.array[[3, 1, 0]])


def test_where_the_first_set_of_channels_is_not_in_full_the_next_is_read() -> None:
    picked = check_waveform(ecg("I", "II"), ECG)
    assert [channel.name for channel in picked.channels] == ["II"]


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (replace(ecg("II"), modality="AU"), "The modality is AU"),
        (ecg("MCL1"), "The channels are MCL1; this model reads I, II, V1; or II."),
        (ecg("II", rate=50.0), "50 samples a second"),
        (ecg("II", seconds=4.0), "lasts 4.0 s"),
        (ecg("II", seconds=61.0), "lasts 61.0 s"),
        (replace(ecg("II"), array=np.zeros((1, 1000), np.float32)), "no signal in channel II"),
        (replace(ecg("II"), array=np.zeros((2, 1000), np.float32)), "not a number of channels"),
        (replace(ecg("II"), array=np.full((1, 1000), np.nan, np.float32)), "100 % of the samples are missing"),
    ],
)
def test_a_waveform_that_is_something_else_is_declined_with_the_reason(waveform: Waveform, reason: str) -> None:
    with pytest.raises(InputDeclined, match=reason):
        check_waveform(waveform, ECG)


def test_an_electrode_that_is_off_may_be_allowed_but_not_all_of_them() -> None:
    waveform = ecg("I", "II", "V1")
    waveform.array[1] = 0.001
    with pytest.raises(InputDeclined, match="no signal in channel II"):
        check_waveform(waveform, ECG)
    assert check_waveform(waveform, ECG, max_flat=1).array.shape == (3, 1000)
    waveform.array[:] = 0
    with pytest.raises(InputDeclined, match="no signal in channels I, II, V1"):
        check_waveform(waveform, ECG, max_flat=3)


def test_short_gaps_are_bridged_by_straight_lines() -> None:
    waveform = ecg("II")
    waveform.array[0, 100:150] = np.nan
    filled = check_waveform(waveform, ECG).array[0]
    before, after = waveform.array[0, 99], waveform.array[0, 150]
    np.testing.assert_allclose(filled[99:151], np.linspace(before, after, 52), atol=1e-6)
    assert np.isnan(waveform.array[0, 120])  # the source stays as it was


def test_more_than_a_tenth_missing_is_declined() -> None:
    waveform = ecg("II")
    waveform.array[0, :101] = np.nan
    with pytest.raises(InputDeclined, match="10 % of the samples are missing"):
        check_waveform(waveform, ECG)


@given(arrays.arrays(np.float32, (2, 9), elements=st.floats(-10, 10, width=32) | st.just(float("nan"))))
def test_what_is_bridged_is_finite_between_its_neighbours_and_leaves_the_rest(array: np.ndarray) -> None:
    filled = without_gaps(array)
    assert np.isfinite(filled).all()
    known = np.isfinite(array)
    np.testing.assert_array_equal(filled[known], array[known])
    for row, good in zip(filled, known, strict=True):
        if good.any():
            assert row[good].min() - 1e-5 <= row.min()
            assert row.max() <= row[good].max() + 1e-5


def test_of_two_channels_of_one_name_the_first_is_meant() -> None:
    assert find_channels(["II", "V1", "II"], [["II", "V1"]]) == (0, 1)
    assert find_channels(["II"], [["I"], ["V1"]]) is None


VALUES = Record(
    (
        RecordValue("2160-0", 1.1, "mg/dL", -50.0),
        RecordValue("2160-0", 1.3, "mg/dL", -20.0),
        RecordValue("1988-5", 80.0, "mg/L", -1.0),
        RecordValue("6690-2", float("nan"), "10*3/uL", -1.0),
        RecordValue("777-3", 200.0, "10*3/uL", -1.0),
    ),
    age_years=60.0,
    sex="F",
)


def test_a_record_is_cut_to_the_codes_and_hours_of_the_card() -> None:
    needs = RecordNeeds(codes=("2160-0", "1988-5", "6690-2"), hours=(-48.0, 0.0), min_values=2)
    found = check_record(VALUES, InputRequirements(modalities=(), kind=InputKind.RECORD, record=needs))
    assert [value.value for value in found.values] == [1.3, 80.0]
    assert (found.age_years, found.sex) == (60.0, "F")


def test_too_few_values_are_declined() -> None:
    needs = RecordNeeds(codes=("2160-0",), min_values=2)
    with pytest.raises(InputDeclined, match="has 1 of the values"):
        check_record(VALUES, InputRequirements(modalities=(), kind=InputKind.RECORD, record=needs))


def test_the_record_beside_an_image_is_checked_the_same_way() -> None:
    needs = InputRequirements(modalities=(), kind=InputKind.RADIOGRAPH, record=RecordNeeds(codes=("1988-5",)))
    assert [value.code for value in check_record(replace(IMAGE, record=VALUES), needs).values] == ["1988-5"]
