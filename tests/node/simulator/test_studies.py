from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from node.errors import InputError
from node.simulator import phantom
from node.simulator.ris import Person
from node.simulator.studies import generate, write

AT = dt.datetime(2026, 11, 20, 12, 0)
CHINESE = Person("P2", "Wang^XiaoDong=王^小东", "19600101", "M", "")


def test_the_same_arguments_give_the_same_bytes_and_others_another_study(tmp_path: Path) -> None:
    first = write(generate(3, accession_number="A1", at=AT), tmp_path / "a")
    again = write(generate(3, accession_number="A1", at=AT), tmp_path / "b")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    uids = {generate(*seed, at=at).study_uid for seed in ((3,), (4,)) for at in (AT, AT + dt.timedelta(seconds=1))}
    assert len(uids) == 4
    assert generate(3).study_uid != generate(3).study_uid


def test_slices_lie_one_millimetre_apart_on_the_side_asked_for() -> None:
    for side, sign in (("left", 1), ("right", -1)):
        study = generate(1, side=side, at=AT)
        assert len(study.datasets) == phantom.SHAPE[2]
        assert len({ds.SOPInstanceUID for ds in study.datasets}) == phantom.SHAPE[2]
        positions = np.array([[float(value) for value in ds.ImagePositionPatient] for ds in study.datasets])
        assert np.allclose(np.diff(positions, axis=0), [0, 0, 1])
        centre = positions[0, 0] + (study.datasets[0].Columns - 1) / 2
        assert np.sign(centre) == sign
        assert 15 < abs(centre) < 40


def test_left_is_the_mirror_image_of_right() -> None:
    right, left = phantom.make(7, side="right"), phantom.make(7, side="left")
    assert np.array_equal(right.image, left.image[::-1])
    with pytest.raises(InputError):
        phantom.make(7, side="middle")


def test_the_pixels_are_the_phantom_seen_from_below(tmp_path: Path) -> None:
    drawn = phantom.make(1)
    slices = np.stack([ds.pixel_array for ds in generate(1, at=AT).datasets])  # [to head, to back, to left]
    assert np.array_equal(slices[:, ::-1, ::-1].transpose(2, 1, 0), drawn.image)


@pytest.mark.parametrize("seed", range(5))
def test_the_body_has_a_plausible_size_and_is_darker_than_white_matter(seed: int) -> None:
    drawn = phantom.make(seed)
    assert 2200 < drawn.hippocampus.sum() < 4200
    inside = drawn.image[drawn.hippocampus]
    assert drawn.image.max() < 4096
    assert np.median(inside) < 0.6 * np.percentile(drawn.image, 95)
    front = drawn.hippocampus[:, 28:].sum()
    assert 0.35 < front / drawn.hippocampus.sum() < 0.65


def test_names_beyond_ascii_are_written_as_utf_8(tmp_path: Path) -> None:
    path = write(generate(1, person=CHINESE, accession_number="A2", at=AT), tmp_path)[0]
    ds = dcmread(path)
    assert ds.SpecificCharacterSet == "ISO_IR 192"
    assert str(ds.PatientName) == CHINESE.name
    assert (ds.PatientID, ds.AccessionNumber, ds.PatientAge) == ("P2", "A2", "066Y")


@pytest.mark.peer
@pytest.mark.parametrize("person", [Person(), CHINESE])
def test_dciodvfy_finds_no_error_and_no_warning(peer: Callable[[str], str], tmp_path: Path, person: Person) -> None:
    paths = write(generate(1, person=person, accession_number="A1", at=AT), tmp_path)
    for path in (paths[0], paths[-1]):
        done = subprocess.run([peer("dciodvfy"), "-new", str(path)], capture_output=True, text=True, check=False)
        assert done.returncode == 0
        assert (done.stdout + done.stderr).split() == ["MRImage"]
