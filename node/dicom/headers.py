"""From an encoded data set to what the index keeps of it; every check that decides whether an object is taken.

No pixel is decoded and no library object is built: the bytes of some thirty elements are picked out by
:mod:`node.dicom.structure` and decoded by :mod:`node.dicom.values`, so that a hostile object meets little code.
"""

from __future__ import annotations

import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass

from node.dicom.instance import InstanceHeader
from node.dicom.part10 import Command
from node.dicom.structure import Element, Elements, Truncated, peek, scan
from node.dicom.uid import is_uid
from node.dicom.values import MAX_TEXT_BYTES, Values
from node.errors import DatasetMismatch, DicomInputError

IMPLICIT = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.20"})
BIG_ENDIAN = frozenset({"1.2.840.10008.1.2.2"})
DEFLATED = frozenset({"1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95"})
MANY_FRAMES_A_FRAGMENT = ("1.2.840.10008.1.2.4.10", "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93")
"""Video (…4.100 to …4.108) and JPEG 2000 multi-component: a fragment may hold several frames (PS3.5 annex A.4)."""

MAX_INFLATED = 1 << 29
"""A deflated data set of more than 512 MiB is refused: a megabyte can pretend to be a gigabyte."""

RULE_TAGS: Mapping[int, str] = {
    0x00080008: "ImageType", 0x00080016: "SOPClassUID", 0x00080068: "PresentationIntentType",
    0x00080070: "Manufacturer", 0x00080080: "InstitutionName", 0x00081010: "StationName",
    0x00081040: "InstitutionalDepartmentName", 0x00081090: "ManufacturerModelName", 0x00101010: "PatientAge",
    0x00180010: "ContrastBolusAgent", 0x00180015: "BodyPartExamined", 0x00180020: "ScanningSequence",
    0x00180021: "SequenceVariant", 0x00180023: "MRAcquisitionType", 0x00180024: "SequenceName",
    0x00180050: "SliceThickness", 0x00180060: "KVP", 0x00180080: "RepetitionTime", 0x00180081: "EchoTime",
    0x00180082: "InversionTime", 0x00180087: "MagneticFieldStrength", 0x00180088: "SpacingBetweenSlices",
    0x00181020: "SoftwareVersions", 0x00181030: "ProtocolName", 0x00181210: "ConvolutionKernel",
    0x00185100: "PatientPosition", 0x00185101: "ViewPosition", 0x00200037: "ImageOrientationPatient",
    0x00200060: "Laterality", 0x00200062: "ImageLaterality", 0x00280004: "PhotometricInterpretation",
    0x00280030: "PixelSpacing", 0x00280301: "BurnedInAnnotation",
}  # fmt: skip
"""Attributes that rules may ask for (PS3.6 table 6-1), taken from the first instance of a series: tag, keyword."""


class BadIdentifiers(DicomInputError):
    """Study, Series or SOP Instance UID is missing or is not a UID."""

    dicom_status = 0xC002


class HeadTooShort(DicomInputError):
    """More of the data set is needed."""


MAX_EXCERPT_BYTES = 8192
"""Most bytes of an excerpt; the few objects that need more are read from their files by the indexer."""
HEAD_BYTES = 1 << 17
"""The index is made of the first bytes of a data set; what lies beyond them is left out, but for the identifiers."""
_STUDY, _SERIES, _LAST, _ALL = 0x0020000D, 0x0020000E, 0x00287FFF, 1 << 32
"""The last of the attributes that decide whether an object is taken; a tag behind all that the index keeps, and one
behind all there are."""


_INDEXED = (
    0x00080005, 0x00080016, 0x00080018, 0x00080020, 0x00080030, 0x00080050, 0x00080060, 0x00081030, 0x0008103E,
    0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040, 0x0020000D, 0x0020000E, 0x00200011, 0x00200013,
)  # fmt: skip
_EXCERPT = tuple(sorted({*_INDEXED, *RULE_TAGS}))


@dataclass(frozen=True, slots=True)
class Checked:
    """An object that is in order."""

    study_uid: str
    data: memoryview
    elements: Elements

    def excerpt(self) -> bytes:
        """Return the elements that the index keeps, as they are encoded; empty where they are long.

        An indexer that is handed these need not open the file. Not to be called when the object's memory is used anew.
        """
        whole = b"".join([self.data[at:end] for at, end in self.elements.spans(_EXCERPT, MAX_TEXT_BYTES)])
        return whole if len(whole) <= MAX_EXCERPT_BYTES else b""


def check(command: Command, dataset: memoryview) -> Checked:
    """Decide whether an object is taken.

    Raises
    ------
    Truncated
        The data set does not parse to its end, or its Pixel Data are shorter than its own attributes say.
    DatasetMismatch
        SOP class or instance are not those of the command.
    BadIdentifiers
        A UID is missing or hostile.
    """
    syntax = command.transfer_syntax
    little = syntax not in BIG_ENDIAN
    data = _inflate(dataset) if syntax in DEFLATED else dataset
    elements = scan(data, implicit=syntax in IMPLICIT, little=little)
    values = Values(data, elements, little=little)
    _check_identity(command, values)
    _check_pixels(values, elements, syntax)
    _required_uid(values, _SERIES, "Series")
    return Checked(_required_uid(values, _STUDY, "Study"), data, elements)


def read(
    command: Command, beginning: memoryview, known_series: Container[str] = (), *, more: bool = False
) -> InstanceHeader:
    """Return the header of an object that was checked, without the fields that storing it gives.

    Parameters
    ----------
    beginning
        The first bytes of the data set, :data:`HEAD_BYTES` of them at least where it is longer.
    known_series
        Series whose attributes for rules are known already, and are left out.
    more
        There is more of the data set than its beginning.

    Raises
    ------
    HeadTooShort
        There is more, and it may hold what the index keeps.
    BadIdentifiers
        A UID is missing or hostile.
    """
    syntax = command.transfer_syntax
    little = syntax not in BIG_ENDIAN
    if more and syntax in DEFLATED:
        raise HeadTooShort("the beginning of a deflated data set cannot be inflated by itself")
    data = _inflate_head(beginning, HEAD_BYTES) if syntax in DEFLATED else beginning
    elements = peek(data, _LAST, implicit=syntax in IMPLICIT, little=little)
    if more and not (_STUDY in elements and _SERIES in elements and max(elements) >= _LAST):
        raise HeadTooShort("the beginning does not hold all that the index keeps")
    values = Values(data, elements, little=little)
    if not (values.uid(_SERIES) and values.uid(_STUDY)):
        # The elements are out of order, or a sequence before these is longer than what was inflated.
        data = _inflate_head(beginning, MAX_INFLATED) if syntax in DEFLATED else beginning
        values = Values(data, peek(data, _ALL, implicit=syntax in IMPLICIT, little=little), little=little)
    return _header(command, values, known_series)


def read_excerpt(command: Command, excerpt: bytes, known_series: Container[str] = ()) -> InstanceHeader:
    """Return the header of an object of which :meth:`Checked.excerpt` is at hand; what was deflated is not any more.

    Raises
    ------
    BadIdentifiers
        A UID is missing or hostile.
    """
    syntax = command.transfer_syntax
    little = syntax not in BIG_ENDIAN
    data = memoryview(excerpt)
    values = Values(data, scan(data, implicit=syntax in IMPLICIT, little=little), little=little)
    return _header(command, values, known_series)


def _header(command: Command, values: Values, known_series: Container[str]) -> InstanceHeader:
    series_uid = _required_uid(values, _SERIES, "Series")
    wanted = {} if series_uid in known_series else RULE_TAGS
    return InstanceHeader(
        uid=command.sop_instance,
        sop_class=command.sop_class,
        transfer_syntax=command.transfer_syntax,
        study_uid=_required_uid(values, _STUDY, "Study"),
        series_uid=series_uid,
        calling_ae_title=command.calling_ae_title[:16],
        called_ae_title=command.called_ae_title[:16],
        number=values.integer(0x00200013),
        patient_id=values.text(0x00100020, 250),
        issuer=values.text(0x00100021, 250),
        patient_name=values.name(0x00100010),
        birth_date=values.digits(0x00100030, 8),
        sex=values.text(0x00100040, 1),
        accession_number=values.text(0x00080050, 64),
        study_description=values.text(0x00081030, 1000),
        study_date=values.digits(0x00080020, 8),
        study_time=values.text(0x00080030, 16),
        modality=values.text(0x00080060, 16),
        body_part=values.text(0x00180015, 16),
        series_description=values.text(0x0008103E, 1000),
        series_number=values.integer(0x00200011),
        tags={keyword: text for tag, keyword in wanted.items() if (text := values.text(tag, 250))},
    )


def identity(beginning: memoryview, transfer_syntax: str) -> tuple[str, str]:
    """Return SOP Class and SOP Instance UID from the beginning of a data set; empty where they are not there."""
    if transfer_syntax in DEFLATED:
        beginning = memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(beginning, len(beginning)))
    little = transfer_syntax not in BIG_ENDIAN
    elements = peek(beginning, 0x00080018, implicit=transfer_syntax in IMPLICIT, little=little)
    values = Values(beginning, elements, little=little)
    return values.uid(0x00080016), values.uid(0x00080018)


def _inflate(dataset: memoryview) -> memoryview:
    """Inflate (PS3.5 annex A.5: RFC 1951 without a zlib header, one byte of padding allowed)."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflater.decompress(dataset, MAX_INFLATED)
    except zlib.error as exc:
        raise Truncated("the deflated data set cannot be inflated") from exc
    if inflater.unconsumed_tail:
        raise DicomInputError("the deflated data set is too large")
    if not inflater.eof:
        raise Truncated("the deflated data set is cut off")
    return memoryview(data)


def _inflate_head(beginning: memoryview, limit: int) -> memoryview:
    """Inflate as much as the index needs."""
    try:
        return memoryview(zlib.decompressobj(-zlib.MAX_WBITS).decompress(beginning, limit))
    except zlib.error as exc:
        raise Truncated("the deflated data set cannot be inflated") from exc


def check_identifiers(command: Command) -> None:
    """Do nothing if a command's identifiers are UIDs.

    Raises
    ------
    BadIdentifiers
        If they are not; they would become a file name.
    """
    if not is_uid(command.sop_class) or not is_uid(command.sop_instance):
        raise BadIdentifiers("SOP class or SOP instance is not a UID")


def _check_identity(command: Command, values: Values) -> None:
    check_identifiers(command)
    if values.uid(0x00080016) != command.sop_class:
        raise DatasetMismatch("SOP Class UID differs from that of the command or File Meta")
    if values.uid(0x00080018) != command.sop_instance:
        raise DatasetMismatch("SOP Instance UID differs from that of the command or File Meta")


def _required_uid(values: Values, tag: int, level: str) -> str:
    uid = values.uid(tag)
    if not uid:
        raise BadIdentifiers(f"{level} Instance UID is missing")
    if not is_uid(uid):
        raise BadIdentifiers(f"{level} Instance UID is not a UID")
    return uid


def _check_pixels(values: Values, elements: Mapping[int, Element], syntax: str) -> None:
    """Compare the length of Pixel Data, Float and Double Float Pixel Data with what the Image Pixel module says."""
    pixels = elements.get(0x7FE00010) or elements.get(0x7FE00008) or elements.get(0x7FE00009)
    if pixels is None:
        return
    frames = max(values.integer(0x00280008) or 1, 1)
    if pixels.items is not None:
        fragments = pixels.items - 1  # the first item is the Basic Offset Table (PS3.5 annex A.4)
        if fragments < frames and not syntax.startswith(MANY_FRAMES_A_FRAGMENT):
            raise Truncated("Pixel Data has fewer fragments than frames")
        return
    if pixels.end - pixels.start < _native_bytes(values, frames):
        raise Truncated("Pixel Data is shorter than rows, columns and frames ask for")


def _native_bytes(values: Values, frames: int) -> int:
    """Return the least length of native Pixel Data (PS3.5 section 8.1.1); 0 where an attribute is missing."""
    rows, columns, allocated = (values.short(tag) for tag in (0x00280010, 0x00280011, 0x00280100))
    samples = values.short(0x00280002) or 1
    bits = rows * columns * samples * allocated * frames
    if values.raw(0x00280004).rstrip(b"\0 ") == b"YBR_FULL_422":
        bits = bits * 2 // 3  # two chrominance samples for two pixels (PS3.3 C.7.6.3.1.2)
    return (bits + 7) // 8
