"""Commands that leave what nobody asked for: processes, deep folders, answers that are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from models.catalog import Catalogue
from models.contracts import Geometry, UnusableOutput
from models.site.command_run import CommandFailed, remove, used
from tests.models.site.makers import bright_box, classification_card, imported, oblique, radiograph, slanted
from tests.models.site.test_command import (
    ARGV,
    _importable,  # noqa: F401  a fixture
    command,
    drawing_card,
    gone,
    loaded,
    until,
)

HEAD = """
import json, os, sys
from pathlib import Path
import numpy as np
given, answer = Path(sys.argv[1]), Path(sys.argv[2])
said = json.loads((given / "input.json").read_text())
np.save(answer / "labels.npy", np.zeros(said["shape"], np.uint8))
"""


def drawn(tmp_path: Path, source: str, more: str = "") -> Any:
    model = loaded(tmp_path, HEAD + source, drawing_card(more))
    return model.predict(bright_box(slanted())[0])


def test_a_daemon_that_a_command_leaves_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    source = f"""
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        Path({str(mark)!r}).write_text(str(os.getpid()))
        time.sleep(60)
    os._exit(0)
while not Path({str(mark)!r}).exists() or not Path({str(mark)!r}).read_text():
    time.sleep(0.01)
"""
    drawn(tmp_path, source)

    until(lambda: gone(int(mark.read_text(encoding="utf-8"))))


def test_what_a_command_writes_beside_its_answer_counts_too(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="more than 1 MB"):
        drawn(tmp_path, "Path('scratch').write_bytes(bytes(3 << 20))", "max_output_mb = 1")


def test_folders_without_end_are_refused_and_removed(tmp_path: Path) -> None:
    source = "os.chdir(answer)\nfor _ in range(1500):\n    os.mkdir('d')\n    os.chdir('d')\n"

    with pytest.raises(CommandFailed, match="max_output_mb"):
        drawn(tmp_path, source)


def test_a_folder_of_any_depth_is_measured_and_removed(tmp_path: Path) -> None:
    base, here = tmp_path / "deep", Path.cwd()
    base.mkdir()
    try:
        os.chdir(base)
        for _ in range(1200):
            os.mkdir("d")  # noqa: PTH102  the path is too long for one
            os.chdir("d")
    finally:
        os.chdir(here)

    assert used(base) > 1 << 60
    remove(base)
    assert not base.exists()


def test_a_command_that_imports_its_own_modules_leaves_its_folder_as_it_was(tmp_path: Path) -> None:
    folder = command(tmp_path / "m", "import helper\n" + HEAD, drawing_card())
    (folder / "helper.py").write_text("x = 1\n", encoding="utf-8")
    root = tmp_path / "root"
    imported(folder, root)

    Catalogue(root).load("bright", "cpu").predict(bright_box(slanted())[0])

    assert Catalogue(root).unusable("bright") == ""


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("np.savez(answer / 'x.npz', a=np.zeros(3)); (answer / 'x.npz').rename(answer / 'labels.npy')", "npz"),
        ("np.save(answer / 'labels.npy', np.zeros((0, 3, 3), np.int16))", "voxels"),
        ("np.save(answer / 'labels.npy', np.zeros((3, 3), [('a', 'i4')]))", "voxels"),
        ("np.save(answer / 'labels.npy', np.array([None], object), allow_pickle=True)", "no array"),
        ("(answer / 'labels.npy').write_bytes(b'\\x93NUMPY\\x01\\x00v\\x00' + b'{((((('.ljust(118))", "no array"),
        (
            "from models.site import nifti\na = np.array(said['affine_lps'])\na[:3, 3] += 5000\n"
            "(answer / 'labels.npy').unlink()\n"
            "nifti.write(answer / 'labels.nii.gz', np.ones(said['shape'], np.uint8), a)",
            "outside the image",
        ),
    ],
)
def test_a_label_map_that_is_none_is_refused_with_a_sentence(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(UnusableOutput, match=said):
        drawn(tmp_path, source)


@pytest.mark.parametrize(
    "text", ['{"Doe^Jane": 1}', '{"values": {"Doe^Jane": "x"}}', '{"places": [{"label": "Doe^Jane"}]}', "[" * 100_000]
)
def test_what_an_answer_says_is_not_repeated_by_its_refusal(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnusableOutput) as refused:
        drawn(tmp_path, f"(answer / 'result.json').write_text({text!r})")

    assert "Doe" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_value_for_an_output_that_is_not_on_the_card_is_not_repeated(tmp_path: Path) -> None:
    source = (
        "values = {'bright': 0.5, 'dark': 0.5, 'Doe^Jane': 0.5}\n"
        "(answer / 'result.json').write_text(json.dumps({'values': values}))"
    )
    model = loaded(tmp_path, HEAD + source, classification_card("command", ARGV).replace("sigmoid", "none"))

    with pytest.raises(UnusableOutput) as refused:
        model.predict(radiograph())
    assert "Doe" not in str(refused.value)
    assert "does not have" in str(refused.value)


def test_a_turned_label_map_of_a_radiograph_is_refused(tmp_path: Path) -> None:
    card = classification_card("command", ARGV).replace('task = "classification"', 'task = "segmentation"')
    source = (
        "from models.site import nifti\n(answer / 'labels.npy').unlink()\n"
        "nifti.write(answer / 'labels.nii.gz', np.ones((1, *said['shape']), np.uint8), np.diag([1., -1., -1., 1.]))"
    )
    model = loaded(tmp_path, HEAD + source, card.replace("sigmoid", "none"))

    with pytest.raises(UnusableOutput, match="turned"):
        model.predict(radiograph())


@pytest.mark.parametrize(("sign", "inside"), [(1, True), (-1, False)])
def test_a_place_must_lie_in_the_image(tmp_path: Path, sign: int, inside: bool) -> None:
    """Given places in RAS instead of LPS, When the volume lies off the centre, Then they are not reported."""
    source = (
        "a = np.array(said['affine_lps'])\nx, y, z = (a @ [*(np.array(said['shape']) / 2), 1])[:3]\n"
        f"place = {{'label': 'spleen', 'score': 0.9, 'lps': [{sign} * x, {sign} * y, z]}}\n"
        "(answer / 'result.json').write_text(json.dumps({'places': [place]}))"
    )
    card = drawing_card().replace('task = "segmentation"', 'task = "detection"')
    model = loaded(tmp_path, HEAD + source, card)
    geometry = oblique((18, 22, 26), 3)
    moved = geometry.affine.copy()
    moved[:3, 3] += (400.0, 400.0, 0.0)
    volume = bright_box(Geometry(moved, geometry.shape))[0]
    if not inside:
        with pytest.raises(UnusableOutput, match="LPS"):
            model.predict(volume)
        return

    found = model.predict(volume).findings[0]

    assert found.regions[0].points[0] == pytest.approx(tuple((moved @ [9, 11, 13, 1])[:3]))
