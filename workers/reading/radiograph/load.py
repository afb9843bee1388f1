"""A series of radiographs becomes a :class:`models.contracts.Radiograph` and the header that results are built from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
)

from models.contracts import InputRequirements, Prediction, Radiograph
from workers.errors import SeriesRefused
from workers.reading.instances import attributes_of, check_one_series, digest, interpreting, quiet, read_file
from workers.reading.pixels import PIXEL_KEYWORDS, check_pixels, frame_count, stored_values
from workers.reading.radiograph.grey import displayed
from workers.reading.radiograph.views import Choice, choose

#: Storage SOP classes of one projection image.
PROJECTIONS = frozenset({ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation})

#: Secondary captures, which are read where Modality says that a radiograph was captured.
CAPTURES = frozenset(
    {
        SecondaryCaptureImageStorage,
        MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    }
)
CAPTURED_MODALITIES = frozenset({"CR", "DX"})

#: Most pixels that are read: four times the largest detectors, so that a hostile header allocates no more.
MAX_PIXELS = 1 << 26

#: Where the distance of pixels stands (PS3.3 10.7.1): calibrated in the patient, at the detector, on film.
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")

FOR_PROCESSING = (
    "the images are raw detector data (Presentation Intent Type FOR PROCESSING; PS3.3 A.26), which nobody is meant to "
    "look at: have the modality send the images for presentation"
)
LOSSY = "The image was compressed with loss before it came."


@dataclass(frozen=True, eq=False)
class LoadedRadiograph:
    """A radiograph as models and builders need it; see :class:`workers.reading.inputs.Loaded`."""

    source: Radiograph
    sources: tuple[Dataset, ...]
    planes: str
    warnings: tuple[str, ...] = ()

    def bring_back(self, prediction: Prediction) -> Prediction:
        """Say with a prediction how the image was chosen and shown; what is drawn lies on its pixels as it is."""
        return replace(prediction, warnings=(*self.warnings, *prediction.warnings)) if self.warnings else prediction


def read_radiograph(paths: Sequence[Path], needs: InputRequirements) -> LoadedRadiograph:
    """Read the image of a series that a model should get.

    Parameters
    ----------
    paths
        The files, in any order.
    needs
        The model's card: its views and body parts choose among several images
        (:mod:`workers.reading.radiograph.views`).

    Raises
    ------
    workers.errors.SeriesRefused
        If there is no such image, or it cannot be decoded. The message says why, without patient data.
    OSError
        If a file cannot be read at all.
    """
    path, choice = _chosen(paths, needs)
    with quiet():
        ds = read_file(path)
    with interpreting():
        _check_size(ds)
        check_pixels(ds)
        grey = displayed(ds, stored_values(ds)[0])
        for keyword in PIXEL_KEYWORDS:
            if keyword in ds:
                del ds[keyword]
        lossy = (LOSSY,) if str(ds.get("LossyImageCompression", "")) == "01" else ()
        image = Radiograph(grey.array, str(ds.get("Modality", "")), choice.view, spacing_of(ds), attributes_of(ds))
        return LoadedRadiograph(image, (ds,), digest([ds]), (*choice.warnings, *grey.warnings, *lossy))


def read_radiograph_headers(paths: Sequence[Path], needs: InputRequirements) -> tuple[Dataset, ...]:
    """Read the header of the image that :func:`read_radiograph` reads, as :attr:`LoadedRadiograph.sources` has it."""
    path, _ = _chosen(paths, needs)
    with quiet():
        return (read_file(path, stop_before_pixels=True),)


def spacing_of(ds: Dataset) -> tuple[float, float] | None:
    """Distance between rows and between columns in mm; None where no attribute says it."""
    for keyword in SPACINGS:
        value = ds.get(keyword)
        if value in (None, ""):
            continue
        try:
            rows, columns = (float(part) for part in value)
        except (TypeError, ValueError):
            continue
        if 0 < rows < 100 and 0 < columns < 100:
            return rows, columns
    return None


def _chosen(paths: Sequence[Path], needs: InputRequirements) -> tuple[Path, Choice]:
    with quiet():
        headers = [read_file(path, stop_before_pixels=True) for path in paths]
    with interpreting():
        check_one_series(headers)
        kept = [at for at, ds in enumerate(headers) if _is_radiograph(ds)]
        shown = [at for at in kept if not _is_raw(headers[at])]
        if not kept:
            raise SeriesRefused("the series has no radiograph (CR or DX image storage, or a secondary capture of one)")
        if not shown:
            raise SeriesRefused(FOR_PROCESSING)
        choice = choose([headers[at] for at in shown], needs)
        return paths[shown[choice.at]], choice


def _is_radiograph(ds: Dataset) -> bool:
    kind = ds.get("SOPClassUID")
    captured = kind in CAPTURES and ds.get("Modality") in CAPTURED_MODALITIES
    return kind in PROJECTIONS or kind == DigitalXRayImageStorageForProcessing or captured


def _is_raw(ds: Dataset) -> bool:
    intent = str(ds.get("PresentationIntentType", ""))
    return ds.get("SOPClassUID") == DigitalXRayImageStorageForProcessing or intent == "FOR PROCESSING"


def _check_size(ds: Dataset) -> None:
    if frame_count(ds) != 1:
        raise SeriesRefused(f"the image has {frame_count(ds)} frames: a radiograph has one")
    pixels = int(ds.get("Rows") or 0) * int(ds.get("Columns") or 0)
    if pixels > MAX_PIXELS:
        raise SeriesRefused(f"the image has {pixels} pixels, more than {MAX_PIXELS} are not read")
