"""Key slices: chosen well, drawn where the mask is, with the true aspect."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import generate_uid

from node.records import views
from node.records.engine import Records
from node.records.schema import Instance, Result
from node.records.views import Segmented, SourceInstance
from node.web import render, slices, source
from node.web.slices import SliceRenderer, select
from node.web.source import SliceUnavailable
from tests.node.web.objects import BRIGHT, enhanced_mr, mr_slice, save, segmentation
from tests.node.web.seed import COLUMNS, ROWS, SPACING, Seeded


def picture(content: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(np.int64)


def coloured(image: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.asarray(image.max(axis=2) - image.min(axis=2) > 12)


def one_series(
    root: Path, labels: npt.NDArray[np.uint8], spacing: tuple[float, float] = (1.0, 1.0)
) -> tuple[Segmented, list[pydicom.Dataset]]:
    study_uid, series_uid = generate_uid(), generate_uid()
    grey = np.full(labels.shape[1:], 400, np.uint16)
    made = [
        mr_slice(grey, k + 1, study_uid=study_uid, series_uid=series_uid, spacing=spacing) for k in range(len(labels))
    ]
    for ds in made:
        save(ds, root / "spool" / f"{ds.SOPInstanceUID}.dcm")
    names = ("one", "two")[: int(labels.max())]
    save(segmentation(made, labels, names), root / "seg.dcm")
    instances = {ds.SOPInstanceUID: SourceInstance(f"{ds.SOPInstanceUID}.dcm", ds.InstanceNumber) for ds in made}
    return Segmented("d" * 64, "seg.dcm", instances), made


def test_a_key_slice_is_a_picture_with_the_true_aspect(client: TestClient, seeded: Seeded) -> None:
    answer = client.get(f"/studies/{seeded.done}/jobs/{seeded.job}/slices/0.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"].startswith("private")
    height, width, _ = picture(answer.content).shape
    assert width / height == pytest.approx(COLUMNS * SPACING[1] / (ROWS * SPACING[0]), rel=0.01)
    assert coloured(picture(answer.content)).any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 2.0), (3.0, 1.0)])
def test_the_coloured_pixels_are_where_the_mask_is(tmp_path: Path, spacing: tuple[float, float]) -> None:
    labels = np.zeros((3, 40, 30), np.uint8)
    labels[1, 25:35, 4:12] = 1
    segmented, _ = one_series(tmp_path, labels, spacing)
    image = picture(SliceRenderer(tmp_path).picture(segmented, 0))
    height, width = image.shape[:2]
    assert width / height == pytest.approx(30 * spacing[1] / (40 * spacing[0]), rel=0.02)
    rows, columns = np.nonzero(coloured(image))
    assert rows.min() / height == pytest.approx(25 / 40, abs=0.01)
    assert (rows.max() + 1) / height == pytest.approx(35 / 40, abs=0.01)
    assert columns.min() / width == pytest.approx(4 / 30, abs=0.01)
    assert (columns.max() + 1) / width == pytest.approx(12 / 30, abs=0.01)
    box = coloured(image)[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert box.all()


def test_the_contour_has_the_colour_of_the_segment_and_the_fill_lets_the_image_through(tmp_path: Path) -> None:
    labels = np.zeros((1, 40, 40), np.uint8)
    labels[0, 10:30, 10:30] = 1
    segmented, _ = one_series(tmp_path, labels)
    image = picture(SliceRenderer(tmp_path).picture(segmented, 0))
    middle, border = image[320, 320], image[161, 320]
    assert np.abs(border - BRIGHT[0]).max() <= 3  # CIELab of the segmentation rounds
    grey = 255 * 0.4
    expected = (1 - render.FILL_ALPHA) * grey + render.FILL_ALPHA * np.array(BRIGHT[0])
    assert np.abs(middle - expected).max() <= 3


def test_slices_come_in_the_order_of_the_stack_with_their_instance_numbers(tmp_path: Path) -> None:
    labels = np.zeros((12, 20, 20), np.uint8)
    for k, size in enumerate([0, 1, 2, 9, 4, 5, 6, 3, 8, 7, 0, 0]):
        labels[k, :size, :10] = 1
    labels[0, 15, 15] = 2  # a second segment far from the large slices
    segmented, made = one_series(tmp_path, labels)
    keys = SliceRenderer(tmp_path).key_slices(segmented)
    assert [item.number for item in keys.slices] == [1, 4, 6, 7, 9, 10]
    assert keys.total == 10
    assert [item.uid for item in keys.slices] == [made[k].SOPInstanceUID for k in (0, 3, 5, 6, 8, 9)]
    assert keys.areas(keys.slices[1]) == [(keys.segments[0], 90.0)]


@given(st.lists(st.dictionaries(st.integers(1, 3), st.integers(0, 50)), max_size=20), st.integers(3, 6))
def test_the_chosen_slices_are_filled_ascending_and_hold_each_segments_largest(
    areas: list[dict[int, int]], limit: int
) -> None:
    places = select(areas, limit)
    assert places == sorted(set(places))
    filled = [place for place, area in enumerate(areas) if sum(area.values()) > 0]
    assert len(places) == min(limit, len(filled))
    assert set(places) <= set(filled)
    for number in {number for area in areas for number, count in area.items() if count}:
        assert max(areas[place].get(number, 0) for place in places) == max(area.get(number, 0) for area in areas)


def test_a_segmentation_without_a_single_voxel_has_no_key_slice(tmp_path: Path) -> None:
    assert select([{}, {1: 0}]) == []
    labels = np.zeros((2, 8, 8), np.uint8)
    labels[0, 0, 0] = 1
    segmented, _ = one_series(tmp_path, labels)
    with pytest.raises(SliceUnavailable, match="no such key slice"):
        SliceRenderer(tmp_path).picture(segmented, 1)


def test_segments_that_share_a_colour_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, :5], labels[0, 10:] = 1, 2
    segmented, _ = one_series(tmp_path, labels)
    monkeypatch.setattr(slices, "_recommended", lambda _: (9, 9, 9))
    colours = [segment.colour for segment in SliceRenderer(tmp_path).key_slices(segmented).segments]
    assert colours == list(render.PALETTE[:2])


def test_a_picture_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, :5] = 1
    segmented, _ = one_series(tmp_path, labels)
    renderer = SliceRenderer(tmp_path)
    first = renderer.picture(segmented, 0)
    monkeypatch.setattr(slices, "read_slice", None)
    assert renderer.picture(segmented, 0) == first


def test_instances_that_are_gone_are_left_out(tmp_path: Path) -> None:
    labels = np.zeros((3, 20, 20), np.uint8)
    labels[:, :5] = 1
    segmented, made = one_series(tmp_path, labels)
    left = {uid: item for uid, item in segmented.instances.items() if uid != made[1].SOPInstanceUID}
    keys = SliceRenderer(tmp_path).key_slices(Segmented("e" * 64, "seg.dcm", left))
    assert [item.number for item in keys.slices] == [1, 3]


@pytest.mark.parametrize("harm", ["gone", "garbage", "truncated", "huge", "outside"])
def test_a_source_that_cannot_be_read_is_a_404_with_a_reason_and_the_page_still_stands(
    client: TestClient, seeded: Seeded, records: Records, tmp_path: Path, harm: str
) -> None:
    with records.write() as session:
        for row in session.query(Instance).all():
            path = tmp_path / "spool" / row.path
            if harm == "gone":
                path.unlink()
            elif harm == "garbage":
                path.write_bytes(b"\0" * 500)
            elif harm == "truncated":
                path.write_bytes(path.read_bytes()[:-3000])
            elif harm == "huge":
                ds = pydicom.dcmread(path)
                ds.Rows = ds.Columns = 65535
                ds.save_as(path)
            else:
                row.path = "../records.sqlite"
    answer = client.get(f"/studies/{seeded.done}/jobs/{seeded.job}/slices/0.png")
    assert answer.status_code == 404
    assert "This slice cannot be shown" in answer.text
    assert client.get(f"/studies/{seeded.done}").status_code == 200


def test_a_segmentation_that_cannot_be_read_is_said_on_the_page(
    client: TestClient, seeded: Seeded, tmp_path: Path
) -> None:
    (tmp_path / "results/seg.dcm").write_bytes(b"no DICOM")
    text = client.get(f"/studies/{seeded.done}").text
    assert "Key slices cannot be shown: the segmentation cannot be read" in text


@pytest.mark.parametrize("path", ["1/jobs/x/slices/0.png", "2/jobs/{job}/slices/0.png", "1/jobs/{job}/slices/6.png",
                                  "1/jobs/{job}/slices/-1.png", "1/jobs/..%2f..%2fetc/slices/0.png"])  # fmt: skip
def test_a_slice_that_is_not_there_is_a_404(client: TestClient, seeded: Seeded, path: str) -> None:
    assert client.get("/studies/" + path.format(job=seeded.job)).status_code == 404


def test_the_newest_segmentation_of_a_job_is_drawn(records: Records, seeded: Seeded) -> None:
    with records.write() as session:
        session.add(Result(job_fk=seeded.job, kind="seg", uid="1.2.3", path="results/new.dcm", sha256="f" * 64))
    with records.read() as session:
        found = views.segmented(session, seeded.done, seeded.job)
        assert found
        assert found.seg_path == "results/new.dcm"
        assert len(found.instances) == 24
        assert views.segmented(session, seeded.stat, seeded.job) is None


def test_the_frames_of_a_multi_frame_source_are_drawn(tmp_path: Path) -> None:
    labels = np.zeros((4, 40, 30), np.uint8)
    labels[2, 10:20, 5:15] = 1
    ds = enhanced_mr(np.full(labels.shape, 400, np.uint16), (1.0, 2.0))
    save(segmentation([ds], labels, ("one",)), tmp_path / "seg.dcm")
    save(ds, tmp_path / "spool/mr.dcm")
    segmented = Segmented("m" * 64, "seg.dcm", {ds.SOPInstanceUID: SourceInstance("mr.dcm", 1)})
    renderer = SliceRenderer(tmp_path)
    (key,) = renderer.key_slices(segmented).slices
    assert (key.frame, key.number, key.pixels) == (3, 3, {1: 100})
    image = picture(renderer.picture(segmented, 0))
    height, width = image.shape[:2]
    assert width / height == pytest.approx(60 / 40, rel=0.01)
    rows, columns = np.nonzero(coloured(image))
    assert rows.min() / height == pytest.approx(10 / 40, abs=0.01)
    assert columns.min() / width == pytest.approx(5 / 30, abs=0.01)
    assert tuple(image[5, 5]) == (102, 102, 102)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small.dcm",
        "dx_image.dcm",
        "JPEG2000.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_rle_16bit.dcm",
        "US1_J2KI.dcm",
    ],
)
def test_real_images_of_many_kinds_are_read(real_data: Any, name: str) -> None:
    folders = ("dicom-pydicom", "dicom-pydicom-data", "dicom-highdicom")
    found = sorted(path for folder in folders for path in real_data(folder).rglob(name))
    shown = source.read_slice(found[0])
    assert shown.display.dtype == np.uint8
    assert shown.display.std() > 1
