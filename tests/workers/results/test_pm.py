"""A map that is written and read back has the model's values where the model had them, and says what they are."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from highdicom.pm.sop import pmread
from PIL import Image
from pydicom.dataset import Dataset

from models.contracts import Code, FloatArray, ScalarMap
from tests.peers import Orthanc
from tests.workers.results.written import map_of, save, to_bytes, values_for, written
from tests.workers.synthetic import ORIENTATIONS, Phantom, multi_frame, result_input, single_frames, write
from workers.reading.volume.load import read_headers
from workers.results.common import DISCLAIMER, ResultInput
from workers.results.gsps import build_gsps
from workers.results.kos import build_kos
from workers.results.pm import LAST, build_pms
from workers.results.profile import DEFAULT
from workers.results.validate import errors, validate

HALF_STEP = 0.5 / LAST + 1e-7
"""Half of what one stored value is more than the one before, and what 32 bits add."""


def _input(folder: Path, instances: Sequence[Dataset], *maps: ScalarMap) -> ResultInput:
    inp = result_input(read_headers(write(folder, instances)), Phantom().shape)
    return replace(inp, prediction=replace(inp.prediction, maps=maps or (map_of(values_for(Phantom().shape)),)))


def _build(inp: ResultInput) -> Dataset:
    [pm] = build_pms(inp, DEFAULT, {})
    return pm


def _mapping(pm: Dataset) -> Dataset:
    [mapping] = pm.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence
    return mapping  # type: ignore[no-any-return]


def _values(pm: Dataset) -> npt.NDArray[np.float64]:
    """``[frame, row, column]``, read with pydicom alone; nan where the mapping has no value."""
    mapping, pixels = _mapping(pm), pm.pixel_array.reshape(-1, pm.Rows, pm.Columns)
    values = mapping.RealWorldValueSlope * pixels + mapping.RealWorldValueIntercept
    first, last = mapping.RealWorldValueFirstValueMapped, mapping.RealWorldValueLastValueMapped
    return np.where((pixels >= first) & (pixels <= last), values, np.nan)


def _in_slice_order(pm: Dataset, affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Put values where the frames' own functional groups say that they are; each voxel must be hit once."""
    shared = pm.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, dtype=float)
    rows_apart, columns_apart = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    found = np.full((int(pm.NumberOfFrames), pm.Rows, pm.Columns), np.inf)
    r, c = np.mgrid[: pm.Rows, : pm.Columns][..., None]
    for values, group in zip(_values(pm), pm.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        points = position + cosines[:3] * columns_apart * c + cosines[3:] * rows_apart * r
        indices = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        nearest = np.rint(indices)
        assert np.linalg.norm((indices - nearest) @ affine[:3, :3].T, axis=-1).max() < 0.03
        found[tuple(np.moveaxis(nearest.astype(int), -1, 0))] = values
    assert not np.isinf(found).any()
    return found


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_values_come_back_at_their_place_in_the_patient(name: str, tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS[name])
    pm = written(_build(_input(tmp_path, single_frames(phantom)[::-1])))
    found = _in_slice_order(pm, phantom.affine)
    np.testing.assert_allclose(found, values_for(phantom.shape), rtol=0, atol=HALF_STEP)


def test_frames_of_an_enhanced_source_in_any_order_give_the_same_map(tmp_path: Path) -> None:
    phantom, order = Phantom(cosines=ORIENTATIONS["oblique"]), [3, 0, 5, 1, 4, 2]
    pm = written(_build(_input(tmp_path, [multi_frame(phantom, order)])))
    np.testing.assert_allclose(_in_slice_order(pm, phantom.affine), values_for(phantom.shape), rtol=0, atol=HALF_STEP)
    for group in pm.PerFrameFunctionalGroupsSequence:
        [source] = group.DerivationImageSequence[0].SourceImageSequence
        k = order[int(source.ReferencedFrameNumber) - 1]
        position = [float(v) for v in group.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(phantom.position(k), abs=1e-4)


def test_a_leaning_stack_with_a_missing_slice_keeps_its_places(tmp_path: Path) -> None:
    def lean(ds: Dataset) -> None:
        x, y, z = (float(v) for v in ds.ImagePositionPatient)
        ds.ImagePositionPatient = [x, y + 0.7 * int(ds.InstanceNumber), z]

    instances = single_frames(Phantom())
    del instances[2]
    sources = read_headers(write(tmp_path, instances, lean))
    values = values_for((5, 12, 10))
    inp = result_input(sources, (5, 12, 10))
    pm = written(_build(replace(inp, prediction=replace(inp.prediction, maps=(map_of(values),)))))
    by_uid = {str(ds.SOPInstanceUID): (ds, values[k]) for k, ds in enumerate(sources)}
    for found, group in zip(_values(pm), pm.PerFrameFunctionalGroupsSequence, strict=True):
        [source] = group.DerivationImageSequence[0].SourceImageSequence
        image, expected = by_uid.pop(str(source.ReferencedSOPInstanceUID))
        assert group.PlanePositionSequence[0].ImagePositionPatient == image.ImagePositionPatient
        np.testing.assert_allclose(found, expected, rtol=0, atol=HALF_STEP)
    assert not by_uid
    assert "SpacingBetweenSlices" not in pm.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]


def test_highdicom_gives_the_values_in_the_patients_coordinates(tmp_path: Path) -> None:
    phantom = Phantom(cosines=ORIENTATIONS["oblique"])
    pm = pmread(BytesIO(to_bytes(_build(_input(tmp_path, single_frames(phantom))))))
    volume = pm.get_volume(apply_real_world_transform=True)
    values = values_for(phantom.shape)
    for k, r, c in ((0, 0, 1), (2, 11, 3), (5, 4, 9)):
        index = np.rint(np.linalg.inv(volume.affine) @ phantom.affine @ [k, r, c, 1])[:3].astype(int)
        assert volume.array[tuple(index)] == pytest.approx(values[k, r, c], abs=HALF_STEP)


@pytest.mark.parametrize(("low", "high"), [(-3.5, 12.0), (0.0, 40.0), (7.0, 7.0), (-2.0, -1.0)])
def test_values_of_any_range_are_spread_over_the_stored_ones(low: float, high: float, tmp_path: Path) -> None:
    values: FloatArray = (values_for(Phantom().shape) * (high - low) + low).astype(np.float32)
    pm = written(_build(_input(tmp_path, single_frames(Phantom()), map_of(values, None))))
    step = max(high - low, 1) / LAST
    np.testing.assert_allclose(_in_slice_order(pm, Phantom().affine), values, rtol=1e-6, atol=0.51 * step)


def test_what_is_no_number_has_no_real_world_value(tmp_path: Path) -> None:
    values = values_for(Phantom().shape)
    values[2, 3, 4], values[3, 1, 1] = np.nan, np.inf
    pm = written(_build(_input(tmp_path, single_frames(Phantom()), map_of(values))))
    expected = np.where(np.isfinite(values), values, np.nan)
    np.testing.assert_allclose(_in_slice_order(pm, Phantom().affine), expected, rtol=0, atol=HALF_STEP)


def test_a_map_says_what_its_values_are_and_of_what(tmp_path: Path) -> None:
    pm = written(_build(_input(tmp_path, single_frames(Phantom()))))
    mapping = _mapping(pm)
    assert mapping.LUTExplanation == "Probability of hippocampus, anterior part"
    assert [mapping.MeasurementUnitsCodeSequence[0][key].value for key in ("CodeValue", "CodingSchemeDesignator")] == [
        "1", "UCUM",
    ]  # fmt: skip
    said = {
        item.ConceptNameCodeSequence[0].CodeMeaning: item.ConceptCodeSequence[0].CodeMeaning
        for item in mapping.QuantityDefinitionSequence
    }
    assert said == {"Quantity": "Fractional Probabilistic Segmentation", "Finding Site": "Hippocampus"}
    purposes = [item.PurposeOfReferenceCodeSequence[0].CodeValue for item in pm.ContributingEquipmentSequence]
    assert purposes[:2] == ["109101", "109102"]
    assert DISCLAIMER in [item.get("ContributionDescription") for item in pm.ContributingEquipmentSequence]
    assert pm.ContentQualification == "RESEARCH"
    assert (pm.PatientID, pm.StudyDescription, int(pm.SeriesNumber)) == ("P-1", "Kopf", 10053)


def test_maps_are_objects_of_one_series_and_a_retry_makes_the_same_bytes(tmp_path: Path) -> None:
    score = ScalarMap("z", "Z-score", Code("113071", "DCM", "Z-score"), Code("1", "UCUM", "no units"),
                           values_for(Phantom().shape))  # fmt: skip
    inp = _input(tmp_path, single_frames(Phantom()), map_of(values_for(Phantom().shape)), score)
    first, second = build_pms(inp, DEFAULT, {})
    assert first.SeriesInstanceUID == second.SeriesInstanceUID
    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert (first.InstanceNumber, second.InstanceNumber) == (1, 2)
    assert [to_bytes(pm) for pm in build_pms(inp, DEFAULT, {})] == [to_bytes(first), to_bytes(second)]
    assert build_pms(replace(inp, input_digest="33" * 32), DEFAULT, {})[0].SOPInstanceUID != first.SOPInstanceUID


def test_without_maps_there_is_no_object_and_a_map_of_another_shape_is_refused(tmp_path: Path) -> None:
    inp = _input(tmp_path, single_frames(Phantom()))
    assert not build_pms(replace(inp, prediction=replace(inp.prediction, maps=())), DEFAULT, {})
    wrong = map_of(values_for((5, 12, 10)))
    with pytest.raises(ValueError, match="does not fit"):
        build_pms(replace(inp, prediction=replace(inp.prediction, maps=(wrong,))), DEFAULT, {})


@pytest.mark.parametrize("enhanced", [False, True])
def test_dciodvfy_finds_no_error_in_a_map(enhanced: bool, peer: Callable[[str], str], tmp_path: Path) -> None:
    peer("dciodvfy")
    instances = [multi_frame(Phantom(), [3, 0, 5, 1, 4, 2])] if enhanced else single_frames(Phantom())
    pm = _build(_input(tmp_path / "source", instances))
    assert errors(validate(save(pm, tmp_path / "pm.dcm"))) == []


def test_orthanc_stores_and_lists_map_key_objects_and_presentation_state_and_draws_the_map(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    inp = _input(tmp_path / "source", single_frames(Phantom()))
    built = [*build_pms(inp, DEFAULT, {}), *build_kos(inp, DEFAULT, {}), *build_gsps(inp, DEFAULT, {})]
    orthanc = Orthanc(peer("Orthanc"), tmp_path / "orthanc")
    try:
        for ds in built:
            _post(orthanc, to_bytes(ds))
        stored = {tags["SOPInstanceUID"]: tags["Modality"] for tags in orthanc.instances()}
        assert stored == {str(ds.SOPInstanceUID): str(ds.Modality) for ds in built}
        assert sorted(stored.values()) == ["KO", "OT", "PR"]
        [study] = orthanc.get("/studies")
        assert len(orthanc.get(f"/studies/{study}/series")) == 3
        drawn = np.asarray(Image.open(BytesIO(_picture(orthanc))), dtype=float)
        assert np.corrcoef(drawn.ravel(), written(built[0]).pixel_array[2].ravel())[0, 1] > 0.99
    finally:
        orthanc.stop()


def _post(orthanc: Orthanc, data: bytes) -> None:
    url = f"http://127.0.0.1:{orthanc.http_port}/instances"
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method="POST"), timeout=10) as answer:
        assert answer.status == 200


def _picture(orthanc: Orthanc) -> bytes:
    """Fetch Orthanc's picture of the map's third frame."""
    keys = {orthanc.get(f"/instances/{key}/simplified-tags")["Modality"]: key for key in orthanc.get("/instances")}
    url = f"http://127.0.0.1:{orthanc.http_port}/instances/{keys['OT']}/frames/2/preview"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())
