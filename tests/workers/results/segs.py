"""Segmentations in every profile, written and read back by independent readers."""

from __future__ import annotations

from io import BytesIO
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from highdicom import VolumeGeometry
from highdicom.seg import Segmentation, segread
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import SegmentationStorage

from tests.workers.synthetic import Phantom
from workers.results.profile import Profile
from workers.results.profile import Segmentation as Kind

KINDS: tuple[Kind, ...] = ("binary", "fractional", "labelmap")
PROFILES = [Profile(kind, empty, split) for kind, empty, split in product(KINDS, (False, True), (False, True))]
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.key or "default")


def reread(ds: Dataset) -> Dataset:
    """Write and read with pydicom."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return dcmread(BytesIO(buffer.getvalue()))


def read_by_highdicom(ds: Dataset) -> Segmentation:
    """Write, and read with highdicom."""
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return segread(BytesIO(buffer.getvalue()))


def voxels(seg: Dataset, phantom: Phantom, segment: int) -> npt.NDArray[Any]:
    """Array of one segment on the phantom's grid, from the frames' own positions, with pydicom alone."""
    ds = reread(seg)
    shared = ds.SharedFunctionalGroupsSequence[0]
    found = np.zeros(phantom.shape, dtype=np.uint8)
    pixels = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    for frame, group in zip(pixels, ds.PerFrameFunctionalGroupsSequence, strict=True):
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        k = np.rint(np.linalg.inv(phantom.affine) @ [*place, 1])[:3].astype(int)
        assert (k[1:] == 0).all()
        if ds.SegmentationType == "LABELMAP":
            found[k[0]] = frame == segment
            continue
        named = group if "SegmentIdentificationSequence" in group else shared
        if named.SegmentIdentificationSequence[0].ReferencedSegmentNumber == segment:
            found[k[0]] = frame
    return found


def voxels_by_highdicom(seg: Dataset, phantom: Phantom, segment: int) -> npt.NDArray[Any]:
    """Array of one segment on the phantom's grid, as highdicom reads it."""
    volume = read_by_highdicom(seg).get_volume(segment_numbers=[segment])
    grid_ = VolumeGeometry(phantom.affine, phantom.shape, "PATIENT", volume.frame_of_reference_uid)
    matched: npt.NDArray[Any] = volume.match_geometry(grid_).array[..., 0]
    return matched


def as_dciodvfy_knows_it(seg: Dataset) -> Dataset:
    """A label map, which dciodvfy does not know yet, as a fractional segmentation, to check the rest of it."""
    if seg.SegmentationType != "LABELMAP":
        return seg
    seg.SOPClassUID = seg.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    seg.SegmentationType, seg.SegmentationFractionalType, seg.MaximumFractionalValue = "FRACTIONAL", "OCCUPANCY", 255
    del seg.SegmentSequence[0], seg.PixelPaddingValue
    identification = Dataset()
    identification.ReferencedSegmentNumber = 1
    seg.SharedFunctionalGroupsSequence[0].SegmentIdentificationSequence = [identification]
    return seg
