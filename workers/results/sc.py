"""Secondary Captures of a prediction (PS3.3 A.8.1): pictures for viewers that show nothing else.

One single-frame Secondary Capture Image for each key slice of a volume, or one of the radiograph, the waveform or the
record's values, since that is the class which every viewer knows, the
oldest ones too; multi-frame captures are not among what all of them show. Where no slice is to be shown there is one
picture of words: in a viewer that shows no report, no picture at all could be a model that did not run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from highdicom.enum import CoordinateSystemNames
from highdicom.sc import SCImage
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import DA, TM

from models.contracts import Code, InputKind
from workers.reading.instances import quiet
from workers.results.common import (
    DISCLAIMER,
    KeySlice,
    ResultInput,
    concept,
    image_uid,
    local_time,
    series_number,
    series_uid,
)
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import grid, prepare, prepare_one
from workers.results.pictures.drawing import RGBArray, Slice, is_biped, orientation
from workers.results.pictures.page import compose, page, words
from workers.results.pictures.single import NO_PICTURE, picture_of
from workers.results.profile import DEFAULT, Profile

#: Names of captures that are no key slice, which go into their UIDs: of one picture of all, and of words alone.
WHOLE, WORDS = "whole", "words"


def build_scs(inp: ResultInput, _profile: Profile, _built: Mapping[str, Sequence[Dataset]]) -> Sequence[Dataset]:
    """Build the captures of a prediction.

    Returns
    -------
    sequence of pydicom.dataset.Dataset
        Secondary Capture Image Storage instances with File Meta, RGB, uncompressed: one for each key slice in their
        order, which is that of importance; one of words alone where there is no key slice.

    Raises
    ------
    ValueError
        If a key slice or the prediction's labels have another shape than the source series.
    """
    if inp.kind is not InputKind.VOLUME:
        with quiet():
            return (_whole(inp, prepare_one(inp.image, _texts(inp))),)
    with quiet():
        image = prepare(inp.sources, _texts(inp))[0]
        keys: tuple[KeySlice | None, ...] = inp.key_slices or (None,)
        return tuple(_capture(inp, image, key, number) for number, key in enumerate(keys, 1))


def _capture(inp: ResultInput, image: Dataset, key: KeySlice | None, number: int) -> Dataset:
    drawn = Slice.of(inp, key) if key is not None else None
    sc = _around(inp, image, page(inp, drawn), str(key.index) if key is not None else WORDS, number)
    sc.PatientOrientation = _orientation(drawn)
    sc.SourceImageSequence = _sources(inp, drawn)
    settle(sc, inp, image)
    return sc


def _whole(inp: ResultInput, image: Dataset) -> Dataset:
    """The capture of what is one picture; its orientation is none, since text stands beside it."""
    picture = picture_of(inp)
    pixels = words(inp, NO_PICTURE) if picture is None else compose(inp, picture.pixels, picture.beside)
    sc = _around(inp, image, pixels, WHOLE if picture is not None else WORDS, 1)
    sc.PatientOrientation = []
    if inp.kind is InputKind.RADIOGRAPH:
        sc.SourceImageSequence = [_source(image) for image in inp.sources]
    else:  # Source Image Sequence is of images; a waveform is a referenced instance (PS3.3 C.12.4)
        sc.SourceInstanceSequence = [_plain(image) for image in inp.sources]
    settle(sc, inp, image)
    return sc


def _around(inp: ResultInput, image: Dataset, pixels: RGBArray, name: str, number: int) -> Dataset:
    sc = SCImage.from_ref_dataset(
        image,
        pixel_array=pixels,
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),  # asked for by highdicom; set below
        series_instance_uid=series_uid(inp, "sc"),
        series_number=series_number(inp.image, "sc"),
        series_description=f"SC {inp.card.title}"[:64],
        sop_instance_uid=image_uid(inp, "sc", DEFAULT, name),
        instance_number=number,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[node_equipment(inp)],
        specific_character_set=None,
        **equipment(inp),
    )
    sc.copy_patient_and_study_information(image)
    _describe(sc, inp, image)
    # Type 2C and not known here: which parts of the body come in pairs is for the acquisition to say.
    sc.Laterality = image.Laterality if image.get("Laterality") in ("R", "L") else ""
    return sc


def _describe(sc: Dataset, inp: ResultInput, image: Dataset) -> None:
    at = local_time(inp).replace(microsecond=0, tzinfo=None)
    sc.DateOfSecondaryCapture, sc.TimeOfSecondaryCapture = DA(at.date()), TM(at.time())
    sc.ConversionType = "WSD"  # workstation: made by software from data that it had (PS3.3 C.8.6.1)
    sc.BurnedInAnnotation = "NO"  # it is about what identifies the patient (PS3.3 C.7.6.1), and no word here does
    if image.get("RecognizableVisualFeatures") in ("YES", "NO"):
        sc.RecognizableVisualFeatures = image.RecognizableVisualFeatures
    weights = f", weights SHA-256 {inp.card.weights_sha256}" if inp.card.weights_sha256 else ""
    what = "Key slice" if inp.kind is InputKind.VOLUME else "Picture"
    sc.DerivationDescription = f"{what} with the result of {inp.card.name} {inp.card.version}{weights}. {DISCLAIMER}"


def _orientation(drawn: Slice | None) -> list[str]:
    """Where rows and columns point (type 2C): empty where there is no slice, or the letters would be an animal's."""
    if drawn is None or not is_biped(drawn.header):
        return []
    affine = drawn.geometry.affine
    return [orientation(affine[:3, 2]), orientation(affine[:3, 1])]


def _sources(inp: ResultInput, drawn: Slice | None) -> list[Dataset]:
    """The image that is seen; where none is, all that the model read."""
    if drawn is None:
        return [_source(image) for image in inp.sources]
    item = _source(drawn.header)
    if len(inp.sources) == 1:
        _, order = grid(inp.sources)
        item.ReferencedFrameNumber = order[drawn.key.index] + 1
    return [item]


def _plain(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item


def _source(image: Dataset) -> Dataset:
    item = _plain(image)
    purpose = codes.cid7202.SourceImageForImageProcessingOperation
    item.PurposeOfReferenceCodeSequence = [concept(Code(purpose.value, purpose.scheme_designator, purpose.meaning))]
    return item


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
