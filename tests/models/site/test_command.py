"""A command gets a folder and leaves one: its answers, its time and room, and what it may not do."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.catalog import Catalogue
from models.codes import LONG_AXIS
from models.contracts import Geometry, RegionKind, UnusableOutput
from models.site import nifti
from models.site.command_run import CommandFailed, workplace
from models.site.label_maps import CLASS_MAPS, structure
from models.site.onto import as_labels, onto
from tests.models.site.makers import (
    bright_box,
    classification_card,
    imported,
    oblique,
    radiograph,
    segmentation_card,
    slanted,
)

ARGV = 'argv = ["{python}", "{folder}/run.py", "{input}", "{output}"]\n'

DRAW_NIFTI = """
import sys
import numpy as np
from models.site import nifti
array, affine = nifti.read(__import__("pathlib").Path(sys.argv[1], "input.nii.gz"))
nifti.write(__import__("pathlib").Path(sys.argv[2], "labels.nii.gz"), (array > 350).astype(np.uint8), affine)
"""
DRAW_NPY = """
import json, sys
from pathlib import Path
import numpy as np
said = json.loads(Path(sys.argv[1], "input.json").read_text())
array = np.load(Path(sys.argv[1], said["file"]))
assert list(array.shape) == said["shape"]
np.save(Path(sys.argv[2], "labels.npy"), (array > 350).astype(np.int64))
"""


def command(folder: Path, source: str, card: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.py").write_text(textwrap.dedent(source), encoding="utf-8")
    (folder / "model.toml").write_text(card, encoding="utf-8")
    return folder


def drawing_card(more: str = "") -> str:
    card = segmentation_card("command", engine=ARGV + more).replace('activation = "softmax"\n', "")
    start, end = card.index("orientation"), card.index("[engine]")
    return card[:start] + card[end:]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root" / "models"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the commands of these tests import the project, which a real one does not."""
    path = f"{Path(__file__).resolve().parents[3]}"
    monkeypatch.setattr("models.site.command.ENVIRONMENT", ("PATH", "PYTHONPATH"))
    monkeypatch.setenv("PYTHONPATH", path)


@pytest.mark.parametrize(("source", "form"), [(DRAW_NIFTI, "nifti"), (DRAW_NPY, "npy")])
def test_a_command_draws_on_the_grid_of_the_input(tmp_path: Path, root: Path, source: str, form: str) -> None:
    imported(command(tmp_path / "m", source, drawing_card(f'format = "{form}"')), root)
    volume, inside = bright_box(oblique((18, 22, 26), 3))

    prediction = Catalogue(root).load("bright", "cpu").predict(volume)

    assert prediction.labels is not None
    assert np.array_equal(prediction.labels == 1, inside)
    assert prediction.findings[0].code.value == "78961009"


def test_a_command_classifies_a_radiograph(tmp_path: Path, root: Path) -> None:
    source = """
    import json, sys
    from pathlib import Path
    import numpy as np
    array = np.load(Path(sys.argv[1], "input.npy"))
    assert array.ndim == 2
    said = {"values": {"bright": float(array.mean()), "dark": 0.1}, "warnings": ["Seen by a command."]}
    Path(sys.argv[2], "result.json").write_text(json.dumps(said))
    """
    card = classification_card("command", ARGV + 'format = "npy"').replace("size = [32, 32]", "")
    imported(command(tmp_path / "m", source, card.replace('activation = "sigmoid"', "")), root)

    prediction = Catalogue(root).load("greyness", "cpu").predict(radiograph())

    assert prediction.scores["bright"] == pytest.approx(radiograph().array.mean(), abs=1e-5)
    assert prediction.warnings == ("Seen by a command.",)


def detecting(places: str) -> str:
    return f"""
    import sys
    from pathlib import Path
    Path(sys.argv[2], "result.json").write_text('{{"places": {places}}}')
    """


def test_a_command_finds_places_in_the_patient(tmp_path: Path, root: Path) -> None:
    source = detecting('[{"label": "spleen", "score": 0.75, "lps": [-19.0, 16.0, 19.0], "diameter_mm": 7.5}]')
    card = drawing_card().replace('task = "segmentation"', 'task = "detection"')
    imported(command(tmp_path / "m", source, card), root)

    [finding] = Catalogue(root).load("bright", "cpu").predict(bright_box(slanted())[0]).findings

    assert finding.confidence == 0.75
    assert (finding.measurements[0].name, finding.measurements[0].value) == (LONG_AXIS, 7.5)
    assert (finding.regions[0].kind, finding.regions[0].points) == (RegionKind.POINT, ((-19.0, 16.0, 19.0),))


def loaded(tmp_path: Path, source: str, card: str) -> Any:
    """The model without the dry run of an import, which would refuse it."""
    from models.site.bring import planned
    from models.site.coding import model_card
    from models.site.command import CommandModel

    folder = command(tmp_path / "m", source, card)
    plan = planned(folder, "bright", renamed=False)
    return CommandModel(plan.card, model_card(plan.card, ""), folder, "cpu")


def test_a_command_that_fails_says_its_status_and_not_what_it_printed(tmp_path: Path) -> None:
    model = loaded(tmp_path, "import sys; sys.exit('patient Doe')", drawing_card())

    with pytest.raises(CommandFailed, match="status 1") as caught:
        model.predict(bright_box(slanted())[0])
    assert "Doe" not in str(caught.value)
    assert "patient Doe" in caught.value.printed


def test_a_command_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    source = f"""
    import subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open({str(mark)!r}, "w").write(str(child.pid))
    time.sleep(60)
    """
    model = loaded(tmp_path, source, drawing_card("timeout_seconds = 2.0"))
    began = time.monotonic()

    with pytest.raises(CommandFailed, match="killed after 2 seconds"):
        model.predict(bright_box(slanted())[0])
    assert time.monotonic() - began < 20
    pid = int(mark.read_text(encoding="utf-8"))
    until(lambda: gone(pid))


def test_a_command_ends_when_the_process_that_waits_for_it_is_killed(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    wait = f"import os, time; open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    base = tmp_path / "base"
    (base / "out").mkdir(parents=True)
    waiting = (
        "import sys; from pathlib import Path; from models.site.command_run import run; base = Path(sys.argv[1]); "
        "run([sys.executable, '-c', sys.argv[2]], base, {}, 60.0, 1 << 20)"
    )
    process = subprocess.Popen([sys.executable, "-c", waiting, str(base), wait])
    until(mark.exists)
    until(lambda: mark.read_text(encoding="utf-8") != "")
    pid = int(mark.read_text(encoding="utf-8"))

    process.kill()
    process.wait()

    until(lambda: gone(pid))


def test_images_that_a_killed_run_left_are_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, used_still = tmp_path / f"overread-model-{ended.pid}-x", tmp_path / f"overread-model-{os.getpid()}-x"
    left.mkdir()
    used_still.mkdir()

    with workplace() as base:
        assert base.parent == tmp_path
        assert (left.exists(), used_still.exists()) == (False, True)
    assert not base.exists()


def gone(pid: int) -> bool:
    """Whether a process has ended, or waits only for somebody to ask how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(so: Callable[[], bool]) -> None:
    for _ in range(400):
        if so():
            return
        time.sleep(0.05)
    pytest.fail("it did not come to be so in 20 seconds")


def test_a_command_that_writes_too_much_is_killed(tmp_path: Path) -> None:
    source = """
    import sys, time
    from pathlib import Path
    Path(sys.argv[2], "labels.npy").write_bytes(bytes(3 << 20))
    time.sleep(60)
    """
    model = loaded(tmp_path, source, drawing_card("max_output_mb = 1"))

    with pytest.raises(CommandFailed, match="more than 1 MB"):
        model.predict(bright_box(slanted())[0])


def test_a_command_gets_nothing_of_the_nodes_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERREAD_WEB__PASSWORD", "secret")
    source = """
    import os, sys
    sys.exit(3 if any(key.startswith("OVERREAD") for key in os.environ) else 4)
    """
    model = loaded(tmp_path, source, drawing_card())

    with pytest.raises(CommandFailed, match="status 4"):
        model.predict(bright_box(slanted())[0])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "left none of"),
        ('__import__("os").symlink("/etc/passwd", sys.argv[2] + "/labels.npy")', "is a link"),
        ('__import__("os").symlink("/etc/passwd", sys.argv[2] + "/result.json")', "is a link"),
        ("open(sys.argv[2] + '/result.json', 'w').write('{\"values\": {\"a\": NaN}}')", "not what the contract says"),
        ("open(sys.argv[2] + '/result.json', 'w').write('{\"more\": 1}')", "not what the contract says"),
        ("open(sys.argv[2] + '/labels.nii', 'w').write('x' * 400)", "no NIfTI-1"),
        ("import numpy as np; np.save(sys.argv[2] + '/labels.npy', np.zeros((2, 2, 2)))", r"of \(2, 2, 2\) voxels"),
        ("import numpy as np; np.save(sys.argv[2] + '/labels.npy', np.full((20, 24, 28), 0.5))", "no whole numbers"),
        ("import numpy as np; np.save(sys.argv[2] + '/labels.npy', np.full((20, 24, 28), 300))", "from 0 to 255"),
        ("import numpy as np; np.save(sys.argv[2] + '/labels.npy', np.array([{}]), allow_pickle=True)", "no array"),
    ],
)
def test_an_answer_that_the_contract_does_not_allow_is_refused(tmp_path: Path, source: str, said: str) -> None:
    model = loaded(tmp_path, f"import sys\n{source}", drawing_card())

    with pytest.raises(UnusableOutput, match=said):
        model.predict(bright_box(slanted())[0])


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    card = drawing_card().replace("{python}", "/nowhere/program")

    with pytest.raises(CommandFailed, match="cannot be started"):
        loaded(tmp_path, "", card).predict(bright_box(slanted())[0])


def test_a_label_map_of_totalsegmentator_becomes_coded_segments(tmp_path: Path, root: Path) -> None:
    # Its maps are RAS and may be of another resolution: 3 mm for the fast model.
    source = """
    import sys
    from pathlib import Path
    import numpy as np
    from models.site import nifti
    array, affine = nifti.read(Path(sys.argv[1], "input.nii.gz"))
    labels = np.where(array > 350, 5, 0).astype(np.int16)
    labels[0, 0, :3] = [2, 3, 23]
    turned = np.ascontiguousarray(labels[:, ::-1, ::-1].transpose(0, 2, 1))
    move = np.array([[1, 0, 0, 0], [0, 0, -1, labels.shape[1] - 1], [0, -1, 0, labels.shape[2] - 1], [0, 0, 0, 1.0]])
    nifti.write(Path(sys.argv[2], "labels.nii.gz"), turned, affine @ move)
    """
    card = drawing_card('class_map = "totalsegmentator-v2"').replace('[[outputs]]\nlabel = "spleen"\n', "")
    imported(command(tmp_path / "m", source, card), root)
    volume, inside = bright_box(slanted())
    model = Catalogue(root).load("bright", "cpu")

    prediction = model.predict(volume)

    assert prediction.labels is not None
    assert np.array_equal(prediction.labels == 5, inside)
    assert list(prediction.labels[0, 0, :3]) == [2, 3, 23]
    assert len(model.card.outputs) == 117
    by_label = {finding.label: finding for finding in prediction.findings}
    assert set(by_label) == {"liver", "kidney_right", "kidney_left", "kidney_cyst_left"}
    segments = {item.label: item for item in prediction.segments}
    assert segments[5].type.value == "10200004"
    assert (segments[3].type.value, segments[3].anatomy_modifiers[0].meaning) == ("64033007", "Left")
    assert (segments[23].category.value, segments[23].anatomy) == ("49755003", segments[3].type)
    assert by_label["kidney_right"].side == "right"


def test_every_structure_of_the_ct_maps_has_a_code() -> None:
    for name in ("totalsegmentator-v1", "totalsegmentator-v2"):
        assert [item for item in CLASS_MAPS[name] if structure(item) is None] == []
    assert (len(CLASS_MAPS["totalsegmentator-v1"]), len(CLASS_MAPS["totalsegmentator-v2"])) == (104, 117)
    assert CLASS_MAPS["totalsegmentator-v2"][50] == "heart"
    assert CLASS_MAPS["totalsegmentator-v2"][115] == "sternum"


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(["uint8", "int16", "float32"]),
    packed=st.booleans(),
)
def test_nifti_keeps_values_and_places(
    tmp_path_factory: pytest.TempPathFactory, seed: int, kind: str, packed: bool
) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 9, 3))
    array = rng.integers(0, 100, shape).astype(kind)
    geometry = oblique((shape[0], shape[1], shape[2]), seed)
    path = tmp_path_factory.mktemp("nifti") / ("x.nii.gz" if packed else "x.nii")

    nifti.write(path, array, geometry.affine)
    found, affine = nifti.read(path)

    assert np.array_equal(found, array)
    np.testing.assert_allclose(affine, geometry.affine, atol=1e-4)


def test_nibabel_reads_what_is_written_at_the_same_place(tmp_path: Path) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    geometry = oblique((4, 5, 6), 7)
    array = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
    nifti.write(tmp_path / "x.nii.gz", array, geometry.affine)

    image = nibabel.load(tmp_path / "x.nii.gz")

    assert np.array_equal(np.asarray(image.dataobj), array.transpose(2, 1, 0))
    point = image.affine @ [5, 3, 2, 1]
    np.testing.assert_allclose(point[:3] * (-1, -1, 1), (geometry.affine @ [2, 3, 5, 1])[:3], atol=1e-3)


def test_a_file_of_nibabel_with_a_quaternion_alone_is_read_at_its_place(tmp_path: Path) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    geometry = oblique((4, 5, 6), 11)
    world = nifti.TURN @ geometry.affine @ nifti.REVERSE
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.float64).reshape(6, 5, 4), None)
    image.set_qform(world, code=1)
    image.set_sform(None, code=0)
    nibabel.save(image, tmp_path / "x.nii.gz")

    array, affine = nifti.read(tmp_path / "x.nii.gz")

    assert np.array_equal(array, np.asarray(image.dataobj).transpose(2, 1, 0))
    np.testing.assert_allclose(affine, geometry.affine, atol=1e-3)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=600))
def test_bytes_that_are_no_nifti_are_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("nifti") / "x.nii"
    head = (348).to_bytes(4, "little") + data
    path.write_bytes(head[:344].ljust(344, b"\0") + b"n+1\0" + head[344:])

    with contextlib.suppress(UnusableOutput):
        nifti.read(path)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_map_of_another_grid_lands_where_it_lies_in_the_patient(seed: int) -> None:
    target = oblique((16, 18, 20), seed, (2.0, 1.5, 1.0))
    source = oblique((30, 30, 30), seed + 1, (1.5, 1.5, 1.5))
    source.affine[:3, 3] = (
        target.affine[:3, 3] + target.affine[:3, :3] @ (8, 9, 10) - source.affine[:3, :3] @ (15, 15, 15)
    )
    labels = np.zeros(source.shape, dtype=np.uint8)
    labels[10:20, 10:20, 10:20] = 3

    found = onto(labels, source.affine, target.affine, target.shape)

    index = np.stack(np.meshgrid(*(np.arange(n) for n in target.shape), indexing="ij"), axis=-1).reshape(-1, 3)
    points = index @ target.affine[:3, :3].T + target.affine[:3, 3]
    back = (points - source.affine[:3, 3]) @ np.linalg.inv(source.affine[:3, :3]).T
    distance = np.abs(back - 14.5).max(axis=1).reshape(target.shape)
    assert (found[distance < 4.9] == 3).all()
    assert (found[distance > 5.1] == 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_turned_map_of_the_same_grid_comes_back_exactly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = oblique((7, 8, 9), seed)
    labels = rng.integers(0, 5, target.shape).astype(np.uint8)
    order = rng.permutation(3)
    turned = labels.transpose(order)[::-1]
    move = np.zeros((4, 4))
    move[order, range(3)] = 1
    move[3, 3] = 1
    flip = np.eye(4)
    flip[0, 0], flip[0, 3] = -1, turned.shape[0] - 1

    # As positions of 32 bits, which is what NIfTI has.
    affine = (target.affine @ move @ flip).astype(np.float32).astype(np.float64)

    assert np.array_equal(onto(np.ascontiguousarray(turned), affine, target.affine, target.shape), labels)


def test_labels_of_a_coarse_map_reach_half_a_voxel_beyond_its_outer_centres() -> None:
    fine = Geometry(np.diag([1.0, 1.0, 1.0, 1.0]), (6, 6, 6))
    coarse = np.diag([3.0, 3.0, 3.0, 1.0])
    coarse[:3, 3] = 1.0

    found = onto(as_labels(np.full((2, 2, 2), 4)), coarse, fine.affine, fine.shape)

    assert (found == 4).all()
