"""Regions of findings are in the report where the model put them: on the image that shows them, else in the patient."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom import dcmread
from pydicom.dataset import Dataset

from models.contracts import Code, Finding, Measurement, Prediction, Region, RegionKind, Side
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, result_input, single_frames, write
from workers.reading.volume.load import read_series
from workers.results import build_all
from workers.results.common import ResultInput
from workers.results.sr import build_sr
from workers.results.validate import PIXELMED_JAR, errors, validate

Points = npt.NDArray[np.float64]

LESION = Code("52988006", "SCT", "Lesion")
LONG = Code("103339001", "SCT", "Long Axis")
SHORT = Code("103340004", "SCT", "Short Axis")
MILLIMETRE = Code("mm", "UCUM", "mm")

OBLIQUE = Phantom(cosines=ORIENTATIONS["oblique"])
SQUARE = replace(OBLIQUE, spacing=(2.5, 0.75, 0.75))

#: A triangle in slice 2, as voxels ``(slice, row, column)``; its centre is the ellipse's.
TRIANGLE = ((2, 2, 2), (2, 8, 3), (2, 5, 7.5), (2, 2, 2))
ELLIPSE = ((2, 5, 1), (2, 5, 8), (2, 3, 4.5), (2, 7, 4.5))
SPINDLE = ((2, 5, 1), (2, 5, 8), (2, 3, 4.5), (2, 7, 4.5), (1, 5, 4.5), (3, 5, 4.5))
FLAT = {
    RegionKind.POINT: ((2, 3, 4),),
    RegionKind.POLYLINE: TRIANGLE[:3],
    RegionKind.POLYGON: TRIANGLE,
    RegionKind.ELLIPSE: ELLIPSE,
}


def _patient(phantom: Phantom, voxels: Sequence[Sequence[float]]) -> Points:
    """Voxels ``(slice, row, column)`` to LPS mm."""
    return np.array([(phantom.affine @ [*voxel, 1.0])[:3] for voxel in voxels])


def _region(phantom: Phantom, kind: RegionKind, voxels: Sequence[Sequence[float]]) -> Region:
    return Region(kind, tuple((float(x), float(y), float(z)) for x, y, z in _patient(phantom, voxels)))


def _input(folder: Path, phantom: Phantom, *findings: Finding, frames: Sequence[int] = ()) -> ResultInput:
    instances = [multi_frame(phantom, frames)] if frames else single_frames(phantom)
    sources = read_series(write(folder / "in", instances)).sources
    return result_input(sources, phantom.shape, prediction=Prediction(findings))


def _shown(*regions: Region, **fields: Any) -> Finding:
    return Finding("lesion", LESION, side=Side.LEFT, lesion="1", regions=regions, **fields)


def _group(inp: ResultInput, segs: Sequence[Dataset] = ()) -> Dataset:
    """Give the one measurement group, read back from the file."""
    buffer = BytesIO()
    build_sr(inp, segs).save_as(buffer, enforce_file_format=True)
    report = dcmread(BytesIO(buffer.getvalue()))
    (measurements,) = (item for item in report.ContentSequence if _name(item) == "Imaging Measurements")
    group: Dataset
    (group,) = measurements.ContentSequence
    return group


def _name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def _template(group: Dataset) -> str:
    return str(group.ContentTemplateSequence[0].TemplateIdentifier)


def _coordinates(item: Dataset) -> list[Dataset]:
    return [part for part in item.get("ContentSequence", []) if part.ValueType in ("SCOORD", "SCOORD3D")]


def _place(item: Dataset, phantom: Phantom, inp: ResultInput) -> Points:
    """LPS mm of coordinates, by the header of the image that they were selected from (equation C.7.6.2.1-1)."""
    if item.ValueType == "SCOORD3D":
        assert item.ReferencedFrameOfReferenceUID == inp.image.FrameOfReferenceUID
        return np.array(item.GraphicData).reshape(-1, 3)
    (source,) = item.ContentSequence
    assert source.RelationshipType == "SELECTED FROM"
    uid = source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    image = next(ds for ds in inp.sources if ds.SOPInstanceUID == uid)
    row, column = (np.array(phantom.cosines[part], dtype=float) for part in (slice(3), slice(3, 6)))
    origin = np.array(image.ImagePositionPatient, dtype=float)
    rows_apart, columns_apart = (float(value) for value in image.PixelSpacing)
    pairs = np.array(item.GraphicData).reshape(-1, 2) - 0.5
    return np.array([origin + row * columns_apart * c + column * rows_apart * r for c, r in pairs])


@pytest.mark.parametrize("kind", FLAT)
@pytest.mark.parametrize("turn", ["oblique", "axial, rows to the right", "sagittal"])
def test_a_flat_region_is_on_the_image_that_shows_it(kind: RegionKind, turn: str, tmp_path: Path) -> None:
    phantom = replace(SQUARE, cosines=ORIENTATIONS[turn])
    inp = _input(tmp_path, phantom, _shown(_region(phantom, kind, FLAT[kind])))
    group = _group(inp)
    assert _template(group) == "1410"
    (item,) = _coordinates(group)
    assert (item.ValueType, _name(item)) == ("SCOORD", "Image Region")
    assert item.GraphicType == ("POLYLINE" if kind is RegionKind.POLYGON else kind.value)
    assert item.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == inp.sources[2].SOPInstanceUID
    np.testing.assert_allclose(_place(item, phantom, inp), _patient(phantom, FLAT[kind]), atol=1e-4)


def test_the_centre_of_the_first_pixel_is_half_a_pixel_from_the_corner(tmp_path: Path) -> None:
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.POINT, [(0, 0, 0)])))
    (item,) = _coordinates(_group(inp))
    np.testing.assert_allclose(item.GraphicData, [0.5, 0.5], atol=1e-5)


@pytest.mark.parametrize("kind", FLAT)
def test_a_region_across_the_slices_is_in_the_patient(kind: RegionKind, tmp_path: Path) -> None:
    voxels = [(k + 0.3 * row - 1.5, row, column) for k, row, column in FLAT[kind]]
    if kind is RegionKind.POINT:
        voxels = [(-1, 3, 4)]  # below the first slice
    inp = _input(tmp_path, SQUARE, _shown(_region(SQUARE, kind, voxels)))
    group = _group(inp)
    assert _template(group) == "1410"
    (item,) = _coordinates(group)
    assert (item.ValueType, item.GraphicType, _name(item)) == ("SCOORD3D", kind.value, "Image Region")
    np.testing.assert_array_equal(_place(item, SQUARE, inp), _patient(SQUARE, voxels).astype(np.float32))


def test_a_region_is_shown_on_the_nearest_slice_and_keeps_its_shape(tmp_path: Path) -> None:
    voxels = [(k + 0.4, row, column) for k, row, column in TRIANGLE]
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.POLYGON, voxels)))
    (item,) = _coordinates(_group(inp))
    np.testing.assert_allclose(_place(item, OBLIQUE, inp), _patient(OBLIQUE, TRIANGLE), atol=1e-4)


@pytest.mark.parametrize("voxel", [(2, 12, 4), (2, 3, -0.6), (5.6, 3, 4), (-0.6, 3, 4)])
def test_a_region_that_leaves_the_images_is_in_the_patient(voxel: tuple[float, ...], tmp_path: Path) -> None:
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.POINT, [voxel])))
    (item,) = _coordinates(_group(inp))
    assert item.ValueType == "SCOORD3D"


def test_an_ellipse_that_the_pixels_would_stretch_is_in_the_patient(tmp_path: Path) -> None:
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.ELLIPSE, ELLIPSE)))
    (item,) = _coordinates(_group(inp))
    assert (item.ValueType, item.GraphicType) == ("SCOORD3D", "ELLIPSE")


def test_an_outline_that_is_not_flat_is_refused(tmp_path: Path) -> None:
    bent = [*TRIANGLE[:3], (4, 3, 3), TRIANGLE[0]]
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.POLYGON, bent)))
    with pytest.raises(ValueError, match="not in one plane"):
        build_sr(inp)


def test_an_outline_that_rounding_bends_is_made_flat(tmp_path: Path) -> None:
    tilted = [(0.3 * row, row, column) for _, row, column in (*TRIANGLE[:3], (2, 3, 8), TRIANGLE[0])]
    rounded = tuple(tuple(round(value, 1) for value in point) for point in _patient(OBLIQUE, tilted).tolist())
    inp = _input(tmp_path, OBLIQUE, _shown(Region(RegionKind.POLYGON, rounded)))
    (item,) = _coordinates(_group(inp))
    place = _place(item, OBLIQUE, inp)
    np.testing.assert_allclose(place, rounded, atol=0.1)
    np.testing.assert_array_equal(place[0], place[-1])


@pytest.mark.parametrize(("slices", "kind"), [((2, 2, 2), "SCOORD"), ((1, 2, 3), "SCOORD3D")])
def test_points_of_one_finding_stay_together(slices: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    voxels = [(k, row, column) for k, (_, row, column) in zip(slices, TRIANGLE, strict=False)]
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.MULTIPOINT, voxels)))
    group = _group(inp)
    assert _template(group) == "1501"  # TID 1410 and TID 1411 take no MULTIPOINT
    (item,) = _coordinates(group)
    assert (item.ValueType, item.GraphicType, item.RelationshipType) == (kind, "MULTIPOINT", "CONTAINS")
    np.testing.assert_allclose(_place(item, OBLIQUE, inp), _patient(OBLIQUE, voxels), atol=1e-4)


def test_an_ellipsoid_is_the_surface_of_a_volume(tmp_path: Path) -> None:
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.ELLIPSOID, SPINDLE)))
    group = _group(inp)
    assert _template(group) == "1411"
    (item,) = _coordinates(group)
    assert (item.GraphicType, _name(item)) == ("ELLIPSOID", "Volume Surface")
    np.testing.assert_array_equal(_place(item, OBLIQUE, inp), _patient(OBLIQUE, SPINDLE).astype(np.float32))
    (series,) = (part for part in group.ContentSequence if _name(part) == "Source Series for Segmentation")
    assert inp.image.SeriesInstanceUID == series.UID


@pytest.mark.parametrize(("tilt", "name"), [(0.0, "Image Region"), (0.3, "Volume Surface")])
def test_outlines_in_parallel_planes_bound_a_volume(tilt: float, name: str, tmp_path: Path) -> None:
    stacked = [[(k + tilt * row, row, column) for _, row, column in TRIANGLE] for k in (1, 2, 3)]
    inp = _input(tmp_path, OBLIQUE, _shown(*(_region(OBLIQUE, RegionKind.POLYGON, voxels) for voxels in stacked)))
    group = _group(inp)
    assert _template(group) == "1411"
    items = _coordinates(group)
    assert [_name(item) for item in items] == [name] * 3
    for item, voxels in zip(items, stacked, strict=True):
        np.testing.assert_allclose(_place(item, OBLIQUE, inp), _patient(OBLIQUE, voxels), atol=1e-4)


def test_regions_of_different_kinds_are_all_in_the_finding_s_group(tmp_path: Path) -> None:
    regions = (
        _region(OBLIQUE, RegionKind.POINT, FLAT[RegionKind.POINT]),
        _region(OBLIQUE, RegionKind.POLYGON, TRIANGLE),
        _region(OBLIQUE, RegionKind.ELLIPSOID, SPINDLE),
    )
    inp = _input(tmp_path, OBLIQUE, _shown(*regions))
    group = _group(inp)
    assert _template(group) == "1501"
    items = _coordinates(group)
    assert [item.GraphicType for item in items] == ["POINT", "POLYLINE", "ELLIPSOID"]
    for item, region in zip(items, regions, strict=True):
        np.testing.assert_allclose(_place(item, OBLIQUE, inp), region.points, atol=1e-4)


def test_two_diameters_are_each_inferred_from_its_line(tmp_path: Path) -> None:
    across = _region(OBLIQUE, RegionKind.POLYLINE, [(2, 4, 2), (2, 4, 6)])  # 5 mm
    down = _region(OBLIQUE, RegionKind.POLYLINE, [(1, 2, 4), (3, 10, 4)])  # 7.81 mm
    centre = _region(OBLIQUE, RegionKind.POINT, [(2, 4, 4)])
    measurements = (Measurement(LONG, 7.8, MILLIMETRE, 7.5, 8.1, 0.9, "RECIST 1.1"), Measurement(SHORT, 5, MILLIMETRE))
    inp = _input(tmp_path, OBLIQUE, _shown(across, down, centre, measurements=measurements, confidence=0.8))
    group = _group(inp)
    assert _template(group) == "1501"
    lines = {_name(item): _coordinates(item) for item in group.ContentSequence if item.ValueType == "NUM"}
    assert lines.pop("Certainty of Finding") == []
    for name, region, kind in (("Long Axis", down, "SCOORD3D"), ("Short Axis", across, "SCOORD")):
        (line,) = lines[name]
        assert (line.ValueType, line.GraphicType, line.RelationshipType) == (kind, "POLYLINE", "INFERRED FROM")
        np.testing.assert_allclose(_place(line, OBLIQUE, inp), region.points, atol=1e-4)
    (rest,) = _coordinates(group)
    assert rest.GraphicType == "POINT"


def test_one_diameter_is_the_region_of_its_group(tmp_path: Path) -> None:
    line = _region(OBLIQUE, RegionKind.POLYLINE, [(2, 4, 2), (2, 4, 6)])
    inp = _input(tmp_path, OBLIQUE, _shown(line, measurements=(Measurement(LONG, 5, MILLIMETRE),)))
    group = _group(inp)
    assert _template(group) == "1410"
    (length,) = (item for item in group.ContentSequence if item.ValueType == "NUM")
    assert float(length.MeasuredValueSequence[0].NumericValue) == 5
    assert len(_coordinates(group)) == 1


def test_lines_beside_a_segment_are_in_its_group(tmp_path: Path) -> None:
    sources = read_series(write(tmp_path / "in", single_frames(OBLIQUE))).sources
    inp = result_input(sources, OBLIQUE.shape)
    line = _region(OBLIQUE, RegionKind.POLYLINE, [(2, 4, 2), (2, 4, 6)])
    drawn = replace(inp.prediction.findings[0], regions=(line,))
    inp = replace(inp, prediction=replace(inp.prediction, findings=(drawn,)))
    group = _group(inp, build_all(inp)["seg"])
    assert _template(group) == "1411"
    assert "Referenced Segment" in [_name(item) for item in group.ContentSequence]
    (item,) = _coordinates(group)
    assert _name(item) == "Source of Measurement"
    np.testing.assert_allclose(_place(item, OBLIQUE, inp), line.points, atol=1e-4)


@pytest.mark.parametrize("height", [-1.0, 0.5, 1.2, 6.0, 7.4, 17.6])
def test_a_region_of_a_leaning_or_uneven_stack_is_on_the_slice_that_is_there(height: float) -> None:
    heights, lean = (0.0, 2.5, 5.0, 7.5, 12.5, 15.0), 0.4

    phantom = Phantom()
    sources = single_frames(phantom)
    for ds, z in zip(sources, heights, strict=True):
        ds.ImagePositionPatient = [-31.5, round(12.25 + lean * z, 4), 40.0 + z]
    point = Region(RegionKind.POINT, ((-31.5 + 4 * 1.25, 12.25 + 6 * 0.75, 40.0 + height),))
    inp = result_input(sources, phantom.shape, prediction=Prediction((_shown(point),)))
    (item,) = _coordinates(_group(inp))
    nearest = min(heights, key=lambda z: abs(z - height))
    assert (item.ValueType == "SCOORD") is (abs(nearest - height) <= 1.25)
    ((x, y, z),) = point.points
    shown = (x, y, 40.0 + nearest if item.ValueType == "SCOORD" else z)
    np.testing.assert_allclose(_place(item, phantom, inp), [shown], atol=1e-4)


def test_a_region_on_a_multi_frame_image_names_the_frame(tmp_path: Path) -> None:
    frames = [2, 1, 0, 3, 4, 5]
    inp = _input(tmp_path, OBLIQUE, _shown(_region(OBLIQUE, RegionKind.POINT, [(0, 3, 4)])), frames=frames)
    (item,) = _coordinates(_group(inp))
    reference = item.ContentSequence[0].ReferencedSOPSequence[0]
    assert reference.ReferencedSOPInstanceUID == inp.image.SOPInstanceUID
    assert reference.ReferencedFrameNumber == 1 + frames.index(0)
    np.testing.assert_allclose(item.GraphicData, [4.5, 3.5], atol=1e-5)


def _all_kinds(phantom: Phantom) -> list[Finding]:
    """Findings that are shown in every way that there is."""
    tilted = [[(k + 0.3 * row, row, column) for _, row, column in TRIANGLE] for k in (0, 1)]
    regions: dict[str, tuple[Region, ...]] = {
        "line": (_region(phantom, RegionKind.POLYLINE, FLAT[RegionKind.POLYLINE]),),
        "ellipse": (_region(phantom, RegionKind.ELLIPSE, ELLIPSE),),
        "tilted": (_region(phantom, RegionKind.POLYGON, tilted[0]),),
        "points": (_region(phantom, RegionKind.MULTIPOINT, TRIANGLE[:3]),),
        "points across": (_region(phantom, RegionKind.MULTIPOINT, [(1, 2, 3), (2, 3, 4)]),),
        "ellipsoid": (_region(phantom, RegionKind.ELLIPSOID, SPINDLE),),
        "stack": tuple(
            _region(phantom, RegionKind.POLYGON, [(k, row, column) for _, row, column in TRIANGLE]) for k in (1, 2)
        ),
        "tilted stack": tuple(_region(phantom, RegionKind.POLYGON, voxels) for voxels in tilted),
        "mixed": (_region(phantom, RegionKind.POINT, [(2, 3, 4)]), _region(phantom, RegionKind.ELLIPSOID, SPINDLE)),
    }
    findings = [
        Finding(name, LESION, side=Side.LEFT, confidence=0.5, text=name, regions=shown)
        for name, shown in regions.items()
    ]
    across = _region(phantom, RegionKind.POLYLINE, [(2, 4, 2), (2, 4, 6)])
    down = _region(phantom, RegionKind.POLYLINE, [(1, 2, 4), (3, 10, 4)])
    lengths = [float(np.linalg.norm(np.diff(np.array(line.points), axis=0))) for line in (across, down)]
    diameters = tuple(Measurement(n, v, MILLIMETRE) for n, v in zip((SHORT, LONG), lengths, strict=True))
    measured = Finding("diameters", LESION, diameters, Side.RIGHT, regions=(across, down))
    return [*findings, measured, Finding("said", LESION, text="Only said.", confidence=0.2)]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultInput, Path]:
    """Give a report with a segment and regions of all kinds, on disk."""
    folder = tmp_path_factory.mktemp("report")
    sources = read_series(write(folder / "in", single_frames(SQUARE))).sources
    inp = result_input(sources, SQUARE.shape)
    line = _region(SQUARE, RegionKind.POLYLINE, TRIANGLE[:3])
    drawn = replace(inp.prediction.findings[0], regions=(line,))
    findings = (drawn, *_all_kinds(SQUARE))
    inp = replace(inp, prediction=replace(inp.prediction, findings=findings))
    path = folder / "sr.dcm"
    build_sr(inp, build_all(inp)["seg"]).save_as(path, enforce_file_format=True)
    return inp, path


@pytest.fixture
def judge(peer: Callable[[str], str]) -> Callable[[Path], list[str]]:
    """Give a function from a file to the validators' errors; skips where a validator is missing."""
    peer("dciodvfy")
    peer("java")
    if not PIXELMED_JAR.exists():
        peer("pixelmed.jar")
    return lambda path: [issue.text for issue in errors(validate(path))]


@pytest.mark.peer
def test_validators_find_no_error_in_regions_of_all_kinds(
    report: tuple[ResultInput, Path], judge: Callable[[Path], list[str]]
) -> None:
    assert judge(report[1]) == []


@pytest.mark.peer
def test_validators_find_no_error_in_a_region_in_the_patient_alone(
    judge: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    tilted = _region(SQUARE, RegionKind.POLYGON, [(0.3 * row, row, column) for _, row, column in TRIANGLE])
    path = tmp_path / "sr.dcm"
    build_sr(_input(tmp_path, SQUARE, _shown(tilted))).save_as(path, enforce_file_format=True)
    assert judge(path) == []


@pytest.mark.peer
def test_dcmtk_prints_all_coordinates(report: tuple[ResultInput, Path], peer: Callable[[str], str]) -> None:
    inp, path = report
    done = subprocess.run([peer("dsrdump"), "+U8", str(path)], capture_output=True, encoding="utf-8", check=True)
    assert not [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:"))]
    lines = [line for line in done.stdout.splitlines() if "SCOORD" in line]
    assert len(lines) == sum(len(finding.regions) for finding in inp.prediction.findings)
    for kind in RegionKind:
        assert any(f"=({kind}," in line for line in lines)


def test_highdicom_reads_regions_of_all_kinds(report: tuple[ResultInput, Path]) -> None:
    inp, path = report
    content = srread(path).content
    assert isinstance(content, MeasurementReport)
    labels = {finding.text: finding for finding in inp.prediction.findings}
    planar = content.get_planar_roi_measurement_groups()
    assert len(planar) == 3
    volumes = content.get_volumetric_roi_measurement_groups()
    assert len(volumes) == 4  # one with a segment, an ellipsoid, two stacks
    (tilted,) = (roi.value for group in planar if (roi := group.roi) and roi.graphic_type.value == "POLYGON")
    np.testing.assert_array_equal(tilted, np.array(labels["tilted"].regions[0].points, dtype=np.float32))
