"""Reading a series into a volume beside SimpleITK's series reader: `python -m tests.benchmarks.reading`.

The same 200 CT slices (512 x 512, 16 bits), native and in four compressions without loss. Each round reads every form
with both, in turn, and the one that begins changes; a figure is the median of the rounds' ratios. Both get the files in
an order that is not that of the slices and give rescaled float32 values in the order of the slices; the values must be
the same. Files are read once before, so that what is measured is not the disk.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from rich.console import Console
from rich.progress import track

from models.contracts import InputRequirements
from node.simulator import jpeg_lossless
from tests.workers.synthetic import meta
from workers.reading.decoding import DecoderPool
from workers.reading.volume.load import read_series

FORMS = ("native", "RLE", "JPEG lossless", "JPEG-LS", "JPEG 2000")
SYNTAXES = {
    "RLE": RLELossless,
    "JPEG lossless": JPEGLosslessSV1,
    "JPEG-LS": JPEGLSLossless,
    "JPEG 2000": JPEG2000Lossless,
}
WANTED = {"native": 1.8} | dict.fromkeys(FORMS[1:], 1.0)
"""Least ratio of SimpleITK's time to ours."""
NEEDS = InputRequirements(("CT",), min_slices=2)
SLICES, WIDTH = 200, 512

Volume = npt.NDArray[np.float32]
Reader = Callable[[Sequence[Path]], Volume]


def ours(paths: Sequence[Path], pool: DecoderPool | None = None) -> Volume:
    """Read as a worker does: every check, the geometry, the headers that results are built from."""
    return read_series(paths, NEEDS, pool).volume.array


def simpleitk(paths: Sequence[Path]) -> Volume:
    """Read with SimpleITK, as its documentation shows it: the names of the series in order, then the series."""
    itk: Any = SimpleITK
    return _simpleitk(list(itk.ImageSeriesReader.GetGDCMSeriesFileNames(str(paths[0].parent))))


def simpleitk_in_order(paths: Sequence[Path]) -> Volume:
    """Read with SimpleITK from names that somebody else has put in order."""
    return _simpleitk([str(path) for path in sorted(paths)])


def _simpleitk(names: Sequence[str]) -> Volume:
    itk: Any = SimpleITK
    reader = itk.ImageSeriesReader()
    reader.SetFileNames(names)
    reader.SetOutputPixelType(itk.sitkFloat32)
    return np.asarray(itk.GetArrayFromImage(reader.Execute()), dtype=np.float32)


READERS: dict[str, Reader] = {
    "ours": ours,
    "SimpleITK": simpleitk,
    "SimpleITK, names in order": simpleitk_in_order,
}


def write_series(folder: Path, form: str, slices: int = SLICES, width: int = WIDTH) -> list[Path]:
    """Write a series in one form; the files in an order that is not that of the slices."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    paths = []
    for number in range(slices):
        ds = _slice(number, _pixels(rng, number / slices, width))
        if form == "JPEG lossless":
            stored = (ds.pixel_array.astype(np.int32) & 0xFFFF).astype(np.uint16)
            ds.PixelData = encapsulate([jpeg_lossless.encode(stored, 16)])
            ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
            ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
        elif form != "native":
            ds.compress(SYNTAXES[form], generate_instance_uid=False)
        path = folder / f"{number:04}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return [paths[at] for at in rng.permutation(slices)]


def _pixels(rng: np.random.Generator, height: float, width: int) -> npt.NDArray[np.int16]:
    """A body with two lungs, with the noise of a scanner: about as compressible as a CT of the chest."""
    y, x = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, width), indexing="ij")
    values = np.full((width, width), -1000.0)
    values[(x / 0.85) ** 2 + (y / 0.6) ** 2 < 1] = 40
    for side in (-1, 1):
        lung = ((x - side * 0.4) / 0.28) ** 2 + (y / (0.25 + 0.2 * np.sin(np.pi * height))) ** 2 < 1
        values[lung] = -850
    values[x**2 + ((y - 0.38) / 0.9) ** 2 < 0.01] = 600
    values += 15 * rng.standard_normal(values.shape)
    stored: npt.NDArray[np.int16] = np.clip(np.rint(values), -1024, 3071).astype(np.int16)
    return stored


def _slice(number: int, pixels: npt.NDArray[np.int16]) -> Dataset:
    """A slice with a header of about the size that scanners write."""
    ds = Dataset()
    ds.file_meta = meta(CTImageStorage, f"1.2.826.0.1.3680043.10.9.3.{number + 1}")
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID, ds.SOPInstanceUID = CTImageStorage, UID(f"1.2.826.0.1.3680043.10.9.3.{number + 1}")
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for level in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{level}Date", "20261120")
        setattr(ds, f"{level}Time", "101500")
    ds.Modality, ds.Manufacturer, ds.ManufacturerModelName = "CT", "Maker", "Model 1"
    ds.StudyDescription, ds.SeriesDescription, ds.BodyPartExamined = "Chest", "Axial 1.0", "CHEST"
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "P-1", "19500102", "F"
    ds.SliceThickness, ds.KVP, ds.GantryDetectorTilt, ds.ConvolutionKernel = 1, 120, 0, "B30"
    ds.PatientPosition, ds.StudyID, ds.SeriesNumber, ds.AcquisitionNumber = "HFS", "1", 2, 1
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.826.0.1.3680043.10.9.1", "1.2.826.0.1.3680043.10.9.2"
    ds.FrameOfReferenceUID, ds.PositionReferenceIndicator = "1.2.826.0.1.3680043.10.9.4", ""
    ds.InstanceNumber, ds.SliceLocation = number + 1, float(number)
    ds.ImagePositionPatient, ds.ImageOrientationPatient = [-180.0, -180.0, float(number)], [1, 0, 0, 0, 1, 0]
    for element in range(0x10, 0x60):  # what manufacturers add
        ds.add_new((0x0019, 0x1000 | element), "LO", f"private {element}")
    ds.add_new((0x0019, 0x0010), "LO", "MAKER 1.0")
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelSpacing = [0.7, 0.7]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.WindowCenter, ds.WindowWidth = 40, 400
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    ds.PixelData = pixels.astype("<i2").tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def measure(rounds: int, forms: Sequence[str], slices: int = SLICES, width: int = WIDTH) -> dict[str, Any]:
    """Run the benchmark; returns medians, spreads and ratios."""
    pool = DecoderPool()
    readers: dict[str, Reader] = {**READERS, "ours": partial(ours, pool=pool)}
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as folder:
        console = Console(stderr=True)
        series = {
            form: write_series(Path(folder) / form.replace(" ", "-"), form, slices, width)
            for form in track(forms, "writing", console=console)
        }
        for paths in series.values():
            _check_equal([reader(paths) for reader in readers.values()])  # also warms up
        seconds: dict[tuple[str, str], list[float]] = {}
        loads = []
        for number in track(range(rounds), "rounds", console=console):
            for form, paths in series.items():
                order = list(READERS) if number % 2 == 0 else list(READERS)[::-1]
                for name in order:
                    seconds.setdefault((form, name), []).append(_timed(readers[name], paths))
            loads.append(os.getloadavg()[0])
    pool.close()
    return {
        "machine": {"python": sys.version.split()[0], "system": platform.platform(), "cores": os.cpu_count()},
        "load": _spread(loads),
        "libjpeg-turbo": importlib.util.find_spec("imagecodecs") is not None,
        "slices": slices,
        "rounds": rounds,
        "forms": {form: _figures(form, seconds) for form in forms},
    }


def _check_equal(volumes: Sequence[Volume]) -> None:
    for other in volumes[1:]:
        if not np.array_equal(volumes[0], other):
            raise SystemExit("the readers give different values")


def _timed(reader: Reader, paths: Sequence[Path]) -> float:
    began = time.perf_counter()
    reader(paths)
    return time.perf_counter() - began


def _figures(form: str, seconds: dict[tuple[str, str], list[float]]) -> dict[str, Any]:
    mine = seconds[(form, "ours")]
    found: dict[str, Any] = {"wanted": WANTED[form], "ours_s": _spread(mine)}
    for name in READERS:
        if name != "ours":
            theirs = seconds[(form, name)]
            ratios = [their / our for their, our in zip(theirs, mine, strict=True)]
            found[name] = {"seconds": _spread(theirs), "ratio": _spread(ratios)}
    return found


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slices", type=int, default=SLICES)
    parser.add_argument("--forms", default=",".join(FORMS), help="comma separated")
    options = parser.parse_args()
    print(json.dumps(measure(options.rounds, options.forms.split(","), options.slices), indent=2))  # noqa: T201
