"""Every kind of generated study is a valid object, is the same for the same wish, and reaches the node."""

from __future__ import annotations

import datetime as dt
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from libjpeg.utils import decode
from pydicom import dcmread
from pydicom.uid import JPEGLosslessSV1
from sqlalchemy import select
from typer.testing import CliRunner

from node.cli import app
from node.errors import InputError
from node.records.schema import Instance, Series
from node.simulator import chest, jpeg_lossless, radiographs
from node.simulator.kinds import KINDS, Wish, make
from node.simulator.radiographs import Form
from node.simulator.ris import Person
from node.simulator.studies import write
from tests.node.dicom.conftest import running

WISH = Wish(3, Person(), "A1", dt.datetime(2026, 11, 20, 12, 0), finding=True)
CHECKED = tuple(kind for kind in KINDS if kind not in ("brain-mr", "heart-sound"))
"""What no other test shows to dicom3tools and what it knows: the General Audio Waveform IOD is too new for it."""


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_wish_gives_the_same_bytes_and_another_another_study(kind: str, tmp_path: Path) -> None:
    first, again = (write(make(kind, WISH), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert make(kind, replace(WISH, seed=4)).study_uid != make(kind, WISH).study_uid


def test_a_kind_that_there_is_not_is_said_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match="brain-mr, chest-xray"):
        make("knee", WISH)


@pytest.mark.peer
@pytest.mark.parametrize("kind", CHECKED)
def test_dciodvfy_finds_no_error_and_no_warning(kind: str, peer: Callable[[str], str], tmp_path: Path) -> None:
    (path,) = write(make(kind, WISH), tmp_path)
    _check(peer("dciodvfy"), path)


@pytest.mark.peer
@pytest.mark.parametrize("modality", ["CR", "DX"])
@pytest.mark.parametrize("voi", radiographs.UNDONE)
@pytest.mark.parametrize("inverted", [False, True])
def test_dciodvfy_finds_nothing_in_any_form_of_a_radiograph(
    modality: str, voi: str, inverted: bool, peer: Callable[[str], str], tmp_path: Path
) -> None:
    form = Form(modality, inverted, voi, lossless=inverted)
    study = radiographs.study(form, 1, person=Person(), accession_number="A1", at=WISH.at, finding=False)
    _check(peer("dciodvfy"), write(study, tmp_path)[0])


def _check(program: str, path: Path) -> None:
    done = subprocess.run([program, "-new", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert re.fullmatch(r"\w+\s*", done.stdout + done.stderr), done.stderr


@pytest.mark.peer
def test_dcmtk_reads_the_samples_of_every_waveform(peer: Callable[[str], str], tmp_path: Path) -> None:
    for kind in ("ecg", "ecg-single", "ecg-ambulatory", "heart-sound", "voice"):
        (path,) = write(make(kind, WISH), tmp_path / kind)
        done = subprocess.run([peer("dcmdump"), "-q", str(path)], capture_output=True, text=True, check=True)
        assert "WaveformData" in done.stdout
        assert "W:" not in done.stderr + done.stdout


def test_every_kind_is_received_and_indexed_with_what_rules_ask_for(tmp_path: Path) -> None:
    paths = [write(make(kind, WISH), tmp_path / "out" / kind)[0] for kind in KINDS]
    with running(tmp_path) as node:
        outcomes = node.send(*paths)
        assert [outcome.status for outcome in outcomes] == [0x0000] * len(KINDS)
        with node.records.read() as session:
            rows = [(row.modality, row.body_part) for row in session.scalars(select(Series).order_by(Series.id))]
            classes = set(session.scalars(select(Instance.sop_class)))
            told = {row.tags["SOPClassUID"] for row in session.scalars(select(Series))}
    assert sorted(set(rows)) == [("AU", ""), ("CR", "CHEST"), ("DX", "CHEST"), ("ECG", ""), ("MR", "BRAIN")]
    assert len(classes) == len(KINDS)
    assert told == classes


def test_the_command_writes_the_kind_that_is_asked_for(tmp_path: Path) -> None:
    arguments = ["simulate", "study", str(tmp_path), "--kind", "ecg-single", "--finding"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (path,) = tmp_path.glob("*.dcm")
    ds = dcmread(path)
    assert (ds.Modality, ds.WaveformSequence[0].NumberOfWaveformChannels) == ("ECG", 1)
    wrong = CliRunner().invoke(app, ["simulate", "study", str(tmp_path), "--kind", "knee"])
    assert wrong.exit_code != 0


def test_the_cr_is_jpeg_lossless_and_decodes_to_what_the_native_form_has() -> None:
    native, compressed = (
        radiographs.study(form, 2, person=Person(), accession_number="", at=WISH.at, finding=False).datasets[0]
        for form in (replace(radiographs.CR, lossless=False), radiographs.CR)
    )
    assert compressed.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    assert len(compressed.PixelData) < len(native.PixelData) * 0.8
    np.testing.assert_array_equal(compressed.pixel_array, native.pixel_array)


@given(bits=st.integers(2, 16), seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 9), columns=st.integers(1, 9))
def test_jpeg_lossless_keeps_every_value(bits: int, seed: int, rows: int, columns: int) -> None:
    """Any values, with the largest steps that there are."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 1 << bits, (rows, columns)).astype(np.uint16)
    pixels[rng.random((rows, columns)) < 0.3] = (1 << bits) - 1
    pixels[rng.random((rows, columns)) < 0.3] = 0
    decoded = decode(jpeg_lossless.encode(pixels, bits))
    np.testing.assert_array_equal(np.asarray(decoded).reshape(rows, columns), pixels)


def test_jpeg_lossless_refuses_values_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        jpeg_lossless.encode(np.array([[16]], dtype=np.uint16), 4)


@pytest.mark.parametrize("seed", range(4))
def test_an_opacity_is_bright_where_the_lung_is_dark(seed: int) -> None:
    clear, filled = chest.draw(seed), chest.draw(seed, opacity=True)
    assert clear.opacity is None
    assert filled.opacity is not None
    row, column, radius = (round(value) for value in filled.opacity)
    window = (slice(row - radius // 2, row + radius // 2), slice(column - radius // 2, column + radius // 2))
    assert filled.image[window].mean() > clear.image[window].mean() + 0.1
    assert filled.image.min() >= 0
    assert filled.image.max() <= 1
