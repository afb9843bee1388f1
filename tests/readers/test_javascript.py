"""What viewers of the Cornerstone family read from our files: the masks and measurements that the model gave.

Segmentations are read by @cornerstonejs/adapters, the code with which those viewers load them; reports and values that
the adapters do not draw, by dcmjs, on which the adapters rest.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from tests.readers.conftest import Reader
from tests.workers.results.built import full_input
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, single_frames, write
from workers.reading.volume.load import LoadedSeries, read_series
from workers.results import build_all
from workers.results.common import ResultInput, device_uid, segment_numbers, tracking_uid
from workers.results.profile import DEFAULT, Profile

pytestmark = pytest.mark.peer

#: Patient coordinates are written with six decimals or more; a viewer's own arithmetic adds less than this, in mm.
CLOSE = 1e-3

OBLIQUE = Phantom(cosines=ORIENTATIONS["oblique"], shape=(6, 12, 12))
SAGITTAL = Phantom(cosines=ORIENTATIONS["sagittal"], shape=(7, 10, 13))
FLIPPED = Phantom(cosines=ORIENTATIONS["axial, rows to the right"])

SINGLE = single_frames
"""One instance a slice."""


def _enhanced(phantom: Phantom) -> list[Dataset]:
    return [multi_frame(phantom, [2, 1, 0, *range(3, phantom.shape[0])])]


class Case:
    """A series on disk, the input made of it, and the files of its results."""

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        self.folder, self.paths = folder, list(paths)
        self.loaded: LoadedSeries = read_series(self.paths)
        self.inp = full_input(self.loaded, self.paths)

    def without_maps(self) -> Case:
        """Leave out the probabilities: a fractional segmentation is one of 0 and 1 then."""
        self.inp = replace(self.inp, prediction=replace(self.inp.prediction, maps=()))
        return self

    def files(self, kind: str, profile: Profile = DEFAULT) -> list[Path]:
        """Build the objects of a kind and write them."""
        found = []
        for number, ds in enumerate(build_all(self.inp, profile)[kind]):
            path = self.folder / f"{kind}-{number}.dcm"
            ds.save_as(path, enforce_file_format=True)
            found.append(path)
        return found


def _case(folder: Path, phantom: Phantom, made: Callable[[Phantom], list[Dataset]] = SINGLE) -> Case:
    return Case(folder, write(folder / "series", made(phantom)))


def _volume(said: dict[str, Any], loaded: LoadedSeries) -> npt.NDArray[np.uint8]:
    """Put the reader's labels where *it* says that they lie in the patient, on the grid of the model's array."""
    to_index = np.linalg.inv(loaded.volume.geometry.affine)
    labels = np.zeros(loaded.volume.array.shape, dtype=np.uint8)
    for image in said["images"]:
        row, column = np.array(image["orientation"][:3]), np.array(image["orientation"][3:])
        down, right = image["spacing"]
        for layer in image["layers"]:
            plane = np.frombuffer(base64.b64decode(layer), np.uint8).reshape(image["rows"], image["columns"])
            for r, c in np.argwhere(plane):
                point = np.array(image["position"]) + column * down * r + row * right * c
                index = to_index @ [*point, 1.0]
                assert np.abs(index - np.rint(index)).max() < CLOSE
                labels[tuple(np.rint(index[:3]).astype(int))] = plane[r, c]
    return labels


def _wanted(inp: ResultInput) -> npt.NDArray[np.uint8]:
    """Give the model's labels as segment numbers."""
    labels = inp.prediction.labels
    assert labels is not None
    out = np.zeros_like(labels)
    for label, number in segment_numbers(inp.prediction).items():
        out[labels == label] = number
    return out


@pytest.mark.parametrize(
    "profile", [DEFAULT, Profile("binary", True), Profile("labelmap"), Profile("fractional")], ids=str
)
@pytest.mark.parametrize("phantom", [OBLIQUE, SAGITTAL, FLIPPED], ids=["oblique", "sagittal", "flipped"])
def test_masks_are_read_voxel_by_voxel(phantom: Phantom, profile: Profile, reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, phantom).without_maps()
    [path] = case.files("seg", profile)
    said = reader("read_seg", path, *case.paths)
    np.testing.assert_array_equal(_volume(said, case.loaded), _wanted(case.inp))
    assert not said["overlapping"]


def test_segments_come_with_their_names_codes_and_tracking(reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, OBLIQUE)
    said = reader("read_seg", *case.files("seg"), *case.paths)
    specs, findings = case.inp.prediction.segments, case.inp.prediction.findings
    assert [item["label"] for item in said["segments"]] == [spec.name for spec in specs]
    assert [item["type"] for item in said["segments"]] == [spec.type.value for spec in specs]
    assert [item["tracking"] for item in said["segments"]] == [
        tracking_uid(case.inp, one.label) for one in findings[:2]
    ]


def test_masks_on_a_multi_frame_image_are_read_voxel_by_voxel(reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, OBLIQUE, _enhanced)
    said = reader("read_seg", *case.files("seg"), *case.paths)
    np.testing.assert_array_equal(_volume(said, case.loaded), _wanted(case.inp))


def test_each_of_split_segmentations_draws_its_one_segment(reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, OBLIQUE)
    first, second = case.files("seg", Profile(split_segments=True))
    for number, path in ((1, first), (2, second)):
        labels = _volume(reader("read_seg", path, *case.paths), case.loaded)
        np.testing.assert_array_equal(labels > 0, _wanted(case.inp) == number)


def test_probabilities_are_read_voxel_by_voxel(reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, SAGITTAL)
    [path] = case.files("seg", Profile("fractional", empty_frames=True))
    said = reader("read_frames", _native(path))
    assert said["type"] == "FRACTIONAL"
    to_index = np.linalg.inv(case.loaded.volume.geometry.affine)
    maps = {
        segment_numbers(case.inp.prediction)[item.segment]: item.array
        for item in case.inp.prediction.maps
        if item.segment
    }
    assert len(said["frames"]) == len(maps) * SAGITTAL.shape[0]
    for frame in said["frames"]:
        k = int(np.rint((to_index @ [*frame["position"], 1.0])[0]))
        stored = np.frombuffer(base64.b64decode(frame["pixels"]), np.uint8).reshape(said["rows"], said["columns"])
        wanted = maps[frame["segment"]][k]
        np.testing.assert_allclose(stored / said["maximum"], wanted, atol=0.5 / said["maximum"] + 1e-6)


def _native(path: Path) -> Path:
    """Decompress a file, since dcmjs alone decodes nothing."""
    ds = dcmread(path)
    ds.decompress()
    ds.save_as(path)
    return path


def test_measurements_are_read_with_their_values_units_and_uncertainty(reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, OBLIQUE)
    [path] = case.files("sr")
    said = reader("read_sr", path)
    assert (said["title"]["value"], said["template"], said["verification"]) == ("126000", "1500", "UNVERIFIED")
    assert said["patient"] == "Müller^Käthe"
    assert said["observer"] == device_uid(case.inp.card)
    measured = [finding for finding in case.inp.prediction.findings if finding.measurements]
    assert len(said["groups"]) == len(measured)
    for finding, group in zip(measured, said["groups"], strict=True):
        assert group["uid"] == tracking_uid(case.inp, finding.label)
        assert group["finding"]["value"] == finding.code.value
        [measurement] = finding.measurements
        number = group["numbers"][0]
        assert (number["value"], number["unit"]["value"], number["unit"]["scheme"]) == (measurement.value, "ml", "UCUM")
        assert number["name"]["value"] == measurement.name.value
        bounds = [
            round(measurement.value + sign * one["value"], 6)
            for sign, one in zip((1, -1), number["within"], strict=False)
        ]
        assert bounds == [value for value in (measurement.upper, measurement.lower) if value is not None]


def test_measurements_lead_to_the_segments_that_they_are_of(reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, OBLIQUE)
    [seg] = case.files("seg")
    groups = reader("read_sr", case.files("sr")[0])["groups"]
    drawn = [finding for finding in case.inp.prediction.findings if finding.segment is not None]
    uid, numbers = str(dcmread(seg, stop_before_pixels=True).SOPInstanceUID), segment_numbers(case.inp.prediction)
    found = [group["segments"] for group in groups if group["segments"]]
    assert found == [[{"instance": uid, "number": numbers[finding.segment]}] for finding in drawn if finding.segment]


@pytest.mark.parametrize("phantom", [OBLIQUE, SAGITTAL, FLIPPED], ids=["oblique", "sagittal", "flipped"])
def test_points_and_lines_are_read_in_the_patient(phantom: Phantom, reader: Reader, tmp_path: Path) -> None:
    case = _case(tmp_path, phantom)
    said = reader("read_sr", case.files("sr")[0])
    shown = [finding for finding in case.inp.prediction.findings if finding.regions]
    for finding in shown:
        shapes = _shapes(said, tracking_uid(case.inp, finding.label))
        assert [one["shape"] for one in shapes] == [region.kind.value for region in finding.regions]
        for shape, region in zip(shapes, finding.regions, strict=True):
            np.testing.assert_allclose(_in_patient(shape, case), region.points, atol=CLOSE)
    assert len(shown) == 2


def _shapes(said: dict[str, Any], uid: str) -> list[dict[str, Any]]:
    """Coordinates of all groups that have a tracking UID, in the order of the report, points first."""
    found = [shape for group in said["groups"] if group["uid"] == uid for shape in group["coordinates"]]
    return sorted(found, key=lambda shape: len(shape["points"]) // (3 if shape["kind"] == "SCOORD3D" else 2))


def _in_patient(shape: dict[str, Any], case: Case) -> npt.NDArray[np.float64]:
    """Points in the patient; those on an image count from the corner of its first pixel (PS3.3 C.18.6.1.1)."""
    if shape["kind"] == "SCOORD3D":
        assert shape["frame"] == str(case.inp.image.FrameOfReferenceUID)
        return np.reshape(shape["points"], (-1, 3))
    [image] = [ds for ds in case.loaded.sources if str(ds.SOPInstanceUID) == shape["image"]["instance"]]
    cosines, (down, right) = np.array(image.ImageOrientationPatient, dtype=float), map(float, image.PixelSpacing)
    pixels = np.reshape(shape["points"], (-1, 2)) - 0.5
    steps = pixels[:, :1] * right * cosines[:3] + pixels[:, 1:] * down * cosines[3:]
    points: npt.NDArray[np.float64] = np.array(image.ImagePositionPatient, dtype=float) + steps
    return points


@pytest.mark.data
def test_masks_on_a_real_series_are_read_voxel_by_voxel(
    reader: Reader, real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    case = Case(tmp_path, sorted((real_data("dicom-mr-brain-btp") / "Study2" / "14_HCropVolume").iterdir()))
    for profile in (DEFAULT, Profile("labelmap")):
        [path] = case.files("seg", profile)
        np.testing.assert_array_equal(_volume(reader("read_seg", path, *case.paths), case.loaded), _wanted(case.inp))
