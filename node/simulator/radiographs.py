"""Generated radiographs of the chest as CR and DX objects (PS3.3 A.2, A.26), in the forms that hospitals send."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    JPEGLosslessSV1,
)

from node.simulator import chest, jpeg_lossless
from node.simulator.ris import Person
from node.simulator.studies import GeneratedStudy, begun, instance

BITS = 12
TOP = (1 << BITS) - 1
SPACING_MM = 0.6
"""Distance of pixels at the detector: a small image of a large detector."""

Pixels = npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class Form:
    """In which form an image is written.

    Parameters
    ----------
    modality
        ``"CR"`` or ``"DX"``.
    inverted
        MONOCHROME1 in place of MONOCHROME2.
    voi
        ``"window"``, ``"sigmoid"`` or ``"lut"``: what makes grey values of stored ones.
    lossless
        Compressed as JPEG lossless (process 14, selection value 1) in place of native.
    view
        ``"PA"`` or ``"AP"``.
    """

    modality: str = "DX"
    inverted: bool = False
    voi: str = "window"
    lossless: bool = False
    view: str = "PA"


DX = Form()
CR = Form(modality="CR", inverted=True, lossless=True, view="AP")


def study(
    form: Form, seed: int, *, person: Person, accession_number: str, at: dt.datetime, finding: bool
) -> GeneratedStudy:
    """Make a study of one frontal radiograph; the finding is an opacity of one lung.

    Parameters
    ----------
    form
        How it is written; the picture that a viewer shows is the same in every form. The same arguments give the same
        bytes.
    """
    entropy = f"chest|{form}|{seed}|{finding}|{person.issuer}|{person.id}|{accession_number}|{at.isoformat()}"
    common = begun(entropy, person, accession_number, at)
    common.Modality = form.modality
    common.StudyDescription, common.SeriesDescription = "Chest radiograph, generated", f"Chest {form.view}, generated"
    is_cr = form.modality == "CR"
    sop_class: UID = ComputedRadiographyImageStorage if is_cr else DigitalXRayImageStorageForPresentation
    ds = instance(common, entropy, 0, sop_class)
    _acquisition(ds, form)
    _pixels(ds, form, chest.draw(seed, opacity=finding).image)
    return GeneratedStudy(str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), accession_number, (ds,))


def _acquisition(ds: FileDataset, form: Form) -> None:
    """Fill in what both objects have, then the modules of CR (C.8.1) or DX (C.8.11)."""
    ds.ImageType = ["DERIVED", "PRIMARY"] if form.modality == "CR" else ["DERIVED", "PRIMARY", ""]
    ds.DerivationDescription = "Computed from formulae; nobody was X-rayed."
    ds.BodyPartExamined, ds.ViewPosition = "CHEST", form.view
    ds.PatientOrientation = ["L", "F"]
    ds.KVP = 110
    ds.BurnedInAnnotation = "NO"
    ds.ImagerPixelSpacing = [SPACING_MM, SPACING_MM]
    if form.modality == "DX":
        _dx_modules(ds, form)


def _dx_modules(ds: FileDataset, form: Form) -> None:
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.ImageLaterality = "U"
    ds.AnatomicRegionSequence = [_code("51185008", "SCT", "Chest")]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", 1 if form.inverted else -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "US"
    ds.PresentationLUTShape = "INVERSE" if form.inverted else "IDENTITY"
    ds.LossyImageCompression = "00"
    ds.DetectorType = "DIRECT"
    ds.PositionerType = "COLUMN"
    view = ("272479007", "postero-anterior") if form.view == "PA" else ("399348003", "antero-posterior")
    ds.ViewCodeSequence = [_code(view[0], "SCT", view[1])]
    ds.ViewCodeSequence[0].ViewModifierCodeSequence = []
    ds.AcquisitionContextSequence = []


def _pixels(ds: FileDataset, form: Form, image: npt.NDArray[np.float64]) -> None:
    wanted = 1 - image if form.inverted else image
    stored: Pixels = np.rint(UNDONE[form.voi](wanted) * TOP).astype(np.uint16)
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if form.inverted else "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, BITS, BITS - 1, 0
    _voi(ds, form.voi)
    if form.lossless:
        ds.PixelData = encapsulate([jpeg_lossless.encode(stored, BITS)])
        ds["PixelData"].VR = "OB"
        ds["PixelData"].is_undefined_length = True
        ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    else:
        ds.PixelData = stored.astype("<u2").tobytes()


def _voi(ds: FileDataset, voi: str) -> None:
    if voi == "lut":
        item = Dataset()
        item.add_new("LUTDescriptor", "US", [TOP + 1, 0, 16])
        item.LUTExplanation = "NORMAL"
        table = np.rint(np.sqrt(np.arange(TOP + 1) / TOP) * 65535)
        item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
        ds.VOILUTSequence = [item]
        return
    ds.WindowCenter, ds.WindowWidth = (TOP + 1) / 2, TOP + 1
    ds.VOILUTFunction = "SIGMOID" if voi == "sigmoid" else "LINEAR"


def _sigmoid_undone(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Stored values, as parts of the highest, that a sigmoid over the whole range shows as ``image``; its ends clip."""
    grey = np.clip(image, 0.12, 0.88)
    undone: npt.NDArray[np.float64] = 0.5 + np.log(grey / (1 - grey)) / 4
    return undone


UNDONE: Mapping[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = MappingProxyType(
    {"window": lambda image: image, "lut": lambda image: image**2, "sigmoid": _sigmoid_undone}
)
"""Stored values, as parts of the highest, that are shown as an image, by what makes grey values of them."""


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
