"""Secondary Captures of a prediction (PS3.3 A.8.1): pictures for viewers that show nothing else.

One single-frame Secondary Capture Image for each key slice, since that is the class which every viewer knows, the
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

from models.contracts import Code
from workers.load import quiet
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
from workers.results.drawing import Slice, is_biped, orientation
from workers.results.equipment import equipment, node_equipment, settle
from workers.results.headers import grid, prepare
from workers.results.profile import DEFAULT, Profile
from workers.results.sc_page import page


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
    with quiet():
        image = prepare(inp.sources, _texts(inp))[0]
        keys: tuple[KeySlice | None, ...] = inp.key_slices or (None,)
        return tuple(_capture(inp, image, key, number) for number, key in enumerate(keys, 1))


def _capture(inp: ResultInput, image: Dataset, key: KeySlice | None, number: int) -> Dataset:
    drawn = Slice.of(inp, key) if key is not None else None
    sc = SCImage.from_ref_dataset(
        image,
        pixel_array=page(inp, drawn),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system=CoordinateSystemNames.PATIENT,
        patient_orientation=("L", "P"),  # asked for by highdicom; set below
        series_instance_uid=series_uid(inp, "sc"),
        series_number=series_number(inp.image, "sc"),
        series_description=f"SC {inp.card.title}"[:64],
        sop_instance_uid=image_uid(inp, "sc", DEFAULT, str(key.index) if key is not None else "words"),
        instance_number=number,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        contributing_equipment=[node_equipment(inp)],
        specific_character_set=None,
        **equipment(inp),
    )
    sc.copy_patient_and_study_information(image)
    sc.PatientOrientation = _orientation(drawn)
    _describe(sc, inp, image)
    # Type 2C and not known here: which parts of the body come in pairs is for the acquisition to say.
    sc.Laterality = image.Laterality if image.get("Laterality") in ("R", "L") else ""
    sc.SourceImageSequence = _sources(inp, drawn)
    settle(sc, inp, image)
    return sc


def _describe(sc: Dataset, inp: ResultInput, image: Dataset) -> None:
    at = local_time(inp).replace(microsecond=0, tzinfo=None)
    sc.DateOfSecondaryCapture, sc.TimeOfSecondaryCapture = DA(at.date()), TM(at.time())
    sc.ConversionType = "WSD"  # workstation: made by software from data that it had (PS3.3 C.8.6.1)
    sc.BurnedInAnnotation = "NO"  # it is about what identifies the patient (PS3.3 C.7.6.1), and no word here does
    if image.get("RecognizableVisualFeatures") in ("YES", "NO"):
        sc.RecognizableVisualFeatures = image.RecognizableVisualFeatures
    weights = f", weights SHA-256 {inp.card.weights_sha256}" if inp.card.weights_sha256 else ""
    sc.DerivationDescription = f"Key slice with the result of {inp.card.name} {inp.card.version}{weights}. {DISCLAIMER}"


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


def _source(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    purpose = codes.cid7202.SourceImageForImageProcessingOperation
    item.PurposeOfReferenceCodeSequence = [concept(Code(purpose.value, purpose.scheme_designator, purpose.meaning))]
    return item


def _texts(inp: ResultInput) -> Iterator[str]:
    yield from (inp.card.name, inp.card.title, inp.card.version, inp.institution, inp.software_version)
