"""Files of a series become data sets: what the readers of all kinds of source share."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from workers.errors import SeriesRefused
from workers.reading.plain import DEFER_BYTES, read_plain

#: What a model may know besides pixels, samples and geometry: nothing that identifies a patient.
ATTRIBUTES = (
    "BodyPartExamined",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "EchoTime",
    "ImageLaterality",
    "ImageType",
    "KVP",
    "Laterality",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturerModelName",
    "MRAcquisitionType",
    "PatientPosition",
    "ProtocolName",
    "RepetitionTime",
    "ScanningSequence",
    "SequenceName",
    "SeriesDescription",
    "SliceThickness",
)

#: Elements that hold pixels (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25), by tag.
PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

#: Longest value of an attribute that a model gets; longer ones are cut.
MAX_ATTRIBUTE = 256

#: Body Part Examined by the code of Anatomic Region Sequence, where only that is filled in (PS3.16 annex L): SCT, SRT.
REGIONS = {
    "51185008": "CHEST",
    "T-D3000": "CHEST",
    "43799004": "CHEST",
    "T-D3200": "CHEST",
    "80891009": "HEART",
    "T-32000": "HEART",
}


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Python warnings: those of pydicom and highdicom quote attribute values, which no log may hold."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def interpreting() -> Iterator[None]:
    """Turn whatever a broken attribute raises into a refusal: pydicom converts values when they are asked for.

    Raises
    ------
    SeriesRefused
        In place of what is neither that nor a lack of memory.
    """
    with quiet():
        try:
            yield
        except (SeriesRefused, MemoryError):
            raise
        except Exception as exc:
            raise SeriesRefused(f"an attribute cannot be interpreted ({type(exc).__name__})") from exc


def read_file(path: Path, *, stop_before_pixels: bool = False, defer: bool = False) -> Dataset:
    """Parse one file.

    Parameters
    ----------
    defer
        Whether Pixel Data is left in the file until it is decoded:
        :func:`workers.reading.pixels.stored_values` reads it there.

    Raises
    ------
    SeriesRefused
        If it is not DICOM.
    OSError
        If it cannot be read at all.
    """
    try:
        return _deferred(path) if defer else dcmread(path, stop_before_pixels=stop_before_pixels)
    except OSError:
        raise
    except Exception as exc:
        raise SeriesRefused("an instance cannot be parsed as DICOM") from exc


def _deferred(path: Path) -> Dataset:
    if (plain := read_plain(path)) is not None:
        return plain
    ds = dcmread(path, defer_size=DEFER_BYTES)
    syntax = ds.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.is_deflated:
        return dcmread(path)  # places in the data set are none in the file
    for element in [item for item in ds.values() if _is_left(item)]:
        ds[element.tag]  # a header must not hang on a file that may be gone when results are built
    return ds


def _is_left(element: DataElement | RawDataElement) -> bool:
    return (
        isinstance(element, RawDataElement)
        and element.value is None
        and element.length != 0
        and (element.tag not in PIXEL_TAGS)
    )


def one_of_each(instances: Sequence[Dataset], keywords: Sequence[str]) -> list[Dataset]:
    """Give the first instance of each combination of values of some attributes.

    What is checked of these attributes on them holds for all. Values are compared as they stand in the file, which
    costs a hundredth of converting them.
    """
    tags = [tag_for_keyword(keyword) for keyword in keywords]
    found: dict[tuple[object, ...], Dataset] = {}
    for ds in instances:
        elements = dict(ds.items())
        key = tuple(_as_it_is(elements.get(tag)) for tag in tags)  # type: ignore[call-overload]
        found.setdefault(key, ds)
    return list(found.values())


def _as_it_is(element: DataElement | RawDataElement | None) -> object:
    if element is None:
        return None
    return element.value if isinstance(element.value, bytes) else str(element.value)


def check_one_series(
    instances: Sequence[Dataset], same: Sequence[str] = ("StudyInstanceUID", "SeriesInstanceUID")
) -> None:
    """Refuse instances without identifiers, and such as differ in one of the attributes ``same``."""
    if not instances:
        raise SeriesRefused("the series has no instances")
    for ds in instances:
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            if not ds.get(keyword):
                raise SeriesRefused(f"{keyword} is missing")
    for keyword in same:
        if len({str(ds.get(keyword)) for ds in instances}) > 1:
            raise SeriesRefused(f"the instances have several values of {keyword}")


def attributes_of(ds: Dataset) -> dict[str, str]:
    """Read what a model may know of an instance, by keyword; Body Part Examined also from its code."""
    found = {}
    for keyword in ATTRIBUTES:
        value = ds.get(keyword)
        if value not in (None, ""):
            text = "\\".join(str(v) for v in value) if isinstance(value, MultiValue) else str(value)
            found[keyword] = text[:MAX_ATTRIBUTE]
    if "BodyPartExamined" not in found:
        for item in (ds.get("AnatomicRegionSequence") or [])[:1]:
            if part := REGIONS.get(str(item.get("CodeValue", ""))):
                found["BodyPartExamined"] = part
    return found


def moment_of(ds: Dataset) -> str:
    """When an instance was acquired, as text that sorts: Acquisition, else Content, else Series date and time."""
    if ds.get("AcquisitionDateTime"):
        return str(ds.AcquisitionDateTime)
    for level in ("Acquisition", "Content", "Series"):
        if date := ds.get(f"{level}Date"):
            return f"{date}{ds.get(f'{level}Time') or ''}"
    return ""


def digest(sources: Sequence[Dataset]) -> str:
    """Digest of which instances were read, in their order: what ``Loaded.planes`` is where nothing lies in space."""
    return hashlib.sha256("\n".join(str(ds.get("SOPInstanceUID", "")) for ds in sources).encode()).hexdigest()
