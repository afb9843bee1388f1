"""`overread demo` as `make demo </dev/null` runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from pydicom import dcmread

pytestmark = pytest.mark.e2e


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", "demo", "--folder", str(folder), *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def left_behind(folder: Path) -> list[int]:
    """Return processes that still run for a folder."""
    processes = psutil.process_iter(["cmdline"])
    return [item.pid for item in processes if str(folder) in " ".join(item.info["cmdline"] or ())]


def test_the_demo_shows_a_study_from_order_to_report_and_ends_with_status_0(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = demo(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    for word in (
        "Timeline",
        "Findings",
        "SEG in the PACS",
        "SR in the PACS",
        "ORU^R01",
        "MSH|",
        "Worklist: http://127",
    ):
        assert word in done.stdout
    assert "Alzheimer disease: uncertain" in done.stdout
    assert "more segments, all in the file" in done.stdout
    classes = {dcmread(path, stop_before_pixels=True).SOPClassUID.name for path in (folder / "pacs").rglob("*.dcm")}
    assert classes == {
        "Segmentation Storage",
        "Comprehensive 3D SR Storage",
        "Parametric Map Storage",
        "Key Object Selection Document Storage",
        "Grayscale Softcopy Presentation State Storage",
        "Secondary Capture Image Storage",
        "Encapsulated PDF Storage",
    }
    assert len(list((folder / "ris").glob("*.hl7"))) == 1
    assert left_behind(folder) == []


def test_a_demo_that_cannot_finish_says_why_and_ends_with_another_status(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = demo(folder, "--timeout", "1")
    assert done.returncode not in (0, None)
    assert "not ready in time" in done.stdout + done.stderr
    assert left_behind(folder) == []
