"""What a result inherits from its source images: patient, study, character set; and what highdicom asks for besides.

Source headers are often incomplete. What the standard allows to be empty is supplied empty; nothing is invented.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from highdicom.content import PixelMeasuresSequence, PlaneOrientationSequence
from highdicom.enum import CoordinateSystemNames
from pydicom.charset import convert_encodings, decode_bytes, encode_string, python_encoding
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM

from models.contracts import Geometry, Prediction
from workers.errors import GeometryRefused
from workers.reading.instances import quiet
from workers.reading.pixels import frame_count
from workers.reading.volume.geometry import Layout
from workers.reading.volume.load import locate

#: Type 2 attributes of the Patient and General Study modules (PS3.3 C.7.1.1, C.7.2.1): present, and empty if not known.
TYPE_2 = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)

#: What a result needs of the slices after the first.
PER_SLICE = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "Rows", "Columns",
    "FrameOfReferenceUID", "ImagePositionPatient", "PixelSpacing", *TYPE_2,
)  # fmt: skip

#: Unicode in UTF-8 (PS3.3 C.12.1.1.2), for texts that the source's own character set cannot write.
UTF_8 = "ISO_IR 192"


def grid(sources: tuple[Dataset, ...]) -> tuple[Layout, tuple[int, ...]]:
    """Layout of the source slices and, for each of them, the index of its plane (frame) in ``sources``.

    Leaning and uneven stacks have one too: its affine holds for a leaning stack and not for an uneven one, whose slices
    lie at :attr:`~workers.reading.volume.geometry.Layout.positions`. A multi-frame image may have frames that are of no
    slice.
    """
    stack = locate(sources).survey.stack
    return stack.layout, stack.order


def check_planes(sources: tuple[Dataset, ...], prediction: Prediction, planes: str) -> None:
    """Refuse to write what was drawn on other slices than these: the gate before writing.

    Parameters
    ----------
    sources
        Headers of the slices that results will refer to.
    prediction
        With labels and maps on these slices.
    planes
        Digest of the slices that were read for the model; where it is empty, only the shapes are looked at.

    Raises
    ------
    GeometryRefused
        If slices have come, gone or moved since.
    """
    with quiet():
        found = locate(sources)
        stack = found.survey.stack
        if planes and found.digest(stack) != planes:
            raise GeometryRefused("the slices of the series are not those, or not where those lay, that the model saw")
    arrays = [prediction.labels, *(item.array for item in prediction.maps)]
    for array in arrays:
        if array is not None and array.shape != stack.layout.shape:
            raise GeometryRefused(f"what was drawn has the shape {array.shape}, the series has {stack.layout.shape}")


def prepare(sources: tuple[Dataset, ...], texts: Iterable[str]) -> list[Dataset]:
    """Copy source headers into the form that highdicom builds from; the sources stay as they are.

    Parameters
    ----------
    sources
        Headers in slice order.
    texts
        All texts that the result will hold; if the source's character set cannot write one of them, the copies are in
        UTF-8, names included.
    """
    first = _first(sources[0], texts)
    if "PerFrameFunctionalGroupsSequence" in first:
        _share_groups(first, locate(sources).survey.stack.order[0] if frame_count(first) > 1 else 0)
        return [first]
    rest = [_slice(ds, first) for ds in sources[1:]]
    return [first, *rest]


def prepare_one(source: Dataset, texts: Iterable[str]) -> Dataset:
    """Copy the header of an instance that need not lie in a frame of reference: a radiograph, a waveform, any other.

    Parameters
    ----------
    source
        The header, which stays as it is.
    texts
        As in :func:`prepare`.
    """
    first = _first(source, texts)
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        first.pop(keyword, None)
    return first


def _first(source: Dataset, texts: Iterable[str]) -> Dataset:
    first = Dataset()
    first.update(deepcopy(source))
    with quiet():
        first.decode()
    first.SpecificCharacterSet = character_set(source, texts)
    if first.SpecificCharacterSet is None:
        del first.SpecificCharacterSet
    _complete(first)
    return first


def character_set(source: Dataset, texts: Iterable[str]) -> Any:
    """Return the source's Specific Character Set if it can write all of ``texts``, else UTF-8; None for ASCII."""
    declared = source.get("SpecificCharacterSet") or None
    names = [declared] if isinstance(declared, str) else list(declared or [])
    known = {"", *python_encoding}
    if any(name not in known for name in names):
        return UTF_8
    try:
        with quiet():
            encodings = convert_encodings(names or "ISO_IR 6")
            writable = all(_writable(text, encodings) for text in texts)
    except (LookupError, ValueError):
        return UTF_8
    if not writable:
        return UTF_8
    return declared if not isinstance(declared, str) else str(declared)


def _writable(text: str, encodings: list[str]) -> bool:
    if text.isascii():
        return True
    if encodings == ["iso8859"]:
        return False  # pydicom's name of the default repertoire, which is ASCII only
    return decode_bytes(encode_string(text, encodings), encodings, set()) == text


def _complete(ds: Dataset) -> None:
    """Supply type 2 attributes empty, and empty those whose value is not one of the standard's.

    Of a name with a backslash in it, which makes several names of it, the first stays.
    """
    for keyword in TYPE_2:
        if keyword not in ds:
            setattr(ds, keyword, None)
    for keyword in ("PatientName", "ReferringPhysicianName"):
        if isinstance(ds[keyword].value, MultiValue):
            setattr(ds, keyword, ds[keyword].value[0])
    if ds.PatientSex not in ("M", "F", "O", "", None):
        ds.PatientSex = None
    _empty_unless(ds, "PatientBirthDate", DA)
    _empty_unless(ds, "StudyDate", DA)
    _empty_unless(ds, "StudyTime", TM)
    _drop_broken_references(ds)
    _drop_unexplained_removal(ds)
    if _thickness(ds) is None:
        ds.SliceThickness = None  # highdicom asks for it; the builder writes pixel measures of its own


def _drop_broken_references(ds: Dataset) -> None:
    """Leave out references to study and patient that name no SOP class or instance, as de-identified images have."""
    for keyword in ("ReferencedStudySequence", "ReferencedPatientSequence"):
        if not all(
            item.get("ReferencedSOPClassUID") and item.get("ReferencedSOPInstanceUID") for item in ds.get(keyword) or []
        ):
            del ds[keyword]


def _drop_unexplained_removal(ds: Dataset) -> None:
    """Leave out that identity was removed where the source does not say how: PS3.3 C.7.1.1 wants both or neither."""
    if not ds.get("DeidentificationMethod") and not ds.get("DeidentificationMethodCodeSequence"):
        for keyword in ("PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence"):
            ds.pop(keyword, None)


def _empty_unless(ds: Dataset, keyword: str, parse: Callable[[Any], dt.date | dt.time | None]) -> None:
    try:
        parse(getattr(ds, keyword))
    except (TypeError, ValueError):
        setattr(ds, keyword, None)


def _slice(ds: Dataset, first: Dataset) -> Dataset:
    """Header of a later slice: its own identity and position, all else as in the first."""
    copy = Dataset()
    for keyword in PER_SLICE:
        if keyword in TYPE_2:
            copy[keyword] = first[keyword]
        elif keyword in ds:
            copy[keyword] = ds[keyword]
    # highdicom compares orientations by equality; that they agree within tolerance was checked when they were read.
    copy.ImageOrientationPatient = first.ImageOrientationPatient
    copy.SliceThickness = first.SliceThickness
    return copy


def _share_groups(ds: Dataset, frame: int) -> None:
    """Put plane orientation and pixel measures, which all frames of the stack have, where highdicom looks for them."""
    if not ds.get("SharedFunctionalGroupsSequence"):
        ds.SharedFunctionalGroupsSequence = [Dataset()]
    shared = ds.SharedFunctionalGroupsSequence[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword not in shared:
            shared[keyword] = ds.PerFrameFunctionalGroupsSequence[frame][keyword]


def pixel_measures(source: Dataset, geometry: Geometry) -> PixelMeasuresSequence:
    """Pixel Measures macro of a segmentation on the source's grid (PS3.3 C.7.6.16.2.1).

    Spacing between slices is what the positions say, not what the header claims: along the normal, and only where it is
    the same everywhere. Where the source names no slice thickness, a segmentation's slice is as thick as the slices are
    apart, of uneven ones the nearest.
    """
    between, *in_plane = (round(value, 9) for value in geometry.spacing)
    even, nearest = True, between
    if isinstance(geometry, Layout):
        even, between, nearest = geometry.even, round(geometry.step_mm, 9), round(float(geometry.gaps.min()), 9)
    return PixelMeasuresSequence(
        pixel_spacing=[float(value) for value in source.get("PixelSpacing", in_plane)],
        slice_thickness=_thickness(source) or _frame_thickness(source) or (between if even else nearest),
        spacing_between_slices=between if even else None,
    )


def _thickness(ds: Dataset) -> float | None:
    """Slice Thickness, None where it is missing or no positive number: some scanners write a decimal comma."""
    try:
        thickness = float(ds.get("SliceThickness") or 0)
    except (TypeError, ValueError):
        return None
    return thickness if 0 < thickness < math.inf else None


def _frame_thickness(ds: Dataset) -> float | None:
    """Slice Thickness of the Pixel Measures macro (PS3.3 C.7.6.16.2.1) that all frames share, or of the first."""
    for keyword in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in (ds.get(keyword) or [])[:1]:
            for measures in (group.get("PixelMeasuresSequence") or [])[:1]:
                return _thickness(measures)
    return None


def plane_orientation(source: Dataset) -> PlaneOrientationSequence:
    """Plane Orientation macro, as the source has it."""
    if "ImageOrientationPatient" in source:
        values = source.ImageOrientationPatient
    else:
        values = source.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient
    return PlaneOrientationSequence(CoordinateSystemNames.PATIENT, [float(value) for value in values])
