"""A series as one file for trainings, and the boxes beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.export import boxes_in, main

VOC = """<annotation><object><name>A</name><bndbox>
<xmin>298</xmin><ymin>300.0</ymin><xmax>335</xmax><ymax>374</ymax>
</bndbox></object></annotation>"""


def test_a_box_is_read_as_rows_and_columns() -> None:
    assert list(boxes_in(VOC)) == [(300, 298, 374, 335)]


def test_a_box_without_one_of_its_edges_is_left_out() -> None:
    assert list(boxes_in(VOC.replace("ymax", "xmax"))) == []


def test_a_box_that_ends_before_it_begins_is_left_out() -> None:
    assert list(boxes_in(VOC.replace("335", "35"))) == []


@given(st.text(alphabet="<>/bndoxymia.0123456789 ", max_size=3000))
def test_no_text_breaks_the_reading(text: str) -> None:
    assert all(top <= bottom and left <= right for top, left, bottom, right in boxes_in(VOC + text))


def test_a_folder_without_a_series_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), str(tmp_path / "out.npz")]) == 1
    assert "not written" in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.data
def test_a_real_series_is_written_with_its_boxes(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = real_data("dicom-ct-lung-petct-dx")
    assert main([str(folder / "Lung-PET-CT-Dx"), str(tmp_path / "thorax.npz"), "--boxes", str(folder)]) == 0
    with np.load(tmp_path / "thorax.npz") as parts:
        assert parts["array"].shape == (64, 512, 512)
        assert parts["affine"].shape == (4, 4)
        assert parts["boxes"].shape == (11, 5)
        k, top, left, bottom, right = parts["boxes"][4]
        assert parts["array"][k, top:bottom, left:right].mean() > -400
