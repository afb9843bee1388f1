"""Small real DICOM objects for the pages: an MR series and a segmentation of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.sr.coding import CodedConcept
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

BRIGHT = ((230, 120, 20), (40, 140, 240))


def mr_slice(
    pixels: npt.NDArray[np.uint16],
    number: int,
    *,
    study_uid: str,
    series_uid: str,
    spacing: tuple[float, float] = (1.0, 1.0),
    thickness: float = 2.0,
) -> Dataset:
    """Return one axial MR slice; ``spacing`` is between rows, between columns."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study_uid, series_uid, f"{series_uid[:60]}.1"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "MR", 3, number
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Seeded^Source", "SRC", "19700101", "F"
    ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "20261120", "101500", "1", "A-1001"
    ds.ReferringPhysicianName = ds.Manufacturer = ""
    ds.PositionReferenceIndicator = ""
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelSpacing, ds.SliceThickness = list(spacing), thickness
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = [-40.0, -30.0, thickness * number]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, 12, 11
    ds.WindowCenter, ds.WindowWidth = 500, 1000
    ds.PixelData = pixels.astype("<u2").tobytes()
    return ds


def _group(**attributes: object) -> Sequence[Dataset]:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return [item]


def enhanced_mr(volume: npt.NDArray[np.uint16], spacing: tuple[float, float] = (1.0, 1.0)) -> Dataset:
    """Return ``volume`` (``[slice, row, column]``) as one multi-frame MR instance, its window in a functional group."""
    ds = mr_slice(volume[0], 1, study_uid="1.2.3", series_uid="1.2.4", spacing=spacing)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = EnhancedMRImageStorage
    shared = Dataset()
    shared.PixelMeasuresSequence = _group(PixelSpacing=list(spacing), SliceThickness=2.0)
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.FrameVOILUTSequence = _group(WindowCenter=500, WindowWidth=1000)
    shared.PixelValueTransformationSequence = _group(RescaleSlope=1, RescaleIntercept=0, RescaleType="US")
    frames = []
    for number in range(len(volume)):
        frame = Dataset()
        frame.PlanePositionSequence = _group(ImagePositionPatient=[-40.0, -30.0, 2.0 * number])
        frame.FrameContentSequence = _group(DimensionIndexValues=[number + 1])
        frames.append(frame)
    ds.SharedFunctionalGroupsSequence, ds.PerFrameFunctionalGroupsSequence = [shared], frames
    for keyword in (
        "PixelSpacing",
        "SliceThickness",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "WindowCenter",
        "WindowWidth",
    ):
        delattr(ds, keyword)
    ds.NumberOfFrames = len(volume)
    ds.PixelData = volume.astype("<u2").tobytes()
    return ds


def segmentation(source: Sequence[Dataset], labels: npt.NDArray[np.uint8], names: Sequence[str]) -> Dataset:
    """Return a binary SEG of ``labels`` (``[slice, row, column]``) on the grid of ``source``."""
    tissue = CodedConcept("123037004", "SCT", "Anatomical Structure")
    part = CodedConcept("5366008", "SCT", "Hippocampus")
    algorithm = hd.AlgorithmIdentificationSequence(
        "seeded", CodedConcept("123110", "DCM", "Artificial Intelligence"), "1.0"
    )
    described = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=tissue,
            segmented_property_type=part,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=hd.color.CIELabColor.from_rgb(*BRIGHT[number - 1]),
        )
        for number, name in enumerate(names, 1)
    ]
    return hd.seg.Segmentation(
        source_images=source,
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=900,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Overread tests",
        manufacturer_model_name="tests",
        software_versions="1",
        device_serial_number="1",
        content_creator_name=None,
        content_description="seeded",
    )


def head(slices: int, rows: int, columns: int) -> npt.NDArray[np.uint16]:
    """Return ``[slice, row, column]`` something like a head: an ellipsoid with texture."""
    z, y, x = np.mgrid[-1 : 1 : slices * 1j, -1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    inside = (z**2 * 0.6 + y**2 * 1.1 + x**2 * 1.4) < 0.9
    texture = 480 + 160 * np.sin(9 * x + 4 * z) * np.cos(7 * y) + 90 * np.cos(23 * x * y)
    return np.where(inside, texture, 20).clip(0, 1000).astype(np.uint16)


def two_blobs(slices: int, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Return ``[slice, row, column]`` labels: 1 in front (lower rows), 2 behind it."""
    z, y, x = np.mgrid[-1 : 1 : slices * 1j, -1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    labels = np.zeros((slices, rows, columns), np.uint8)
    labels[((x - 0.35) / 0.16) ** 2 + ((y - 0.25) / 0.3) ** 2 + (z / 0.5) ** 2 < 1] = 2
    labels[((x - 0.35) / 0.14) ** 2 + ((y + 0.1) / 0.2) ** 2 + ((z + 0.1) / 0.4) ** 2 < 1] = 1
    return labels


def save(ds: Dataset, path: Path) -> None:
    """Write a file, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ds.save_as(path, enforce_file_format=True)


def ago(**parts: float) -> dt.datetime:
    """Return a time before now."""
    return dt.datetime.now(dt.UTC) - dt.timedelta(**parts)
